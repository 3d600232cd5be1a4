package arrowfile

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// convert brings values to a type: struct fields by name, list elements and everything else by a cast without loss.
func convert(ctx context.Context, alloc memory.Allocator, in arrow.Array, to arrow.DataType) (arrow.Array, error) {
	if arrow.TypeEqual(in.DataType(), to) {
		in.Retain()
		return in, nil
	}
	if in.DataType().ID() == arrow.NULL {
		return array.MakeArrayOfNull(alloc, to, in.Len()), nil
	}
	switch to := to.(type) {
	case *arrow.StructType:
		if s, ok := in.(*array.Struct); ok {
			return convertStruct(ctx, alloc, s, to)
		}
	case *arrow.ListType:
		if l, ok := in.(*array.List); ok {
			return convertList(ctx, alloc, l, to)
		}
	}
	return castSafely(ctx, in, to)
}

func convertStruct(ctx context.Context, alloc memory.Allocator, in *array.Struct, to *arrow.StructType) (arrow.Array, error) {
	// A copy without an offset lets the validity bits stand as they are.
	compact, err := array.Concatenate([]arrow.Array{in}, alloc)
	if err != nil {
		return nil, err
	}
	defer compact.Release()
	have := compact.(*array.Struct)
	from := have.DataType().(*arrow.StructType)
	children := make([]arrow.ArrayData, 0, to.NumFields())
	for _, f := range to.Fields() {
		child, err := convertChild(ctx, alloc, have, from, f)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", f.Name, err)
		}
		defer child.Release()
		children = append(children, child.Data())
	}
	data := array.NewData(to, have.Len(), have.Data().Buffers()[:1], children, have.NullN(), 0)
	defer data.Release()
	return array.NewStructData(data), nil
}

func convertChild(
	ctx context.Context, alloc memory.Allocator, have *array.Struct, from *arrow.StructType, f arrow.Field,
) (arrow.Array, error) {
	i, ok := from.FieldIdx(f.Name)
	if !ok {
		return array.MakeArrayOfNull(alloc, f.Type, have.Len()), nil
	}
	return convert(ctx, alloc, have.Field(i), f.Type)
}

func convertList(ctx context.Context, alloc memory.Allocator, in *array.List, to *arrow.ListType) (arrow.Array, error) {
	values, err := convert(ctx, alloc, in.ListValues(), to.Elem())
	if err != nil {
		return nil, err
	}
	defer values.Release()
	data := array.NewData(to, in.Len(), in.Data().Buffers(), []arrow.ArrayData{values.Data()}, in.NullN(), in.Data().Offset())
	defer data.Release()
	return array.NewListData(data), nil
}
