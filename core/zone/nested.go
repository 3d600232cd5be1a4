package zone

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func mapNested(dt arrow.DataType) (mapping, error) {
	switch t := dt.(type) {
	case *arrow.StructType:
		return mapStruct(t)
	case *arrow.MapType:
		return mapMap(t)
	case arrow.ListLikeType:
		return mapList(t)
	}
	return mapping{}, fmt.Errorf("type %s can't be stored", dt)
}

func mapStruct(t *arrow.StructType) (mapping, error) {
	if t.NumFields() == 0 {
		return mapping{to: arrow.FixedWidthTypes.Boolean, cast: presence, nullable: true, lossy: "true where the struct is present"}, nil
	}
	fields := make([]arrow.Field, t.NumFields())
	casts := make([]cast, t.NumFields())
	changed := false
	var lossy []string
	seen := map[string]bool{}
	for i, f := range t.Fields() {
		if f.Name == "" || seen[f.Name] {
			return mapping{}, fmt.Errorf("field %q: a struct's fields need names that differ", f.Name)
		}
		seen[f.Name] = true
		m, err := mapType(f.Type)
		if err != nil {
			return mapping{}, fmt.Errorf("field %q: %w", f.Name, err)
		}
		fields[i] = arrow.Field{Name: f.Name, Type: m.to, Nullable: f.Nullable || m.nullable}
		casts[i] = m.cast
		changed = changed || m.cast != nil
		if m.lossy != "" {
			lossy = append(lossy, f.Name+": "+m.lossy)
		}
	}
	m := mapping{to: arrow.StructOf(fields...), lossy: strings.Join(lossy, ", ")}
	if changed {
		m.cast = structCast(m.to, casts)
	}
	return m, nil
}

func structCast(to arrow.DataType, casts []cast) cast {
	return func(ctx context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
		s := in.(*array.Struct)
		columns := make([]arrow.Array, len(casts))
		defer releaseAll(columns)
		children := make([]arrow.ArrayData, len(casts))
		for i, convert := range casts {
			column, err := convert.apply(ctx, alloc, s.Field(i))
			if err != nil {
				return nil, err
			}
			columns[i], children[i] = column, column.Data()
		}
		// Field already accounts for the offset, the bitmap doesn't.
		valid := validity(alloc, in)
		if valid != nil {
			defer valid.Release()
		}
		data := array.NewData(to, in.Len(), []*memory.Buffer{valid}, children, in.NullN(), 0)
		defer data.Release()
		return array.MakeFromData(data), nil
	}
}

// validity copies the null bitmap to offset zero; nil means that nothing is null.
func validity(alloc memory.Allocator, in arrow.Array) *memory.Buffer {
	if in.NullN() == 0 {
		return nil
	}
	b := memory.NewResizableBuffer(alloc)
	b.Resize(int(bitutil.BytesForBits(int64(in.Len()))))
	bitutil.CopyBitmap(in.NullBitmapBytes(), in.Data().Offset(), in.Len(), b.Bytes(), 0)
	return b
}

func presence(_ context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
	b := array.NewBooleanBuilder(alloc)
	defer b.Release()
	for i := range in.Len() {
		if in.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(true)
	}
	return b.NewArray(), nil
}

func mapMap(t *arrow.MapType) (mapping, error) {
	key, err := mapType(t.KeyType())
	if err != nil {
		return mapping{}, fmt.Errorf("map key: %w", err)
	}
	item, err := mapType(t.ItemType())
	if err != nil {
		return mapping{}, fmt.Errorf("map value: %w", err)
	}
	to := arrow.MapOfFields(
		arrow.Field{Name: "key", Type: key.to},
		arrow.Field{Name: "value", Type: item.to, Nullable: t.ItemField().Nullable || item.nullable})
	m := mapping{to: to, lossy: strings.Trim(key.lossy+", "+item.lossy, ", ")}
	if key.cast != nil || item.cast != nil {
		entries := structCast(to.Elem(), []cast{key.cast, item.cast})
		m.cast = offsetsCast(to, entries)
	} else if !arrow.TypeEqual(t, to) {
		m.cast = offsetsCast(to, relabelTo(to.Elem()))
	}
	return m, nil
}

