package zone

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// grown is the type that holds the values of a column and of what comes in: itself where nothing is new; false if there is none. Structs
// grow by fields, wherever they are in it. A field that doesn't come in is null.
func grown(have, in arrow.DataType) (arrow.DataType, bool) {
	switch {
	case arrow.TypeEqual(have, in), widens(in, have):
		return have, true
	case widens(have, in):
		return in, true
	case have.ID() != in.ID():
		return nil, false
	}
	switch have := have.(type) {
	case *arrow.StructType:
		return grownStruct(have, in.(*arrow.StructType))
	case *arrow.ListType:
		if element, ok := grownField(have.ElemField(), in.(*arrow.ListType).ElemField()); ok {
			return arrow.ListOfField(element), true
		}
	case *arrow.MapType:
		in := in.(*arrow.MapType)
		if item, ok := grownField(have.ItemField(), in.ItemField()); ok && arrow.TypeEqual(have.KeyType(), in.KeyType()) {
			return arrow.MapOfFields(have.KeyField(), item), true
		}
	}
	return nil, false
}

func grownField(have, in arrow.Field) (arrow.Field, bool) {
	t, ok := grown(have.Type, in.Type)
	have.Type, have.Nullable = t, have.Nullable || in.Nullable
	return have, ok
}

func grownStruct(have, in *arrow.StructType) (arrow.DataType, bool) {
	fields := slices.Clone(have.Fields())
	for i, f := range fields {
		incoming, found := in.FieldByName(f.Name)
		if !found {
			fields[i].Nullable = true
			continue
		}
		var ok bool
		if fields[i], ok = grownField(f, incoming); !ok {
			return nil, false
		}
	}
	for _, f := range in.Fields() {
		if _, found := have.FieldByName(f.Name); !found {
			f.Nullable = true
			fields = append(fields, f)
		}
	}
	return arrow.StructOf(fields...), true
}

// conforms brings arrays of a type to one that has grown from it; false if it has not. A nil cast keeps them.
func conforms(from, to arrow.DataType) (cast, bool) {
	switch {
	case arrow.TypeEqual(from, to):
		return nil, true
	case widens(from, to):
		return computeCast(to), true
	case from.ID() != to.ID():
		return nil, false
	}
	switch to := to.(type) {
	case *arrow.StructType:
		return conformingStruct(from.(*arrow.StructType), to)
	case *arrow.ListType:
		element, ok := conformsTo(from.(*arrow.ListType).ElemField(), to.ElemField())
		return offsetsCast(to, element), ok
	case *arrow.MapType:
		entries, ok := conforms(from.(*arrow.MapType).Elem(), to.Elem())
		return offsetsCast(to, entries), ok
	}
	return nil, false
}

// conformsTo is for a part of a nested type.
func conformsTo(from, to arrow.Field) (cast, bool) {
	if from.Nullable && !to.Nullable {
		return nil, false
	}
	c, ok := conforms(from.Type, to.Type)
	return c, ok
}

func conformingStruct(from, to *arrow.StructType) (cast, bool) {
	source := make([]int, to.NumFields())
	casts := make([]cast, to.NumFields())
	taken := 0
	for i, f := range to.Fields() {
		at, found := from.FieldIdx(f.Name)
		source[i] = at
		if !found {
			if source[i] = -1; !f.Nullable {
				return nil, false
			}
			continue
		}
		taken++
		var ok bool
		if casts[i], ok = conformsTo(from.Field(at), f); !ok {
			return nil, false
		}
	}
	if taken != from.NumFields() {
		return nil, false
	}
	return func(ctx context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
		s := in.(*array.Struct)
		columns := make([]arrow.Array, len(source))
		defer releaseAll(columns)
		children := make([]arrow.ArrayData, len(source))
		for i, at := range source {
			if at < 0 {
				columns[i] = array.MakeArrayOfNull(alloc, to.Field(i).Type, in.Len())
			} else {
				var err error
				if columns[i], err = casts[i].apply(ctx, alloc, s.Field(at)); err != nil {
					return nil, err
				}
			}
			children[i] = columns[i].Data()
		}
		// Field already accounts for the offset, the bitmap doesn't.
		valid := validity(alloc, in)
		if valid != nil {
			defer valid.Release()
		}
		data := array.NewData(to, in.Len(), []*memory.Buffer{valid}, children, in.NullN(), 0)
		defer data.Release()
		return array.MakeFromData(data), nil
	}, true
}

// grow makes a column of a table grow to a type, part by part: parts keep their ids, so that files written before are read right.
func grow(update *table.UpdateSchema, path []string, have, to iceberg.NestedField) {
	if have.Required && !to.Required {
		update.UpdateColumn(path, table.ColumnUpdate{Required: iceberg.Optional[bool]{Valid: true, Val: false}})
	}
	part := func(name string) []string { return append(slices.Clone(path), name) }
	switch t := to.Type.(type) {
	case *iceberg.StructType:
		for _, f := range t.FieldList {
			i := slices.IndexFunc(fieldsOf(have.Type), func(old iceberg.NestedField) bool { return old.Name == f.Name })
			if i < 0 {
				update.AddColumn(part(f.Name), f.Type, f.Doc, false, nil)
				continue
			}
			grow(update, part(f.Name), fieldsOf(have.Type)[i], f)
		}
	case *iceberg.ListType:
		grow(update, part("element"), have.Type.(*iceberg.ListType).ElementField(), t.ElementField())
	case *iceberg.MapType:
		grow(update, part("value"), have.Type.(*iceberg.MapType).ValueField(), t.ValueField())
	default:
		if !have.Type.Equals(to.Type) {
			update.UpdateColumn(path, table.ColumnUpdate{FieldType: iceberg.Optional[iceberg.Type]{Valid: true, Val: to.Type}})
		}
	}
}

func fieldsOf(t iceberg.Type) []iceberg.NestedField {
	if s, ok := t.(*iceberg.StructType); ok {
		return s.FieldList
	}
	return nil
}
