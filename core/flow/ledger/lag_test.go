package ledger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/flow/ledger"
)

func TestTheLagOfAFlowIsItsRunnersLastWord(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		if _, found, err := l.LagOf(t.Context(), "p.f", 1); err != nil || found {
			t.Errorf("a flow that has said nothing: %t, %v", found, err)
		}
		want := ledger.Lag{Bytes: 5, Behind: 3 * time.Millisecond, Retained: 1 << 40}
		for _, note := range []struct {
			epoch uint64
			lag   ledger.Lag
		}{{1, ledger.Lag{Bytes: 1}}, {2, want}, {1, ledger.Lag{Bytes: 7}}} { // the last one is of a runner that is not it any more
			if err := l.NoteLag(t.Context(), "p.f", note.epoch, note.lag); err != nil {
				t.Fatal(err)
			}
		}
		got, found, err := l.LagOf(t.Context(), "p.f", 2)
		if err != nil || !found || got.Age < 0 || got.Age > time.Minute {
			t.Fatalf("%+v, %t, %v", got, found, err)
		}
		got.Age = 0
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if _, found, err := l.LagOf(t.Context(), "p.f", 3); err != nil || found {
			t.Errorf("a runner that has said nothing yet: %t, %v", found, err)
		}
	})
}
