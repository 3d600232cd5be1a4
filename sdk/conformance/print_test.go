package conformance_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk/conformance"
)

func TestReportReadsFromTheTableToTheDetailsToTheCount(t *testing.T) {
	t.Parallel()
	report := conformance.Report{
		Plugin: "shop", Version: "1.2.0", Binary: "/bin/source-shop", Kinds: []string{"source"}, Duration: 1234 * time.Millisecond,
		Results: []conformance.Result{
			{ID: "start", Group: "plugin", Promise: "It starts.", Status: conformance.Passed, Duration: 45 * time.Millisecond, Notes: []string{"in 45 ms"}},
			{ID: "source.twice", Group: "source", Promise: "The same input gives the same rows.", Status: conformance.Failed, Detail: "expected: 5 rows\nseen: 4 rows"},
			{ID: "source.ack", Group: "source", Promise: "It takes Ack.", Status: conformance.Skipped, Detail: "no Acker", Cost: "nothing is confirmed"},
		},
		Guarantees: []string{"starts in 45ms"}, PassedCount: 1, FailedCount: 1, SkipCount: 1,
	}
	want := `shop 1.2.0 (source)
/bin/source-shop

plugin
  ✓ start                          45ms  It starts.
      in 45 ms

source
  ✗ source.twice                     0s  The same input gives the same rows.
  – source.ack                       0s  It takes Ack.
      skipped: no Acker
      that means: nothing is confirmed

✗ source.twice
  promise: The same input gives the same rows.
  expected: 5 rows
  seen: 4 rows

  starts in 45ms
does not conform: 1 passed, 1 failed, 1 skipped in 1.2s
`
	if diff := cmp.Diff(want, text(t, report)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var colored strings.Builder
	if err := report.Print(&colored, conformance.Style{Color: true, Width: 60}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(colored.String(), "\x1b[31m✗\x1b[0m") {
		t.Errorf("no red cross in %q", colored.String())
	}
}

// subtests stands for *testing.T, and notes what became of each subtest.
type subtests struct {
	*testing.T
	name string
	all  map[string]string
}

func (s *subtests) Run(name string, f func(*subtests)) bool {
	s.all[name] = "passed"
	f(&subtests{T: s.T, name: name, all: s.all})
	return true
}

func (s *subtests) Error(args ...any) { s.all[s.name] = fmt.Sprint("failed: ", args) }
func (s *subtests) Skip(args ...any)  { s.all[s.name] = fmt.Sprint("skipped: ", args) }

func TestTestMakesASubtestOfEachCheck(t *testing.T) {
	t.Parallel()
	all := map[string]string{}
	conformance.Test(&subtests{T: t, all: all}, conformance.Settings{
		Binary: binary(t, "faulty"), Kind: "source", Config: []byte(`{"dir": "/nonexistent", "fault": "discover_differs"}`), Patience: patience,
		Run: regexp.MustCompile(`discover|config.accepted|secrets`),
	})
	for id, begins := range map[string]string{"config.accepted": "passed", "source.discover": "failed: [It lists", "secrets.hidden": "passed"} {
		if !strings.HasPrefix(all[id], begins) {
			t.Errorf("%s: %q, expected %q", id, all[id], begins)
		}
	}
	if len(all) != 3 {
		t.Errorf("ran %v", all)
	}
}

func TestAskedForChecksBringThoseThatTheyStandOn(t *testing.T) {
	t.Parallel()
	report, err := conformance.Run(t.Context(), conformance.Settings{
		Binary: binary(t, "source-generator"), Config: []byte(`{"rows": 1000}`), Patience: patience, Run: regexp.MustCompile(`^source.twice$`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"source.read", "source.ack.late", "source.twice"}, of(report, conformance.Passed)); diff != "" || !report.OK() {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
