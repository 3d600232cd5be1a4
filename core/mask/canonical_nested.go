package mask

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// nestedAppender returns nil for what holds no other values.
func nestedAppender(in arrow.Array) appendValue {
	switch a := in.(type) {
	case *array.Map:
		return mapAppender(a)
	case *array.Struct:
		return structAppender(a)
	case array.ListLike:
		return listAppender(a)
	}
	inner, row := held(in)
	if row == nil {
		return nil
	}
	values := make([]appendValue, len(inner))
	for i, one := range inner {
		values[i] = appender(one)
	}
	return func(dst []byte, i int) []byte {
		which, at := row(i)
		return values[which](dst, at)
	}
}

// held is, for types that only wrap others, the arrays that hold the values and where among them that of a row is; else nil.
func held(in arrow.Array) ([]arrow.Array, func(i int) (which, at int)) {
	switch a := in.(type) {
	case array.ExtensionArray:
		return []arrow.Array{a.Storage()}, func(i int) (int, int) { return 0, i }
	case *array.Dictionary:
		return []arrow.Array{a.Dictionary()}, func(i int) (int, int) { return 0, a.GetValueIndex(i) }
	case *array.RunEndEncoded:
		return []arrow.Array{a.Values()}, func(i int) (int, int) { return 0, a.GetPhysicalIndex(i) }
	case *array.SparseUnion:
		return unionFields(a), func(i int) (int, int) { return a.ChildID(i), i }
	case *array.DenseUnion:
		return unionFields(a), func(i int) (int, int) { return a.ChildID(i), int(a.ValueOffset(i)) }
	}
	return nil, nil
}

func unionFields(u array.Union) []arrow.Array {
	fields := make([]arrow.Array, u.NumFields())
	for i := range fields {
		fields[i] = u.Field(i)
	}
	return fields
}

// nullTest also looks at what wrapped values are.
func nullTest(in arrow.Array) func(i int) bool {
	inner, row := held(in)
	if row == nil {
		return in.IsNull
	}
	tests := make([]func(int) bool, len(inner))
	for i, one := range inner {
		tests[i] = nullTest(one)
	}
	return func(i int) bool {
		if in.IsNull(i) {
			return true
		}
		which, at := row(i)
		return tests[which](at)
	}
}

// elementAppender appends values of any length, null or not, so that they can be told apart.
func elementAppender(in arrow.Array) appendValue {
	isNull, value := nullTest(in), appender(in)
	return func(dst []byte, i int) []byte {
		if isNull(i) {
			return append(dst, 0)
		}
		start := len(dst)
		dst = value(append(dst, 1, 0, 0, 0, 0), i)
		binary.BigEndian.PutUint32(dst[start+1:], uint32(len(dst)-start-5)) //nolint:gosec // a value of a batch
		return dst
	}
}

func listAppender(a array.ListLike) appendValue {
	element := elementAppender(a.ListValues())
	return func(dst []byte, i int) []byte {
		dst = append(dst, tagList)
		start, end := a.ValueOffsets(i)
		for k := start; k < end; k++ {
			dst = element(dst, int(k))
		}
		return dst
	}
}

func mapAppender(a *array.Map) appendValue {
	key, item := elementAppender(a.Keys()), elementAppender(a.Items())
	return func(dst []byte, i int) []byte {
		dst = append(dst, tagMap)
		start, end := a.ValueOffsets(i)
		for k := start; k < end; k++ {
			dst = item(key(dst, int(k)), int(k))
		}
		return dst
	}
}

func structAppender(a *array.Struct) appendValue {
	t := a.DataType().(*arrow.StructType)
	names, values := make([][]byte, t.NumFields()), make([]appendValue, t.NumFields())
	for i, f := range t.Fields() {
		names[i] = append(binary.BigEndian.AppendUint32(nil, uint32(len(f.Name))), f.Name...) //nolint:gosec // a name
		values[i] = elementAppender(a.Field(i))
	}
	return func(dst []byte, i int) []byte {
		dst = append(dst, tagStruct)
		for k, value := range values {
			dst = value(append(dst, names[k]...), i)
		}
		return dst
	}
}
