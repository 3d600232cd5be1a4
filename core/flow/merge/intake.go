package merge

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"

	"github.com/qanat-data/qanat/sdk/change"
)

// layout says where a batch's columns are.
type layout struct {
	schema *arrow.Schema
	at     change.Indexes
	from   []int // by column of the merge; -1: the batch has it not
}

func (m *Merge) layoutOf(s *arrow.Schema) (*layout, error) {
	if m.layout != nil && (m.layout.schema == s || m.layout.schema.Equal(s)) {
		return m.layout, nil
	}
	at, err := change.Columns(s)
	if err != nil {
		return nil, err
	}
	l := &layout{schema: s, at: at, from: make([]int, len(m.columns))}
	l.from[metaOp], l.from[metaPos], l.from[metaSeq], l.from[metaTs] = at.Op, at.Pos, at.TxSeq, at.Ts
	for i := metaColumns; i < len(m.columns); i++ {
		found := s.FieldIndices(m.columns[i].Name)
		if len(found) > 1 {
			return nil, fmt.Errorf("column %q is there %d times", m.columns[i].Name, len(found))
		}
		if l.from[i] = -1; len(found) == 1 {
			l.from[i] = found[0]
		}
	}
	for _, k := range m.keyAt {
		if l.from[k] < 0 {
			return nil, fmt.Errorf("the batch has no key column %q", m.columns[k].Name)
		}
	}
	m.layout = l
	return l, nil
}

// input is a batch on its way into a fold.
type input struct {
	source  *source
	rows    int
	start   int     // rows before it are void: a truncate follows them
	ops     []uint8 // nil: all rows are upserts
	keys    keys
	masks   []int32       // nil: no row lacks anything
	skip    []bool        // rejected rows; nil: none
	struc   *array.Struct // _before; nil: nothing is known
	before  keys          // of _before
	olds    []arrow.Array // columns of _before that supply what rows lack
	release []arrow.Array // key columns of _before
}

// Add takes in the next batch of the unit, which stays the caller's. It returns the rows that can't be merged; what lacks values is known
// only to Parts. After an error the unit can't go on.
func (m *Merge) Add(ctx context.Context, batch arrow.RecordBatch) ([]Rejection, error) {
	if m.done {
		return nil, errEnded
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	in, err := m.read(batch)
	if err != nil {
		return nil, fmt.Errorf("merge: batch %d: %w", m.batches, err)
	}
	defer releaseArrays(in.release)
	rejected := m.judge(in)
	m.batches++
	m.counts.In += int64(in.rows)
	m.counts.Rejected += int64(len(rejected))
	m.counts.Merged += int64(in.rows - len(rejected))
	if err := m.noteTruncates(in); err != nil {
		return rejected, err
	}
	m.top.apply(in)
	return rejected, m.top.makeRoom()
}

// read brings a batch's columns to their types.
func (m *Merge) read(batch arrow.RecordBatch) (*input, error) {
	l, err := m.layoutOf(batch.Schema())
	if err != nil {
		return nil, err
	}
	in := &input{rows: int(batch.NumRows()), source: &source{
		arrays: make([]arrow.Array, len(m.columns)), rows: int(batch.NumRows()), batch: int32(m.batches), //nolint:gosec // few batches
	}}
	for i, at := range l.from {
		if at < 0 {
			continue
		}
		if in.source.arrays[i], err = m.cast(batch.Column(at), i); err != nil {
			releaseArrays(in.source.arrays)
			return nil, err
		}
	}
	if m.settings.Mode == History {
		m.clock.set(m.alloc, in.source)
	}
	for _, a := range in.source.arrays {
		if a != nil {
			in.source.bytes += sizeOf(a)
		}
	}
	if op := in.source.arrays[metaOp]; op != nil {
		in.ops = op.(*array.Uint8).Uint8Values()
	}
	in.keys = m.codec.encode(m.keyViews(in.source.arrays), in.rows)
	if l.at.Unchanged >= 0 {
		in.masks = m.masks.ofUnchanged(batch.Column(l.at.Unchanged), func(name string) (int, bool) {
			at, ok := m.byName[name]
			return at, ok
		})
	}
	if l.at.Before >= 0 && in.ops != nil {
		if err := m.readBefore(in, batch.Column(l.at.Before).(*array.Struct)); err != nil {
			releaseArrays(append(append(in.source.arrays, in.release...), in.olds...))
			return nil, err
		}
	}
	return in, nil
}

func (m *Merge) keyViews(arrays []arrow.Array) []view {
	views := make([]view, len(m.keyAt))
	for i, at := range m.keyAt {
		views[i] = newView(arrays[at])
	}
	return views
}

// cast brings an array to the type of a column; the caller releases it.
func (m *Merge) cast(a arrow.Array, column int) (arrow.Array, error) {
	to := m.columns[column].Type
	if arrow.TypeEqual(a.DataType(), to) {
		a.Retain()
		return a, nil
	}
	if column == metaOp {
		return m.narrowOp(a.(*array.Int32)), nil
	}
	out, err := compute.CastArray(m.compute, a, compute.SafeCastOptions(to))
	if err != nil {
		return nil, fmt.Errorf("column %q: %w", m.columns[column].Name, err)
	}
	return out, nil
}

// noOp stands for what is no operation, and is none itself.
const noOp = 255

func (m *Merge) narrowOp(a *array.Int32) arrow.Array {
	b := array.NewUint8Builder(m.alloc)
	defer b.Release()
	b.Reserve(a.Len())
	for i, op := range a.Int32Values() {
		switch {
		case a.IsNull(i):
			b.UnsafeAppendBoolToBitmap(false)
		case op < 0 || op > noOp:
			b.UnsafeAppend(noOp)
		default:
			b.UnsafeAppend(uint8(op))
		}
	}
	return b.NewArray()
}

// readBefore makes the old keys, and the old values of columns that rows lack.
func (m *Merge) readBefore(in *input, before *array.Struct) error {
	if before.NullN() == before.Len() {
		return nil
	}
	fields := before.DataType().(*arrow.StructType)
	child := func(column int) (arrow.Array, error) {
		at, ok := fields.FieldIdx(m.columns[column].Name)
		if !ok {
			return nil, nil
		}
		a, err := m.cast(before.Field(at), column)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", change.ColumnBefore, err)
		}
		return a, nil
	}
	arrays := make([]arrow.Array, len(m.columns))
	for _, at := range m.keyAt {
		a, err := child(at)
		if err != nil {
			return err
		}
		if a == nil {
			return nil // no key, so nothing tells of a change of it
		}
		arrays[at] = a
		in.release = append(in.release, a)
	}
	in.struc = before
	in.before = m.codec.encode(m.keyViews(arrays), in.rows)
	return m.readOlds(in, child)
}

