package ledger_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/flow/ledger"
)

// heldUnit appends a unit that waits on its branch: 5 rows in, 4 out, into one dataset and quarantine.
func heldUnit(t *testing.T, l *ledger.Ledger, epoch uint64) ledger.Unit {
	t.Helper()
	for _, dataset := range []string{"processing.p.d", "quarantine.p.f"} {
		if err := l.AddWriter(t.Context(), ledger.Writer{Dataset: dataset, Flow: "p.f", Mode: "append"}); err != nil {
			t.Fatal(err)
		}
	}
	u := unit("p.f", epoch, 1)
	u.Verdict, u.Opened = ledger.Held, time.Unix(0, 123_456_789).UTC()
	u.Checks = []ledger.CheckResult{{Check: "c", Verdict: "fail", Action: "block", Message: "no"}}
	u.Datasets = map[string]ledger.Output{"processing.p.d": {Snapshot: 7, Rows: 4}, "quarantine.p.f": {Snapshot: 8, Rows: 1}}
	if err := l.Append(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	return u
}

func mustHeld(t *testing.T, l *ledger.Ledger) ledger.HeldUnit {
	t.Helper()
	h, found, err := l.Held(t.Context(), "p.f")
	if err != nil || !found {
		t.Fatal(found, err)
	}
	return h
}

func noneHeld(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	if h, found, err := l.Held(t.Context(), "p.f"); err != nil || found {
		t.Errorf("%+v still waits, %v", h, err)
	}
}

func TestAHeldUnitWaitsUntilItIsResolvedAndIsSeenOnlyThen(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		epoch := takeOver(t, l, "p.f")
		u := heldUnit(t, l, epoch)
		h := mustHeld(t, l)
		want := ledger.HeldUnit{
			Flow: "p.f", Seq: 1, Opened: h.Opened, Since: h.Since, Place: ledger.OnBranch, Rows: 4, Checks: u.Checks,
		}
		if diff := cmp.Diff(want, h); diff != "" || !h.Is(1, u.Opened) || !h.Since.Equal(u.Committed) {
			t.Error(diff, h.Opened, u.Opened)
		}
		if view, err := l.View(t.Context(), "processing.p.d"); err != nil || !view.Empty() {
			t.Errorf("readers see a held unit: %+v, %v", view, err)
		}
		u.Verdict, u.Decision = ledger.Committed, &ledger.Decision{What: ledger.Release, By: "me", At: time.UnixMicro(5).UTC()}
		u.Datasets["processing.p.d"] = ledger.Output{Snapshot: 9, Rows: 4}
		newer := takeOver(t, l, "p.f")
		if err := l.Resolve(t.Context(), epoch, u); !errors.Is(err, ledger.ErrFenced) {
			t.Fatalf("an older epoch resolves the unit: %v", err)
		}
		for range 2 { // the second time nothing is left to do
			if err := l.Resolve(t.Context(), newer, u); err != nil {
				t.Fatal(err)
			}
		}
		if view, err := l.View(t.Context(), "processing.p.d"); err != nil || view.Snapshot != 9 {
			t.Errorf("%+v, %v", view, err)
		}
		last, _, err := l.Last(t.Context(), "p.f")
		if diff := cmp.Diff(u, last); diff != "" || err != nil {
			t.Error(diff, err)
		}
		noneHeld(t, l)
	})
}

