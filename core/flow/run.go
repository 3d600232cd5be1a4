package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/flow/surroundings"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
)

// Run runs a flow until its input has ended and everything is committed, or until stopping is closed and the reader has come to
// an end. Failures that may go away are tried again, each time from the ledger; the last one is returned.
func Run(ctx context.Context, s *Settings, r *Runtime, stopping <-chan struct{}) error {
	err := run(ctx, s, r, stopping)
	state, note := progress.Done, ""
	var held *HeldError
	switch {
	case err == nil:
		select {
		case <-stopping:
			state = progress.Stopped
		default:
		}
	case errors.As(err, &held):
		state, note = progress.Paused, err.Error()
	case errors.Is(err, ErrUpstream):
		state, note = progress.Skipped, err.Error()
	case fenced(err):
		state, note = progress.Fenced, err.Error()
	default:
		state, note = progress.Failed, err.Error()
	}
	r.Progress.Update(s.Name, func(st *progress.Status) { st.State, st.Note, st.Ended = state, note, time.Now() })
	if err != nil {
		return fmt.Errorf("flow %q: %w", s.Name, err)
	}
	return nil
}

func run(ctx context.Context, s *Settings, r *Runtime, stopping <-chan struct{}) error {
	return sessions(ctx, s.Name, r, stopping, func(ctx context.Context, claim tenure.Claim) error {
		return runSession(ctx, s, r, claim, stopping)
	})
}

// sessions runs one session of a flow after the other, until one goes well or trying again does not help.
func sessions(
	ctx context.Context, flow string, r *Runtime, stopping <-chan struct{}, session func(context.Context, tenure.Claim) error,
) error {
	t := r.tenure(flow, stopping)
	defer t.Release(ctx)
	tries := newTries(flow, r)
	for {
		before := r.Progress.Of(flow).Units
		tries.began = time.Now()
		err := t.Session(ctx, func(ctx context.Context, claim tenure.Claim) error {
			return watched(ctx, flow, r, func(ctx context.Context) error { return session(ctx, claim) })
		})
		if err == nil || ctx.Err() != nil {
			return err
		}
		if r.Progress.Of(flow).Units > before {
			tries.progress()
		}
		pause, end := tries.next(err)
		if end != nil {
			return end
		}
		r.Log.Info("flow failed, trying again", "flow", flow, "after", pause, "error", err)
		again, lost := t.Pause(ctx, pause)
		if lost != nil {
			return lost
		}
		if !again {
			return interrupted(err)
		}
	}
}

func fenced(err error) bool {
	return errors.Is(err, ledger.ErrFenced) || errors.Is(err, zone.ErrFenced) || errors.Is(err, broker.ErrFenced) ||
		sdk.KindOf(err) == sdk.KindFenced
}

// decided says that a flow has ended for reasons that are no failure of anything.
func decided(err error) bool {
	_, held := errors.AsType[*HeldError](err)
	return held || fenced(err) || errors.Is(err, ErrUpstream)
}

// transient says whether trying again may help: surroundings may recover, what plugins say of their errors counts, a plugin that does
// not start has started before, when the run was planned, and what the log has lost is read again.
func transient(err error) bool {
	if decided(err) {
		return false
	}
	if by, theirs := surroundings.Blamed(err); theirs {
		return by.Passes
	}
	if errors.Is(err, context.Canceled) {
		return false
	}
	if _, ok := errors.AsType[*pluginhost.StartError](err); ok {
		return true
	}
	return damaged(err) || pluginhost.Retryable(err) || errors.Is(err, broker.ErrLogCutBack) || errors.Is(err, broker.ErrLogNotFound) ||
		errors.Is(err, io.ErrUnexpectedEOF)
}

// interrupted is the error of a flow that was asked to stop while it waited.
func interrupted(err error) error {
	if by, theirs := surroundings.Blamed(err); theirs {
		return &surroundings.Error{What: by.What, Err: err}
	}
	return err
}

// retryable marks an error for the plugin host's back-off, keeping how long a plugin asked to wait.
func retryable(err error) error {
	if pluginhost.Retryable(err) {
		return err
	}
	return sdk.Retryable(err, 0)
}
