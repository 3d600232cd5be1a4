package ledger_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/flow/ledger"
)

func redrivenUnit(epoch uint64, seq int64, ranges ...ledger.Range) ledger.Unit {
	u := unit("p.f", epoch, seq)
	u.Redriven = &ledger.Redriven{By: "me", Reason: "mended", Ranges: ranges}
	for _, r := range ranges {
		u.Redriven.Rows += r.Rows()
	}
	return u
}

func settledRows(t *testing.T, l *ledger.Ledger) map[ledger.Outcome]int64 {
	t.Helper()
	counts, err := l.SettledRows(t.Context(), "p.f", 0)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

func TestQuarantinedRowsAreReleasedWithTheirUnitOnce(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		epoch := takeOver(t, l, "p.f")
		if err := l.Append(t.Context(), unit("p.f", epoch, 1)); err != nil {
			t.Fatal(err)
		}
		late := ledger.Range{Unit: 1, Late: true, First: 1, Last: 2}
		if err := l.Append(t.Context(), redrivenUnit(epoch, 2, ledger.Range{Unit: 1, First: 1, Last: 5}, late)); err != nil {
			t.Fatal(err)
		}
		for _, r := range []ledger.Range{{Unit: 1, First: 5, Last: 6}, {Unit: 1, First: 2, Last: 3}, late} {
			err := l.Append(t.Context(), redrivenUnit(epoch, 3, r))
			if _, done := errors.AsType[*ledger.RowsDoneError](err); !done {
				t.Errorf("%+v is released twice: %v", r, err)
			}
			err = l.DropRows(t.Context(), "p.f", epoch, "me", "", []ledger.Range{r})
			if _, done := errors.AsType[*ledger.RowsDoneError](err); !done {
				t.Errorf("%+v is dropped after its release: %v", r, err)
			}
		}
		if last, _, err := l.Last(t.Context(), "p.f"); err != nil || last.Seq != 2 || last.Redriven.Rows != 7 {
			t.Errorf("a unit that was refused left a row: %+v, %v", last, err)
		}
		if err := l.DropRows(t.Context(), "p.f", epoch, "you", "old", []ledger.Range{{Unit: 1, First: 6, Last: 9}}); err != nil {
			t.Fatal(err)
		}
		settled, err := l.Settled(t.Context(), "p.f")
		if err != nil {
			t.Fatal(err)
		}
		for i := range settled {
			settled[i].At = time.Time{}
		}
		want := []ledger.Settled{
			{Range: ledger.Range{Unit: 1, First: 1, Last: 5}, Outcome: ledger.Released, By: "me", Reason: "mended", Seq: 2},
			{Range: ledger.Range{Unit: 1, First: 6, Last: 9}, Outcome: ledger.DroppedRow, By: "you", Reason: "old"},
			{Range: late, Outcome: ledger.Released, By: "me", Reason: "mended", Seq: 2},
		}
		if diff := cmp.Diff(want, settled); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[ledger.Outcome]int64{ledger.Released: 7, ledger.DroppedRow: 4}, settledRows(t, l)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRowsThatAHeldUnitReleasesFollowItsDecision(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		epoch := takeOver(t, l, "p.f")
		rows := ledger.Range{Unit: 9, First: 1, Last: 3}
		steps := []struct {
			verdict ledger.Verdict
			want    map[ledger.Outcome]int64
		}{
			{ledger.Void, map[ledger.Outcome]int64{}}, // open again, so that the next unit may release them
			{ledger.Dropped, map[ledger.Outcome]int64{ledger.DroppedRow: 3}},
		}
		for i, step := range steps {
			u := redrivenUnit(epoch, int64(i+1), rows)
			u.Verdict = ledger.Held
			if err := l.Append(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[ledger.Outcome]int64{ledger.Released: 3}, settledRows(t, l)); diff != "" {
				t.Error(diff)
			}
			u.Verdict, u.Decision = step.verdict, &ledger.Decision{}
			if err := l.Resolve(t.Context(), epoch, u); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(step.want, settledRows(t, l)); diff != "" {
				t.Errorf("%s: %s", step.verdict, diff)
			}
		}
	})
}

func TestRowsAreDroppedByTheOwnerOnly(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		old := takeOver(t, l, "p.f")
		takeOver(t, l, "p.f")
		err := l.DropRows(t.Context(), "p.f", old, "me", "", []ledger.Range{{Unit: 1, First: 1, Last: 1}})
		if !errors.Is(err, ledger.ErrFenced) || len(settledRows(t, l)) != 0 {
			t.Errorf("%v, %v", err, settledRows(t, l))
		}
	})
}
