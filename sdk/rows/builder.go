package rows

import (
	"fmt"
	"reflect"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Builder gathers rows into record batches. Not safe for concurrent use.
type Builder[T any] struct {
	schema  *arrow.Schema
	columns []array.Builder
	alloc   memory.Allocator
	write   func() error // appends row, one value to each column even if it fails
	row     T
	rows    int
	last    int   // rows of the batch before, for which the next one makes room at once
	refused []int // rows that failed, which the batch leaves out
}

// Of makes a builder for rows of a struct type. The error names a field whose type has no column.
func Of[T any](alloc memory.Allocator) (*Builder[T], error) {
	fields, err := fieldsOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	b := newBuilder[T](alloc, arrow.NewSchema(arrowFields(fields), nil))
	into := reflect.ValueOf(&b.row).Elem()
	appenders := bindFields(fields, b.columns)
	b.write = func() error { return appendFields(fields, appenders, into) }
	return b, nil
}

// OfMaps makes a builder for rows that are maps from the columns of the schema to values. A value is what Of would take for the
// column's type, or what decoding JSON gives for it: numbers of any type that fit, texts for times (RFC 3339), dates, decimals;
// nil, or no value, is a null; map[string]any is a struct or a map, []any a list.
func OfMaps(alloc memory.Allocator, schema *arrow.Schema) (*Builder[map[string]any], error) {
	for _, field := range schema.Fields() {
		if err := supported(field.Type); err != nil {
			return nil, fmt.Errorf("column %q: %w", field.Name, err)
		}
	}
	b := newBuilder[map[string]any](alloc, schema)
	b.write = func() error { return appendMap(schema.Fields(), b.columns, b.row) }
	return b, nil
}

// SchemaOf is the schema of the batches that Of builds.
func SchemaOf[T any]() (*arrow.Schema, error) {
	fields, err := fieldsOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	return arrow.NewSchema(arrowFields(fields), nil), nil
}

func newBuilder[T any](alloc memory.Allocator, schema *arrow.Schema) *Builder[T] {
	b := &Builder[T]{schema: schema, alloc: alloc}
	for _, field := range schema.Fields() {
		b.columns = append(b.columns, array.NewBuilder(alloc, field.Type))
	}
	return b
}

// Schema is the schema of the batches.
func (b *Builder[T]) Schema() *arrow.Schema { return b.schema }

// Append adds a row. A row that fails (a text that is not UTF-8, a decimal with too many digits) is left out of the batch, and
// the error names the field, the value and what was expected; rows before and after it stand.
func (b *Builder[T]) Append(row T) error {
	if b.rows == 0 && b.last > 0 {
		for _, builder := range b.columns {
			builder.Reserve(b.last)
		}
	}
	b.row = row
	err := b.write()
	if err != nil {
		b.refused = append(b.refused, b.rows)
	}
	b.rows++
	return err
}

// Len is the number of rows since the last Batch.
func (b *Builder[T]) Len() int { return b.rows - len(b.refused) }

// Batch returns the rows so far, which the caller owns, and begins anew.
func (b *Builder[T]) Batch() arrow.RecordBatch {
	columns := make([]arrow.Array, len(b.columns))
	for i, builder := range b.columns {
		columns[i] = builder.NewArray()
	}
	batch := array.NewRecordBatch(b.schema, columns, int64(b.rows))
	for _, column := range columns {
		column.Release()
	}
	refused := b.refused
	b.rows, b.last, b.refused = 0, b.rows, nil
	if len(refused) == 0 {
		return batch
	}
	defer batch.Release()
	return without(batch, refused, b.alloc)
}

// Release frees what has not become a batch.
func (b *Builder[T]) Release() {
	for _, builder := range b.columns {
		builder.Release()
	}
	b.columns, b.rows, b.refused = nil, 0, nil
}

// without copies the rows between the ones to leave out.
func without(batch arrow.RecordBatch, rows []int, alloc memory.Allocator) arrow.RecordBatch {
	columns := make([]arrow.Array, batch.NumCols())
	for i, column := range batch.Columns() {
		columns[i] = columnWithout(column, rows, alloc)
		defer columns[i].Release()
	}
	return array.NewRecordBatch(batch.Schema(), columns, batch.NumRows()-int64(len(rows)))
}

func columnWithout(column arrow.Array, rows []int, alloc memory.Allocator) arrow.Array {
	var parts []arrow.Array
	from := 0
	for _, row := range append(rows, column.Len()) {
		part := array.NewSlice(column, int64(from), int64(row))
		defer part.Release()
		parts = append(parts, part)
		from = row + 1
	}
	kept, err := array.Concatenate(parts, alloc)
	if err != nil {
		panic(fmt.Sprintf("rows: %v", err)) // parts of one column have one type, and supported ones can be joined
	}
	return kept
}
