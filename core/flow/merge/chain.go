package merge

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// another says whether a change that takes the row away from a key is about another row than the one that is there by now: one whose place
// that one has taken within the transaction, at whose end alone such keys are checked. Only _before can tell them apart, and only if it
// has more than the key.
func (f *fold) another(in *input, row int, id int32) bool {
	s := &f.states[id]
	if s.kind != present || in.struc == nil || in.struc.IsNull(row) || !f.sameTransaction(in, row, s) {
		return false
	}
	m, differs, known := f.merge, false, false
	for column := metaColumns; column < len(m.columns); column++ {
		old := in.beforeOf(m, column)
		if _, besides := m.byName[m.columns[column].Name]; !besides || old == nil {
			continue
		}
		known = known || old.IsValid(row)
		at := f.lookUp(&s.value, int32(column))
		differs = differs || at != nullRef && !alike(old, row, f.views[column][at.source].array, int(at.row))
	}
	return known && differs
}

// sameTransaction says whether a change stands where the one does that a state comes from.
func (f *fold) sameTransaction(in *input, row int, s *state) bool {
	pos, have := in.source.arrays[metaPos], f.views[metaPos][s.at.source].array
	return pos != nil && have != nil && pos.IsValid(row) && have.IsValid(int(s.at.row)) && alike(pos, row, have, int(s.at.row))
}

// beforeOf is a column of _before, nil if there is none of the column's type.
func (in *input) beforeOf(m *Merge, column int) arrow.Array {
	at, ok := in.struc.DataType().(*arrow.StructType).FieldIdx(m.columns[column].Name)
	if !ok || !arrow.TypeEqual(in.struc.Field(at).DataType(), m.columns[column].Type) {
		return nil
	}
	return in.struc.Field(at)
}

// alike compares two values; a column that is not there is null.
func alike(a arrow.Array, i int, b arrow.Array, j int) bool {
	if b == nil {
		return a.IsNull(i)
	}
	return array.SliceApproxEqual(a, int64(i), int64(i+1), b, int64(j), int64(j+1), array.WithNaNsEqual(true), array.WithAbsTolerance(0))
}

// follow applies the change of a row that is not the one under its old key by now. What was not sent is in _before.
func (f *fold) follow(in *input, row int, at ref, old int32) {
	id := f.id(in.keys.at(row))
	v := value{at: at, first: int32(len(f.patches))} //nolint:gosec // see inherit
	for _, column := range f.merge.masks.columns[in.mask(row)] {
		f.patches = append(f.patches, patch{column: column, at: ref{source: old, row: int32(row)}}) //nolint:gosec // rows of a batch
	}
	v.count = int32(len(f.patches)) - v.first //nolint:gosec // see inherit
	f.set(id, v, absent)
}
