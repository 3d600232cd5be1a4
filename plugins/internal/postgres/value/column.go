package value

import (
	"encoding/json"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Metadata of a column's field.
const (
	MetaType   = "pg.type"      // the PostgreSQL type: numeric(12,2), text[], shop.address
	MetaLabels = "pg.labels"    // an enum's labels in their order, a JSON array; absent when long
	MetaFormat = "qanat.format" // json for JSON text, as other sources say it
)

// maxLabels is how many bytes of labels travel with a schema.
const maxLabels = 4 << 10

// Unheld says what becomes of times that Arrow can't hold: infinities, timestamps in the far future, 24:00:00.
type Unheld string

// What may become of them; the zero value means UnheldError.
const (
	UnheldError Unheld = "error" // a *Fault
	UnheldNull  Unheld = "null"
	UnheldClamp Unheld = "clamp" // the first or last value that PostgreSQL and Arrow both have
)

// Arrays says how arrays are kept.
type Arrays string

// How they may be kept; the zero value means ArraysList.
const (
	ArraysList Arrays = "list" // other shapes than one dimension from 1 are faults
	ArraysText Arrays = "text" // as printed, whatever their shape
)

// Options of columns.
type Options struct {
	Unheld Unheld
	Arrays Arrays
}

// Column reads the values of one column. Its methods may be used by several goroutines at once, with builders of their own.
type Column struct {
	Name string
	Type arrow.DataType

	kind   kind
	pgName string
}

// Field is the column in a schema, nullable.
func (c *Column) Field() arrow.Field { return c.kind.field(c.Name) }

func (k kind) field(name string) arrow.Field {
	keys, values := []string{MetaType}, []string{k.name}
	if k.json {
		keys, values = append(keys, MetaFormat), append(values, "json")
	}
	if len(k.labels) > 0 {
		if list, err := json.Marshal(k.labels); err == nil && len(list) <= maxLabels {
			keys, values = append(keys, MetaLabels), append(values, string(list))
		}
	}
	return arrow.Field{Name: name, Type: k.arrow, Nullable: true, Metadata: arrow.NewMetadata(keys, values)}
}

// SelectAs words what to select for AppendBinary, given the SQL of the column, such as a quoted name.
func (c *Column) SelectAs(sql string) string {
	if c.kind.portable {
		return sql
	}
	// A cast to text differs from what the type prints where the type has a cast of its own, as inet does. A row of nulls is no null.
	return "case when pg_catalog.num_nulls(" + sql + ") = 0 then pg_catalog.format('%s', " + sql + ") end"
}

// AppendBinary appends a value in the binary form of what SelectAs selects; a null is the caller's to append. The builder is one of
// Type. It appends exactly one value, also when it fails: then that is not to be used, nor is its row. Faults are of type *Fault.
func (c *Column) AppendBinary(b array.Builder, raw []byte) error {
	if !c.kind.nested {
		if err := c.kind.codec.binary(nil, b, raw); err != nil {
			b.AppendNull()
			return c.fault(err, raw, c.show())
		}
		return nil
	}
	decode := c.kind.codec.binary
	if !c.kind.portable {
		decode = c.kind.codec.text
	}
	if err := decode(&work{left: maxWork}, b, raw); err != nil {
		return c.fault(err, raw, c.show())
	}
	return nil
}

// show prints what AppendBinary is given.
func (c *Column) show() func([]byte) string {
	if _, text := c.kind.codec.(textCodec); text || !c.kind.portable {
		return showText
	}
	return showBinary
}

// AppendText appends a value as the type's output function prints it. Else it is as AppendBinary.
func (c *Column) AppendText(b array.Builder, raw []byte) error {
	if c.kind.nested {
		if err := c.kind.codec.text(&work{left: maxWork}, b, raw); err != nil {
			return c.fault(err, raw, showText)
		}
		return nil
	}
	if err := c.kind.codec.text(nil, b, raw); err != nil {
		b.AppendNull()
		return c.fault(err, raw, showText)
	}
	return nil
}

// AppendRow appends a row in binary form, nil for a null. It appends one value to each builder, also when it fails, and returns the
// first fault.
func AppendRow(columns []*Column, builders []array.Builder, fields [][]byte) error {
	var first error
	for i, c := range columns {
		if fields[i] == nil {
			builders[i].AppendNull()
			continue
		}
		if err := c.AppendBinary(builders[i], fields[i]); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// Without gives a batch's rows but those of the given indexes, which ascend: as slices, which the caller releases, besides the batch.
func Without(batch arrow.RecordBatch, rows []int) []arrow.RecordBatch {
	var parts []arrow.RecordBatch
	from := int64(0)
	for _, row := range append(slices.Clip(rows), int(batch.NumRows())) {
		if to := int64(row); to > from {
			parts = append(parts, batch.NewSlice(from, to))
		}
		from = int64(row) + 1
	}
	return parts
}
