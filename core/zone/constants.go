package zone

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// maxTexts bounds the constant text columns that are kept; batches of a unit have
// few sources.
const maxTexts = 16

// constants makes columns of one value. It builds each once for the longest batch
// seen and hands out slices.
type constants struct {
	alloc   memory.Allocator
	ints    map[string]arrow.Array
	strings map[string]arrow.Array
}

func newConstants(alloc memory.Allocator) *constants {
	return &constants{alloc: alloc, ints: map[string]arrow.Array{}, strings: map[string]arrow.Array{}}
}

// int64 is a column of an eight-byte type; a stage uses one value per type.
func (c *constants) int64(dt arrow.DataType, value int64, rows int) arrow.Array {
	return take(c.ints, dt.String(), rows, func(n int) arrow.Array {
		buffer := memory.NewResizableBuffer(c.alloc)
		defer buffer.Release()
		buffer.Resize(arrow.Int64Traits.BytesRequired(n))
		values := arrow.Int64Traits.CastFromBytes(buffer.Bytes())
		for i := range values {
			values[i] = value
		}
		data := array.NewData(dt, n, []*memory.Buffer{nil, buffer}, nil, 0, 0)
		defer data.Release()
		return array.MakeFromData(data)
	})
}

func (c *constants) text(value string, rows int) arrow.Array {
	if _, ok := c.strings[value]; !ok && len(c.strings) >= maxTexts {
		releaseMap(c.strings)
	}
	return take(c.strings, value, rows, func(n int) arrow.Array {
		b := array.NewStringBuilder(c.alloc)
		defer b.Release()
		b.Reserve(n)
		b.ReserveData(n * len(value))
		for range n {
			b.Append(value)
		}
		return b.NewArray()
	})
}

func take(kept map[string]arrow.Array, key string, rows int, build func(int) arrow.Array) arrow.Array {
	column, ok := kept[key]
	if !ok || column.Len() < rows {
		if ok {
			column.Release()
		}
		column = build(rows)
		kept[key] = column
	}
	return array.NewSlice(column, 0, int64(rows))
}

func (c *constants) release() {
	releaseMap(c.ints)
	releaseMap(c.strings)
}

func releaseMap(m map[string]arrow.Array) {
	for key, column := range m {
		column.Release()
		delete(m, key)
	}
}
