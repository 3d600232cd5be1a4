package conformance

import (
	"context"
	"fmt"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance/strict"
)

// fenced expects an error of that kind.
func fenced(err error, what string) error {
	switch {
	case err == nil:
		return seen(what+" is refused as fenced", "it was done")
	case !strict.Reported(err):
		return err
	case sdk.KindOf(err) != sdk.KindFenced:
		return seen(what+" is refused as fenced (sdk.Fenced)", "an error of another kind: %v", err)
	}
	return nil
}

func (s *suite) sinkFenceBegin(ctx context.Context, _ *trial) error {
	if err := s.marked(); err != nil {
		return err
	}
	flow := s.flow("fence-begin")
	w, _, err := s.sharedBegun(ctx, flow, 8)
	if err != nil {
		return err
	}
	defer w.Cancel()
	older, _, err := s.sharedBegun(ctx, flow, 7)
	if err == nil {
		older.Cancel()
	}
	if err := fenced(err, "Begin with epoch 7 after one with epoch 8"); err != nil {
		return err
	}
	if err := w.unit(1); err != nil {
		return fmt.Errorf("the instance of the newer epoch: %w", err)
	}
	return w.Close()
}

func (s *suite) sinkFenceCommit(ctx context.Context, _ *trial) error {
	if err := s.marked(); err != nil {
		return err
	}
	return s.overtaken(ctx, s.flow("fence-commit"), 5, 6)
}

func (s *suite) sinkFenceTwin(ctx context.Context, _ *trial) error {
	if err := s.marked(); err != nil {
		return err
	}
	return s.overtaken(ctx, s.flow("fence-twin"), 5, 5)
}

// overtaken begins a second instance while a first has rows staged, in a process of its own as two runners have them.
func (s *suite) overtaken(ctx context.Context, flow string, epoch, newer uint64) error {
	slow, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer slow.Close()
	old, _, err := s.begun(ctx, slow, flow, epoch)
	if err != nil {
		return err
	}
	defer old.Cancel()
	if _, err := old.write(0, unitRows); err != nil {
		return err
	}
	w, _, err := s.sharedBegun(ctx, flow, newer)
	if err != nil {
		return err
	}
	defer w.Cancel()
	what := fmt.Sprintf("Commit of epoch %d after another instance's Begin with epoch %d", epoch, newer)
	err = s.unchanged(ctx, what, func() error {
		_, err := old.Commit(old.mark(1))
		return fenced(err, what)
	})
	if err != nil {
		return err
	}
	if err := w.unit(1); err != nil {
		return fmt.Errorf("the instance that has taken over: %w", err)
	}
	return w.Close()
}
