package arrowfile

import (
	"context"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/plugins/source-file/internal/column"
)

// plainType is how a column of the type is emitted: without dictionaries, whose values change from file to file, and without the
// metadata of nested fields, such as a Parquet file's own numbers of fields.
func plainType(t arrow.DataType) arrow.DataType {
	switch t := t.(type) {
	case *arrow.DictionaryType:
		return plainType(t.ValueType)
	case *arrow.LargeStringType:
		return arrow.BinaryTypes.String
	case *arrow.LargeBinaryType:
		return arrow.BinaryTypes.Binary
	case *arrow.ListType:
		return arrow.ListOfField(column.Field(t.ElemField().Name, plainType(t.Elem())))
	case *arrow.StructType:
		children := make([]arrow.Field, t.NumFields())
		for i, f := range t.Fields() {
			children[i] = column.Field(f.Name, plainType(f.Type))
		}
		return arrow.StructOf(children...)
	}
	return t
}

// plainFields are nullable, since other files of the stream may lack them.
func plainFields(schema *arrow.Schema) []arrow.Field {
	fields := make([]arrow.Field, schema.NumFields())
	for i, f := range schema.Fields() {
		fields[i] = column.Field(f.Name, plainType(f.Type))
	}
	return fields
}

// rowsBlock is some rows of a file in the file's types.
type rowsBlock struct {
	record arrow.RecordBatch
	first  int64 // the number of its first row in the file, from 0
	end    block.Mark
}

// End implements block.Block.
func (b *rowsBlock) End() block.Mark { return b.end }

// Bind implements block.Block: columns by name, values cast where the stream's type differs. A row with a value that can't be cast
// without loss is rejected.
func (b *rowsBlock) Bind(ctx context.Context, alloc memory.Allocator, schema *arrow.Schema) (rows block.Rows, err error) {
	err = guard(func() error {
		rows, err = b.bind(compute.WithAllocator(ctx, block.Unlimited(alloc)), alloc, schema)
		return err
	})
	return rows, err
}

func (b *rowsBlock) bind(ctx context.Context, alloc memory.Allocator, schema *arrow.Schema) (block.Rows, error) {
	bad := block.Bad{}
	columns := make([]arrow.Array, schema.NumFields())
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, f := range schema.Fields() {
		at := b.record.Schema().FieldIndices(f.Name)
		if len(at) == 0 {
			columns[i] = array.MakeArrayOfNull(alloc, f.Type, int(b.record.NumRows()))
			continue
		}
		var err error
		if columns[i], err = b.cast(ctx, alloc, b.record.Column(at[0]), f, bad); err != nil {
			return block.Rows{}, err
		}
	}
	b.checkText(schema, columns, bad)
	return bad.Finish(ctx, alloc, array.NewRecordBatch(schema, columns, b.record.NumRows()), nil)
}

func (b *rowsBlock) cast(ctx context.Context, alloc memory.Allocator, in arrow.Array, to arrow.Field, bad block.Bad) (arrow.Array, error) {
	out, err := convert(ctx, alloc, in, to.Type)
	if _, fault := block.AsFault(err); err == nil || fault {
		return out, err
	}
	return b.castEach(ctx, alloc, in, to, bad)
}

// castSafely refuses values that would change.
func castSafely(ctx context.Context, in arrow.Array, to arrow.DataType) (out arrow.Array, err error) {
	if !compute.CanCast(in.DataType(), to) {
		return nil, fmt.Errorf("%s can't become %s", in.DataType(), to)
	}
	if dictionary, ok := in.(*array.Dictionary); ok && expanded(dictionary) > block.MaxMemory {
		return nil, block.TooMuchMemory()
	}
	if ints, ok := in.(*array.Int64); ok && to.ID() == arrow.FLOAT64 && inexact(ints) {
		return nil, fmt.Errorf("an integer has more digits than %s can hold", to)
	}
	if to.ID() == arrow.STRING && !arrow.IsBaseBinary(in.DataType().ID()) && in.DataType().ID() != arrow.DICTIONARY {
		return asText(compute.GetAllocator(ctx), in), nil
	}
	return compute.CastArray(ctx, in, compute.SafeCastOptions(to))
}

// asText is the values as text. The library's cast of numbers to text leaks memory.
func asText(alloc memory.Allocator, in arrow.Array) arrow.Array {
	builder := array.NewStringBuilder(alloc)
	defer builder.Release()
	builder.Reserve(in.Len())
	for i := range in.Len() {
		if in.IsNull(i) {
			builder.AppendNull()
		} else {
			builder.Append(in.ValueStr(i))
		}
	}
	return builder.NewArray()
}

// inexact says whether a value is not exact as float64.
func inexact(ints *array.Int64) bool {
	for i, v := range ints.Int64Values() {
		if f := float64(v); ints.IsValid(i) && (math.Abs(f) >= math.MaxInt64 || int64(f) != v) {
			return true
		}
	}
	return false
}

// castEach casts row by row, to find those that can't be.
func (b *rowsBlock) castEach(ctx context.Context, alloc memory.Allocator, in arrow.Array, to arrow.Field, bad block.Bad) (arrow.Array, error) {
	parts := make([]arrow.Array, 0, in.Len())
	defer func() {
		for _, p := range parts {
			p.Release()
		}
	}()
	for i := range in.Len() {
		one := array.NewSlice(in, int64(i), int64(i+1))
		out, err := convert(ctx, alloc, one, to.Type)
		if err != nil && one.IsNull(0) {
			out, err = array.MakeArrayOfNull(alloc, to.Type, 1), nil
		}
		if err != nil {
			bad.Add(i, b.rejection(i, block.WrongType, fmt.Sprintf("column %q: %s is no %s: %v", to.Name, shown(in.ValueStr(i)), column.Text(to), err)))
			out = array.MakeArrayOfNull(alloc, to.Type, 1)
		}
		one.Release()
		parts = append(parts, out)
	}
	return array.Concatenate(parts, alloc)
}

func (b *rowsBlock) rejection(row int, code, reason string) block.Reject {
	one := b.record.NewSlice(int64(row), int64(row+1))
	defer one.Release()
	raw, err := one.MarshalJSON()
	if err != nil {
		raw = nil
	}
	return block.Reject{Line: b.first + int64(row) + 1, Code: code, Reason: reason, Raw: block.Raw(raw)}
}

func shown(value string) string {
	const most = 80
	if len(value) > most {
		return fmt.Sprintf("%q…", value[:most])
	}
	return fmt.Sprintf("%q", value)
}
