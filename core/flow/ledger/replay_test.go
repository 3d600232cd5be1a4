package ledger_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/flow/ledger"
)

func made(seq, rows, rejected int64) ledger.Unit {
	return ledger.Unit{
		Seq: seq, Verdict: ledger.Committed, Datasets: map[string]ledger.Output{"processing.a.b": {Rows: rows - rejected, Bytes: 9}},
		Stages: []ledger.Stage{{Name: "read", Maps: true, In: rows, Out: rows}, {Name: "sql", Maps: true, In: rows, Out: rows - rejected, Rejected: rejected}},
	}
}

func replayed(epoch uint64, seq int64, affects ...ledger.Stale) ledger.Unit {
	u := unit("p.f", epoch, seq)
	u.Stages, u.Datasets = []ledger.Stage{}, map[string]ledger.Output{"processing.a.b": {UUID: "u", Snapshot: 900}}
	u.Replay = &ledger.Replay{Shadow: "p.f~swap-x", Units: []ledger.Span{{First: 1, Last: 2}}, Affects: affects,
		Inputs: []ledger.Input{{Dataset: "landing.a.b", Flow: "p.landing", Span: ledger.Span{First: 1, Last: 4}}}}
	return u
}

func TestReplayedUnitsGetTheirNewAccounts(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		epoch := takeOver(t, l, "p.f")
		if err := l.AddWriter(t.Context(), ledger.Writer{Dataset: "processing.a.b", Flow: "p.f", Mode: "append"}); err != nil {
			t.Fatal(err)
		}
		for seq := range int64(3) {
			u := unit("p.f", epoch, seq+1)
			u.Datasets = map[string]ledger.Output{"processing.a.b": {Snapshot: 100 * (seq + 1), Rows: 4}}
			if err := l.Append(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		}
		stale := ledger.Stale{Flow: "p.g", Unit: 4, Input: ledger.Input{Dataset: "processing.a.b", Flow: "p.f", Span: ledger.Span{First: 1, Last: 2}}}
		shadow := ledger.Shadow{Flow: "p.f~swap-x", Of: "p.f", Purpose: ledger.ForSwap, Units: ledger.Span{First: 1, Last: 2}}
		redone := []ledger.Unit{made(1, 10, 2), made(2, 20, 0)}
		if err := l.AppendReplay(t.Context(), replayed(epoch+1, 4, stale), redone, shadow); !errors.Is(err, ledger.ErrFenced) {
			t.Errorf("a replay under another epoch: %v", err)
		}
		if err := l.AppendReplay(t.Context(), replayed(epoch, 4, stale), redone, shadow); err != nil {
			t.Fatal(err)
		}
		totals, err := l.Totals(t.Context(), "p.f")
		want := []ledger.Stage{
			{Name: "read", Maps: true, In: 30, Out: 30}, {Name: "source", Maps: true, In: 5, Out: 4, Rejected: 1},
			{Name: "sql", Maps: true, In: 30, Out: 28, Rejected: 2},
		}
		if diff := cmp.Diff(want, totals); err != nil || diff != "" {
			t.Errorf("totals: %v\n%s", err, diff)
		}
		units, err := l.Units(t.Context(), "p.f", 0, 10)
		if err != nil || len(units) != 4 {
			t.Fatal(len(units), err)
		}
		first := units[0]
		if out := first.Datasets["processing.a.b"]; first.Replayed != 4 || out.Rows != 8 || out.Snapshot != 100 || first.Stages[0].In != 10 {
			t.Errorf("the first unit is %+v", first)
		}
		if units[2].Replayed != 0 || units[2].Stages[0].Name != "source" {
			t.Errorf("the third unit, which was not replayed, is %+v", units[2])
		}
		view, err := l.View(t.Context(), "processing.a.b")
		if err != nil || view.Snapshot != 900 || view.Seqs["p.f"] != 4 {
			t.Errorf("readers are sent to %+v, %v", view, err)
		}
		shadows, err := l.Shadows(t.Context(), "p.f")
		if err != nil || len(shadows) != 1 || shadows[0].Swapped != 4 {
			t.Errorf("the shadow is %+v, %v", shadows, err)
		}
		noted, err := l.Stale(t.Context())
		if diff := cmp.Diff([]ledger.Stale{stale}, noted); err != nil || diff != "" {
			t.Errorf("stale: %v\n%s", err, diff)
		}
	})
}

func TestAFlowIsStaleUntilItHasReadTheUnitsAgain(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		epoch := takeOver(t, l, "p.f")
		if err := l.Append(t.Context(), unit("p.f", epoch, 1)); err != nil {
			t.Fatal(err)
		}
		note := func(first, last int64) ledger.Stale {
			return ledger.Stale{Flow: "p.f", Unit: 2, Input: ledger.Input{
				Dataset: "landing.a.b", Flow: "p.landing", Span: ledger.Span{First: first, Last: last},
			}}
		}
		shadow := ledger.Shadow{Flow: "p.f~swap-x", Of: "p.f"}
		if err := l.AppendReplay(t.Context(), replayed(epoch, 2, note(2, 4), note(3, 9)), nil, shadow); err != nil {
			t.Fatal(err)
		}
		left, err := l.Stale(t.Context()) // the replay has read units 1 to 4 of the input
		if diff := cmp.Diff([]ledger.Stale{note(3, 9)}, left); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

func TestForgottenShadowsLeaveNoTraceAndOthersAreNotForgotten(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		name := ledger.ShadowName("p.f", ledger.ForDiff, "abc")
		for _, flow := range []string{name, "p.f"} {
			epoch := takeOver(t, l, flow)
			if err := l.AddWriter(t.Context(), ledger.Writer{Dataset: "processing.a." + flow[:1], Flow: flow, Mode: "append"}); err != nil {
				t.Fatal(err)
			}
			if err := l.Append(t.Context(), unit(flow, epoch, 1)); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.SaveShadow(t.Context(), ledger.Shadow{Flow: name, Of: "p.f", Purpose: ledger.ForDiff}); err != nil {
			t.Fatal(err)
		}
		if flows, err := l.Flows(t.Context()); err != nil || cmp.Diff([]string{"p.f"}, flows) != "" {
			t.Errorf("flows are %q, %v", flows, err)
		}
		for _, flow := range []string{name, "p.f", name} {
			if err := l.ForgetShadow(t.Context(), flow); err != nil {
				t.Fatal(err)
			}
		}
		for flow, want := range map[string]bool{name: false, "p.f": true} {
			_, found, err := l.Last(t.Context(), flow)
			_, owned, ownerErr := l.Owner(t.Context(), flow)
			datasets, writerErr := l.DatasetsOf(t.Context(), flow)
			if err := errors.Join(err, ownerErr, writerErr); err != nil || found != want || owned != want || (len(datasets) > 0) != want {
				t.Errorf("%s: unit %v, owner %v, datasets %v, %v", flow, found, owned, datasets, err)
			}
		}
		if shadows, err := l.Shadows(t.Context(), ""); err != nil || len(shadows) > 0 {
			t.Errorf("shadows left: %v, %v", shadows, err)
		}
	})
}

func TestSpansPutRunsOfUnitsTogether(t *testing.T) {
	t.Parallel()
	want := []ledger.Span{{First: 1, Last: 3}, {First: 5, Last: 5}, {First: 9, Last: 10}}
	if diff := cmp.Diff(want, ledger.Spans([]int64{1, 2, 3, 5, 9, 10})); diff != "" {
		t.Error(diff)
	}
}
