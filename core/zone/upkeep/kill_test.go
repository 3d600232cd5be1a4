package upkeep_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/gateway"
	"github.com/qanat-data/qanat/core/zone/objects"
	"github.com/qanat-data/qanat/core/zone/upkeep"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

// childVariable makes the test binary look after the datasets in the folder that it names, and nothing else.
const childVariable = "QANAT_UPKEEP_TEST_DIR"

func TestMain(m *testing.M) {
	dir := os.Getenv(childVariable)
	if dir == "" {
		goleak.VerifyTestMain(m, zonetest.Leaks()...)
		return
	}
	if err := child(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const unitsHeld = 6

var (
	names  = append([]string{"landing.shop.orders", "processing.shop.orders"}, keyed...)
	keyed  = []string{"processing.shop.customers", "curated.shop.customers"} // their units replace a row of the unit before
	points = []string{
		"after-convert-write", "before-convert-commit", "after-convert-commit",
		"after-compact-write", "before-compact-commit", "after-compact-commit", "before-repin", "after-repin", "after-trash-list",
		"after-expire", "after-trash-metadata", "after-trash-data", "after-orphans", "after-versions",
	}
	schema = arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil)
)

// opened are zones in a folder that outlives the process.
type opened struct {
	*zone.Zones
	settings zone.Settings
	gateway  *gateway.Gateway
	db       *sql.DB
}

func open(ctx context.Context, dir string) (*opened, error) {
	g, err := gateway.Start(ctx, gateway.Settings{Dir: dir, AccessKey: "upkeep", SecretKey: "upkeep-secret"})
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", zonetest.DSN(filepath.Join(dir, "state.db")))
	if err != nil {
		return nil, err
	}
	o := &opened{gateway: g, db: db, settings: zone.Settings{
		Objects: objects.Settings{
			Endpoint: g.Endpoint(), AccessKey: "upkeep", SecretKey: "upkeep-secret",
			BucketPrefix: prefix(dir), LocalRoot: g.Root(),
		},
		DB: db, Dialect: zone.SQLite,
	}}
	o.Zones, err = zone.Open(ctx, o.settings)
	return o, err
}

// prefix keeps the buckets of tests apart: in a process, a bucket is found by its name.
func prefix(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return fmt.Sprintf("p%x-", sum[:6])
}

func (o *opened) close() error { return errors.Join(o.Close(), o.db.Close(), o.gateway.Close()) }

func (o *opened) dataset(ctx context.Context, text string) (*zone.Dataset, error) {
	name, err := zone.ParseName(text)
	if err != nil {
		return nil, err
	}
	return o.Dataset(ctx, name)
}

func request(d *zone.Dataset) upkeep.Request {
	return upkeep.Request{
		Policy: upkeep.Policy{
			Compact: upkeep.Compact{Below: 64 << 20, Files: 2, Target: 256 << 20}, Snapshots: upkeep.Snapshots{Keep: 1}, Convert: 1,
		},
		Visible: map[string]int64{"f": unitsHeld}, Sweep: true, Pinned: []upkeep.Pin{{Snapshot: d.Head().ID}},
		Repin: func(context.Context, upkeep.Pin, int64) (bool, error) { return true, nil },
	}
}

func child(ctx context.Context, dir string) error {
	o, err := open(ctx, dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		d, err := o.dataset(ctx, name)
		if err != nil {
			return err
		}
		if _, err := d.Upkeep(ctx, request(d)); err != nil {
			return err
		}
	}
	return o.close()
}

func runChild(t *testing.T, dir, killAt, trace string) error {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childVariable+"="+dir, "QANAT_KILL_AT="+killAt, "QANAT_KILL_TRACE="+trace)
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("%s: %v\n%s", killAt, err, output)
	}
	return err
}

// fill makes the datasets with some units.
func fill(t *testing.T, dir string) {
	t.Helper()
	o, err := open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range names {
		name, err := zone.ParseName(text)
		if err != nil {
			t.Fatal(err)
		}
		var options zone.CreateOptions
		if slices.Contains(keyed, text) {
			options.Key = []string{"id"}
		}
		d, err := o.Create(t.Context(), name, schema, options)
		if err != nil {
			t.Fatal(err)
		}
		for seq := range int64(unitsHeld) {
			commit(t, d, seq+1)
		}
	}
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
}

