package merge

import (
	"bytes"

	"github.com/qanat-data/qanat/sdk/change"
)

// apply feeds a batch to the fold, which takes its arrays over.
func (l *level) apply(in *input) {
	f := l.fold
	source := f.addSource(in.source)
	old := int32(-1)
	if in.olds != nil {
		old = f.addOlds(in)
	}
	for row := in.start; row < in.rows; row++ {
		if in.skip != nil && in.skip[row] {
			continue
		}
		at := ref{source: source, row: int32(row)} //nolint:gosec // rows of a batch
		if in.ops == nil {
			f.upsert(in, row, at, unknown, old)
			continue
		}
		switch change.Op(in.ops[row]) {
		case change.Truncate:
			f.truncate(at)
		case change.Delete:
			if id := f.id(in.keys.at(row)); !f.another(in, row, id) {
				f.delete(id, at, existed)
			}
		case change.Insert:
			f.upsert(in, row, at, absent, old)
		case change.Update:
			f.update(in, row, at, old)
		default:
			f.upsert(in, row, at, unknown, old)
		}
	}
}

// addOlds makes the columns of _before a source of their own.
func (f *fold) addOlds(in *input) int32 {
	s := &source{arrays: in.olds, rows: in.rows, batch: in.source.batch}
	for _, a := range s.arrays {
		if a != nil {
			s.bytes += sizeOf(a)
		}
	}
	return f.addSource(s)
}

func (in *input) mask(row int) int32 {
	if in.masks == nil {
		return 0
	}
	return in.masks[row]
}

func (f *fold) upsert(in *input, row int, at ref, w was, old int32) {
	id := f.id(in.keys.at(row))
	f.put(id, at, in.mask(row), id, w)
	if in.mask(row) != 0 && old >= 0 && in.struc.IsValid(row) {
		f.supply(id, old, row)
	}
}

// update is an upsert unless the key has changed: then the row takes over what it lacks from under the old key, which is gone.
func (f *fold) update(in *input, row int, at ref, old int32) {
	if in.struc == nil || in.struc.IsNull(row) || in.before.isNull(row) || bytes.Equal(in.before.at(row), in.keys.at(row)) {
		f.upsert(in, row, at, existed, old)
		return
	}
	from, id := f.id(in.before.at(row)), f.id(in.keys.at(row))
	if f.another(in, row, from) {
		f.follow(in, row, at, old)
		return
	}
	f.put(id, at, in.mask(row), from, absent)
	if in.mask(row) != 0 && old >= 0 {
		f.supply(id, old, row)
	}
	f.delete(from, at, existed)
}
