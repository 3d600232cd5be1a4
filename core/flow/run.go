package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
)

// How long a runner may be silent before another takes its flow over, and how often it gives a sign.
const (
	heartbeat  = 2 * time.Second
	staleAfter = 10 * time.Second
)

// Run runs a flow until its input has ended and everything is committed, or until stopping is closed and the reader has come to
// an end. Failures that may go away are tried again, each time from the ledger; the last one is returned.
func Run(ctx context.Context, s *Settings, r *Runtime, stopping <-chan struct{}) error {
	err := run(ctx, s, r, stopping)
	state, note := Done, ""
	var held *HeldError
	switch {
	case err == nil:
		select {
		case <-stopping:
			state = Stopped
		default:
		}
	case errors.As(err, &held):
		state, note = Paused, err.Error()
	case errors.Is(err, ErrUpstream):
		state, note = Skipped, err.Error()
	case fenced(err):
		state, note = Fenced, err.Error()
	default:
		state, note = Failed, err.Error()
	}
	r.Progress.Update(s.Name, func(st *Status) { st.State, st.Note, st.Ended = state, note, time.Now() })
	if err != nil {
		return fmt.Errorf("flow %q: %w", s.Name, err)
	}
	return nil
}

func run(ctx context.Context, s *Settings, r *Runtime, stopping <-chan struct{}) error {
	if err := awaitOwner(ctx, s.Name, r); err != nil {
		return err
	}
	retry := pluginhost.Backoff{Attempts: 6, Base: 250 * time.Millisecond, Max: 15 * time.Second, Jitter: 0.2}.Begin()
	for {
		before := r.Progress.Of(s.Name).Units
		epoch, err := runOwned(ctx, s, r, stopping)
		if err == nil || ctx.Err() != nil || !transient(err) {
			return err
		}
		if r.Progress.Of(s.Name).Units > before {
			retry.Progress()
		}
		pause, again := retry.Next(retryable(err))
		if !again {
			return fmt.Errorf("gave up after trying again: %w", err)
		}
		r.Log.Warn("flow failed, trying again", "flow", s.Name, "after", pause, "error", err)
		r.Progress.Update(s.Name, func(st *Status) { st.Note, st.Restarts = err.Error(), st.Restarts+1 })
		select {
		case <-time.After(pause):
		case <-stopping:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := stillOurs(ctx, s.Name, r, epoch); err != nil {
			return err
		}
	}
}

// runOwned runs one session while giving signs of life; a lost ownership ends it. The epoch is 0 if it did not come to have one.
func runOwned(ctx context.Context, s *Settings, r *Runtime, stopping <-chan struct{}) (epoch uint64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		beat(ctx, s.Name, r, cancel)
	}()
	epoch, err = runSession(ctx, s, r, stopping)
	if lost := context.Cause(ctx); err != nil && errors.Is(lost, ledger.ErrFenced) {
		err = lost // whatever the cancelled context made of it
	}
	cancel(nil)
	<-done
	owner, found, lookErr := r.Ledger.Owner(context.WithoutCancel(ctx), s.Name)
	if lookErr == nil && found && owner.Name == r.Owner {
		lookErr = r.Ledger.Release(context.WithoutCancel(ctx), s.Name, owner.Epoch)
	}
	if lookErr != nil {
		r.Log.Debug("release a flow", "flow", s.Name, "error", lookErr)
	}
	return epoch, err
}

// stillOurs says whether a runner may try again: not if another one has taken the flow over since its epoch, done or not.
func stillOurs(ctx context.Context, flow string, r *Runtime, epoch uint64) error {
	owner, found, err := r.Ledger.Owner(ctx, flow)
	if err != nil || !found || epoch == 0 || owner.Epoch == epoch {
		return err
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

// beat gives signs of life for as long as this runner owns the flow.
func beat(ctx context.Context, flow string, r *Runtime, lost context.CancelCauseFunc) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for ours := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		owner, found, err := r.Ledger.Owner(ctx, flow)
		switch {
		case err != nil:
			r.Log.Debug("heartbeat", "flow", flow, "error", err)
		case found && owner.Name == r.Owner:
			ours = true
			if err := r.Ledger.Beat(ctx, flow, owner.Epoch); err != nil {
				r.Log.Debug("heartbeat", "flow", flow, "error", err)
			}
		case found && ours:
			lost(takenOver(owner))
			return
		}
	}
}

// awaitOwner waits while another runner that gives signs of life has the flow.
func awaitOwner(ctx context.Context, flow string, r *Runtime) error {
	for {
		owner, found, err := r.Ledger.Owner(ctx, flow)
		if err != nil {
			return err
		}
		if !found || owner.Name == "" || owner.Name == r.Owner || !Alive(owner) {
			return nil
		}
		r.Progress.Update(flow, func(st *Status) { st.Note = "waiting: it is run by " + owner.Name })
		select {
		case <-time.After(heartbeat / 4):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// NewOwner names this process among all that could run a flow.
func NewOwner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%x", host, os.Getpid(), time.Now().UnixNano())
}

// Alive says whether an owner gives signs of life. One on this machine whose process is gone does not.
func Alive(o ledger.Owner) bool {
	if time.Since(o.Heartbeat) > staleAfter {
		return false
	}
	host, err := os.Hostname()
	parts := strings.Split(o.Name, "/")
	if err != nil || len(parts) != 3 || parts[0] != host {
		return true
	}
	pid, err := strconv.Atoi(parts[1])
	return err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

func fenced(err error) bool {
	return errors.Is(err, ledger.ErrFenced) || errors.Is(err, zone.ErrFenced) || errors.Is(err, broker.ErrFenced) ||
		sdk.KindOf(err) == sdk.KindFenced
}

// transient says whether trying again may help: what plugins say of their errors counts, servers may come back, and a plugin that
// does not start has started before, when the run was planned.
func transient(err error) bool {
	var held *HeldError
	if fenced(err) || errors.As(err, &held) || errors.Is(err, ErrUpstream) || errors.Is(err, context.Canceled) {
		return false
	}
	if _, ok := errors.AsType[*pluginhost.StartError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*broker.GapError](err); ok { // the next session reads the unit again
		return true
	}
	return pluginhost.Retryable(err) || ledger.Busy(err) || errors.Is(err, broker.ErrStalled) || errors.Is(err, broker.ErrLogCutBack) ||
		errors.Is(err, io.ErrUnexpectedEOF) || isNet(err)
}

func isNet(err error) bool {
	var network net.Error
	return errors.As(err, &network)
}

// retryable marks an error for the plugin host's back-off, keeping how long a plugin asked to wait.
func retryable(err error) error {
	if pluginhost.Retryable(err) {
		return err
	}
	return sdk.Retryable(err, 0)
}
