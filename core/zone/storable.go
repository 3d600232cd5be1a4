package zone

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Conversion brings batches of one Arrow schema to the schema that a table holds.
type Conversion struct {
	from, to *arrow.Schema
	columns  []cast // nil where a column is kept
	notes    []string
}

// Schema is what the table will hold, without system columns.
func (c *Conversion) Schema() *arrow.Schema { return c.to }

// Notes says each conversion in words, such as
// "amount: decimal256(40, 2) → utf8". It is empty when nothing changes.
func (c *Conversion) Notes() []string { return c.notes }

// Storable says how a schema is kept, or lists every fault as a *SchemaError. It is
// pure: two calls with equal schemas give equal conversions.
func Storable(s *arrow.Schema) (*Conversion, error) {
	c := &Conversion{from: s, columns: make([]cast, s.NumFields())}
	var faults []string
	fields := make([]arrow.Field, s.NumFields())
	seen := map[string]bool{}
	for i, f := range s.Fields() {
		if why := badName(f.Name, seen); why != "" {
			faults = append(faults, fmt.Sprintf("column %d %q: %s", i+1, f.Name, why))
		}
		seen[f.Name] = true
		m, err := mapType(f.Type)
		if err != nil {
			faults = append(faults, fmt.Sprintf("column %q: %v", f.Name, err))
			continue
		}
		c.columns[i] = m.cast
		fields[i] = arrow.Field{Name: f.Name, Type: m.to, Nullable: f.Nullable || m.nullable, Metadata: docOf(f)}
		if m.cast != nil {
			c.notes = append(c.notes, fmt.Sprintf("%s: %s → %s%s", f.Name, f.Type, m.to, m.remark()))
		}
	}
	if len(fields) == 0 {
		faults = append(faults, "it has no columns")
	}
	if len(faults) > 0 {
		return nil, &SchemaError{Faults: faults}
	}
	c.to = arrow.NewSchema(fields, nil)
	return c, nil
}

func badName(name string, seen map[string]bool) string {
	switch {
	case name == "":
		return "a column needs a name"
	case isSystem(name):
		return "names that start with " + SystemPrefix + " are reserved"
	case seen[name]:
		return "the name is used twice"
	}
	return ""
}

// docOf keeps a column's documentation and drops other metadata, which a table
// can't hold.
func docOf(f arrow.Field) arrow.Metadata {
	if doc, ok := f.Metadata.GetValue("doc"); ok {
		return arrow.NewMetadata([]string{"doc"}, []string{doc})
	}
	return arrow.Metadata{}
}

// Apply converts a batch of the schema that Storable was given. It returns a batch
// that the caller releases, besides its own; columns that are kept share memory.
func (c *Conversion) Apply(ctx context.Context, alloc memory.Allocator, batch arrow.RecordBatch) (arrow.RecordBatch, error) {
	if int(batch.NumCols()) != len(c.columns) {
		return nil, fmt.Errorf("batch has %d columns, its schema %d", batch.NumCols(), len(c.columns))
	}
	ctx = compute.WithAllocator(ctx, alloc)
	columns := make([]arrow.Array, len(c.columns))
	defer releaseAll(columns)
	for i, convert := range c.columns {
		in := batch.Column(i)
		if !arrow.TypeEqual(in.DataType(), c.from.Field(i).Type) {
			return nil, fmt.Errorf("column %q: batch holds %s, its schema says %s",
				c.from.Field(i).Name, in.DataType(), c.from.Field(i).Type)
		}
		out, err := convert.apply(ctx, alloc, in)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", c.from.Field(i).Name, err)
		}
		columns[i] = out
	}
	return array.NewRecordBatch(c.to, columns, batch.NumRows()), nil
}

func releaseAll(columns []arrow.Array) {
	for _, c := range columns {
		if c != nil {
			c.Release()
		}
	}
}
