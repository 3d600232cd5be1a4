package pgoutput

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Transaction is a committed transaction.
type Transaction struct {
	XID       uint32
	LSN       LSN // of the commit record: transactions are delivered in its order
	End       LSN // behind the commit record, where a stream that has this transaction goes on; zero in Begin unless Streamed
	Committed time.Time
	Origin    string // the server that it was replicated from, or empty
	Streamed  bool   // it was kept aside until it had committed
	Changes   int64  // in Commit: the last change's ordinal
}

// Op is what a change does.
type Op byte

// The operations.
const (
	OpInsert   Op = 'I'
	OpUpdate   Op = 'U'
	OpDelete   Op = 'D'
	OpTruncate Op = 'T'
)

// Change is one row's, or one table's that was emptied: a statement that truncates several is as many changes. It and its values are
// valid until the consumer returns; only Relation may be kept.
type Change struct {
	Op       Op
	Ordinal  int64 // in the transaction, from 1
	Relation *Relation
	Sent     Sent     // what Old is
	Old      []Column // nil, or as many as the relation has
	New      []Column // likewise

	Cascade, RestartIdentity bool // of a truncate
}

// Consumer takes transactions: Begin, then changes, relations and texts in their order, then Commit. If there is no Commit, because
// the stream broke off, the transaction comes again as a whole from a stream that is started at the same place.
//
// Relation comes before the first change of a table and again before the first change that follows a change of the table's columns,
// name or identity; it is the barrier between rows of different shape. A Text that is not transactional may come outside of
// transactions. An error of the consumer ends the assembler.
type Consumer interface {
	Begin(ctx context.Context, t Transaction) error
	Relation(ctx context.Context, r *Relation) error
	Change(ctx context.Context, c *Change) error
	Text(ctx context.Context, t *Text) error
	Commit(ctx context.Context, t Transaction) error
}

// announced is a relation, and when the server told about it.
type announced struct {
	relation *Relation
	at       uint64
}

// delivery hands the open transaction to the consumer.
type delivery struct {
	to    Consumer
	shown map[uint32]*Relation // the consumer's view of tables, by OID

	open   bool
	begun  bool // the consumer has Begin, which waits until the origin is known
	tx     Transaction
	change Change
}

func (d *delivery) begin(t Transaction) {
	d.open, d.begun, d.tx = true, false, t
}

func (d *delivery) ensureBegun(ctx context.Context) error {
	if d.begun {
		return nil
	}
	d.begun = true
	return d.to.Begin(ctx, d.tx)
}

func (d *delivery) commit(ctx context.Context, end LSN) error {
	if err := d.ensureBegun(ctx); err != nil {
		return err
	}
	d.open = false
	d.tx.End = end
	return d.to.Commit(ctx, d.tx)
}

// canonical is the relation that the consumer has already if it is the same: consumers may compare pointers.
func (d *delivery) canonical(r *Relation) *Relation {
	if shown := d.shown[r.ID]; shown != nil && shown.same(r) {
		return shown
	}
	return r
}

func (r *Relation) same(other *Relation) bool {
	return r.ID == other.ID && r.Schema == other.Schema && r.Name == other.Name && r.Identity == other.Identity &&
		slices.Equal(r.Columns, other.Columns)
}

// apply hands on what belongs to the open transaction.
func (d *delivery) apply(ctx context.Context, m Message, relations map[uint32]announced) error {
	switch m := m.(type) {
	case *Insert:
		return d.row(ctx, Change{Op: OpInsert, New: m.New}, m.Relation, relations)
	case *Update:
		return d.row(ctx, Change{Op: OpUpdate, Sent: m.Sent, Old: m.Old, New: m.New}, m.Relation, relations)
	case *Delete:
		return d.row(ctx, Change{Op: OpDelete, Sent: m.Sent, Old: m.Old}, m.Relation, relations)
	case *Truncate:
		for _, id := range m.Relations {
			c := Change{Op: OpTruncate, Cascade: m.Cascade, RestartIdentity: m.RestartIdentity}
			if err := d.row(ctx, c, id, relations); err != nil {
				return err
			}
		}
		return nil
	case *Text:
		if err := d.ensureBegun(ctx); err != nil {
			return err
		}
		return d.to.Text(ctx, m)
	case *Type:
		return nil
	}
	return fmt.Errorf("%w: %T inside a transaction", ErrMalformed, m)
}

func (d *delivery) row(ctx context.Context, c Change, id uint32, relations map[uint32]announced) error {
	r := relations[id].relation
	if r == nil {
		return fmt.Errorf("%w: a change of relation %d, which was not announced", ErrMalformed, id)
	}
	for _, tuple := range [][]Column{c.Old, c.New} {
		if tuple != nil && len(tuple) != len(r.Columns) {
			return fmt.Errorf("%w: a tuple of %q.%q has %d columns, and the relation %d", ErrMalformed, r.Schema, r.Name, len(tuple), len(r.Columns))
		}
	}
	if err := d.ensureBegun(ctx); err != nil {
		return err
	}
	if d.shown[id] != r {
		if err := d.to.Relation(ctx, r); err != nil {
			return err
		}
		d.shown[id] = r
	}
	d.tx.Changes++
	d.change = c
	d.change.Ordinal, d.change.Relation = d.tx.Changes, r
	return d.to.Change(ctx, &d.change)
}
