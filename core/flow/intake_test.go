package flow

import (
	"context"
	"testing"
	"time"

	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/sdk"
)

// quiet is a source that gives some events and then nothing, until it is let go.
type quiet struct {
	events []event
	over   chan struct{}
}

func (q quiet) read(ctx context.Context, emit func(event) error) error {
	for _, e := range q.events {
		if err := emit(e); err != nil {
			return err
		}
	}
	select {
	case <-q.over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (quiet) ack(sdk.Position) error { return nil }
func (quiet) stop()                  {}
func (quiet) close() error           { return nil }

// taken runs an intake over a source that falls quiet, and returns the units that it closes before the source has ended: all that the
// test waits for.
func taken(t *testing.T, n *intake, want int, events ...event) []closing {
	t.Helper()
	over, out, failed := make(chan struct{}), make(chan item), make(chan error, 1)
	go func() {
		defer close(out)
		failed <- n.run(t.Context(), quiet{events: events, over: over}, out)
	}()
	var units []closing
	for i := range out {
		if i.closing == nil {
			i.release()
			continue
		}
		if units = append(units, *i.closing); len(units) == want {
			close(over)
		}
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	return units
}

func clocked(every, idle time.Duration) *intake {
	n := newIntake(&Settings{Name: "f", Source: &SourceSettings{}, Commit: Thresholds{Every: every}}, progress.New("f"), nil)
	n.idle = idle
	return n
}

// Without the clock these tests run into the test's own deadline.
func TestRowsOfASourceThatFallsQuietBecomeAUnitAtTheirCheckpoint(t *testing.T) {
	t.Parallel()
	units := taken(t, clocked(10*time.Millisecond, 0), 1, event{batch: testBatch(3)}, event{checkpoint: sdk.Position(`"a"`)})
	if len(units) != 1 || string(units[0].Position) != `"a"` || units[0].Stages[0].In != 3 {
		t.Errorf("units %+v, want one at a with three rows", units)
	}
}

func TestAPositionThatMovesOnWithoutRowsBecomesAUnitInTime(t *testing.T) {
	t.Parallel()
	units := taken(t, clocked(time.Hour, 10*time.Millisecond), 1, event{checkpoint: sdk.Position(`"a"`)})
	if len(units) != 1 || string(units[0].Position) != `"a"` || units[0].Stages[0].In != 0 {
		t.Errorf("units %+v, want one at a without rows", units)
	}
}

// Rows behind the last checkpoint are in no unit, whatever the clock says: a source could not go on from there.
func TestTheClockClosesNoUnitBetweenCheckpoints(t *testing.T) {
	t.Parallel()
	n := clocked(time.Nanosecond, time.Nanosecond)
	out := make(chan item, 4)
	if err := n.event(t.Context(), event{batch: testBatch(1)}, out); err != nil {
		t.Fatal(err)
	}
	if err := n.lapse(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	close(out)
	for i := range out {
		if i.closing != nil {
			t.Errorf("a unit was closed at %s", i.closing.Position)
		}
		i.release()
	}
}
