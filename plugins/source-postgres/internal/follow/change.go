package follow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/plugins/internal/postgres/value"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/snapshot"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// tuple is what is to be written of a change.
type tuple struct {
	op     change.Op
	row    []pgoutput.Column // the row; of a delete the old one
	old    []pgoutput.Column // the row before, nil if nothing is to be told
	whole  bool              // all of old's columns are there
	filled map[int][]byte    // values of columns that were not sent, by their places; nil is null
}

// Change implements pgoutput.Consumer.
func (f *Follower) Change(ctx context.Context, c *pgoutput.Change) error {
	t := f.tables[c.Relation.ID]
	if t == nil || f.tx.LSN == f.resumed.lsn && c.Ordinal <= f.resumed.ordinal {
		return nil
	}
	if err := f.change(ctx, t, c); err != nil {
		return err
	}
	f.delivered = c.Ordinal
	f.pending++
	if t.builder.Len() >= batchRows || t.size >= batchBytes {
		return f.flush(ctx, t)
	}
	return nil
}

func (f *Follower) change(ctx context.Context, t *table, c *pgoutput.Change) error {
	if c.Op == pgoutput.OpTruncate {
		f.truncate(t, f.here(c, change.Truncate))
		return nil
	}
	u := tuple{row: c.New}
	switch c.Op {
	case pgoutput.OpInsert:
		u.op = change.Insert
	case pgoutput.OpDelete:
		u.op, u.row, u.old = change.Delete, c.Old, c.Old
	default:
		u.op = change.Update
		if c.Sent == pgoutput.SentRow || c.Sent == pgoutput.SentKey && t.moved(c) {
			u.old = c.Old
		}
	}
	u.whole = c.Sent == pgoutput.SentRow
	if c.Op == pgoutput.OpUpdate && u.old == nil && c.Sent == pgoutput.SentKey {
		u.row = t.withKey(c) // a long key that did not change is among the old values only
	}
	if t.fill != nil {
		return f.besideFill(ctx, t, c, u)
	}
	return f.write(ctx, t, c, u)
}

// moved says whether an update has changed the key.
func (t *table) moved(c *pgoutput.Change) bool {
	for _, i := range t.key {
		if c.New[i].Kind != pgoutput.KindUnchanged && !bytes.Equal(c.Old[i].Data, c.New[i].Data) {
			return true
		}
	}
	return false
}

// withKey is the new row with key columns that were not sent taken from the old one.
func (t *table) withKey(c *pgoutput.Change) []pgoutput.Column {
	row := append([]pgoutput.Column{}, c.New...)
	for _, i := range t.key {
		if row[i].Kind == pgoutput.KindUnchanged {
			row[i] = c.Old[i]
		}
	}
	return row
}

func (f *Follower) here(c *pgoutput.Change, op change.Op) change.Change {
	return change.Change{Op: op, Pos: f.tx.LSN.Bytes(), TxSeq: c.Ordinal, Ts: f.tx.Committed}
}

// truncate empties a table: what has been read of it does not count any more.
func (f *Follower) truncate(t *table, c change.Change) {
	t.builder.AppendTruncate(c)
	if t.fill != nil {
		t.fill.reset()
		if f.inside {
			t.fill.skip(f.tx.XID)
		}
	}
}

// write appends a change to the table's batch.
func (f *Follower) write(ctx context.Context, t *table, c *pgoutput.Change, u tuple) error {
	size := 0
	for _, v := range u.row {
		size += len(v.Data)
	}
	for _, v := range u.old {
		size += len(v.Data)
	}
	if size > snapshot.MaxRow {
		return f.reject(ctx, t, c, snapshot.CodeTooLarge, fmt.Sprintf("the change has %d bytes, at most %d are allowed", size, snapshot.MaxRow), u)
	}
	if t.size > 0 && t.size+size > batchBytes {
		if err := f.flush(ctx, t); err != nil {
			return err
		}
	}
	t.size += size
	entry := f.here(c, u.op)
	err := t.append(u, &entry)
	t.builder.Append(entry)
	if err == nil {
		return nil
	}
	fault, ok := errors.AsType[*value.Fault](err)
	if !ok {
		return fmt.Errorf("table %s: %w", t, err)
	}
	t.bad = append(t.bad, t.builder.Len()-1)
	return f.reject(ctx, t, c, fault.Code, fault.Error(), u)
}

// append writes one value to each column, also when some can't be held; the first such fault is returned.
func (t *table) append(u tuple, entry *change.Change) error {
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	for j, i := range t.places {
		v := u.row[i]
		if u.op == change.Delete && !t.isKey[i] {
			v = pgoutput.Column{Kind: pgoutput.KindNull}
		}
		if v.Kind == pgoutput.KindUnchanged {
			if v = u.known(i); v.Kind == pgoutput.KindUnchanged {
				entry.Unchanged = append(entry.Unchanged, t.columns[j].Name)
			}
		}
		keep(appendText(t.columns[j], t.builder.Column(j), v))
	}
	if u.old == nil {
		return first
	}
	t.builder.Before().Append(true)
	for j, i := range t.places {
		v := u.old[i]
		if !u.whole && !t.isKey[i] {
			v = pgoutput.Column{Kind: pgoutput.KindNull}
		}
		keep(appendText(t.columns[j], t.before(j), v))
	}
	return first
}

// known is the value of a column that was not sent, if it is known from elsewhere.
func (u tuple) known(i int) pgoutput.Column {
	if data, ok := u.filled[i]; ok {
		if data == nil {
			return pgoutput.Column{Kind: pgoutput.KindNull}
		}
		return pgoutput.Column{Kind: pgoutput.KindText, Data: data}
	}
	if u.old != nil && (u.whole || u.old[i].Kind == pgoutput.KindText) {
		return u.old[i]
	}
	return pgoutput.Column{Kind: pgoutput.KindUnchanged}
}

// resolved is the row with what is known of the columns that were not sent.
func (u tuple) resolved() []pgoutput.Column {
	row := slices.Clone(u.row)
	for i, v := range row {
		if v.Kind == pgoutput.KindUnchanged {
			row[i] = u.known(i)
		}
	}
	return row
}

func appendText(c *value.Column, b array.Builder, v pgoutput.Column) error {
	switch v.Kind {
	case pgoutput.KindText:
		return c.AppendText(b, v.Data)
	case pgoutput.KindBinary:
		return c.AppendBinary(b, v.Data)
	}
	b.AppendNull()
	return nil
}

// reject sends a change to quarantine.
func (f *Follower) reject(ctx context.Context, t *table, c *pgoutput.Change, code, reason string, u tuple) error {
	fields := make([][]byte, len(t.columns))
	for j, i := range t.places {
		fields[j] = u.row[i].Data
	}
	t.rows++
	return f.Out.Reject(ctx, sdk.Rejection{
		Stream: t.Stream, Code: code, Reason: fmt.Sprintf("%s at %s, change %d: %s", u.op, f.tx.LSN, c.Ordinal, reason),
		Raw: snapshot.Raw(t.columns, fields), Origin: t.Origin, Row: sdk.NoRow,
	})
}
