package follow

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
	"github.com/qanat-data/qanat/sdk"
)

func TestLagIsCountedFromWhenNothingWasMissing(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	f := &Follower{}
	for i, step := range []struct {
		current, at pgoutput.LSN // of the server's log, and of what was emitted
		now         time.Time
		commit      time.Time // of a transaction that was emitted since the last step
		want        *sdk.Lag
	}{
		{0, 0, time.Time{}, time.Time{}, nil}, // nobody knows
		{1000, 100, at(0), time.Time{}, &sdk.Lag{Bytes: 900, Retained: 7}},
		{1000, 100, at(5), time.Time{}, &sdk.Lag{Bytes: 900, Behind: 5 * time.Second, Retained: 7}},
		{1000, 600, at(6), at(-60), &sdk.Lag{Bytes: 400, Behind: 6 * time.Second, Retained: 7}}, // an old transaction's time is no step back
		{1000, 1000, at(7), time.Time{}, &sdk.Lag{Retained: 7}},
		{1000, 1000, at(3600), time.Time{}, &sdk.Lag{Retained: 7}}, // quiet for an hour
		{1080, 1000, at(3601), time.Time{}, &sdk.Lag{Bytes: 80, Behind: time.Second, Retained: 7}},
		{2000, 1900, at(3650), at(3645), &sdk.Lag{Bytes: 100, Behind: 5 * time.Second, Retained: 7}},
		{2000, 2100, at(3651), time.Time{}, &sdk.Lag{Retained: 7}}, // the stream is ahead of what was looked up
	} {
		if !step.commit.IsZero() {
			f.pulse.commit(pgoutput.Transaction{Committed: step.commit})
		}
		f.at = step.at
		got := f.lag(State{Slot: replica.Slot{Current: step.current, Retained: 7}, Now: step.now})
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("step %d: %s", i, diff)
		}
	}
}
