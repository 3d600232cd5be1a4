package main

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// nulled is an array with nulls in some rows more, as far as its type has nulls of its own. The caller releases it.
func nulled(values arrow.Array, alloc memory.Allocator, null func(row int) bool) arrow.Array {
	change := false
	for row := 0; row < values.Len() && !change; row++ {
		change = null(row) && values.IsValid(row)
	}
	if !change || slices.Contains(withoutNulls(), values.DataType().ID()) {
		values.Retain()
		return values
	}
	data := values.Data()
	validity := validityOf(alloc, data.Offset()+data.Len(), func(i int) bool {
		return i < data.Offset() || null(i-data.Offset()) || values.IsNull(i-data.Offset())
	})
	defer validity.Release()
	nulls := 0
	for row := range values.Len() {
		if null(row) || values.IsNull(row) {
			nulls++
		}
	}
	buffers := slices.Clone(data.Buffers())
	buffers[0] = validity
	masked := array.NewData(data.DataType(), data.Len(), buffers, slices.Clone(data.Children()), nulls, data.Offset())
	defer masked.Release()
	masked.SetDictionary(data.Dictionary())
	return array.MakeFromData(masked)
}

// withoutNulls are the types whose nulls are not in a bitmap.
func withoutNulls() []arrow.Type {
	return []arrow.Type{arrow.NULL, arrow.DENSE_UNION, arrow.SPARSE_UNION, arrow.RUN_END_ENCODED}
}

// validityOf is a bitmap of rows that are not null.
func validityOf(alloc memory.Allocator, rows int, null func(row int) bool) *memory.Buffer {
	validity := memory.NewResizableBuffer(alloc)
	validity.Resize(int(bitutil.BytesForBits(int64(rows))))
	clear(validity.Bytes())
	for row := range rows {
		if !null(row) {
			bitutil.SetBit(validity.Bytes(), row)
		}
	}
	return validity
}

// nullsOf is an array of nulls. Arrow's own way to make one panics at columns of type null.
func nullsOf(alloc memory.Allocator, kind arrow.DataType, rows int) arrow.Array {
	builder := array.NewBuilder(alloc, kind)
	defer builder.Release()
	builder.AppendNulls(rows)
	return builder.NewArray()
}
