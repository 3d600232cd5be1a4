package flow_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/zone"
)

func runChild(t *testing.T, dir, killAt string) error {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childVariable+"="+dir, "QANAT_FLOW_TEST_PLUGINS="+plugins, "QANAT_KILL_AT="+killAt)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Run()
	if err != nil {
		t.Logf("%s: %v\n%s", killAt, err, output.String())
	}
	return err
}

// The flow may die at any of these points, on any pass; what is there at the end is as if it had not. These are the ones that show a
// fault of this package soonest; e2e/crash has them all.
func TestKilledFlowsEndAsUndisturbedOnes(t *testing.T) {
	t.Parallel()
	points := []string{"after-takeover-frame", "after-quarantine", "before-ledger", "after-sink-commit"}
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, pass := range []int{1, 2, 2} {
				err := runChild(t, dir, fmt.Sprintf("%s:%d", point, pass))
				var exit *exec.ExitError
				if err != nil && (!errors.As(err, &exit) || exit.ExitCode() == 1) {
					t.Fatalf("the child failed instead of being killed: %v", err)
				}
			}
			if err := runChild(t, dir, ""); err != nil {
				t.Fatal(err)
			}
			checkEnd(t, dir)
		})
	}
}

func TestFlowsEndWithEveryRowOnceAndAccountedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	p, err := open(t.Context(), dir, alloc)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second run finds nothing to do
		if err := p.run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	alloc.AssertSize(t, 0)
	checkEnd(t, dir)
}

// checkEnd holds the datasets, the sink's files and the ledger of a folder against what the generator makes.
func checkEnd(t *testing.T, dir string) {
	t.Helper()
	p, err := open(t.Context(), dir, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	rejected := generatedRows / rejectEvery
	want := generatedRows - rejected
	checkIDs(t, p, landed, want)
	checkIDs(t, p, processed, want)
	checkFiles(t, filepath.Join(dir, "out"), want)
	for flow, sums := range map[string][2]int{"test.landing": {generatedRows, rejected}, "test.clean": {want, 0}, "test.export": {want, 0}} {
		checkLedger(t, p.runtime.Ledger, flow, sums[0], sums[1])
	}
	quarantine, err := p.runtime.Zones.Dataset(t.Context(), zone.Name{Zone: zone.Quarantine, Namespace: "test", Dataset: "landing"})
	if err != nil {
		t.Fatal(err)
	}
	if rows := quarantine.Head().Rows; rows != int64(rejected) {
		t.Errorf("quarantine has %d rows, want %d", rows, rejected)
	}
}

func checkIDs(t *testing.T, p *parts, name zone.Name, want int) {
	t.Helper()
	view, err := p.runtime.Ledger.View(t.Context(), name.String())
	if err != nil {
		t.Fatal(err)
	}
	dataset, err := p.runtime.Zones.Dataset(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	_, batches, err := dataset.Scan(t.Context(), zone.ScanRequest{Snapshot: view.Snapshot, Columns: []string{"id"}})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	rows := 0
	for batch, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range batch.Column(0).(*array.Int64).Int64Values() {
			seen[id] = true
			rows++
		}
		batch.Release()
	}
	if rows != want || len(seen) != want {
		t.Errorf("%s: %d rows with %d ids, want %d", name, rows, len(seen), want)
	}
	if head := dataset.Head().Rows; head != int64(want) {
		t.Errorf("%s: the head has %d rows, want %d", name, head, want)
	}
}

func checkFiles(t *testing.T, dir string, want int) {
	t.Helper()
	seen := map[int64]bool{}
	rows := 0
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".jsonl") || strings.HasPrefix(entry.Name(), ".") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			var row struct{ ID int64 }
			if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
				return err
			}
			seen[row.ID] = true
			rows++
		}
		return lines.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	if rows != want || len(seen) != want {
		t.Errorf("files: %d rows with %d ids, want %d", rows, len(seen), want)
	}
}

func checkLedger(t *testing.T, l *ledger.Ledger, flow string, in, rejected int) {
	t.Helper()
	units, err := l.Units(t.Context(), flow, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var sumIn, sumOut, sumRejected int64
	for i, u := range units {
		if u.Seq != int64(i+1) {
			t.Errorf("%s: unit %d at place %d", flow, u.Seq, i+1)
		}
		sumIn += u.Stages[0].In
		sumOut += u.Stages[len(u.Stages)-1].Out
		for _, s := range u.Stages {
			sumRejected += s.Rejected
		}
	}
	if sumIn != int64(in) || sumRejected != int64(rejected) || sumOut != int64(in-rejected) {
		t.Errorf("%s: accounts say %d in, %d out, %d rejected; want %d, %d, %d", flow, sumIn, sumOut, sumRejected, in, in-rejected, rejected)
	}
}
