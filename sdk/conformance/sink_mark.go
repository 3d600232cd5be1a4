package conformance

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
)

// marked skips what a sink without marks can't promise.
func (s *suite) marked() error {
	switch s.sinkState.opened.Guarantee {
	case sdk.AtLeastOnce:
		return skip("after a crash a unit may be delivered twice", "it says at_least_once: it keeps no mark with its data")
	case sdk.EffectivelyOnce:
		return skip("after a crash a unit may be written twice, which the key makes good", "it says effectively_once: it keeps no mark with its data")
	case sdk.ExactlyOnce:
	}
	return nil
}

// sinkMark commits, kills the process, and asks another for the mark.
func (s *suite) sinkMark(ctx context.Context, _ *trial) error {
	if err := s.marked(); err != nil {
		return err
	}
	flow := s.flow("mark")
	victim, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer victim.Close()
	w, _, err := s.begun(ctx, victim, flow, 3)
	if err != nil {
		return err
	}
	defer w.Cancel()
	for seq := range uint64(2) {
		if err := w.unit(seq + 1); err != nil {
			return err
		}
	}
	victim.Kill()
	return s.returns(ctx, flow, 4, w.mark(2))
}

// returns expects a mark from a new instance's Begin.
func (s *suite) returns(ctx context.Context, flow string, epoch uint64, want sdk.Mark) error {
	w, got, err := s.sharedBegun(ctx, flow, epoch)
	if err != nil {
		return err
	}
	if got.Epoch != want.Epoch || got.Seq != want.Seq || !sameJSON(got.Position, want.Position) {
		w.Cancel()
		return seen("the mark "+markText(want), "%s", markText(got))
	}
	return w.Close()
}

func markText(m sdk.Mark) string {
	return fmt.Sprintf("epoch %d, seq %d, position %s", m.Epoch, m.Seq, m.Position)
}

func sameJSON(a, b []byte) bool {
	var left, right any
	if json.Unmarshal(a, &left) != nil || json.Unmarshal(b, &right) != nil {
		return string(a) == string(b)
	}
	return cmp.Equal(left, right)
}

// sinkRepeat repeats a Commit in the same instance, and with the rows written again in a new one.
func (s *suite) sinkRepeat(ctx context.Context, t *trial) error {
	if err := s.marked(); err != nil {
		return err
	}
	flow := s.flow("repeat")
	w, _, err := s.sharedBegun(ctx, flow, 1)
	if err != nil {
		return err
	}
	defer w.Cancel()
	if _, err := w.write(0, unitRows); err != nil {
		return err
	}
	first, err := w.Commit(w.mark(1))
	if err != nil {
		return err
	}
	err = s.unchanged(ctx, "a Commit that is repeated", func() error {
		again, err := w.Commit(w.mark(1))
		if err == nil && !cmp.Equal(first, again) {
			err = seen("the rejections of the first time", "%v instead of %v", again, first)
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, err := w.write(2*unitRows, unitRows); err != nil {
		return fmt.Errorf("the unit after a repeated Commit: %w", err)
	}
	second, err := w.Commit(w.mark(2))
	if err != nil {
		return fmt.Errorf("the unit after a repeated Commit: %w", err)
	}
	if err := w.Close(); err != nil {
		return err
	}
	if s.Probe == "" {
		t.note("without --probe nobody has looked whether the repeated Commit has written rows again")
	}
	return s.repeatedLater(ctx, flow, second)
}

// repeatedLater writes and commits the last unit again in a new instance, as a runtime does that has not heard of its Commit.
func (s *suite) repeatedLater(ctx context.Context, flow string, before []sdk.Rejection) error {
	w, mark, err := s.sharedBegun(ctx, flow, 2)
	if err != nil {
		return err
	}
	defer w.Cancel()
	if mark.Seq != 2 {
		return seen("the mark of unit 2", "%s", markText(mark))
	}
	err = s.unchanged(ctx, "a Commit that a new instance repeats with the rows written again", func() error {
		if _, err := w.write(2*unitRows, unitRows); err != nil {
			return err
		}
		again, err := w.Commit(w.mark(2))
		if err == nil && !cmp.Equal(before, again) {
			err = seen("the rejections of the first time, also from a new instance", "%v instead of %v", again, before)
		}
		return err
	})
	if err != nil {
		return err
	}
	return w.Close()
}

func (s *suite) sinkKill(ctx context.Context, t *trial) error {
	if err := s.marked(); err != nil {
		return err
	}
	if s.Probe == "" {
		t.note("without --probe only the mark was looked at")
	}
	flow := s.flow("kill")
	victim, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer victim.Close()
	w, _, err := s.begun(ctx, victim, flow, 1)
	if err != nil {
		return err
	}
	defer w.Cancel()
	if err := w.unit(1); err != nil {
		return err
	}
	err = s.unchanged(ctx, "a unit whose writer was killed before its Commit", func() error {
		if _, err := w.write(unitRows, unitRows); err != nil {
			return err
		}
		victim.Kill()
		return s.returns(ctx, flow, 2, w.mark(1))
	})
	if err != nil {
		return err
	}
	return s.afterKill(ctx, flow)
}

// afterKill commits nothing, by which nothing of the killed writer may appear, and then the unit.
func (s *suite) afterKill(ctx context.Context, flow string) error {
	next, _, err := s.sharedBegun(ctx, flow, 3)
	if err != nil {
		return err
	}
	defer next.Cancel()
	if s.Mode != sdk.Overwrite { // where a unit without rows leaves nothing
		err = s.unchanged(ctx, "a unit without rows, after one that was written and never committed", func() error {
			_, err := next.Commit(next.mark(2))
			return err
		})
	}
	if err != nil {
		return err
	}
	if err := next.unit(3); err != nil {
		return fmt.Errorf("the unit written again: %w", err)
	}
	return next.Close()
}
