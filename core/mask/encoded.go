package mask

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// valueType is the type of the values of dictionaries, runs and extension types; false for other types.
func valueType(dt arrow.DataType) (arrow.DataType, bool) {
	switch t := dt.(type) {
	case *arrow.DictionaryType:
		return t.ValueType, true
	case *arrow.RunEndEncodedType:
		return t.Encoded(), true
	case arrow.ExtensionType:
		return t.StorageType(), true
	}
	return dt, false
}

// leafOf is the array that holds the values of an array of such a type, and where in it that of a row is. The array itself is its leaf if
// it is not of such a type.
func leafOf(in arrow.Array) (leaf arrow.Array, row func(i int) int) {
	row = func(i int) int { return i }
	if _, wrapped := valueType(in.DataType()); !wrapped {
		return in, row
	}
	inner, at := held(in)
	leaf, deeper := leafOf(inner[0])
	return leaf, func(i int) int {
		_, k := at(i)
		return deeper(k)
	}
}

// flat lays out the values of dictionaries, runs and extension types row by row, if they have a fixed width: Arrow's own functions for this don't know all types, and fail on slices of runs. The
// caller releases the result.
func flat(alloc memory.Allocator, in arrow.Array) arrow.Array {
	leaf, row := leafOf(in)
	n := nullsOf(in)
	width := leaf.DataType().(arrow.FixedWidthDataType).BitWidth() / 8
	from := leaf.Data().Buffers()[1].Bytes()[leaf.Data().Offset()*width:]
	values := memory.NewResizableBuffer(alloc)
	defer values.Release()
	values.Resize(in.Len() * width)
	to := values.Bytes()
	clear(to)
	for i := range in.Len() {
		if !n.at(i) {
			copy(to[i*width:(i+1)*width], from[row(i)*width:])
		}
	}
	valid := n.bitmap(alloc, in.Len())
	if valid != nil {
		defer valid.Release()
	}
	data := array.NewData(leaf.DataType(), in.Len(), []*memory.Buffer{valid, values}, nil, n.count, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

func isUUID(dt arrow.DataType) bool {
	_, ok := dt.(*extensions.UUIDType)
	return ok
}
