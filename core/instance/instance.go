package instance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/zone"
)

// Instance is this process's part in a running Qanat. It is safe for concurrent use.
type Instance struct {
	dir    folder
	logger hclog.Logger
	db     *sql.DB
	state  string // type of the state database
	broker *broker.Broker
	zones  *zone.Zones
	host   *host  // of an owner
	guest  *guest // of a guest

	life    context.Context // ends with Close, or with ErrOwnerLost
	end     context.CancelCauseFunc
	closing sync.Once
	closed  error
	opened  closers
}

// Open joins the instance that runs on the folder, or starts one. It waits, at
// most Settings.Wait, for another process that is just starting or stopping.
//
// It must be called before the process does other work: the embedded object
// server changes the working directory for a moment while it starts.
func Open(ctx context.Context, s Settings) (*Instance, error) {
	if err := s.complete(); err != nil {
		return nil, err
	}
	dir, err := openFolder(s.Dir)
	if err != nil {
		return nil, err
	}
	for until := time.Now().Add(s.Wait); ; {
		i, err := enter(ctx, dir, s)
		if err == nil {
			return i, nil
		}
		if !errors.Is(err, errNotReady) {
			return nil, fmt.Errorf("open the project in %q: %w", string(dir), err)
		}
		if time.Now().After(until) {
			return nil, fmt.Errorf("open the project in %q: %w within %s: %w", string(dir), ErrOwnerSilent, s.Wait, err)
		}
		if err := pause(ctx); err != nil {
			return nil, fmt.Errorf("open the project in %q: %w", string(dir), err)
		}
	}
}

// enter tries once to become the owner or a guest.
func enter(ctx context.Context, dir folder, s Settings) (*Instance, error) {
	lock, err := dir.tryLock()
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancelCause(context.Background())
	i := &Instance{dir: dir, logger: s.Logger, life: life, end: end}
	if lock != nil {
		i.opened.add(lock.Close)
		err = i.own(ctx, s)
	} else {
		err = i.join(ctx, s)
	}
	if err != nil {
		end(err)
		return nil, errors.Join(err, i.opened.close())
	}
	return i, nil
}

// Owner tells whether this process runs the servers.
func (i *Instance) Owner() bool { return i.host != nil }

// Dir is the absolute path of the .qanat folder.
func (i *Instance) Dir() string { return string(i.dir) }

// StateFile is where the state database lies if it is a file.
func (i *Instance) StateFile() string { return i.dir.state() }

// DB is the state database. It stays the instance's.
func (i *Instance) DB() *sql.DB { return i.db }

// State is the type of the state database: SQLite or Postgres.
func (i *Instance) State() string { return i.state }

// Broker carries the logs of flows. It stays the instance's.
func (i *Instance) Broker() *broker.Broker { return i.broker }

// Zones hold the datasets. They stay the instance's.
func (i *Instance) Zones() *zone.Zones { return i.zones }

// Lost is closed when a guest's owner is gone. An owner's is never closed.
func (i *Instance) Lost() <-chan struct{} {
	if i.guest == nil {
		return nil
	}
	return i.guest.lost
}

// Context derives a context that ends with the instance: its cause is then
// ErrOwnerLost or ErrClosed. Work on the instance runs under such a context.
func (i *Instance) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(i.life, func() { cancel(context.Cause(i.life)) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

// Close leaves the instance. An owner first waits until its guests are gone;
// the end of ctx ends that wait, and then Close returns ErrGuestsLeft with the
// context's cause, when all is closed. Later calls return what the first did.
func (i *Instance) Close(ctx context.Context) error {
	i.closing.Do(func() {
		var waited error
		if i.host != nil {
			waited = i.host.drain(ctx)
		}
		i.end(ErrClosed)
		i.closed = errors.Join(waited, i.opened.close())
	})
	return i.closed
}

// closers are undone in reverse order.
type closers []func() error

func (c *closers) add(f func() error) { *c = append(*c, f) }

func (c *closers) close() error {
	var errs []error
	for _, f := range slices.Backward(*c) {
		errs = append(errs, f())
	}
	*c = nil
	return errors.Join(errs...)
}

const pauseFirst, pauseSpread = 20 * time.Millisecond, 60 * time.Millisecond

// pause waits between two tries, with jitter so that starters don't stay in step.
func pause(ctx context.Context) error {
	timer := time.NewTimer(pauseFirst + rand.N(pauseSpread)) //nolint:gosec // jitter needs no secrecy
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
