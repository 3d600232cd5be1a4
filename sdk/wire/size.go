package wire

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Cut calls yield with slices of the batch that are about TargetBody large each and have at most MaxRows rows. It cuts by the
// average row, and again where rows differ much. A slice is released after its call; the batch stays the caller's.
func Cut(batch arrow.RecordBatch, yield func(arrow.RecordBatch) error) error {
	rows, step := batch.NumRows(), int64(MaxRows)
	if size := Size(batch); size > TargetBody {
		step = min(step, max(1, rows*TargetBody/size))
	}
	if rows <= step {
		return yield(batch)
	}
	for from := int64(0); from < rows; from += step {
		if err := yieldSlice(batch, from, min(from+step, rows), yield); err != nil {
			return err
		}
	}
	return nil
}

func yieldSlice(batch arrow.RecordBatch, from, to int64, yield func(arrow.RecordBatch) error) error {
	part := batch.NewSlice(from, to)
	defer part.Release()
	if to-from > 1 && Size(part) > 2*TargetBody {
		return Cut(part, yield)
	}
	return yield(part)
}

// Oversized returns the index of the first row of at least limit bytes from row on, or -1.
func Oversized(batch arrow.RecordBatch, from int, limit int64) int {
	return oversized(batch, from, int(batch.NumRows()), limit)
}

// oversized halves the range until it is too small to hold such a row.
func oversized(batch arrow.RecordBatch, from, to int, limit int64) int {
	if from >= to {
		return -1
	}
	part := batch.NewSlice(int64(from), int64(to))
	size := Size(part)
	part.Release()
	if size < limit {
		return -1
	}
	if to-from == 1 {
		return from
	}
	middle := from + (to-from)/2
	if row := oversized(batch, from, middle, limit); row >= 0 {
		return row
	}
	return oversized(batch, middle, to, limit)
}

// Size is the number of bytes of the batch's values as they travel: of a slice, only its own rows. Dictionaries are left out,
// because they travel once.
func Size(batch arrow.RecordBatch) int64 {
	var size int64
	for _, column := range batch.Columns() {
		size += arraySize(column)
	}
	return size
}

func arraySize(a arrow.Array) int64 {
	n := a.Len()
	if n == 0 {
		return 0
	}
	if a.NullN() > 0 && a.DataType().ID() != arrow.NULL {
		return int64(n+7)/8 + valuesSize(a)
	}
	return valuesSize(a)
}

func valuesSize(a arrow.Array) int64 {
	n := int64(a.Len())
	switch a := a.(type) {
	case *array.Null:
		return 0
	case array.ViewLike:
		return viewSize(a)
	case array.BinaryLike:
		return int64(len(a.ValueBytes())) + n*offsetWidth(a)
	case *array.Struct:
		var size int64
		for i := range a.NumField() {
			size += arraySize(a.Field(i))
		}
		return size
	case *array.FixedSizeList:
		return listSize(a)
	case array.ListLike:
		return listSize(a) + n*offsetWidth(a)
	case array.Union:
		return unionSize(a)
	case *array.RunEndEncoded:
		return runsSize(a)
	case *array.Dictionary:
		return arraySize(a.Indices())
	case array.ExtensionArray:
		return arraySize(a.Storage())
	}
	if fixed, ok := a.DataType().(arrow.FixedWidthDataType); ok {
		return (int64(fixed.BitWidth())*n + 7) / 8
	}
	return n * 16
}

// offsetWidth is what a row costs beside its values: an offset, and a size in list views.
func offsetWidth(a arrow.Array) int64 {
	switch a.DataType().ID() {
	case arrow.LARGE_LIST_VIEW:
		return 16
	case arrow.LARGE_BINARY, arrow.LARGE_STRING, arrow.LARGE_LIST, arrow.LIST_VIEW:
		return 8
	}
	return 4
}

func viewSize(a array.ViewLike) int64 {
	size := int64(a.Len() * arrow.ViewHeaderSizeBytes)
	for i := range a.Len() {
		if header := a.ValueHeader(i); !header.IsInline() && a.IsValid(i) {
			size += int64(header.Len())
		}
	}
	return size
}

// listSize is the size of the values from the first to the last that a list refers to.
func listSize(a array.ListLike) int64 {
	from, _ := a.ValueOffsets(0)
	_, to := a.ValueOffsets(a.Len() - 1)
	if id := a.DataType().ID(); id == arrow.LIST_VIEW || id == arrow.LARGE_LIST_VIEW {
		for i := range a.Len() {
			start, end := a.ValueOffsets(i)
			from, to = min(from, start), max(to, end)
		}
	}
	return rangeSize(a.ListValues(), from, to)
}

func rangeSize(values arrow.Array, from, to int64) int64 {
	if to <= from {
		return 0
	}
	part := array.NewSlice(values, from, to)
	defer part.Release()
	return arraySize(part)
}

// unionSize takes the average value of a dense union's child for each of its rows.
func unionSize(a array.Union) int64 {
	size := int64(a.Len())
	if a.Mode() == arrow.SparseMode {
		for i := range a.NumFields() {
			size += arraySize(a.Field(i))
		}
		return size
	}
	rows := make([]int64, a.NumFields())
	for i := range a.Len() {
		rows[a.ChildID(i)]++
	}
	for i, n := range rows {
		if child := a.Field(i); child.Len() > 0 {
			size += arraySize(child) * n / int64(child.Len())
		}
	}
	return size + int64(a.Len()*arrow.Int32SizeBytes)
}

func runsSize(a *array.RunEndEncoded) int64 {
	from := int64(a.GetPhysicalOffset())
	to := from + int64(a.GetPhysicalLength())
	return rangeSize(a.RunEndsArr(), from, to) + rangeSize(a.Values(), from, to)
}