func TestTotalsCountADroppedUnitAsDroppedAndAVoidOneNotAtAll(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		for verdict, want := range map[ledger.Verdict]ledger.Stage{
			ledger.Dropped: {Name: "source", Maps: true, In: 5, Rejected: 1, Dropped: 4},
			ledger.Void:    {Name: "source", Maps: true},
		} {
			t.Run(string(verdict), func(t *testing.T) {
				l := d.ledger(t)
				const name = "p.f" // the subtests share it, in any order
				epoch := takeOver(t, l, name)
				last, found, err := l.Last(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				before, err := l.Totals(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				u := unit(name, epoch, last.Seq+1)
				u.Verdict = ledger.Held
				if err := l.Append(t.Context(), u); err != nil {
					t.Fatal(err)
				}
				u.Verdict, u.Decision, u.Position = verdict, &ledger.Decision{What: ledger.Drop}, []byte(`{"at":0}`)
				u.Stages = []ledger.Stage{{Name: "source", Maps: true, In: 5, Rejected: 1, Dropped: 4}}
				if err := l.Resolve(t.Context(), epoch, u); err != nil {
					t.Fatal(err)
				}
				totals, err := l.Totals(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				if found {
					want.In, want.Rejected, want.Dropped = want.In+before[0].In, want.Rejected+before[0].Rejected, want.Dropped+before[0].Dropped
				}
				if diff := cmp.Diff([]ledger.Stage{want}, totals); diff != "" {
					t.Error(diff)
				}
				if now, _, err := l.Last(t.Context(), name); err != nil || string(now.Position) != `{"at":0}` {
					t.Errorf("position %s, %v", now.Position, err)
				}
			})
		}
	})
}

func TestADecisionIsMadeOnceAndForOneUnit(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		epoch := takeOver(t, l, "p.f")
		first := ledger.HeldUnit{Flow: "p.f", Seq: 1, Opened: time.Unix(1, 1), Since: time.Unix(2, 0), Place: ledger.InLog, Rows: 3}
		if err := l.Hold(t.Context(), epoch, first); err != nil {
			t.Fatal(err)
		}
		release, drop := ledger.Decision{What: ledger.Release, By: "me"}, ledger.Decision{What: ledger.Drop, By: "you"}
		for range 2 {
			decided, err := l.Decide(t.Context(), first, release)
			if err != nil || decided.Decision.By != "me" {
				t.Fatal(decided, err)
			}
		}
		_, err := l.Decide(t.Context(), first, drop)
		if other, ok := errors.AsType[*ledger.DecidedError](err); !ok || other.Held.Decision.By != "me" {
			t.Errorf("a second decision: %v", err)
		}
		if err := l.Hold(t.Context(), epoch, first); err != nil { // noted again by the next session
			t.Fatal(err)
		}
		if h := mustHeld(t, l); h.Decision == nil || h.Decision.What != ledger.Release {
			t.Errorf("the decision is gone: %+v", h)
		}
		again := first
		again.Opened = time.Unix(1, 2) // lost with the log, and made again
		if err := l.Hold(t.Context(), epoch, again); err != nil {
			t.Fatal(err)
		}
		if h := mustHeld(t, l); h.Decision != nil || !h.Opened.Equal(again.Opened) {
			t.Errorf("the decision counts for another unit: %+v", h)
		}
		if _, err := l.Decide(t.Context(), first, release); !errors.Is(err, ledger.ErrNotHeld) {
			t.Errorf("a decision about a lost unit: %v", err)
		}
		if _, err := l.Decide(t.Context(), again, drop); err != nil {
			t.Fatal(err)
		}
		u := unit("p.f", epoch, 1)
		u.Opened = again.Opened
		if err := l.Append(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		noneHeld(t, l)
		before, found, err := l.HeldBefore(t.Context(), "p.f")
		if err != nil || !found || before.Decision.What != ledger.Drop {
			t.Errorf("the last decision: %+v %v %v", before, found, err)
		}
	})
}

func TestOnlyTheOwnerNotesHeldUnits(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		old := takeOver(t, l, "p.f")
		epoch := takeOver(t, l, "p.f")
		h := ledger.HeldUnit{Flow: "p.f", Seq: 1, Opened: time.Unix(1, 1), Place: ledger.InLog}
		if err := l.Hold(t.Context(), old, h); !errors.Is(err, ledger.ErrFenced) {
			t.Errorf("hold: %v", err)
		}
		if err := l.Hold(t.Context(), epoch, h); err != nil {
			t.Fatal(err)
		}
		if err := l.Unhold(t.Context(), "p.f", old); !errors.Is(err, ledger.ErrFenced) {
			t.Errorf("unhold: %v", err)
		}
		if err := l.Unhold(t.Context(), "p.f", epoch); err != nil {
			t.Fatal(err)
		}
		noneHeld(t, l)
	})
}
