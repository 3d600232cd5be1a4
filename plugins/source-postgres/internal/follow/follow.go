// Package follow emits the changes of tables: every committed transaction of a slot's stream, and beside it the rows of tables that
// have not been read yet.
//
// A table that is to be read while the stream goes on is read in chunks of its key's order. The snapshot of a chunk says exactly which
// transactions it sees. So each change of a row belongs to one side: that of a row behind the last chunk is left out, because a later
// chunk has it; that of a row in a chunk is left out if the chunk's snapshot saw its transaction, and emitted otherwise. Between the
// chunk and the moment at which the stream has passed everything that its snapshot saw, what was emitted is a mixture of two moments,
// so there is no checkpoint then.
package follow

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/plugins/internal/postgres/value"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/position"
	"github.com/qanat-data/qanat/sdk"
)

// Settings are what a follower goes by.
type Settings struct {
	Server      *server.Server
	Log         hclog.Logger
	Alloc       memory.Allocator
	Scratch     string // its own folder
	Out         sdk.Emitter
	Stop        <-chan struct{}
	Follow      bool // go on for ever
	Publication string
	Options     value.Options
	ChunkRows   int
	Heartbeat   time.Duration // 0 for none
	Watch       *Watch
	Since       time.Time          // when Position was the end of the log, by the server's clock; zero if nobody knows
	Position    *position.Position // where to go on; the follower changes it
	Tables      []Table
	// Find looks the tables up again, as the connection's transaction sees them.
	Find func(ctx context.Context, conn *pgx.Conn) ([]Table, error)
	Acks *Acks
	Pace Pace
}

const (
	// A checkpoint comes after so many changes, or so much time, at the next commit.
	checkpointChanges = 5000
	checkpointEvery   = 100 * time.Millisecond
	tick              = 100 * time.Millisecond
	markPrefix        = "qanat"
)

// Follower implements pgoutput.Consumer.
type Follower struct {
	Settings
	sql    *pgx.Conn
	types  *value.Catalog
	tables map[uint32]*table
	order  []*table

	at      pgoutput.LSN // everything that committed before it has been emitted
	hold    pgoutput.LSN // no checkpoint before this is passed
	target  pgoutput.LSN // the end of input, unless Follow
	horizon uint64       // transactions below it began before the read

	tx        pgoutput.Transaction
	inside    bool // of a transaction
	delivered int64
	resumed   struct { // of a transaction that the connection broke off in
		lsn     pgoutput.LSN
		ordinal int64
	}

	pending  int  // changes since the last checkpoint
	dirty    bool // something is to be stored
	marked   time.Time
	markedAt pgoutput.LSN
	stopped  time.Time
	fillAt   time.Time // not before it the next chunk

	pulse pulse
}

// Run follows until the end of input, Stop, or an error.
func Run(ctx context.Context, s Settings) error {
	f := &Follower{Settings: s, types: value.NewCatalog(), tables: map[uint32]*table{}, at: s.Position.LSN, pulse: pulse{since: s.Since}}
	defer func() {
		server.Close(ctx, f.sql)
		f.release()
	}()
	for _, t := range s.Tables {
		f.add(t)
	}
	if err := f.begin(ctx); err != nil {
		return server.Judge(ctx, "follow the changes", err)
	}
	return f.sessions(ctx)
}

// begin asks how far the input goes.
func (f *Follower) begin(ctx context.Context) error {
	conn, err := f.conn(ctx)
	if err != nil {
		return err
	}
	var snapshot string
	if err := conn.QueryRow(ctx, "select txid_current_snapshot()::text").Scan(&snapshot); err != nil {
		return err
	}
	now, err := parseSight(snapshot)
	if err != nil {
		return err
	}
	f.horizon = now.xmax
	if !f.Follow {
		f.target, err = f.mark(ctx, "end")
	}
	// What is taken back was emitted as of the position, and must not seem to come later than the truncate that takes it back.
	if err == nil && slices.ContainsFunc(f.order, func(t *table) bool { return t.fill != nil && t.fill.again }) {
		f.hold, err = f.mark(ctx, "again")
	}
	f.marked, f.markedAt = time.Now(), f.at
	return err
}

