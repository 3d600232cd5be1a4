package column

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
)

// Declared are the columns whose type the operator has set, by name. It wins over everything.
type Declared map[string]arrow.Field

// Apply gives fields their declared types.
func (d Declared) Apply(fields []arrow.Field) []arrow.Field {
	out := slices.Clone(fields)
	for i, f := range out {
		if declared, ok := d[f.Name]; ok {
			out[i] = declared
		}
	}
	return out
}

// Rules says how Union may change what a stream has.
type Rules struct {
	Declared Declared
	// Widen lets an int64 column become float64; not every store of tables can follow.
	Widen bool
	// Free lets types change in any way that holds both: nothing of the stream has been emitted yet.
	Free bool
}

// Union adds the columns of a file to those of its stream, by name, and says whether that changed anything. Columns keep their order
// and type; new ones come last. Types only grow where no value can be lost: int32 to int64, float32 to float64, structs by new
// fields, and int64 to float64 if the rules allow. Other differences stay: the values that don't fit are for the reader to reject.
func (r Rules) Union(stream []arrow.Field, file []arrow.Field) ([]arrow.Field, bool) {
	out := slices.Clone(stream)
	at := make(map[string]int, len(stream))
	for i, f := range stream {
		at[f.Name] = i
	}
	changed := false
	for _, f := range r.Declared.Apply(file) {
		i, there := at[f.Name]
		if !there {
			at[f.Name] = len(out)
			out = append(out, f)
			changed = true
			continue
		}
		if _, declared := r.Declared[f.Name]; declared {
			continue
		}
		merged, grew := r.grow(out[i], f)
		out[i], changed = merged, changed || grew
	}
	if !r.Free {
		out = Settle(out)
	}
	return out, changed
}

// Settle makes strings of the columns of which no value has been seen.
func Settle(fields []arrow.Field) []arrow.Field {
	out := slices.Clone(fields)
	for i, f := range out {
		if f.Type.ID() == arrow.NULL {
			out[i].Type = arrow.BinaryTypes.String
		}
	}
	return out
}

func (r Rules) grow(have, other arrow.Field) (arrow.Field, bool) {
	switch t := have.Type.(type) {
	case *arrow.StructType:
		return r.growStruct(have, t, other)
	case *arrow.ListType:
		list, ok := other.Type.(*arrow.ListType)
		if !ok {
			return have, false
		}
		item, grew := r.grow(t.ElemField(), list.ElemField())
		have.Type = arrow.ListOfField(item)
		return have, grew
	}
	wider := r.wider(have.Type, other.Type)
	if wider == nil {
		return have, false
	}
	have.Type = wider
	if wider.ID() == other.Type.ID() {
		have.Metadata = other.Metadata
	}
	return have, true
}

func (r Rules) growStruct(have arrow.Field, t *arrow.StructType, other arrow.Field) (arrow.Field, bool) {
	o, ok := other.Type.(*arrow.StructType)
	if !ok {
		return have, false
	}
	children, grew := Rules{Widen: r.Widen, Free: r.Free}.Union(t.Fields(), o.Fields())
	have.Type = arrow.StructOf(children...)
	return have, grew
}

// wider is the type that a column grows to, nil if it stays.
func (r Rules) wider(have, other arrow.DataType) arrow.DataType {
	a, b := have.ID(), other.ID()
	switch {
	case b == arrow.NULL || arrow.TypeEqual(have, other):
		return nil
	case a == arrow.INT32 && b == arrow.INT64, a == arrow.FLOAT32 && b == arrow.FLOAT64:
		return other
	case (a == arrow.INT64 || a == arrow.INT32) && b == arrow.FLOAT64 && (r.Widen || r.Free):
		return other
	case r.Free:
		return join(have, other)
	}
	return nil
}

// join is a type for the values of both.
func join(have, other arrow.DataType) arrow.DataType {
	a, b := have.ID(), other.ID()
	switch {
	case a == arrow.NULL:
		return other
	case a == arrow.FLOAT64 && (b == arrow.INT64 || b == arrow.INT32 || b == arrow.FLOAT32), a == arrow.INT64 && b == arrow.INT32:
		return nil
	case a == arrow.DATE32 && arrow.TypeEqual(other, timestampLocal):
		return other
	case b == arrow.DATE32 && arrow.TypeEqual(have, timestampLocal):
		return nil
	case a == arrow.STRING || arrow.IsNested(b):
		return nil
	}
	return arrow.BinaryTypes.String
}
