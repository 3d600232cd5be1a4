package mask

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

type decodeFunc func(ctx context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error)

// decoder is how values lie in a type that wraps them, and the type that they have; nil for a type that doesn't.
func decoder(dt arrow.DataType) (arrow.DataType, decodeFunc) {
	switch t := dt.(type) {
	case *arrow.DictionaryType:
		return t.ValueType, func(ctx context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
			d := in.(*array.Dictionary)
			return compute.TakeArray(compute.WithAllocator(ctx, alloc), d.Dictionary(), d.Indices())
		}
	case *arrow.RunEndEncodedType:
		return t.Encoded(), decodeRuns
	case arrow.ExtensionType:
		return t.StorageType(), func(_ context.Context, _ memory.Allocator, in arrow.Array) (arrow.Array, error) {
			storage := in.(array.ExtensionArray).Storage()
			storage.Retain()
			return storage, nil
		}
	}
	return dt, nil
}

// decodeRuns gathers the values by row: Arrow's own decoder fails on slices of text with nulls.
func decodeRuns(ctx context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
	runs := in.(*array.RunEndEncoded)
	b := array.NewInt64Builder(alloc)
	defer b.Release()
	b.Reserve(runs.Len())
	for i := range runs.Len() {
		b.UnsafeAppend(int64(runs.GetPhysicalIndex(i)))
	}
	indices := b.NewArray()
	defer indices.Release()
	return compute.TakeArray(compute.WithAllocator(ctx, alloc), runs.Values(), indices)
}

func isUUID(dt arrow.DataType) bool {
	_, ok := dt.(*extensions.UUIDType)
	return ok
}