func (m *Merge) readOlds(in *input, child func(int) (arrow.Array, error)) error {
	last := int32(0)
	for _, mask := range in.masks {
		if mask == last {
			continue
		}
		last = mask
		for _, column := range m.masks.columns[mask] {
			if in.olds == nil {
				in.olds = make([]arrow.Array, len(m.columns))
			}
			if in.olds[column] != nil {
				continue
			}
			a, err := child(int(column))
			if err != nil {
				return err
			}
			in.olds[column] = a
		}
	}
	return nil
}

// judge rejects rows that say nothing about any key.
func (m *Merge) judge(in *input) []Rejection {
	op := newView(in.source.arrays[metaOp])
	if in.keys.null == nil && in.ops == nil {
		return nil
	}
	var rejected []Rejection
	for row := range in.rows {
		r := Rejection{Batch: m.batches, Row: row}
		switch {
		case in.ops != nil && (op.isNull(row) || !change.Op(in.ops[row]).Valid()):
			r.Code, r.Column = CodeOp, change.ColumnOp
			r.Reason = "no operation: expected 0 (snapshot), 1 (insert), 2 (update), 3 (delete) or 4 (truncate)"
		case in.ops != nil && change.Op(in.ops[row]) == change.Truncate:
			continue
		case in.keys.isNull(row):
			r.Code, r.Column = CodeNullKey, m.settings.Key[in.keys.null[row]-1]
			r.Reason = fmt.Sprintf("key column %q is null: expected a value in every change but a truncate", r.Column)
		default:
			continue
		}
		if in.skip == nil {
			in.skip = make([]bool, in.rows)
		}
		in.skip[row] = true
		rejected = append(rejected, r)
	}
	return rejected
}

// noteTruncates remembers when the table was emptied. The net effect begins anew behind the last truncate.
func (m *Merge) noteTruncates(in *input) error {
	last := -1
	for row, op := range in.ops {
		if change.Op(op) != change.Truncate || (in.skip != nil && in.skip[row]) {
			continue
		}
		last = row
		if ts := newView(in.source.arrays[metaTs]); !m.truncated.happened && !ts.isNull(row) {
			m.truncated.first = arrow.Timestamp(ts.int64(row))
		}
		m.truncated.happened = true
	}
	if last < 0 {
		return nil
	}
	if err := m.keepTruncate(in.source, last); err != nil {
		releaseArrays(append(in.source.arrays, in.olds...))
		return err
	}
	if m.settings.Mode == Net {
		in.start = last + 1
		m.top.close()
		m.top = newLevel(m, 0, true)
	}
	return nil
}

func (m *Merge) keepTruncate(s *source, row int) error {
	columns := make([]arrow.Array, metaColumns)
	defer releaseArrays(columns)
	for i := range columns {
		var err error
		at := []ref{{row: int32(row)}} //nolint:gosec // rows of a batch
		if columns[i], err = gather(m.alloc, metaFields[i].Type, []view{newView(s.arrays[i])}, at); err != nil {
			return err
		}
	}
	if m.truncated.last != nil {
		m.truncated.last.Release()
	}
	m.truncated.last = array.NewRecordBatch(arrow.NewSchema(metaFields[:], nil), columns, 1)
	return nil
}