func relabelTo(to arrow.DataType) cast {
	return func(_ context.Context, _ memory.Allocator, in arrow.Array) (arrow.Array, error) {
		return relabel(in, to), nil
	}
}

func mapList(t arrow.ListLikeType) (mapping, error) {
	element, err := mapType(t.Elem())
	if err != nil {
		return mapping{}, fmt.Errorf("list element: %w", err)
	}
	nullable := element.nullable
	if f, ok := t.(interface{ ElemField() arrow.Field }); ok {
		nullable = nullable || f.ElemField().Nullable
	}
	to := arrow.ListOfField(arrow.Field{Name: "element", Type: element.to, Nullable: nullable})
	m := mapping{to: to, lossy: element.lossy}
	switch t.(type) {
	case *arrow.ListType:
		if element.cast != nil {
			m.cast = offsetsCast(to, element.cast)
		}
	case *arrow.LargeListType:
		m.cast = largeListCast(to, element.cast)
	default: // fixed size lists and list views
		m.cast = gatherCast(to, element.cast)
	}
	return m, nil
}

// offsetsCast converts the child of a list or map and keeps its offsets.
func offsetsCast(to arrow.DataType, element cast) cast {
	return func(ctx context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
		d := in.Data()
		child := array.MakeFromData(d.Children()[0])
		defer child.Release()
		values, err := element.apply(ctx, alloc, child)
		if err != nil {
			return nil, err
		}
		defer values.Release()
		data := array.NewData(to, d.Len(), d.Buffers(), []arrow.ArrayData{values.Data()}, d.NullN(), d.Offset())
		defer data.Release()
		return array.MakeFromData(data), nil
	}
}

func largeListCast(to arrow.DataType, element cast) cast {
	return func(ctx context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
		list := in.(*array.LargeList)
		first, last := int64(0), int64(0)
		if in.Len() > 0 {
			first, _ = list.ValueOffsets(0)
			_, last = list.ValueOffsets(in.Len() - 1)
		}
		child := array.NewSlice(list.ListValues(), first, last)
		defer child.Release()
		length := func(i int) int64 { start, end := list.ValueOffsets(i); return end - start }
		return rebuildList(ctx, alloc, in, to, child, element, length)
	}
}

// gatherCast collects the elements of lists whose layout has no plain offsets.
func gatherCast(to arrow.DataType, element cast) cast {
	return func(ctx context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
		list := in.(array.ListLike)
		indices := array.NewInt64Builder(alloc)
		defer indices.Release()
		length := func(i int) int64 {
			if in.IsNull(i) {
				return 0
			}
			start, end := list.ValueOffsets(i)
			return end - start
		}
		for i := range in.Len() {
			start, _ := list.ValueOffsets(i)
			for k := range length(i) {
				indices.Append(start + k)
			}
		}
		picks := indices.NewArray()
		defer picks.Release()
		child, err := compute.TakeArray(ctx, list.ListValues(), picks)
		if err != nil {
			return nil, err
		}
		defer child.Release()
		return rebuildList(ctx, alloc, in, to, child, element, length)
	}
}

// rebuildList makes a list from elements that lie one list after the other.
func rebuildList(
	ctx context.Context, alloc memory.Allocator, in arrow.Array, to arrow.DataType,
	child arrow.Array, element cast, length func(int) int64,
) (arrow.Array, error) {
	if child.Len() > math.MaxInt32 {
		return nil, fmt.Errorf("lists hold %d elements in one batch, at most %d are possible", child.Len(), math.MaxInt32)
	}
	values, err := element.apply(ctx, alloc, child)
	if err != nil {
		return nil, err
	}
	defer values.Release()
	offsets := memory.NewResizableBuffer(alloc)
	defer offsets.Release()
	offsets.Resize(arrow.Int32Traits.BytesRequired(in.Len() + 1))
	ends := arrow.Int32Traits.CastFromBytes(offsets.Bytes())
	ends[0] = 0
	for i := range in.Len() {
		ends[i+1] = ends[i] + int32(length(i)) //nolint:gosec // bounded by the check above
	}
	valid := validity(alloc, in)
	if valid != nil {
		defer valid.Release()
	}
	data := array.NewData(to, in.Len(), []*memory.Buffer{valid, offsets}, []arrow.ArrayData{values.Data()}, in.NullN(), 0)
	defer data.Release()
	return array.MakeFromData(data), nil
}
