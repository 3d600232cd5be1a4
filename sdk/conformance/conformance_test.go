package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/sdk/conformance"
)

// built is the folder of the binaries that the tests check.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(built.dir)
		os.Exit(code)
	}))
}

// binary builds our plugins and the faulty one, once, and returns the path of one of them.
func binary(t *testing.T, name string) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "conformance"); built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-tags=duckdb_arrow", "-ldflags=-s -w", "-o", built.dir+"/", "../../plugins/...", "./testdata/plugins/...")
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, name)
}

// slow says whether the machine's owner has time for everything.
func slow() bool { return os.Getenv("QANAT_SLOW") != "" }

// patience stretches the limits of time: several suites run beside each other, on machines with other work.
const patience = 4

// together bounds how many suites run at once. Most of their time they wait.
var together = make(chan struct{}, 6)

// text is the report as people see it.
func text(t *testing.T, report conformance.Report) string {
	t.Helper()
	var out strings.Builder
	if err := report.Print(&out, conformance.Style{}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// of are the names of the checks with a status.
func of(report conformance.Report, status conformance.Status) []string {
	var ids []string
	for _, r := range report.Results {
		if r.Status == status {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// faults are the promises that the faulty plugin breaks on request, and the checks that must find it, and no others. A check that
// stands on one of these is skipped.
func faults() map[string][]fault {
	return map[string][]fault{
		"source": {
			{name: "", quick: true},
			{name: "acks_early", want: "source.ack.late", quick: true},
			{name: "loses_on_resume", want: "source.resume", quick: true},
			{name: "ignores_cancel", want: "source.cancel", quick: true},
			{name: "ignores_stop", want: "source.follow"},
			{name: "buffers", want: "source.slow", rows: 600_000, quick: true},
			{name: "unstable", want: "source.twice"},
			{name: "uncovered", want: "source.covered"},
			{name: "position_panics", want: "source.position"},
			{name: "position_ignored", want: "source.position"},
			{name: "rejects_without_reason", want: "source.read"},
			{name: "discover_differs", want: "source.discover"},
			{name: "provision_plan_effects", want: "source.provision", quick: true},
			{name: "provision_repeats", want: "source.provision"},
			{name: "provision_unplanned", want: "source.provision"},
			{name: "provision_keeps", want: "source.provision"},
			{name: "stdout", want: "stdout.silent", quick: true},
			{name: "logs_secret", want: "secrets.hidden", quick: true},
			{name: "tells_secret", want: "secrets.hidden"},
			{name: "leaks_goroutine", want: "leak.goroutines", quick: true},
			{name: "leaks_buffer", want: "leak.buffers", quick: true},
			{name: "leaks_file", want: "leak.goroutines"},
		},
		"transform": {
			{name: "", quick: true},
			{name: "lineage_incomplete", want: "transform.lineage", quick: true},
			{name: "state", want: "transform.units", quick: true},
			{name: "lies_about_cardinality", want: "transform.cardinality", quick: true},
			{name: "random", want: "transform.deterministic"},
			{name: "per_batch", want: "transform.cuts"},
			{name: "identity_lies", want: "transform.identity"},
			{name: "panics_on_empty", want: "transform.shapes"},
			{name: "plan_differs", want: "transform.plan"},
			{name: "plan_effects", want: "transform.dry_run"},
			{name: "leaks_buffer", want: "leak.buffers"},
		},
		"check": {
			{name: "", quick: true},
			{name: "check_state", want: "check.units", quick: true},
			{name: "check_out_of_range", want: "check.judge"},
			{name: "check_random", want: "check.deterministic"},
			{name: "check_batches", want: "check.cuts"},
		},
		"sink": {
			{name: "", quick: true},
			{name: "at_least_once"},
			{name: "commit_repeats", want: "sink.repeat", quick: true},
			{name: "commit_not_fenced", want: "sink.fence.commit sink.fence.twin", quick: true},
			{name: "twin_not_fenced", want: "sink.fence.twin"},
			{name: "begin_not_fenced", want: "sink.fence.begin"},
			{name: "dry_run_effects", want: "sink.dry_run", quick: true},
			{name: "visible_early", want: "sink.staged"},
			{name: "keeps_staged", want: "sink.kill"},
			{name: "forgets_mark", want: "sink.mark"},
			{name: "stdout", want: "stdout.silent"},
		},
	}
}

type fault struct {
	name, want string
	rows       int
	quick      bool
}

func TestEachBrokenPromiseIsFoundAndNoOther(t *testing.T) {
	t.Parallel()
	path := binary(t, "faulty")
	var all sync.WaitGroup
	for kind, list := range faults() {
		for _, f := range list {
			if !f.quick && !slow() {
				continue
			}
			all.Go(func() { f.find(t, path, kind) })
		}
	}
	all.Wait()
}

// find runs the suite. It doesn't use t.Run, whose parallel tests are as many as the machine has processors.
func (f fault) find(t *testing.T, path, kind string) {
	dir, err := os.MkdirTemp(built.dir, "outside-")
	if err != nil {
		t.Error(err)
		return
	}
	settings := map[string]any{"fault": f.name, "dir": dir, "token": "the-right-token"}
	if f.rows > 0 {
		settings["rows"] = f.rows
	}
	raw, err := json.Marshal(settings)
	if err != nil {
		t.Error(err)
		return
	}
	probe := "ls " + dir + " | grep -v ^staged; cat " + dir + "/visible-* 2>/dev/null || true"
	if kind == "source" {
		probe = "" // the promise is to be found without
	}
	together <- struct{}{}
	defer func() { <-together }()
	report, err := conformance.Run(context.WithoutCancel(t.Context()), conformance.Settings{
		Binary: path, Config: raw, Kind: kind, Probe: probe, Patience: patience,
	})
	if err != nil {
		t.Errorf("%s %q: %v", kind, f.name, err)
		return
	}
	if got := strings.Join(of(report, conformance.Failed), " "); got != f.want {
		t.Errorf("%s %q: failed %q, expected %q\n%s", kind, f.name, got, f.want, text(t, report))
	}
}

func TestBinariesThatAreNoPluginsAreNotChecked(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/bin/true", "/bin/echo", "/nonexistent"} {
		_, err := conformance.Run(t.Context(), conformance.Settings{Binary: path, Patience: patience})
		var misused *conformance.UsageError
		if err == nil || errors.As(err, &misused) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestBadSettingsOfTheSuiteAreMisuse(t *testing.T) {
	t.Parallel()
	path := binary(t, "faulty")
	for _, s := range []conformance.Settings{
		{}, {Binary: path}, {Binary: path, Kind: "pump"}, {Binary: binary(t, "sink-file"), Kind: "source"},
		{Binary: path, Kind: "sink", Config: json.RawMessage(`[1]`)}, {Binary: path, Kind: "sink", Mode: "merge"},
		{Binary: path, Kind: "sink", Key: []string{"nowhere"}},
	} {
		_, err := conformance.Run(t.Context(), s)
		if misused := (*conformance.UsageError)(nil); !errors.As(err, &misused) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
