package change

import (
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Change is what a source knows about a change besides the row.
type Change struct {
	Op        Op
	Pos       []byte    // nil: not known
	TxSeq     int64     // from 1; 0 in snapshot rows
	Ts        time.Time // zero: not known; kept to the microsecond
	Unchanged []string  // columns that were not sent
}

// Builder makes batches of changes. For each change a source appends a value to each of the table's columns (Column), to Before if it
// knows the old row, and then calls Append:
//
//	b.Column(0).(*array.Int64Builder).Append(7)
//	b.Column(1).AppendNull()
//	b.Append(change.Change{Op: change.Delete, Pos: pos, TxSeq: 1, Ts: committed})
//
// It is for one goroutine.
type Builder struct {
	record  *array.RecordBuilder
	columns int
	rows    int

	op        *array.Uint8Builder
	pos       *array.BinaryBuilder
	seq       *array.Int64Builder
	ts        *array.TimestampBuilder
	before    *array.StructBuilder
	unchanged *array.ListBuilder
	names     *array.StringBuilder
}

// NewBuilder makes a builder for the changes of a table; Schema describes its batches. Release it in the end.
func NewBuilder(alloc memory.Allocator, table *arrow.Schema, key []string) *Builder {
	n := table.NumFields()
	b := &Builder{record: array.NewRecordBuilder(alloc, Schema(table, key)), columns: n}
	b.op = b.record.Field(n).(*array.Uint8Builder)
	b.pos = b.record.Field(n + 1).(*array.BinaryBuilder)
	b.seq = b.record.Field(n + 2).(*array.Int64Builder)
	b.ts = b.record.Field(n + 3).(*array.TimestampBuilder)
	b.before = b.record.Field(n + 4).(*array.StructBuilder)
	b.unchanged = b.record.Field(n + 5).(*array.ListBuilder)
	b.names = b.unchanged.ValueBuilder().(*array.StringBuilder)
	return b
}

// Schema is that of the batches.
func (b *Builder) Schema() *arrow.Schema { return b.record.Schema() }

// Column is the builder of one of the table's columns, by its place in the table.
func (b *Builder) Column(i int) array.Builder { return b.record.Field(i) }

// Before is the builder of _before, a struct of the table's columns. It can be left alone: Append fills in null.
func (b *Builder) Before() *array.StructBuilder { return b.before }

// Len is the number of changes since the last batch.
func (b *Builder) Len() int { return b.rows }

// Append ends a row.
func (b *Builder) Append(c Change) {
	b.rows++
	b.op.Append(uint8(c.Op))
	if c.Pos == nil {
		b.pos.AppendNull()
	} else {
		b.pos.Append(c.Pos)
	}
	b.seq.Append(c.TxSeq)
	if c.Ts.IsZero() {
		b.ts.AppendNull()
	} else {
		b.ts.Append(arrow.Timestamp(c.Ts.UnixMicro()))
	}
	if b.before.Len() < b.rows {
		b.before.AppendNull()
	}
	if len(c.Unchanged) == 0 {
		b.unchanged.AppendNull()
		return
	}
	b.unchanged.Append(true)
	for _, name := range c.Unchanged {
		b.names.Append(name)
	}
}

// AppendTruncate adds a truncate, which has null in all columns of the table. Its Op need not be set.
func (b *Builder) AppendTruncate(c Change) {
	for i := range b.columns {
		b.Column(i).AppendNull()
	}
	c.Op, c.Unchanged = Truncate, nil
	b.Append(c)
}

// Batch returns the changes since the last one; the caller releases it. It fails if a column has more or fewer values than there were
// calls of Append.
func (b *Builder) Batch() (arrow.RecordBatch, error) {
	schema := b.record.Schema()
	for i, f := range b.record.Fields() {
		if f.Len() != b.rows {
			return nil, fmt.Errorf("column %q has %d values in %d changes", schema.Field(i).Name, f.Len(), b.rows)
		}
	}
	b.rows = 0
	return b.record.NewRecordBatch(), nil
}

// Release frees what is held.
func (b *Builder) Release() { b.record.Release() }
