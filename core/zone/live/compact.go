package live

import (
	"context"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// stretch is rows that lie side by side and are kept.
type stretch struct{ from, to int }

// compact leaves out the rows of a batch whose bits are not set. Most rows are kept, so they are copied by stretches; Arrow's own filter
// copies value by value, and does so here for columns of rare types.
func compact(ctx context.Context, b arrow.RecordBatch, mask []byte) (arrow.RecordBatch, error) {
	rows := int(b.NumRows())
	kept := bitutil.CountSetBits(mask, 0, rows)
	stretches := stretchesOf(mask, rows)
	alloc := compute.GetAllocator(ctx)
	columns := make([]arrow.Array, 0, b.NumCols())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for _, c := range b.Columns() {
		out, err := compactColumn(ctx, alloc, c, mask, stretches, kept)
		if err != nil {
			return nil, err
		}
		columns = append(columns, out)
	}
	return array.NewRecordBatch(b.Schema(), columns, int64(kept)), nil
}

func stretchesOf(mask []byte, rows int) []stretch {
	var out []stretch
	for row := next(mask, 0, rows, 0); row < rows; {
		end := next(mask, row, rows, 0xff)
		out = append(out, stretch{row, end})
		row = next(mask, end, rows, 0)
	}
	return out
}

// next is the first row from one on whose bit is set; with flip 0xff, is not.
func next(mask []byte, row, rows int, flip byte) int {
	for ; row < rows; row = (row/8 + 1) * 8 {
		if rest := (mask[row/8] ^ flip) >> (row % 8); rest != 0 {
			return min(rows, row+bits.TrailingZeros8(rest))
		}
	}
	return rows
}

func compactColumn(
	ctx context.Context, alloc memory.Allocator, c arrow.Array, mask []byte, stretches []stretch, kept int,
) (arrow.Array, error) {
	data := c.Data()
	var buffers []*memory.Buffer
	switch t := c.DataType().(type) {
	case *arrow.StringType, *arrow.BinaryType:
		buffers = compactTexts(alloc, data, stretches, kept)
	case arrow.FixedWidthDataType:
		if t.BitWidth()%8 != 0 || t.ID() == arrow.EXTENSION || t.ID() == arrow.DICTIONARY || arrow.IsNested(t.ID()) {
			return filtered(ctx, c, mask)
		}
		buffers = []*memory.Buffer{nil, compactFixed(alloc, data, t.BitWidth()/8, stretches, kept)}
	default:
		return filtered(ctx, c, mask)
	}
	nulls := 0
	if c.NullN() > 0 {
		buffers[0], nulls = compactBits(alloc, data, stretches, kept), array.UnknownNullCount
	}
	out := array.NewData(c.DataType(), kept, buffers, nil, nulls, 0)
	defer out.Release()
	for _, buffer := range buffers {
		if buffer != nil {
			buffer.Release()
		}
	}
	return array.MakeFromData(out), nil
}

// filtered is Arrow's own way.
func filtered(ctx context.Context, c arrow.Array, mask []byte) (arrow.Array, error) {
	keep := array.NewBoolean(c.Len(), memory.NewBufferBytes(mask), nil, 0)
	defer keep.Release()
	return compute.FilterArray(ctx, c, keep, *compute.DefaultFilterOptions())
}

func room(alloc memory.Allocator, bytes int) *memory.Buffer {
	b := memory.NewResizableBuffer(alloc)
	b.Resize(bytes)
	return b
}

func compactFixed(alloc memory.Allocator, data arrow.ArrayData, width int, stretches []stretch, kept int) *memory.Buffer {
	from := data.Buffers()[1].Bytes()[data.Offset()*width:]
	out := room(alloc, kept*width)
	at := 0
	for _, s := range stretches {
		at += copy(out.Bytes()[at:], from[s.from*width:s.to*width])
	}
	return out
}

// compactTexts gives the buffers of a column of texts or bytes: none for nulls yet, where each value begins, and the values.
func compactTexts(alloc memory.Allocator, data arrow.ArrayData, stretches []stretch, kept int) []*memory.Buffer {
	begins := arrow.Int32Traits.CastFromBytes(data.Buffers()[1].Bytes())[data.Offset():]
	var bytes int32
	for _, s := range stretches {
		bytes += begins[s.to] - begins[s.from]
	}
	offsets, values := room(alloc, (kept+1)*arrow.Int32SizeBytes), room(alloc, int(bytes))
	to := arrow.Int32Traits.CastFromBytes(offsets.Bytes())
	at, row := int32(0), 0
	for _, s := range stretches {
		shift := at - begins[s.from]
		for i, begin := range begins[s.from:s.to] {
			to[row+i] = begin + shift
		}
		row += s.to - s.from
		if begins[s.to] > begins[s.from] {
			copy(values.Bytes()[at:], data.Buffers()[2].Bytes()[begins[s.from]:begins[s.to]])
		}
		at += begins[s.to] - begins[s.from]
	}
	to[row] = at
	return []*memory.Buffer{nil, offsets, values}
}

func compactBits(alloc memory.Allocator, data arrow.ArrayData, stretches []stretch, kept int) *memory.Buffer {
	out := room(alloc, int(bitutil.BytesForBits(int64(kept))))
	at := 0
	for _, s := range stretches {
		bitutil.CopyBitmap(data.Buffers()[0].Bytes(), data.Offset()+s.from, s.to-s.from, out.Bytes(), at)
		at += s.to - s.from
	}
	return out
}
