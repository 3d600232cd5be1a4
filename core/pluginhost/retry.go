package pluginhost

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/qanat-data/qanat/sdk"
)

// Backoff says how often and when a failed handle is made anew. The flow loop retries; nothing in this package does by itself.
type Backoff struct {
	Attempts int           // in a row without progress; 0 means none
	Base     time.Duration // before the first one, doubled for each further
	Max      time.Duration
	Jitter   float64 // the part of a wait that is random, from 0 to 1, so that many flows don't come back at one time
}

// DefaultBackoff waits 1, 2, 4 … seconds, at most a minute, ten times.
func DefaultBackoff() Backoff {
	return Backoff{Attempts: 10, Base: time.Second, Max: time.Minute, Jitter: 0.2}
}

// Retry counts the attempts of one task. Not safe for concurrent use.
type Retry struct {
	backoff Backoff
	used    int
}

// Begin starts to count.
func (b Backoff) Begin() *Retry { return &Retry{backoff: b} }

// Progress forgets the attempts before it: the task has come further than ever.
func (r *Retry) Progress() { r.used = 0 }

// Next says how long to wait after an error, or that there is nothing to wait for: the error is not retryable or the attempts are
// used up. A time that the plugin asks for is never cut short.
func (r *Retry) Next(err error) (time.Duration, bool) {
	if !Retryable(err) || r.used >= r.backoff.Attempts {
		return 0, false
	}
	wait := r.backoff.Base
	for i := 0; i < r.used && wait < r.backoff.Max; i++ {
		wait *= 2
	}
	wait = min(wait, r.backoff.Max)
	r.used++
	jitter := min(max(r.backoff.Jitter, 0), 1)
	wait -= time.Duration(float64(wait) * jitter * rand.Float64()) //nolint:gosec // nothing secret depends on it
	if typed, ok := errors.AsType[*sdk.Error](err); ok {
		wait = max(wait, typed.After)
	}
	return wait, true
}

// Wait waits for the next attempt. It returns the error if there is none, or the context's if it ends.
func (r *Retry) Wait(ctx context.Context, err error) error {
	wait, again := r.Next(err)
	if !again {
		return err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Retryable reports whether another attempt may go better: the plugin says so, or its process crashed or was late. Taking too
// much memory, breaking the protocol and being refused are no matters of chance.
func Retryable(err error) bool {
	if typed, ok := errors.AsType[*sdk.Error](err); ok {
		return typed.Kind == sdk.KindRetryable || typed.Kind == sdk.KindRateLimited
	}
	if _, ok := errors.AsType[*CrashError](err); ok {
		return true
	}
	_, ok := errors.AsType[*DeadlineError](err)
	return ok
}
