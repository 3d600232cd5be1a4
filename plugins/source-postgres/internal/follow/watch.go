package follow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
	"github.com/qanat-data/qanat/sdk"
)

// Limit bounds the log that the server keeps for the slot.
type Limit struct {
	Bytes int64 // 0 for none
	Drop  bool  // give the slot up beyond it
}

// Watch looks after a slot beside a read, whatever the read is busy with: how much log the server keeps for the slot, and whether it can
// still serve.
type Watch struct {
	Server *server.Server
	Log    hclog.Logger
	Slot   string
	Limit  Limit
	Every  time.Duration

	sql *pgx.Conn

	mu    sync.Mutex
	state State
	fault error // that ends the read
}

// State is what is known of the slot.
type State struct {
	replica.Slot
	Now  time.Time // by the server's clock; zero if the slot was never looked up
	Over bool      // it keeps more log than the limit allows
}

// Beside watches while something is done, whose context ends if the slot can't serve any more, or is to be given up.
func (w *Watch) Beside(ctx context.Context, do func(ctx context.Context) error) error {
	watched, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer func() { server.Close(ctx, w.sql) }()
	if err := w.look(watched); err != nil && !server.Lost(err) {
		return w.end(ctx, err)
	}
	var group sync.WaitGroup
	group.Go(func() { w.run(watched, cancel) })
	err := do(watched)
	cancel(nil)
	group.Wait()
	if err == nil || ctx.Err() != nil || w.fault == nil {
		return err
	}
	return w.end(ctx, w.fault)
}

// State is the slot's as it was last looked up.
func (w *Watch) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

func (w *Watch) run(ctx context.Context, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(w.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := w.look(ctx)
		if err == nil || ctx.Err() != nil || server.Lost(err) { // whoever reads notices a lost connection, too, and knows what to do
			continue
		}
		w.fault = err
		cancel(err)
		return
	}
}

func (w *Watch) look(ctx context.Context) error {
	if w.sql == nil || w.sql.IsClosed() {
		var err error
		if w.sql, err = w.Server.Connect(ctx); err != nil {
			return err
		}
	}
	slot, err := replica.LookUpSlot(ctx, w.sql, w.Slot)
	if err != nil {
		return err
	}
	now := State{Slot: slot, Over: w.Limit.Bytes > 0 && slot.Retained > w.Limit.Bytes}
	if err := w.sql.QueryRow(ctx, "select clock_timestamp()").Scan(&now.Now); err != nil {
		return err
	}
	w.mu.Lock()
	before := w.state
	w.state = now
	w.mu.Unlock()
	switch {
	case slot.Invalidated():
		return replica.Lost(w.Slot)
	case now.Over && w.Limit.Drop:
		return &limitError{kept: slot.Retained, limit: w.Limit.Bytes}
	case now.Over && !before.Over:
		w.Log.Warn("the server keeps more log for the slot than wal_limit allows", "slot", slot.Name, "bytes", slot.Retained, "limit", w.Limit.Bytes,
			"hint", "units are not committed, transactions are open for long, or the first read of the tables takes long")
	}
	return nil
}

// limitError says that the slot is to be given up.
type limitError struct{ kept, limit int64 }

func (e *limitError) Error() string {
	return fmt.Sprintf("the server keeps %d bytes of log for the slot, more than the %d of wal_limit", e.kept, e.limit)
}

// end is what is said of a fault in the end. The limit's drops the slot, which nobody uses any more.
func (w *Watch) end(ctx context.Context, fault error) error {
	if _, limit := errors.AsType[*limitError](fault); !limit {
		return explain(fault)
	}
	conn, err := w.Server.Connect(ctx)
	if err == nil {
		defer server.Close(ctx, conn)
		err = replica.DropSlot(ctx, conn, w.Slot)
	}
	if err != nil {
		return fmt.Errorf("%w; dropping replication slot %q failed: %w", fault, w.Slot, err)
	}
	return sdk.Fatal(fmt.Errorf("%w: replication slot %q was dropped, as wal_limit says; start the pipeline from the beginning to read the tables again", fault, w.Slot))
}

// Lag is how far a place in the log, behind which nothing has been emitted, is behind the server; since is when that was all there was, by
// the server's clock. It is nil if the server was never asked.
func (s State) Lag(at pgoutput.LSN, since time.Time) *sdk.Lag {
	if s.Now.IsZero() {
		return nil
	}
	lag := &sdk.Lag{Retained: uint64(max(0, s.Retained))}
	if s.Current > at {
		lag.Bytes = uint64(s.Current - at)
		if !since.IsZero() {
			lag.Behind = max(0, s.Now.Sub(since))
		}
	}
	return lag
}
