package tenure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

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

// Runner is who runs flows, and what it needs to come by them.
type Runner struct {
	Name     string // in the state database, see NewOwner
	Ledger   *ledger.Ledger
	Progress *progress.Progress // told what is waited for
	Log      hclog.Logger
	// Heartbeat is how often this runner gives a sign of life; 0 takes the constant of that name.
	Heartbeat time.Duration
}

func (r *Runner) heartbeat() time.Duration {
	if r.Heartbeat > 0 {
		return r.Heartbeat
	}
	return Heartbeat
}

func (r *Runner) staleAfter() time.Duration { return staleBeats * r.heartbeat() }

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

// Tenure is a runner's relation to one flow: it waits for it, owns it for some sessions and the pauses between them, and lets go.
// Not safe for concurrent use.
type Tenure struct {
	flow     string
	runner   Runner
	stopping <-chan struct{}
	epoch    uint64 // of the last session that took the flow over; 0 before
}

// New begins a runner's relation to a flow; nothing happens before the first session. Waits and pauses end when stopping is closed.
func New(flow string, runner Runner, stopping <-chan struct{}) *Tenure {
	return &Tenure{flow: flow, runner: runner, stopping: stopping}
}

// Claim takes the flow over for a session, above an epoch that was seen elsewhere.
type Claim func(ctx context.Context, seen uint64) (epoch uint64, err error)

// Session waits until the flow is free and runs a session of it, whose context ends when the flow is lost. It returns nil, too, if
// it was asked to stop before there was anything to run.
func (t *Tenure) Session(ctx context.Context, run func(context.Context, Claim) error) error {
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
func (t *Tenure) await(ctx context.Context) (judged ledger.Owner, free bool, err error) {
	var seen sighting
	for {
		owner, _, err := t.runner.Ledger.Owner(ctx, t.flow)
		switch {
		case err != nil && seen.none():
			return owner, false, err
		case err != nil: // whoever can't look can't know who is silent
			seen.blind()
			t.wait("waiting: " + err.Error())
		case t.epoch > 0 && owner.Epoch > t.epoch && owner.Name != t.runner.Name:
			return owner, false, takenOver(owner)
		case owner.Name == "" || owner.Name == t.runner.Name || seen.gone(owner, t.runner.staleAfter()):
			return owner, true, nil
		default:
			t.wait("waiting: it is run by " + owner.Name)
		}
		select {
		case <-time.After(t.runner.heartbeat() / 4):
		case <-t.stopping:
			return owner, false, nil
		case <-ctx.Done():
			return owner, false, context.Cause(ctx)
		}
	}
}

// wait says what is waited for. It also wakes the flows that read what this one writes: its commits are another runner's now, and
// only the ledger tells of them.
func (t *Tenure) wait(note string) {
	t.runner.Progress.Update(t.flow, func(st *progress.Status) { st.State, st.Note = progress.Waiting, note })
}

// hold runs a session, and gives signs of life from the moment it has claimed the flow.
func (t *Tenure) hold(ctx context.Context, judged ledger.Owner, run func(context.Context, Claim) error) error {
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
		epoch, err := t.runner.Ledger.TakeOver(ctx, t.flow, t.runner.Name, seen, judged)
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
func (t *Tenure) beat(ctx context.Context, epoch uint64, lose context.CancelCauseFunc) {
	ticker := time.NewTicker(t.runner.heartbeat())
	defer ticker.Stop()
	stale := t.runner.staleAfter()
	for last := time.Now(); ; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		within := min(2*t.runner.heartbeat(), stale-time.Since(last))
		if within <= 0 { // it slept, and is to learn whether somebody has taken over meanwhile
			within = t.runner.heartbeat()
		}
		err := t.sign(ctx, epoch, within)
		switch {
		case err == nil:
			last = began
			t.noteLag(ctx, epoch, within)
		case ctx.Err() != nil:
			return
		case errors.Is(err, ledger.ErrFenced):
			lose(t.lost(ctx))
			return
		case time.Since(last) >= stale:
			lose(&CutOffError{Flow: t.flow, For: time.Since(last), Err: err})
			return
		default:
			t.runner.Log.Debug("heartbeat", "flow", t.flow, "error", err)
		}
	}
}

// noteLag passes on what the source has said of its lag.
func (t *Tenure) noteLag(ctx context.Context, epoch uint64, within time.Duration) {
	lag := t.runner.Progress.Of(t.flow).Source.Lag
	if lag == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	noted := ledger.Lag{Bytes: int64(lag.Bytes), Behind: lag.Behind, Retained: int64(lag.Retained)} //nolint:gosec // less than 8 EiB
	if err := t.runner.Ledger.NoteLag(ctx, t.flow, epoch, noted); err != nil {
		t.runner.Log.Debug("lag", "flow", t.flow, "error", err)
	}
}

func (t *Tenure) sign(ctx context.Context, epoch uint64, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return t.runner.Ledger.Beat(ctx, t.flow, epoch)
}

// Pause waits before the next session. The flow is still this runner's, unless another one has taken it. It returns false if it was
// asked to stop.
func (t *Tenure) Pause(ctx context.Context, d time.Duration) (bool, error) {
	over := time.NewTimer(d)
	defer over.Stop()
	ticker := time.NewTicker(t.runner.heartbeat())
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
		if err := t.sign(ctx, t.epoch, 2*t.runner.heartbeat()); errors.Is(err, ledger.ErrFenced) {
			return false, t.lost(ctx)
		}
	}
}

// Release lets go of the flow, so that another runner need not wait until this one is silent.
func (t *Tenure) Release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releasing)
	defer cancel()
	owner, found, err := t.runner.Ledger.Owner(ctx, t.flow)
	if err == nil && found && owner.Name == t.runner.Name {
		killpoint.Here("before-release")
		err = t.runner.Ledger.Release(ctx, t.flow, owner.Epoch)
		killpoint.Here("after-release")
	}
	if err != nil {
		t.runner.Log.Debug("release a flow", "flow", t.flow, "error", err)
	}
}

// lost says who has taken the flow over.
func (t *Tenure) lost(ctx context.Context) error {
	owner, _, err := t.runner.Ledger.Owner(ctx, t.flow)
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
