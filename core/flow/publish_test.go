package flow

import (
	"strings"
	"testing"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
)

func TestUnitsWhoseRejectsDidNotComeToTheLogAreNotClosed(t *testing.T) {
	t.Parallel()
	p := newPublisher(nil, 7, "") // it does not come to the log
	p.counts.In = 2
	err := p.close(t.Context(), &closing{Stages: []ledger.Stage{{Name: sourceStage, Maps: true, In: 3, Out: 2, Rejected: 1}}})
	if err == nil || !strings.Contains(err.Error(), "unit 7: the stages rejected 1 rows, but 0 came to the log") || sdk.KindOf(err) != sdk.KindFatal {
		t.Errorf("got %v", err)
	}
}

func TestUnitsThatReplaceRowsByNoneAreHeldByNoDatasetUnseen(t *testing.T) {
	t.Parallel()
	nothing := &closeFrame{Seq: 2, closing: closing{Decision: promote}}
	for mode, want := range map[zone.Mode]bool{zone.Append: true, zone.Overwrite: false} {
		target := newDatasetTarget(&Settings{Target: TargetSettings{Mode: mode}}, nil)
		if got := target.holdsAll(nothing); got != want {
			t.Errorf("mode %v: got %v, expected %v", mode, got, want)
		}
	}
}
