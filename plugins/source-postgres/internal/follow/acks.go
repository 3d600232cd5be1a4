package follow

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
)

// Acks tells the server which positions are safe: by the stream if there is one, else by a statement. The zero value is ready; it is safe
// for concurrent use.
type Acks struct {
	mu     sync.Mutex
	stream *replica.Stream
	from   pgoutput.LSN // where the stream began
	acked  pgoutput.LSN
	ended  bool // no stream will come
}

// Confirm names a position that is safe. While the slot has no stream and may get one, the stream's beginning will tell it.
func (a *Acks) Confirm(ctx context.Context, connect func(context.Context) (*pgx.Conn, error), slot string, lsn pgoutput.LSN) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.acked = max(a.acked, lsn)
	switch {
	case a.stream != nil:
		return a.stream.Confirm(a.acked)
	case !a.ended:
		return nil
	}
	conn, err := connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	state, err := replica.LookUpSlot(ctx, conn, slot)
	if err != nil || state.ConfirmedFlush >= a.acked {
		return err
	}
	if _, err := conn.Exec(ctx, "select pg_replication_slot_advance($1, $2::text::pg_lsn)", slot, a.acked.String()); err != nil {
		return fmt.Errorf("confirm %s on replication slot %q: %w", a.acked, slot, err)
	}
	return nil
}

// Begin takes up the stream, and repeats to it what is safe.
func (a *Acks) begin(s *replica.Stream, from pgoutput.LSN) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stream, a.from = s, from
	if a.acked == 0 {
		return nil
	}
	return s.Confirm(min(a.acked, from))
}

// leave lets the stream go.
func (a *Acks) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stream = nil
}

// End says that no stream will come.
func (a *Acks) End() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
}