// conn is the ordinary connection, made again if it has broken.
func (f *Follower) conn(ctx context.Context) (*pgx.Conn, error) {
	if f.sql != nil && !f.sql.IsClosed() {
		return f.sql, nil
	}
	var err error
	f.sql, err = f.Server.Connect(ctx)
	return f.sql, err
}

// mark writes a message to the log and returns where: the stream passes it.
func (f *Follower) mark(ctx context.Context, what string) (pgoutput.LSN, error) {
	conn, err := f.conn(ctx)
	if err != nil {
		return 0, err
	}
	var lsn string
	if err := conn.QueryRow(ctx, "select pg_logical_emit_message(true, $1, $2)::text", markPrefix, what).Scan(&lsn); err != nil {
		return 0, fmt.Errorf("write a message to the log: %w", err)
	}
	return pgoutput.ParseLSN(lsn)
}

// Begin implements pgoutput.Consumer.
func (f *Follower) Begin(_ context.Context, tx pgoutput.Transaction) error {
	f.tx, f.inside, f.delivered = tx, true, 0
	if tx.LSN == f.resumed.lsn {
		f.delivered = f.resumed.ordinal
	}
	return nil
}

// Text implements pgoutput.Consumer.
func (f *Follower) Text(context.Context, *pgoutput.Text) error { return nil }

// Commit implements pgoutput.Consumer.
func (f *Follower) Commit(_ context.Context, tx pgoutput.Transaction) error {
	f.inside = false
	f.pulse.commit(tx)
	f.pass(tx.End)
	return nil
}

// pass notes that everything before a place has been emitted.
func (f *Follower) pass(lsn pgoutput.LSN) {
	f.at = max(f.at, lsn)
	if f.at < f.hold {
		return
	}
	for _, t := range f.order {
		if t.fill != nil && t.fill.window != nil {
			t.fill.window = nil
			f.dirty = true
			if t.fill.done {
				t.fill = nil
			}
		}
	}
}

// checkpoint emits what is held and the position behind it. It must not be called inside of a transaction, nor before hold is passed.
func (f *Follower) checkpoint(ctx context.Context) error {
	for _, t := range f.order {
		if err := f.flush(ctx, t); err != nil {
			return err
		}
	}
	p := f.Position
	if state := f.Watch.State(); state.RestartLSN > 0 {
		p.Restart = state.RestartLSN
	}
	p.LSN, p.Phase = f.at, position.Streamed
	for _, t := range f.order {
		known := p.Tables[t.Stream]
		if known == nil {
			known = &position.Table{}
			p.Tables[t.Stream] = known
		}
		*known = position.Table{OID: t.OID, Print: t.print, Done: t.fill == nil}
		if t.fill != nil {
			p.Phase = position.Snapshot
			if known.After = t.fill.after; len(known.After) > 0 {
				known.Key = t.fill.key.Names()
			}
			if t.fill.again {
				known.Block = 1 // something of it was emitted
			}
		}
	}
	raw, err := p.Encode()
	if err != nil {
		return err
	}
	f.pending, f.dirty = 0, false
	f.marked, f.markedAt = time.Now(), f.at
	return f.Out.Checkpoint(ctx, raw)
}

// due says whether it is time for a checkpoint, and allowed.
func (f *Follower) due(now time.Time) bool {
	switch {
	case f.inside || f.at < f.hold:
		return false
	case f.pending >= checkpointChanges:
		return true
	case f.pending > 0 || f.dirty:
		return now.Sub(f.marked) >= checkpointEvery
	}
	return f.at > f.markedAt && now.Sub(f.marked) >= f.Pace.Quiet
}
