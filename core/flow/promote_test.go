package flow_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/registry"
)

// mend opens a folder in which so many rows have landed.
func mend(t *testing.T, rows int) *parts {
	t.Helper()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	p, err := open(t.Context(), t.TempDir(), alloc)
	if err != nil {
		t.Fatal(err)
	}
	p.rows = rows
	landing := p.landing()
	landing.Commit.Rows = 10_000
	t.Cleanup(func() {
		if err := p.close(t.Context()); err != nil {
			t.Error(err)
		}
		alloc.AssertSize(t, 0)
	})
	mustRun(t, p, landing)
	return p
}

func mustRun(t *testing.T, p *parts, s *flow.Settings) {
	t.Helper()
	if err := flow.Run(t.Context(), s, p.runtime, make(chan struct{})); err != nil {
		t.Fatal(err)
	}
}

// unitRows make a unit of each unit that has landed.
const unitRows = 5000

// below is a check that ids are below a limit.
func below(limit int, onFail flow.OnFail) flow.CheckStep {
	config := fmt.Sprintf(`{"rules":[{"column":"id","max":%d}]}`, limit-1)
	return flow.CheckStep{OnFail: onFail, Step: flow.Step{Name: "check:schema", Instance: pluginhost.Instance{
		Kind: registry.Check, Plugin: "schema", Config: []byte(config),
	}}}
}

// judged are flows from landing whose ids must be below a limit: into a dataset and into files.
func (p *parts) judged(limit int, onFail flow.OnFail) map[string]*flow.Settings {
	clean, export := p.clean(), p.export()
	export.Datasets.Names = []zone.Name{landed}
	for _, s := range []*flow.Settings{clean, export} {
		s.Checks = []flow.CheckStep{below(limit, onFail)}
		s.Fingerprint = fmt.Sprint(limit, onFail)
		s.Commit.Rows = unitRows
	}
	return map[string]*flow.Settings{"dataset": clean, "sink": export}
}

func decide(p *parts, s *flow.Settings, what ledger.Choice) (ledger.Unit, error) {
	held, found, err := p.runtime.Ledger.Held(p.ctx(), s.Name)
	if err != nil || !found {
		return ledger.Unit{}, errors.Join(err, fmt.Errorf("held: %v", found))
	}
	return flow.Promote(p.ctx(), s, p.runtime, held, ledger.Decision{What: what, By: "me", Reason: "why not", At: time.Now()})
}

func (p *parts) checkTarget(t *testing.T, kind string, want int) {
	t.Helper()
	if kind == "sink" {
		checkFiles(t, filepath.Join(p.dir, "out"), want)
		return
	}
	checkIDs(t, p, processed, want)
}

func TestAHeldUnitIsPromotedAsPeopleDecide(t *testing.T) {
	t.Parallel()
	const rows, good = 3000, 2997 // the generator rejects each thousandth
	cases := map[ledger.Choice]struct {
		verdict ledger.Verdict
		want    int // rows in the target in the end
		dropped int64
		units   int64
	}{
		ledger.Release: {ledger.Committed, good, 0, 1},
		ledger.Drop:    {ledger.Dropped, 0, good, 1},
		ledger.Again:   {ledger.Void, good, 0, 2},
	}
	for _, kind := range []string{"dataset", "sink"} {
		for what, c := range cases {
			t.Run(kind+" "+string(what), func(t *testing.T) {
				t.Parallel()
				p := mend(t, rows)
				s := p.judged(10, flow.OnFailBlock)[kind]
				for range 2 { // the second run says so again, and changes nothing
					err := flow.Run(t.Context(), s, p.runtime, make(chan struct{}))
					if held, ok := errors.AsType[*flow.HeldError](err); !ok || held.Seq != 1 {
						t.Fatalf("the flow was not held: %v", err)
					}
				}
				p.checkTarget(t, kind, 0)
				unit, err := decide(p, s, what)
				if err != nil {
					t.Fatal(err)
				}
				if unit.Verdict != c.verdict || unit.Decision.By != "me" || unit.Stages[0].In != good {
					t.Errorf("the unit's row: %+v", unit)
				}
				if _, err := decide(p, s, what); err == nil {
					t.Error("a second decision found something to decide")
				}
				mustRun(t, p, p.judged(rows, flow.OnFailBlock)[kind])
				p.checkTarget(t, kind, c.want)
				p.checkTotals(t, s.Name, good, c.dropped)
				last, _, err := p.runtime.Ledger.Last(t.Context(), s.Name)
				if err != nil || last.Seq != c.units {
					t.Errorf("the ledger ends with unit %d, expected %d; %v", last.Seq, c.units, err)
				}
			})
		}
	}
}

