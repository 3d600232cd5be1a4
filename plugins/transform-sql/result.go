package main

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/duckdb/duckdb-go/v2"

	"github.com/qanat-data/qanat/sdk"
)

// resultColumn is a column of the result with its DuckDB type.
type resultColumn struct {
	name string
	kind duckdb.Type
}

// result turns what DuckDB gives into batches of the planned schema.
type result struct {
	alloc  memory.Allocator
	schema *arrow.Schema
	casts  []cast // by column; nil keeps the column
}

// cast makes a column of another type. The array that it is given stays the caller's.
type cast func(alloc memory.Allocator, from arrow.Array) (arrow.Array, error)

// newResult plans the output's schema: DuckDB's own, except where Arrow's form of a DuckDB type would be worse than another.
func newResult(alloc memory.Allocator, columns []resultColumn, given *arrow.Schema) (*result, error) {
	if given.NumFields() != len(columns) {
		return nil, fmt.Errorf("the query has %d columns and its result %d", len(columns), given.NumFields())
	}
	r := &result{alloc: alloc, casts: make([]cast, len(columns))}
	fields := make([]arrow.Field, len(columns))
	for i, field := range given.Fields() {
		fields[i] = arrow.Field{Name: field.Name, Type: field.Type, Nullable: true}
		switch columns[i].kind {
		case duckdb.TYPE_HUGEINT, duckdb.TYPE_UHUGEINT:
			fields[i].Type, r.casts[i] = arrow.PrimitiveTypes.Int64, integers(field.Name)
		case duckdb.TYPE_UUID:
			fields[i].Type, r.casts[i] = extensions.NewUUIDType(), uuids
		case duckdb.TYPE_ENUM:
			fields[i].Type, r.casts[i] = arrow.BinaryTypes.String, plainTexts
		case duckdb.TYPE_BIGNUM, duckdb.TYPE_BIT, duckdb.TYPE_UNION, duckdb.TYPE_TIME_TZ, duckdb.TYPE_INTERVAL:
			return nil, fmt.Errorf("column %q has a type that datasets can't hold; cast it, to text for instance (%s::varchar)",
				field.Name, identifier(field.Name))
		}
	}
	r.schema = arrow.NewSchema(fields, nil)
	return r, nil
}

// join makes one batch out of DuckDB's chunks, which stay the caller's; nil if they have no rows.
func (r *result) join(chunks []arrow.RecordBatch) (arrow.RecordBatch, error) {
	var rows int64
	for _, chunk := range chunks {
		rows += chunk.NumRows()
	}
	if rows == 0 {
		return nil, nil
	}
	columns := make([]arrow.Array, 0, len(r.casts))
	defer func() {
		for _, column := range columns {
			column.Release()
		}
	}()
	for i := range r.casts {
		column, err := r.column(i, chunks)
		if err != nil {
			return nil, err
		}
		columns = append(columns, column)
	}
	return array.NewRecordBatch(r.schema, columns, rows), nil
}

func (r *result) column(i int, chunks []arrow.RecordBatch) (arrow.Array, error) {
	parts := make([]arrow.Array, len(chunks))
	for k, chunk := range chunks {
		parts[k] = chunk.Column(i)
	}
	whole, err := array.Concatenate(parts, r.alloc)
	if err != nil || r.casts[i] == nil {
		return whole, err
	}
	defer whole.Release()
	return r.casts[i](r.alloc, whole)
}

// emit sends a batch, if there is one, and gives it away.
func emit(ctx context.Context, out sdk.Output, name, origin string, record arrow.RecordBatch) error {
	if record == nil {
		return nil
	}
	return out.Batch(ctx, sdk.Batch{Stream: name, Origin: origin, Record: record})
}

// integers narrows DuckDB's 128-bit integers, which sums of integers are, to 64 bits; what doesn't fit is an error, never a wrong
// number.
func integers(name string) cast {
	return func(alloc memory.Allocator, from arrow.Array) (arrow.Array, error) {
		wide, ok := from.(*array.Decimal128)
		if !ok {
			return nil, fmt.Errorf("column %q: expected 128-bit integers from duckdb, not %s", name, from.DataType())
		}
		builder := array.NewInt64Builder(alloc)
		defer builder.Release()
		builder.Reserve(wide.Len())
		for i := range wide.Len() {
			if wide.IsNull(i) {
				builder.AppendNull()
				continue
			}
			value := wide.Value(i)
			number := int64(value.LowBits()) //nolint:gosec // checked below against the high bits
			if value.HighBits() != number>>63 {
				return nil, &valueError{text: fmt.Sprintf("column %q: %v doesn't fit 64 bits; cast it, for instance %s::decimal(38,0)",
					name, value.BigInt(), identifier(name))}
			}
			builder.UnsafeAppend(number)
		}
		return builder.NewArray(), nil
	}
}

// uuids makes binary UUIDs of DuckDB's textual ones.
func uuids(alloc memory.Allocator, from arrow.Array) (arrow.Array, error) {
	texts, ok := from.(*array.String)
	if !ok {
		return nil, fmt.Errorf("expected uuids as text from duckdb, not %s", from.DataType())
	}
	builder := extensions.NewUUIDBuilder(alloc)
	defer builder.Release()
	for i := range texts.Len() {
		if texts.IsNull(i) {
			builder.AppendNull()
			continue
		}
		if err := builder.AppendValueFromString(texts.Value(i)); err != nil {
			return nil, err
		}
	}
	return builder.NewArray(), nil
}

// plainTexts makes text of a dictionary of texts, which an ENUM is.
func plainTexts(alloc memory.Allocator, from arrow.Array) (arrow.Array, error) {
	coded, ok := from.(*array.Dictionary)
	if !ok {
		return nil, fmt.Errorf("expected a dictionary from duckdb, not %s", from.DataType())
	}
	words, ok := coded.Dictionary().(*array.String)
	if !ok {
		return nil, fmt.Errorf("expected a dictionary of texts from duckdb, not %s", coded.Dictionary().DataType())
	}
	builder := array.NewStringBuilder(alloc)
	defer builder.Release()
	for i := range coded.Len() {
		if coded.IsNull(i) {
			builder.AppendNull()
			continue
		}
		builder.Append(words.Value(coded.GetValueIndex(i)))
	}
	return builder.NewArray(), nil
}
