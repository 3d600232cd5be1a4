package flow

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/sdk"
)

// stubborn is a reader that says of itself, when it is made to stop, that its database was interrupted.
type stubborn struct{}

func (stubborn) read(ctx context.Context, _ func(event) error) error {
	<-ctx.Done()
	return fmt.Errorf("read the views: %w", ctx.Err())
}
func (stubborn) ack(sdk.Position) error { return nil }
func (stubborn) stop()                  {}
func (stubborn) close() error           { return nil }

// What a flow does next is decided by why it failed: a plugin that died is started again.
func TestTheFailureOfAStageIsNotHiddenByThoseThatItStops(t *testing.T) {
	t.Parallel()
	died := errors.New("the check plugin died")
	for range 50 {
		p := &producer{
			settings: &Settings{Name: "p.f"}, runtime: &Runtime{Progress: progress.New("p.f")}, reader: stubborn{},
			stages: []stage{func(context.Context, <-chan item, chan<- item) error { return died }},
		}
		if err := p.run(t.Context(), nil, 1, nil); !errors.Is(err, died) {
			t.Fatalf("got %v, expected %v", err, died)
		}
	}
}