// checkTotals holds the sums of a flow's accounts against what was read once and dropped.
func (p *parts) checkTotals(t *testing.T, name string, in, dropped int64) {
	t.Helper()
	totals, err := p.runtime.Ledger.Totals(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	first, last := totals[0], totals[len(totals)-1]
	if first.In != in || last.Dropped != dropped || last.Out != in-dropped {
		t.Errorf("totals: %+v, expected %d rows in and %d dropped", totals, in, dropped)
	}
}

func TestWhatWasReadBehindAHeldUnitFollowsItsDecision(t *testing.T) {
	t.Parallel()
	const rows, good = 30_000, 29_970
	for _, kind := range []string{"dataset", "sink"} {
		for what, want := range map[ledger.Choice]int{ledger.Release: good, ledger.Again: good, ledger.Drop: good - 9_990} {
			t.Run(kind+" "+string(what), func(t *testing.T) {
				t.Parallel()
				p := mend(t, rows)
				// Only the first unit of three breaks the rule; the two behind it lie in the log meanwhile.
				s := p.judged(rows, flow.OnFailBlock)[kind]
				s.Checks[0].Instance.Config = []byte(`{"rules":[{"column":"id","min":5}]}`)
				err := flow.Run(t.Context(), s, p.runtime, make(chan struct{}))
				if _, ok := errors.AsType[*flow.HeldError](err); !ok {
					t.Fatalf("the flow was not held: %v", err)
				}
				if _, err := decide(p, s, what); err != nil {
					t.Fatal(err)
				}
				if what == ledger.Again {
					s = p.judged(rows, flow.OnFailBlock)[kind]
				}
				mustRun(t, p, s)
				p.checkTarget(t, kind, want)
				p.checkTotals(t, s.Name, good, int64(good-want))
			})
		}
	}
}

// A sink's unit that another definition makes again is judged again, without any decision; one that people decided about is not.
func TestAChangedDefinitionJudgesAUnitInTheLogAgainUnlessItWasDecided(t *testing.T) {
	t.Parallel()
	p := mend(t, 2000)
	hold := func(limit int) {
		t.Helper()
		err := flow.Run(t.Context(), p.judged(limit, flow.OnFailBlock)["sink"], p.runtime, make(chan struct{}))
		if _, ok := errors.AsType[*flow.HeldError](err); !ok {
			t.Fatalf("the flow was not held: %v", err)
		}
	}
	hold(10)
	first, _, err := p.runtime.Ledger.Held(t.Context(), "test.export")
	if err != nil {
		t.Fatal(err)
	}
	hold(20)
	second, _, err := p.runtime.Ledger.Held(t.Context(), "test.export")
	if err != nil || second.Is(first.Seq, first.Opened) {
		t.Errorf("the unit was not made again: %+v, %v", second, err)
	}
	stale := ledger.Decision{What: ledger.Release}
	if _, err := flow.Promote(t.Context(), p.export(), p.runtime, first, stale); !errors.Is(err, ledger.ErrNotHeld) {
		t.Errorf("a decision about a unit that is gone: %v", err)
	}
	if _, err := p.runtime.Ledger.Decide(t.Context(), second, ledger.Decision{What: ledger.Release, By: "me"}); err != nil {
		t.Fatal(err)
	}
	mustRun(t, p, p.judged(2000, flow.OnFailBlock)["sink"]) // of another definition than the unit, which goes out as it was decided
	units, err := p.runtime.Ledger.Units(t.Context(), "test.export", 0, 10)
	if err != nil || len(units) != 1 || units[0].Decision == nil || !second.Is(units[0].Seq, units[0].Opened) {
		t.Errorf("%+v, %v", units, err)
	}
	p.checkTarget(t, "sink", 1998)
}

func TestAUnitThatIsLostWithTheLogIsMadeAgainAndNeedsADecisionAnew(t *testing.T) {
	t.Parallel()
	p := mend(t, 2000)
	s := p.judged(10, flow.OnFailBlock)["sink"]
	if err := flow.Run(t.Context(), s, p.runtime, make(chan struct{})); err == nil {
		t.Fatal("the flow was not held")
	}
	p.loseLog(t, s.Name)
	if _, err := decide(p, s, ledger.Release); !errors.Is(err, flow.ErrHeldLost) {
		t.Errorf("a decision about a lost unit: %v", err)
	}
	err := flow.Run(t.Context(), s, p.runtime, make(chan struct{}))
	if _, ok := errors.AsType[*flow.HeldError](err); !ok {
		t.Fatalf("the unit was made again and passed: %v", err)
	}
	p.checkTarget(t, "sink", 0)
	if _, err := decide(p, s, ledger.Release); err != nil {
		t.Fatal(err)
	}
	p.checkTarget(t, "sink", 1998)
}