func commit(t *testing.T, d *zone.Dataset, seq int64) {
	t.Helper()
	stage, err := d.Stage(t.Context(), zone.StageOptions{Flow: "f", Seq: seq, IngestedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	r := zone.CommitRequest{Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: seq}}
	ids := []int64{seq}
	if len(d.Key()) > 0 && seq > 1 {
		ids = append(ids, seq-1)
	}
	batch := batchOf(ids)
	defer batch.Release()
	if err := stage.Write(t.Context(), batch, "test://source"); err != nil {
		t.Fatal(err)
	}
	if r.Files, err = stage.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(d.Key()) > 0 {
		r.Mode, r.Keys = zone.Upsert, keysOf(t, d, seq, batch)
	}
	if _, err := d.Commit(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func batchOf(ids []int64) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Field(0).(*array.Int64Builder).AppendValues(ids, nil)
	return b.NewRecordBatch()
}

func keysOf(t *testing.T, d *zone.Dataset, seq int64, batch arrow.RecordBatch) zone.Files {
	t.Helper()
	stage, err := d.StageKeys(t.Context(), zone.StageOptions{Flow: "f", Seq: seq})
	if err != nil {
		t.Fatal(err)
	}
	if err := stage.Write(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	files, err := stage.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Upkeep may die at any of these points, in the first dataset or the second; the rows are the same, and the next upkeep leaves
// nothing behind.
func TestKilledUpkeepIsMadeUpFor(t *testing.T) {
	t.Parallel()
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			fill(t, dir)
			for _, pass := range []int{1, 2} {
				err := runChild(t, dir, fmt.Sprintf("%s:%d", point, pass), "")
				var exit *exec.ExitError
				if err != nil && (!errors.As(err, &exit) || exit.ExitCode() == 1) {
					t.Fatalf("the child failed instead of being killed: %v", err)
				}
				check(t, dir, false)
			}
			if err := runChild(t, dir, "", ""); err != nil {
				t.Fatal(err)
			}
			check(t, dir, true)
		})
	}
}

func TestEveryPointIsPassed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fill(t, dir)
	trace := filepath.Join(t.TempDir(), "trace")
	if err := runChild(t, dir, "", trace); err != nil {
		t.Fatal(err)
	}
	passed, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	for _, point := range points {
		if !slices.Contains(strings.Split(string(passed), "\n"), point) {
			t.Errorf("%s is not passed", point)
		}
	}
}

// check holds rows and marks against what was committed and, when upkeep is through, the stored objects against what is used.
func check(t *testing.T, dir string, through bool) {
	t.Helper()
	o, err := open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := o.close(); err != nil {
			t.Error(err)
		}
	}()
	for _, name := range names {
		d, err := o.dataset(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if m, _ := d.Mark("f"); m.Seq != unitsHeld || m.Epoch != 1 {
			t.Errorf("%s: mark %+v", name, m)
		}
		if diff := cmp.Diff([]int64{1, 2, 3, 4, 5, 6}, rows(t, d)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if !through {
			continue
		}
		r := request(d)
		r.DryRun = true
		report, err := d.Upkeep(t.Context(), r)
		if err != nil || !report.Idle() || report.Files.After != 1 {
			t.Errorf("%s: there is something left to do: %+v, %v", name, report, err)
		}
		if n, _ := zonetest.Stored(t, o.settings, d.Location()+"/data"); n != 1 {
			t.Errorf("%s: %d data files are stored", name, n)
		}
		if n, _ := zonetest.Stored(t, o.settings, d.Location()+"/upkeep"); n != 0 {
			t.Errorf("%s: %d lists are stored", name, n)
		}
	}
}

func rows(t *testing.T, d *zone.Dataset) []int64 {
	t.Helper()
	_, batches, err := d.Scan(t.Context(), zone.ScanRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var out []int64
	for b, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b.Column(0).(*array.Int64).Int64Values()...)
		b.Release()
	}
	slices.Sort(out)
	return out
}
