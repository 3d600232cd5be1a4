package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/flow/surroundings"
	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/sdk"
)

// Patience is how long a runner waits for what it stands on, from the first failure on, unless Runtime.Patience says otherwise.
const Patience = 5 * time.Minute

const (
	// A session that has gone well for so much longer than the patience begins a new count.
	recovered = 2 * time.Minute
	watchEach = 500 * time.Millisecond
)

func (r *Runtime) patience() time.Duration {
	if r.Patience > 0 {
		return r.Patience
	}
	return Patience
}

// tries decides what follows a failed session. Plugins get a number of attempts, surroundings a time.
type tries struct {
	flow     string
	runtime  *Runtime
	plugins  *pluginhost.Retry
	waits    *pluginhost.Retry
	outage   time.Time // of the first failure of the surroundings since the flow last came further
	began    time.Time // of the session
	restarts int64
}

func newTries(flow string, r *Runtime) *tries {
	backoff := pluginhost.Backoff{Attempts: 6, Base: 250 * time.Millisecond, Max: 15 * time.Second, Jitter: 0.2}
	t := &tries{flow: flow, runtime: r, plugins: backoff.Begin(), began: time.Now()}
	t.rested()
	return t
}

// rested forgets an outage.
func (t *tries) rested() {
	t.outage = time.Time{}
	t.waits = pluginhost.Backoff{Attempts: 1 << 30, Base: 250 * time.Millisecond, Max: 10 * time.Second, Jitter: 0.2}.Begin()
}

// progress says that the session has committed something.
func (t *tries) progress() {
	t.plugins.Progress()
	t.rested()
}

// next is how long to wait before the next session, or the error that the flow ends with.
func (t *tries) next(err error) (time.Duration, error) {
	if by, theirs := surroundings.Blamed(err); theirs && !decided(err) {
		return t.wait(by, err)
	}
	if !transient(err) {
		return 0, err
	}
	pause, again := t.plugins.Next(retryable(err))
	if !again {
		return 0, fmt.Errorf("gave up after trying again: %w", err)
	}
	t.tell(err.Error())
	return pause, nil
}

// wait is next for failures of the surroundings.
func (t *tries) wait(by surroundings.Blame, err error) (time.Duration, error) {
	if ended, ok := errors.AsType[*surroundings.Error](err); ok {
		return 0, ended
	}
	if by.What == surroundings.State && t.runtime.StateAt != "" {
		by.What = fmt.Sprintf("%s %q", surroundings.State, t.runtime.StateAt)
	}
	if !by.Passes {
		return 0, &surroundings.Error{What: by.What, Err: by.Whole}
	}
	patience := t.runtime.patience()
	if t.outage.IsZero() || time.Since(t.began) > patience+recovered {
		t.rested()
		t.outage = time.Now()
	}
	waited := time.Since(t.outage)
	if waited >= patience {
		return 0, &surroundings.Error{What: by.What, For: waited, Err: by.Whole}
	}
	pause, _ := t.waits.Next(sdk.Retryable(err, 0))
	t.tell(fmt.Sprintf("waiting for %s, trying again: %v", by.What, by.Err))
	return min(pause, patience-waited), nil
}

// tell notes why there is another session, and when it begins.
func (t *tries) tell(note string) {
	t.restarts++
	t.runtime.Progress.Update(t.flow, func(s *progress.Status) { s.Note, s.Restarts = note, t.restarts })
}

// watched runs a session. Meanwhile it says what servers are waited for, and ends the session when NATS has been in trouble for
// longer than the runner is patient: publishers and readers wait for it without an end. Requests to the other servers end by
// themselves.
func watched(ctx context.Context, flow string, r *Runtime, run func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		watch(ctx, flow, r, cancel)
	}()
	err := run(ctx)
	if ended, ok := errors.AsType[*surroundings.Error](context.Cause(ctx)); ok && err != nil {
		err = ended // whatever the cancelled context made of it
	}
	cancel(nil)
	<-done
	return err
}

func watch(ctx context.Context, flow string, r *Runtime, end context.CancelCauseFunc) {
	ticker := time.NewTicker(watchEach)
	defer ticker.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		nats, since := r.Broker.Trouble()
		if nats != "" && time.Since(since) >= r.patience() {
			end(&surroundings.Error{What: "NATS", For: time.Since(since), Err: errors.New(nats)})
			return
		}
		store, _ := r.Zones.Trouble()
		note := ""
		for _, trouble := range []string{store, nats} {
			if trouble != "" {
				note = "waiting for " + trouble
			}
		}
		if note != said {
			swap(r.Progress, flow, said, note)
			said = note
		}
	}
}

// swap replaces a note, unless there is another one.
func swap(p *progress.Progress, flow, before, after string) {
	p.Note(flow, func(s *progress.Status) {
		if s.Note == before {
			s.Note = after
		}
	})
}
