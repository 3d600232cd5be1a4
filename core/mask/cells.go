package mask

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// cells are the values of a fixed-width array to be.
type cells[T arrow.FixedWidthType] struct {
	alloc  memory.Allocator
	buffer *memory.Buffer
	values []T
}

func newCells[T arrow.FixedWidthType](alloc memory.Allocator, rows int) cells[T] {
	b := memory.NewResizableBuffer(alloc)
	var one [1]T
	b.Resize(rows * len(arrow.GetBytes(one[:])))
	return cells[T]{alloc: alloc, buffer: b, values: arrow.GetData[T](b.Bytes())}
}

// finish makes the array and ends the cells.
func (c *cells[T]) finish(dt arrow.DataType, n nulls) arrow.Array {
	defer c.buffer.Release()
	valid := n.bitmap(c.alloc, len(c.values))
	if valid != nil {
		defer valid.Release()
	}
	data := array.NewData(dt, len(c.values), []*memory.Buffer{valid, c.buffer}, nil, n.count, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// int64s are the values of an integer array that 64 bits with a sign hold.
func int64s(in arrow.Array) []int64 {
	switch a := in.(type) {
	case *array.Int64:
		return a.Values()
	case *array.Int32:
		return widened(a.Values())
	case *array.Int16:
		return widened(a.Values())
	case *array.Int8:
		return widened(a.Values())
	case *array.Uint32:
		return widened(a.Values())
	case *array.Uint16:
		return widened(a.Values())
	case *array.Uint8:
		return widened(a.Values())
	}
	return nil
}

func widened[T int8 | int16 | int32 | uint8 | uint16 | uint32](values []T) []int64 {
	out := make([]int64, len(values))
	for i, v := range values {
		out[i] = int64(v)
	}
	return out
}
