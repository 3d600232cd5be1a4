package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/keyset"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/snapshot"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// fill is a table that has not been read as a whole.
type fill struct {
	key   *keyset.Key // nil: its order can't be told here, so that the table is read in one chunk
	after []string    // rows up to this key have been read
	done  bool        // all rows have been read, and the stream has not passed what the last chunk saw
	again bool        // some rows were emitted of which it is not known which: they are taken back first

	window *window
	// skipped are transactions with changes that were left to a later chunk, whose snapshot must see them.
	skipped map[uint32]struct{}
	waits   bool // somebody was told that a chunk waits for transactions
	settled bool // a chunk has seen every transaction that was open when the read began
}

// window is open while the stream has not passed what the last chunk saw.
type window struct {
	from []string // the chunk has the keys behind it; nil is the beginning
	seen sight
}

func (l *fill) reset() {
	l.after, l.done, l.again, l.window = nil, false, false, nil
}

func (l *fill) skip(xid uint32) {
	if l.skipped == nil {
		l.skipped = map[uint32]struct{}{}
	}
	l.skipped[xid] = struct{}{}
}

// live says whether a change of a row is to be emitted: the row was read, and before the change.
func (l *fill) live(key []string, xid uint32) bool {
	if !l.done && (l.key == nil || len(l.after) == 0 || l.key.Compare(key, l.after) > 0) {
		l.skip(xid)
		return false
	}
	inChunk := l.window != nil && (l.key == nil || l.window.from == nil || l.key.Compare(key, l.window.from) > 0)
	return !inChunk || !l.window.seen.sees(xid)
}

// ready says whether a snapshot may be the next chunk's: it sees what was left to it, and, if it is the first, every transaction that was open
// when the read began. Such a one may have begun before the table was published. Or it was left to a chunk by a read before this one: a commit
// stands in the log before snapshots see it, for long if it waits for a standby.
func (l *fill) ready(s sight, horizon uint64) bool {
	if !l.settled && s.xmin < horizon {
		return false
	}
	for xid := range l.skipped {
		if !s.sees(xid) {
			return false
		}
	}
	return true
}

// keyText is the key in a row of the stream.
func (t *table) keyText(row []pgoutput.Column) []string {
	out := make([]string, len(t.key))
	for n, i := range t.key {
		out[n] = string(row[i].Data)
	}
	return out
}

// besideFill writes a change of a table that is being read: as it is, not at all, or what of it concerns rows that were read.
func (f *Follower) besideFill(ctx context.Context, t *table, c *pgoutput.Change, u tuple) error {
	now := t.keyText(u.row)
	is := t.fill.live(now, f.tx.XID)
	was := is
	if u.op == change.Update && u.old != nil {
		was = t.fill.live(t.keyText(u.old), f.tx.XID)
	}
	switch {
	case is && was:
		return f.write(ctx, t, c, u)
	case was: // the row moved to where a chunk has it
		return f.write(ctx, t, c, tuple{op: change.Delete, row: u.old, old: u.old, whole: u.whole})
	case is: // the row comes from where no chunk has been
		u.op = change.Insert
		full, err := f.complete(ctx, t, &u, now)
		if err != nil || !full {
			return err
		}
		u.row, u.old = u.resolved(), nil
		return f.write(ctx, t, c, u)
	}
	return nil
}

// complete looks up columns that an update did not send, of a row that was never emitted. If the row is gone by now the table is read
// again: nobody knows what the row had.
func (f *Follower) complete(ctx context.Context, t *table, u *tuple, key []string) (bool, error) {
	var missing []int
	var columns []string
	for j, i := range t.places {
		if u.row[i].Kind == pgoutput.KindUnchanged && u.known(i).Kind == pgoutput.KindUnchanged {
			missing = append(missing, i)
			columns = append(columns, pgx.Identifier{t.columns[j].Name}.Sanitize())
		}
	}
	if len(missing) == 0 {
		return true, nil
	}
	conn, err := f.conn(ctx)
	if err != nil {
		return false, err
	}
	sql := "select " + strings.Join(columns, ", ") + " from " + t.From() + " where " + t.fill.key.Condition("=", key)
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return false, fmt.Errorf("look up a row of table %s: %w", t, err)
	}
	if len(results) != 1 || len(results[0].Rows) == 0 {
		f.Log.Info("a row that moved is gone: the table is read again", "table", t.String())
		f.truncate(t, change.Change{Pos: f.tx.LSN.Bytes(), TxSeq: f.delivered + 1, Ts: f.tx.Committed})
		return false, nil
	}
	values := results[0].Rows[0]
	u.filled = map[int][]byte{}
	for n, i := range missing {
		u.filled[i] = values[n]
	}
	f.hold, err = f.mark(ctx, "row") // what is looked up now may be ahead of the stream
	return true, err
}

// filling says whether a table is not read as a whole, or what was read is ahead of the stream.
func (f *Follower) filling() bool {
	return slices.ContainsFunc(f.order, func(t *table) bool { return t.fill != nil })
}

