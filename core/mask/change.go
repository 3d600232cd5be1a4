package mask

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/change"
)

// change plans _before, which holds the table's columns again, and _unchanged, which names them.
func (p *plan) change() {
	if p.changes.Op < 0 {
		return
	}
	for i := range p.fields {
		switch p.fields[i].Name {
		case change.ColumnBefore:
			p.before(&p.fields[i], &p.columns[i])
		case change.ColumnUnchanged:
			if len(p.drop) > 0 {
				p.columns[i].run = p.unchanged(p.fields[i])
			}
		}
	}
}

func (p *plan) before(f *arrow.Field, c *column) {
	var fields []arrow.Field
	var columns []column
	touched := false
	for i, inner := range f.Type.(*arrow.StructType).Fields() {
		if p.drop[inner.Name] {
			touched = true
			continue
		}
		one := column{from: i, name: inner.Name, key: slices.Contains(p.Key, inner.Name)}
		if p.mask(&inner, &one) {
			touched = true
		}
		fields, columns = append(fields, inner), append(columns, one)
	}
	if !touched {
		return
	}
	f.Type = arrow.StructOf(fields...)
	c.run = structKernel(f.Type, columns)
}

func structKernel(out arrow.DataType, columns []column) kernel {
	return func(ctx context.Context, c *call, in arrow.Array) (arrow.Array, error) {
		s, n := in.(*array.Struct), nullsOf(in)
		fields := make([]arrow.Array, len(columns))
		defer releaseAll(fields)
		children := make([]arrow.ArrayData, len(columns))
		for i := range columns {
			field, err := columns[i].within(ctx, c.alloc, n, s.Field(columns[i].from)) // Field accounts for the offset of a slice
			if err != nil {
				return nil, err
			}
			fields[i], children[i] = field, field.Data()
		}
		valid := n.bitmap(c.alloc, in.Len())
		if valid != nil {
			defer valid.Release()
		}
		data := array.NewData(out, in.Len(), []*memory.Buffer{valid}, children, n.count, 0)
		defer data.Release()
		return array.MakeFromData(data), nil
	}
}

// within masks a field of structs. What lies where a struct is null means nothing, so it is null for the mask.
func (c *column) within(ctx context.Context, alloc memory.Allocator, parent nulls, field arrow.Array) (arrow.Array, error) {
	id := field.DataType().ID()
	if c.run == nil || parent.count == 0 || id == arrow.NULL || id == arrow.RUN_END_ENCODED || arrow.IsUnion(id) {
		return c.apply(ctx, alloc, field)
	}
	field = nullWithin(alloc, parent, field)
	defer field.Release()
	return c.apply(ctx, alloc, field)
}

// nullWithin makes a field null where its struct is; the caller releases it. The field's type has a bitmap of its own.
func nullWithin(alloc memory.Allocator, parent nulls, field arrow.Array) arrow.Array {
	data := field.Data()
	length, offset := data.Len(), data.Offset()
	valid := memory.NewResizableBuffer(alloc)
	defer valid.Release()
	valid.Resize(int(bitutil.BytesForBits(int64(offset + length))))
	bitutil.CopyBitmap(parent.bits, parent.offset, length, valid.Bytes(), offset)
	if field.NullN() > 0 {
		bitutil.BitmapAnd(valid.Bytes(), field.NullBitmapBytes(), int64(offset), int64(offset), valid.Bytes(), int64(offset), int64(length))
	}
	buffers := append([]*memory.Buffer{valid}, data.Buffers()[1:]...)
	var out arrow.ArrayData
	if field.DataType().ID() == arrow.DICTIONARY {
		out = array.NewDataWithDictionary(field.DataType(), length, buffers, array.UnknownNullCount, offset, data.Dictionary().(*array.Data))
	} else {
		out = array.NewData(field.DataType(), length, buffers, data.Children(), array.UnknownNullCount, offset)
	}
	defer out.Release()
	return array.MakeFromData(out)
}

// unchanged takes the names of dropped columns out of the lists.
func (p *plan) unchanged(f arrow.Field) kernel {
	return func(_ context.Context, c *call, in arrow.Array) (arrow.Array, error) {
		lists := in.(*array.List)
		names := lists.ListValues().(*array.String)
		if !p.namesDropped(names) {
			in.Retain()
			return in, nil
		}
		b := array.NewBuilder(c.alloc, f.Type).(*array.ListBuilder)
		defer b.Release()
		kept := b.ValueBuilder().(*array.StringBuilder)
		for i := range lists.Len() {
			if lists.IsNull(i) {
				b.AppendNull()
				continue
			}
			b.Append(true)
			start, end := lists.ValueOffsets(i)
			for k := start; k < end; k++ {
				if name := names.Value(int(k)); !p.drop[name] {
					kept.Append(name)
				}
			}
		}
		return b.NewArray(), nil
	}
}

func (p *plan) namesDropped(names *array.String) bool {
	for i := range names.Len() {
		if p.drop[names.Value(i)] {
			return true
		}
	}
	return false
}
