package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/killpoint"
)

// Heartbeat is how often a runner gives a sign of life for each of its flows. After staleBeats of silence another takes over.
const (
	Heartbeat  = 2 * time.Second
	staleBeats = 5
	releasing  = 5 * time.Second
)

func (r *Runtime) heartbeat() time.Duration {
	if r.Heartbeat > 0 {
		return r.Heartbeat
	}
	return Heartbeat
}

func (r *Runtime) staleAfter() time.Duration { return staleBeats * r.heartbeat() }

// CutOffError says that a runner could not give a sign of life for so long that another one may have taken its flow over.
type CutOffError struct {
	Flow string
	For  time.Duration
	Err  error // the last failure
}

// Error implements error.
func (e *CutOffError) Error() string {
	return fmt.Sprintf("flow %q: cut off from the state database for %s, so another runner may have taken the flow over: %v",
		e.Flow, e.For.Round(time.Millisecond), e.Err)
}

// Unwrap gives the cause.
func (e *CutOffError) Unwrap() error { return e.Err }

// tenure is a runner's relation to one flow: it waits for it, owns it for some sessions and the pauses between them, and lets go.
type tenure struct {
	flow     string
	runtime  *Runtime
	stopping <-chan struct{}
	epoch    uint64 // of the last session that took the flow over; 0 before
}

// claim takes the flow over for a session, above an epoch that was seen elsewhere.
type claim func(ctx context.Context, seen uint64) (epoch uint64, err error)

// session waits until the flow is free and runs a session of it, whose context ends when the flow is lost. It returns nil, too, if
// it was asked to stop before there was anything to run.
func (t *tenure) session(ctx context.Context, run func(context.Context, claim) error) error {
	for {
		judged, free, err := t.await(ctx)
		if err != nil || !free {
			return err
		}
		err = t.hold(ctx, judged, run)
		if _, came := errors.AsType[*ledger.OwnedError](err); !came {
			return err
		}
	}
}

// await waits while another runner that gives signs of life has the flow, and returns the owner as it was when it was found to be
// gone; false if it was asked to stop meanwhile.
func (t *tenure) await(ctx context.Context) (judged ledger.Owner, free bool, err error) {
	var seen sighting
	for {
		owner, _, err := t.runtime.Ledger.Owner(ctx, t.flow)
		switch {
		case err != nil && seen.none():
			return owner, false, err
		case err != nil: // whoever can't look can't know who is silent
			seen.blind()
			t.wait("waiting: " + err.Error())
		case t.epoch > 0 && owner.Epoch > t.epoch && owner.Name != t.runtime.Owner:
			return owner, false, takenOver(owner)
		case owner.Name == "" || owner.Name == t.runtime.Owner || seen.gone(owner, t.runtime.staleAfter()):
			return owner, true, nil
		default:
			t.wait("waiting: it is run by " + owner.Name)
		}
		select {
		case <-time.After(t.runtime.heartbeat() / 4):
		case <-t.stopping:
			return owner, false, nil
		case <-ctx.Done():
			return owner, false, context.Cause(ctx)
		}
	}
}

// wait says what is waited for. It also wakes the flows that read what this one writes: its commits are another runner's now, and
// only the ledger tells of them.
func (t *tenure) wait(note string) {
	t.runtime.Progress.Update(t.flow, func(st *progress.Status) { st.State, st.Note = progress.Waiting, note })
}

// hold runs a session, and gives signs of life from the moment it has claimed the flow.
func (t *tenure) hold(ctx context.Context, judged ledger.Owner, run func(context.Context, claim) error) error {
	ctx, lose := context.WithCancelCause(ctx)
	claimed, done := make(chan uint64, 1), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case epoch := <-claimed:
			t.beat(ctx, epoch, lose)
		case <-ctx.Done():
		}
	}()
	err := run(ctx, func(ctx context.Context, seen uint64) (uint64, error) {
		epoch, err := t.runtime.Ledger.TakeOver(ctx, t.flow, t.runtime.Owner, seen, judged)
		if err == nil {
			t.epoch = epoch
			claimed <- epoch
		}
		return epoch, err
	})
	_, cutOff := errors.AsType[*CutOffError](context.Cause(ctx))
	if err != nil && (cutOff || errors.Is(context.Cause(ctx), ledger.ErrFenced)) {
		err = context.Cause(ctx) // whatever the cancelled context made of it
	}
	lose(nil)
	<-done
	return err
}

// beat gives signs of life until the context ends. A runner that can't, for as long as others wait, stops of itself: it counts from
// before its last good sign, others from after it.
func (t *tenure) beat(ctx context.Context, epoch uint64, lose context.CancelCauseFunc) {
	ticker := time.NewTicker(t.runtime.heartbeat())
	defer ticker.Stop()
	stale := t.runtime.staleAfter()
	for last := time.Now(); ; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		within := min(2*t.runtime.heartbeat(), stale-time.Since(last))
		if within <= 0 { // it slept, and is to learn whether somebody has taken over meanwhile
			within = t.runtime.heartbeat()
		}
		err := t.sign(ctx, epoch, within)
		switch {
		case err == nil:
			last = began
		case ctx.Err() != nil:
			return
		case errors.Is(err, ledger.ErrFenced):
			lose(t.lost(ctx))
			return
		case time.Since(last) >= stale:
			lose(&CutOffError{Flow: t.flow, For: time.Since(last), Err: err})
			return
		default:
			t.runtime.Log.Debug("heartbeat", "flow", t.flow, "error", err)
		}
	}
}

func (t *tenure) sign(ctx context.Context, epoch uint64, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return t.runtime.Ledger.Beat(ctx, t.flow, epoch)
}

// pause waits before the next session. The flow is still this runner's, unless another one has taken it. It returns false if it was
// asked to stop.
func (t *tenure) pause(ctx context.Context, d time.Duration) (bool, error) {
	over := time.NewTimer(d)
	defer over.Stop()
	ticker := time.NewTicker(t.runtime.heartbeat())
	defer ticker.Stop()
	for {
		select {
		case <-over.C:
			return true, nil
		case <-t.stopping:
			return false, nil
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-ticker.C:
		}
		if t.epoch == 0 {
			continue
		}
		if err := t.sign(ctx, t.epoch, 2*t.runtime.heartbeat()); errors.Is(err, ledger.ErrFenced) {
			return false, t.lost(ctx)
		}
	}
}

// release lets go of the flow, so that another runner need not wait until this one is silent.
func (t *tenure) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releasing)
	defer cancel()
	owner, found, err := t.runtime.Ledger.Owner(ctx, t.flow)
	if err == nil && found && owner.Name == t.runtime.Owner {
		killpoint.Here("before-release")
		err = t.runtime.Ledger.Release(ctx, t.flow, owner.Epoch)
		killpoint.Here("after-release")
	}
	if err != nil {
		t.runtime.Log.Debug("release a flow", "flow", t.flow, "error", err)
	}
}

// lost says who has taken the flow over.
func (t *tenure) lost(ctx context.Context) error {
	owner, _, err := t.runtime.Ledger.Owner(ctx, t.flow)
	if err != nil {
		return fmt.Errorf("flow %q: %w", t.flow, ledger.ErrFenced)
	}
	return takenOver(owner)
}

func takenOver(by ledger.Owner) error {
	who := by.Name
	if who == "" {
		who = "another runner, which has ended"
	}
	return fmt.Errorf("flow %q was taken over by %s (epoch %d): %w", by.Flow, who, by.Epoch, ledger.ErrFenced)
}
