package merge

import (
	"fmt"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// item is one line of what a fold writes down for another to go on from: the state of a key, or one change of it.
type item struct {
	value
	id   int32 // below 0: a truncate
	kind kind
	was  was
}

// Columns of an entry, before those of the merge.
const (
	entryKey = iota
	entryKind
	entryWas
	entryLack
	entryMask // of the unresolved columns
	entryFrom // the key that they come from
	entryBatch
	entryRow
	entryColumns
)

// own is how an entry says that a row's unresolved columns are those that its key had before it; fixedBase, which is in memory only, that
// they are those of another key before the fold.
const (
	own       = uint8(base)
	fixedBase = uint8(nowhere) + 1
)

func entrySchema(columns []arrow.Field) *arrow.Schema {
	fields := []arrow.Field{
		{Name: "key", Type: arrow.BinaryTypes.Binary},
		{Name: "kind", Type: arrow.PrimitiveTypes.Uint8},
		{Name: "was", Type: arrow.PrimitiveTypes.Uint8},
		{Name: "lack", Type: arrow.PrimitiveTypes.Uint8},
		{Name: "mask", Type: arrow.BinaryTypes.Binary, Nullable: true},
		{Name: "from", Type: arrow.BinaryTypes.Binary, Nullable: true},
		{Name: "batch", Type: arrow.PrimitiveTypes.Int32},
		{Name: "row", Type: arrow.PrimitiveTypes.Int32},
	}
	for i, c := range columns { // a table's columns may have any name
		fields = append(fields, arrow.Field{Name: "c" + strconv.Itoa(i), Type: c.Type, Nullable: true})
	}
	return arrow.NewSchema(fields, nil)
}

// write writes items down. With fixed, rows that lack values say so for good; else those that lack their own key's find them when the
// entry is read. The caller releases the batch.
func (f *fold) write(items []item, fixed bool) (arrow.RecordBatch, error) {
	b := array.NewRecordBuilder(f.merge.alloc, arrow.NewSchema(f.merge.entries.Fields()[:entryColumns], nil))
	defer b.Release()
	values := make([]value, len(items))
	for i := range items {
		it := &items[i]
		if values[i] = it.value; it.kind == gone { // nothing but what tells of the change
			values[i].count = 0
		}
		f.writeHead(b, it, fixed)
	}
	head := b.NewRecordBatch()
	defer head.Release()
	columns := append([]arrow.Array(nil), head.Columns()...)
	g := f.gatherer(values)
	for c := range f.merge.columns {
		a, err := g.column(c, func(i int) bool { return c < metaColumns || items[i].kind == present })
		if err != nil {
			releaseArrays(columns[entryColumns:])
			return nil, err
		}
		columns = append(columns, a)
	}
	defer releaseArrays(columns[entryColumns:])
	return array.NewRecordBatch(f.merge.entries, columns, int64(len(items))), nil
}

func (f *fold) writeHead(b *array.RecordBuilder, it *item, fixed bool) {
	key := []byte{}
	if it.id >= 0 {
		key = f.keys.key(it.id)
	}
	b.Field(entryKey).(*array.BinaryBuilder).Append(key)
	b.Field(entryKind).(*array.Uint8Builder).Append(uint8(it.kind))
	b.Field(entryWas).(*array.Uint8Builder).Append(uint8(it.was))
	l := uint8(it.lack)
	if it.lack == base && fixed {
		l = fixedBase
	}
	b.Field(entryLack).(*array.Uint8Builder).Append(l)
	mask, from := b.Field(entryMask).(*array.BinaryBuilder), b.Field(entryFrom).(*array.BinaryBuilder)
	if it.kind == present && it.lack != complete {
		mask.AppendString(f.merge.masks.bitmaps[f.unresolved(&it.value)])
	} else {
		mask.AppendNull()
	}
	if it.kind == present && (it.lack == base || it.lack == inTable) {
		from.Append(f.keys.key(it.from))
	} else {
		from.AppendNull()
	}
	batch, row := f.sources[it.at.source].origin(it.at.row)
	b.Field(entryBatch).(*array.Int32Builder).Append(batch)
	b.Field(entryRow).(*array.Int32Builder).Append(row)
}

// unresolved is the set of columns that a row lacks.
func (f *fold) unresolved(v *value) int32 {
	m := &f.merge.masks
	m.begin()
	for _, p := range f.patchesOf(v) {
		if p.at == nullRef {
			m.add(int(p.column))
		}
	}
	return m.end()
}

// read applies entries. The batch stays the caller's.
func (f *fold) read(batch arrow.RecordBatch) error {
	m := f.merge
	s := &source{arrays: make([]arrow.Array, len(m.columns)), rows: int(batch.NumRows())}
	for i := range min(len(m.columns), int(batch.NumCols())-entryColumns) { // the table may have got more columns since
		a, err := m.cast(batch.Column(entryColumns+i), i)
		if err != nil {
			releaseArrays(s.arrays)
			return fmt.Errorf("merge: spilled changes: %w", err)
		}
		s.arrays[i] = a
		s.bytes += sizeOf(a)
	}
	s.batches = append([]int32(nil), batch.Column(entryBatch).(*array.Int32).Int32Values()...)
	s.places = append([]int32(nil), batch.Column(entryRow).(*array.Int32).Int32Values()...)
	s.bytes += 8 * int64(s.rows)
	e := entryReader{
		f: f, source: f.addSource(s),
		key: batch.Column(entryKey).(*array.Binary), mask: batch.Column(entryMask).(*array.Binary),
		from: batch.Column(entryFrom).(*array.Binary),
		kind: batch.Column(entryKind).(*array.Uint8).Uint8Values(), was: batch.Column(entryWas).(*array.Uint8).Uint8Values(),
		lack: batch.Column(entryLack).(*array.Uint8).Uint8Values(),
	}
	for row := range s.rows {
		e.apply(row)
	}
	return nil
}

type entryReader struct {
	f               *fold
	source          int32
	key, mask, from *array.Binary
	kind, was, lack []uint8
}

func (e *entryReader) apply(row int) {
	f, at := e.f, ref{source: e.source, row: int32(row)} //nolint:gosec // rows of a batch
	w := was(e.was[row])
	switch kind(e.kind[row]) {
	case untouched:
		f.truncate(at)
	case gone:
		f.delete(f.id(e.key.Value(row)), at, w)
	case present:
		id := f.id(e.key.Value(row))
		mask := int32(0)
		if e.mask.IsValid(row) {
			mask = f.merge.masks.number(e.mask.Value(row))
		}
		switch l := e.lack[row]; l {
		case uint8(complete), own:
			f.put(id, at, mask, id, w)
		case uint8(nowhere):
			f.putFixed(id, at, mask, nowhere, 0, w)
		case fixedBase:
			f.putFixed(id, at, mask, base, f.id(e.from.Value(row)), w)
		default:
			f.putFixed(id, at, mask, inTable, f.id(e.from.Value(row)), w)
		}
	}
}

// gatherer makes columns of rows.
type gatherer struct {
	f      *fold
	values []value
	moved  map[int32][]placed // by column: what lies elsewhere
}

type placed struct {
	row int
	at  ref
}

func (f *fold) gatherer(values []value) *gatherer {
	g := &gatherer{f: f, values: values}
	for row := range values {
		for _, p := range f.patchesOf(&values[row]) {
			if g.moved == nil {
				g.moved = map[int32][]placed{}
			}
			g.moved[p.column] = append(g.moved[p.column], placed{row: row, at: p.at})
		}
	}
	return g
}

// column makes one; rows that are not wanted are null in it. The caller releases it.
func (g *gatherer) column(c int, wanted func(i int) bool) (arrow.Array, error) {
	refs := make([]ref, len(g.values))
	for i := range g.values {
		if refs[i] = g.values[i].at; wanted != nil && !wanted(i) {
			refs[i] = nullRef
		}
	}
	for _, p := range g.moved[int32(c)] { //nolint:gosec // few columns
		refs[p.row] = p.at
	}
	f := g.f
	a, err := gather(f.merge.alloc, f.merge.columns[c].Type, f.views[c], refs)
	if err != nil {
		return nil, fmt.Errorf("merge: column %q: %w", f.merge.columns[c].Name, err)
	}
	return a, nil
}

// rowBytes estimates what a row takes.
func (f *fold) rowBytes(v *value) int64 {
	s := f.sources[v.at.source]
	size := s.bytes/int64(max(s.rows, 1)) + 16
	for _, p := range f.patchesOf(v) {
		if p.at.source >= 0 {
			o := f.sources[p.at.source]
			size += o.bytes / int64(max(o.rows, 1))
		}
	}
	return size
}

// chunks cuts rows by number and estimated bytes, and gives out where each chunk begins and ends.
func (f *fold) chunks(n int, at func(i int) *value, each func(from, to int) error) error {
	s := &f.merge.settings
	first, size := 0, int64(0)
	for i := range n {
		row := f.rowBytes(at(i))
		if i > first && (i-first >= s.BatchRows || size+row > s.BatchBytes) {
			if err := each(first, i); err != nil {
				return err
			}
			first, size = i, 0
		}
		size += row
	}
	if n == 0 {
		return nil
	}
	return each(first, n)
}
