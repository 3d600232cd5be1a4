package merge

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zeebo/xxh3"
)

// resolve prepares rows for files whose unresolved columns are those that another key had before the fold: keys in different partitions
// are folded apart, so nobody could find them later. What earlier folds wrote about the other key is read back and searched. Changes of
// the key are rare, and those that leave out columns as well are rarer.
func (l *level) resolve() error {
	f := l.fold
	needy := map[int][]int32{} // by partition of the other key: places in the log, or keys
	collect := func(i int, v *value) {
		p := l.partition(f.keys.hashes[v.from])
		needy[p] = append(needy[p], int32(i)) //nolint:gosec // memory ends before 2^31 changes
	}
	if f.history {
		for i := range f.log {
			if e := &f.log[i]; e.kind == present && e.lack == base && e.moved {
				collect(i, &e.value)
			}
		}
	} else {
		for i := range f.states {
			if s := &f.states[i]; s.kind == present && s.lack == base && s.from != int32(i) {
				collect(i, &s.value)
			}
		}
	}
	for p := range fanout {
		if len(needy[p]) == 0 {
			continue
		}
		if err := l.resolveFrom(p, needy[p]); err != nil {
			return err
		}
	}
	return nil
}

// resolveFrom resolves what rows lack that keys of one partition have. Partitions are searched one by one, as each has the truncates.
func (l *level) resolveFrom(p int, needy []int32) error {
	f := l.fold
	only := newKeyTable(l.merge.codec.width)
	for _, i := range needy {
		only.put(f.keys.key(f.valueOf(i).from))
	}
	found := newFold(l.merge, l.begunEmpty)
	found.history = false // only what the keys have in the end counts
	defer found.release()
	if l.parts != nil {
		err := l.parts[p].each(l.merge, func(batch arrow.RecordBatch) error { return found.readOnly(batch, &only) })
		if err != nil {
			return err
		}
	}
	shift := int32(len(f.sources)) //nolint:gosec // memory ends before 2^31 batches
	for _, i := range needy {
		f.supplyFrom(found, i, shift)
	}
	for _, s := range found.sources {
		f.addSource(s)
	}
	found.sources = nil // they are f's now
	return nil
}

// valueOf is the row of a change in the log, or else of a key.
func (f *fold) valueOf(i int32) *value {
	if f.history {
		return &f.log[i].value
	}
	return &f.states[i].value
}

// readOnly applies the entries of some keys, and truncates.
func (f *fold) readOnly(batch arrow.RecordBatch, only *keyTable) error {
	key := batch.Column(entryKey).(*array.Binary)
	kinds := batch.Column(entryKind).(*array.Uint8).Uint8Values()
	var refs []ref
	for row := range int(batch.NumRows()) {
		if kind(kinds[row]) == untouched {
			refs = append(refs, ref{row: int32(row)})
			continue
		}
		text := key.Value(row)
		if _, id := only.probe(text, xxh3.Hash(text)); id >= 0 {
			refs = append(refs, ref{row: int32(row)})
		}
	}
	if len(refs) == 0 {
		return nil
	}
	columns := make([]arrow.Array, batch.NumCols())
	defer releaseArrays(columns)
	for i := range columns {
		var err error
		if columns[i], err = gather(f.merge.alloc, batch.Column(i).DataType(), []view{newView(batch.Column(i))}, refs); err != nil {
			return err
		}
	}
	part := array.NewRecordBatch(batch.Schema(), columns, int64(len(refs)))
	defer part.Release()
	return f.read(part)
}

// supplyFrom resolves what a row lacks from what files say; shift is where their sources will be among f's.
func (f *fold) supplyFrom(found *fold, i, shift int32) {
	v := f.valueOf(i)
	id := found.keys.find(f.keys.key(v.from))
	switch {
	case id < 0 || found.states[id].kind == untouched:
		if v.lack = inTable; found.empty {
			v.lack = nowhere
		}
		return
	case found.states[id].kind == gone:
		v.lack = nowhere
		return
	}
	s := &found.states[id]
	open := false
	patches := f.patchesOf(v)
	for i := range patches {
		if patches[i].at != nullRef {
			continue
		}
		at := found.lookUp(&s.value, patches[i].column)
		if at == nullRef {
			open = true
			continue
		}
		patches[i].at = ref{source: at.source + shift, row: at.row}
	}
	v.moved = false
	switch {
	case !open:
		v.lack = complete
	case s.lack == nowhere:
		v.lack = nowhere
	default: // before the files, there was the table
		from := f.id(found.keys.key(s.from)) // moves the states
		v = f.valueOf(i)
		v.lack, v.from = inTable, from
	}
}
