package mask

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/change"
)

// Settings say what to mask.
type Settings struct {
	Schema *arrow.Schema                     // what comes in
	Masks  map[string]Rule                   // by column
	Drop   []string                          // columns that go; they may have masks, too
	Keys   func(name string) ([]byte, error) // secret keys by name, at least 16 bytes long; nil: there are none
	Key    []string                          // the stream's key columns, which can only be hashed or tokenised; nil: those that a schema of changes names
	Alloc  memory.Allocator                  // nil: Arrow's default
}

// Masker masks the batches of one schema. It is safe for concurrent use.
type Masker struct {
	in, out *arrow.Schema
	alloc   memory.Allocator
	columns []column
	masked  []string
	refused map[string]*atomic.Int64
}

// column makes one column of the result.
type column struct {
	from    int
	name    string
	run     kernel        // nil: the column stays as it is
	refused *atomic.Int64 // nil as run is, and where run wraps columns that count themselves
	key     bool
}

// New checks the masks. The error joins an *ArgError for every fault.
func New(s Settings) (*Masker, error) {
	if s.Key == nil {
		s.Key = change.Key(s.Schema)
	}
	if s.Alloc == nil {
		s.Alloc = memory.DefaultAllocator
	}
	p := newPlan(s)
	p.read()
	p.table()
	p.change()
	if len(p.faults) > 0 {
		return nil, joined(p.faults)
	}
	if p.tableColumns() == 0 {
		return nil, &ArgError{Method: methodDrop, Problem: "no column would be left"}
	}
	metadata := s.Schema.Metadata()
	return &Masker{
		in: s.Schema, out: arrow.NewSchema(p.fields, &metadata), alloc: s.Alloc,
		columns: p.columns, masked: p.masked, refused: p.refused,
	}, nil
}

func joined(faults []*ArgError) error {
	errs := make([]error, len(faults))
	for i, f := range faults {
		errs[i] = f
	}
	return errors.Join(errs...)
}

// Schema is that of the result. Columns keep their metadata, but not the name of an extension type that they no longer have.
func (m *Masker) Schema() *arrow.Schema { return m.out }

// Columns says what happens to each column that is masked or dropped, in the order of the schema: "mail: hash → utf8", "pin: drop".
func (m *Masker) Columns() []string { return m.masked }

// Refused counts the values, by column and with those of old rows, that a method could not be run on and that were redacted instead: values that have too few
// alternatives to be tokenised, and texts that are no addresses.
func (m *Masker) Refused() map[string]int64 {
	counts := map[string]int64{}
	for name, count := range m.refused {
		if n := count.Load(); n > 0 {
			counts[name] = n
		}
	}
	return counts
}

// Apply masks a batch. The caller keeps b and owns the result; columns without a mask share the memory of b, the others share nothing
// with it.
func (m *Masker) Apply(ctx context.Context, b arrow.RecordBatch) (arrow.RecordBatch, error) {
	if err := m.check(b); err != nil {
		return nil, err
	}
	columns := make([]arrow.Array, len(m.columns))
	defer releaseAll(columns)
	for i := range m.columns {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out, err := m.columns[i].apply(ctx, m.alloc, b.Column(m.columns[i].from))
		if err != nil {
			return nil, err
		}
		columns[i] = out
	}
	return array.NewRecordBatch(m.out, columns, b.NumRows()), nil
}

func (m *Masker) check(b arrow.RecordBatch) error {
	if b.Schema() == m.in {
		return nil
	}
	if int(b.NumCols()) != m.in.NumFields() {
		return fmt.Errorf("the batch has %d columns, the schema to mask %d", b.NumCols(), m.in.NumFields())
	}
	for i, f := range m.in.Fields() {
		if b.ColumnName(i) != f.Name || !arrow.TypeEqual(b.Column(i).DataType(), f.Type) {
			return fmt.Errorf("column %d of the batch is %q %s, expected %q %s", i+1, b.ColumnName(i), b.Column(i).DataType(), f.Name, f.Type)
		}
	}
	return nil
}

func (c *column) apply(ctx context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
	if c.run == nil {
		in.Retain()
		return in, nil
	}
	var refused atomic.Int64
	out, err := c.run(ctx, &call{alloc: alloc, refused: &refused}, in)
	switch n := refused.Load(); {
	case err != nil:
		return nil, fmt.Errorf("mask column %q: %w", c.name, err)
	case n > 0 && c.key:
		out.Release()
		return nil, &KeyValueError{Column: c.name, Rows: n}
	case n > 0:
		c.refused.Add(n)
	}
	return out, nil
}

func releaseAll(columns []arrow.Array) {
	for _, c := range columns {
		if c != nil {
			c.Release()
		}
	}
}