// fillNext reads the next chunk of a table that is not read, if the stream has passed the last one.
func (f *Follower) fillNext(ctx context.Context, now time.Time) error {
	if f.inside || f.at < f.hold || now.Before(f.fillAt) {
		return nil
	}
	at := slices.IndexFunc(f.order, func(t *table) bool { return t.fill != nil && !t.fill.done })
	if at < 0 {
		return nil
	}
	t := f.order[at]
	conn, err := f.conn(ctx)
	if err != nil {
		return err
	}
	err = f.chunk(ctx, conn, t)
	if _, end := conn.Exec(ctx, "rollback"); err == nil {
		err = end
	}
	if errors.Is(err, errNotYet) {
		f.fillAt = time.Now().Add(f.Pace.Fill)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read table %s: %w", t, err)
	}
	f.hold, err = f.mark(ctx, "chunk")
	f.dirty = true
	return err
}

var errNotYet = errors.New("transactions that a chunk must see have not ended")

// chunk emits a chunk, in a transaction that the caller ends.
func (f *Follower) chunk(ctx context.Context, conn *pgx.Conn, t *table) error {
	var text string
	// The lock comes before the snapshot: a truncate is not hidden by a snapshot that does not see it.
	lock := "begin isolation level repeatable read read only; lock table " + t.From() + " in access share mode"
	if _, err := conn.PgConn().Exec(ctx, lock).ReadAll(); err != nil {
		return err
	}
	if err := conn.QueryRow(ctx, "select txid_current_snapshot()::text").Scan(&text); err != nil {
		return err
	}
	seen, err := parseSight(text)
	if err != nil {
		return err
	}
	l := t.fill
	if !l.ready(seen, f.horizon) {
		if !l.waits {
			f.Log.Info("reading a table waits for transactions that began before", "table", t.String())
		}
		l.waits = true
		return errNotYet
	}
	l.skipped, l.settled = nil, true
	now, err := f.again(ctx, conn, t)
	if err != nil {
		return err
	}
	if err := f.reshape(ctx, t, now.Schema); err != nil {
		return err
	}
	if err := f.flush(ctx, t); err != nil {
		return err
	}
	if l.again {
		l.again = false
		t.builder.AppendTruncate(change.Change{Pos: (f.at - 1).Bytes(), Ts: time.Now()})
		if err := f.flush(ctx, t); err != nil {
			return err
		}
	}
	return f.readChunk(ctx, conn, t, now, seen)
}

// again looks a table up as the chunk's transaction sees it.
func (f *Follower) again(ctx context.Context, conn *pgx.Conn, t *table) (Table, error) {
	all, err := f.Find(ctx, conn)
	if err != nil {
		return Table{}, err
	}
	at := slices.IndexFunc(all, func(one Table) bool { return one.Stream == t.Stream })
	if at < 0 || all[at].OID != t.OID {
		return Table{}, sdk.Fatal(fmt.Errorf("table %s was dropped, renamed or made again while it was read: start the pipeline from the beginning, or leave the table out", t))
	}
	return all[at], nil
}

func (f *Follower) readChunk(ctx context.Context, conn *pgx.Conn, t *table, now Table, seen sight) error {
	l := t.fill
	chunk := snapshot.Chunk{End: snapshot.Progress{Done: true}, SQL: "select " + now.SelectSQL() + " from " + now.From() + now.Where()}
	if l.key != nil {
		var err error
		if chunk, err = now.Next(ctx, conn, snapshot.Progress{After: l.after}, f.ChunkRows); err != nil {
			return err
		}
	}
	shape := NewShape(now.Schema, now.Names, f.at)
	give := func(r snapshot.Rows) error { return f.giveRows(ctx, t, shape, r) }
	if err := snapshot.Copy(ctx, conn, now.Table, chunk.SQL, 0, now.Schema, f.Alloc, give); err != nil {
		return err
	}
	l.window = &window{from: l.after, seen: seen}
	l.done = chunk.End.Done
	if !l.done {
		l.after = chunk.End.After
	}
	return nil
}

func (f *Follower) giveRows(ctx context.Context, t *table, shape *Shape, r snapshot.Rows) error {
	for i := range r.Rejects {
		r.Rejects[i].Origin = t.Origin
	}
	if len(r.Rejects) > 0 {
		t.rows += uint64(len(r.Rejects))
		if err := f.Out.Reject(ctx, r.Rejects...); err != nil {
			if r.Record != nil {
				r.Record.Release()
			}
			return err
		}
	}
	if r.Record == nil {
		return nil
	}
	return f.emit(ctx, t, shape.Rows(f.Alloc, r.Record))
}

// Shape makes rows of tables into snapshot rows of change data.
type Shape struct {
	schema *arrow.Schema
	pos    []byte
}

// NewShape is for a table's rows that are as of a place in the log.
func NewShape(table *arrow.Schema, key []string, at pgoutput.LSN) *Shape {
	return &Shape{schema: change.Schema(table, key), pos: at.Bytes()}
}
