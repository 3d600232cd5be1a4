package wire

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// slack is what views may refer past before they are copied.
const slack = 64 << 10

// rebased returns the batch with the columns copied that Arrow's writer can't cut down to a slice: it fails on slices of list
// views and unions, and sends views with all of the buffers that the whole column refers to. The caller releases it.
func rebased(batch arrow.RecordBatch) (arrow.RecordBatch, error) {
	var columns []arrow.Array
	for i, column := range batch.Columns() {
		copied, err := rebasedColumn(column)
		if err != nil {
			return nil, err
		}
		if copied == nil {
			continue
		}
		defer copied.Release()
		if columns == nil {
			columns = append(columns, batch.Columns()...)
		}
		columns[i] = copied
	}
	if columns == nil {
		batch.Retain()
		return batch, nil
	}
	return array.NewRecordBatch(batch.Schema(), columns, batch.NumRows()), nil
}

// rebasedColumn is nil for a column that may stay.
func rebasedColumn(a arrow.Array) (arrow.Array, error) {
	switch view := a.(type) {
	case *array.StringView:
		if !wasteful(view) {
			return nil, nil
		}
		b := array.NewStringViewBuilder(memory.NewGoAllocator())
		defer b.Release()
		for i := range view.Len() {
			if view.IsNull(i) {
				b.AppendNull()
				continue
			}
			b.AppendString(view.Value(i))
		}
		return b.NewArray(), nil
	case *array.BinaryView:
		if !wasteful(view) {
			return nil, nil
		}
		b := array.NewBinaryViewBuilder(memory.NewGoAllocator())
		defer b.Release()
		for i := range view.Len() {
			if view.IsNull(i) {
				b.AppendNull()
				continue
			}
			b.Append(view.Value(i))
		}
		return b.NewArray(), nil
	case array.Union:
		return rebasedUnion(view), nil
	}
	if !holdsListViews(a.DataType()) {
		return nil, nil
	}
	return array.Concatenate([]arrow.Array{a}, memory.NewGoAllocator())
}

// rebasedUnion begins at the union's own first row and has the part of each child that its rows refer to.
func rebasedUnion(a array.Union) arrow.Array {
	codes := make([]byte, a.Len())
	for row := range codes {
		codes[row] = byte(a.TypeCode(row)) //nolint:gosec // the same eight bits
	}
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(codes)}
	children := make([]arrow.ArrayData, a.NumFields())
	for i := range children {
		children[i] = a.Field(i).Data()
	}
	if dense, ok := a.(*array.DenseUnion); ok {
		offsets := make([]int32, a.Len())
		for i := range children {
			from, to := denseRange(dense, i, offsets)
			part := array.NewSliceData(children[i], from, to)
			defer part.Release()
			children[i] = part
		}
		buffers = append(buffers, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets)))
	}
	data := array.NewData(a.DataType(), a.Len(), buffers, children, 0, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// denseRange is the range of a child's values that a dense union's rows refer to; the offsets become relative to it.
func denseRange(a *array.DenseUnion, child int, offsets []int32) (from, to int64) {
	from, to = int64(a.Field(child).Len()), 0
	for row := range offsets {
		if a.ChildID(row) == child {
			at := int64(a.ValueOffset(row))
			from, to = min(from, at), max(to, at+1)
		}
	}
	for row := range offsets {
		if a.ChildID(row) == child {
			offsets[row] = a.ValueOffset(row) - int32(from) //nolint:gosec // from is at most the row's own offset
		}
	}
	return min(from, to), to
}

func wasteful(a array.ViewLike) bool {
	var held int64
	for _, buffer := range a.Data().Buffers()[1:] {
		held += int64(buffer.Len())
	}
	return held > 2*viewSize(a)+slack
}

func holdsListViews(t arrow.DataType) bool {
	switch t := t.(type) {
	case *arrow.ListViewType, *arrow.LargeListViewType:
		return true
	case arrow.ExtensionType:
		return holdsListViews(t.StorageType())
	case arrow.NestedType:
		for _, field := range t.Fields() {
			if holdsListViews(field.Type) {
				return true
			}
		}
	}
	return false
}
