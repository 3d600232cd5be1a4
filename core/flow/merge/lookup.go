package merge

import (
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk/change"
)

// changes makes the net changes of keys that are all present, or all gone.
func (f *fold) changes(ids []int32, k kind, label func(*state) change.Op) (arrow.RecordBatch, error) {
	m := f.merge
	values := make([]value, len(ids))
	ops := array.NewUint8Builder(m.alloc)
	defer ops.Release()
	ops.Reserve(len(ids))
	for i, id := range ids {
		if values[i] = f.states[id].value; k == gone {
			values[i].count = 0
		}
		ops.UnsafeAppend(uint8(label(&f.states[id])))
	}
	g := f.gatherer(values)
	var columns []arrow.Array
	defer func() { releaseArrays(columns) }()
	var decoded []arrow.Array
	if k == gone {
		decoded = m.codec.decode(m.alloc, len(ids), func(i int) []byte { return f.keys.key(ids[i]) })
		defer releaseArrays(decoded)
	}
	for _, at := range m.order {
		if k == gone {
			if i := slices.Index(m.keyAt, at); i >= 0 {
				decoded[i].Retain()
				columns = append(columns, decoded[i])
			} else {
				columns = append(columns, array.MakeArrayOfNull(m.alloc, m.columns[at].Type, len(ids)))
			}
			continue
		}
		a, err := g.column(at, nil)
		if err != nil {
			return nil, err
		}
		columns = append(columns, a)
	}
	columns = append(columns, ops.NewArray())
	for at := metaPos; at < metaColumns; at++ {
		a, err := g.column(at, nil)
		if err != nil {
			return nil, err
		}
		columns = append(columns, a)
	}
	return array.NewRecordBatch(m.ChangesSchema(), columns, int64(len(ids))), nil
}

// reject makes the rejections of rows that lack values.
func (f *fold) reject(values []value) ([]Rejection, arrow.RecordBatch, error) {
	m := f.merge
	g := f.gatherer(values)
	var columns []arrow.Array
	defer func() { releaseArrays(columns) }()
	for _, at := range append(slices.Clone(m.order), metaOp, metaPos, metaSeq, metaTs) {
		a, err := g.column(at, nil)
		if err != nil {
			return nil, nil, err
		}
		columns = append(columns, a)
	}
	rejected := make([]Rejection, len(values))
	for i := range values {
		v := &values[i]
		batch, row := f.sources[v.at.source].origin(v.at.row)
		name := m.columns[m.masks.columns[f.unresolved(v)][0]].Name
		rejected[i] = Rejection{
			Batch: int(batch), Row: int(row), Code: CodeNoRow, Column: name,
			Reason: fmt.Sprintf("column %q was left out as unchanged, but the row that has its value is neither in the unit nor in the table", name),
		}
	}
	return rejected, array.NewRecordBatch(m.ChangesSchema(), columns, int64(len(values))), nil
}

// lookUp completes rows from the table as far as they are there, group by group, and gives out where each group begins and ends.
func (o *output) lookUp(f *fold, n int, at func(i int) *value, each func(from, to int) error) error {
	for from := 0; from < n; from += o.merge.settings.LookupKeys {
		to := min(from+o.merge.settings.LookupKeys, n)
		if err := o.lookUpGroup(f, from, to, at, each); err != nil {
			return err
		}
	}
	return nil
}

func (o *output) lookUpGroup(f *fold, from, to int, at func(i int) *value, each func(from, to int) error) error {
	m := o.merge
	asked := newKeyTable(m.codec.width)
	lacking := map[int]bool{}
	for i := from; i < to; i++ {
		asked.put(f.keys.key(at(i).from))
		for _, column := range m.masks.columns[f.unresolved(at(i))] {
			lacking[int(column)] = true
		}
	}
	var names []string
	for _, column := range m.order {
		if lacking[column] {
			names = append(names, m.columns[column].Name)
		}
	}
	columns := m.codec.decode(m.alloc, asked.len(), func(i int) []byte { return asked.key(int32(i)) }) //nolint:gosec // numbers of keys
	keys := array.NewRecordBatch(arrow.NewSchema(m.keyFields(), nil), columns, int64(asked.len()))
	releaseArrays(columns)
	defer keys.Release()
	rows, err := m.settings.Lookup(o.ctx, keys, names)
	if err != nil {
		return fmt.Errorf("merge: look up rows that lack values: %w", err)
	}
	defer rows.Release()
	source, found, err := m.readFound(rows, names, &asked)
	if err != nil {
		return fmt.Errorf("merge: rows that were looked up: %w", err)
	}
	place := f.addSource(source)
	for i := from; i < to; i++ {
		v := at(i)
		row := found[asked.find(f.keys.key(v.from))]
		if row < 0 {
			continue
		}
		for j := range f.patchesOf(v) {
			if p := &f.patches[int(v.first)+j]; p.at == nullRef {
				p.at = ref{source: place, row: row}
			}
		}
		v.lack = complete
	}
	if err := each(from, to); err != nil {
		return err
	}
	f.dropValues(place)
	return nil
}

// dropValues frees a source that no row to come lies in.
func (f *fold) dropValues(place int32) {
	s := f.sources[place]
	releaseArrays(s.arrays)
	f.held -= s.bytes
	s.arrays, s.bytes = nil, 0
	for i := range f.views {
		f.views[i][place] = newView(nil)
	}
}

// readFound makes looked-up rows a source, and says which row each key has, -1 for none.
func (m *Merge) readFound(rows arrow.RecordBatch, names []string, asked *keyTable) (*source, []int32, error) {
	s := &source{arrays: make([]arrow.Array, len(m.columns)), rows: int(rows.NumRows())}
	fail := func(err error) (*source, []int32, error) {
		releaseArrays(s.arrays)
		return nil, nil, err
	}
	for column := metaColumns; column < len(m.columns); column++ {
		name := m.columns[column].Name
		if !slices.Contains(names, name) && !slices.Contains(m.keyAt, column) {
			continue
		}
		at := rows.Schema().FieldIndices(name)
		if len(at) != 1 {
			return fail(fmt.Errorf("column %q is there %d times, expected once", name, len(at)))
		}
		a, err := m.cast(rows.Column(at[0]), column)
		if err != nil {
			return fail(err)
		}
		s.arrays[column] = a
		s.bytes += sizeOf(a)
	}
	keys := m.codec.encode(m.keyViews(s.arrays), s.rows)
	found := make([]int32, asked.len())
	for i := range found {
		found[i] = -1
	}
	for row := range s.rows {
		if keys.isNull(row) {
			return fail(errors.New("a key is null"))
		}
		id := asked.find(keys.at(row))
		if id < 0 {
			continue
		}
		if found[id] >= 0 {
			return fail(errors.New("a key has two rows"))
		}
		found[id] = int32(row)
	}
	return s, found, nil
}
