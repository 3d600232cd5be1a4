package ledger_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/flow/ledger"
)

func TestTotalsSumUpCommittedUnitsAndNotRefusedOnes(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		old := takeOver(t, l, "p.f")
		epoch := takeOver(t, l, "p.f")
		with := func(epoch uint64, seq int64) ledger.Unit {
			u := unit("p.f", epoch, seq)
			u.Stages = append(u.Stages, ledger.Stage{Name: "checks", Maps: true, In: 4, Out: 1, Filtered: 3, Warned: 2})
			return u
		}
		for seq := range int64(3) {
			if err := l.Append(t.Context(), with(epoch, seq+1)); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Append(t.Context(), with(old, 4)); !errors.Is(err, ledger.ErrFenced) {
			t.Fatalf("a unit of an older epoch: %v, expected it to be fenced", err)
		}
		if err := l.Append(t.Context(), with(epoch, 3)); err == nil {
			t.Fatal("a unit was committed twice")
		}
		want := []ledger.Stage{
			{Name: "source", Maps: true, In: 15, Out: 12, Rejected: 3}, {Name: "checks", Maps: true, In: 12, Out: 3, Filtered: 9, Warned: 6},
		}
		got, err := l.Totals(t.Context(), "p.f")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if none, err := l.Totals(t.Context(), "p.other"); err != nil || len(none) != 0 {
			t.Errorf("totals of a flow without units: %v %v", none, err)
		}
	})
}
