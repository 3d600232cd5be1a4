package merge

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk/change"
)

// Part is a piece of what a unit comes to. What a part has no rows for is nil. The batches are released when the next part is asked for;
// retain what is kept.
type Part struct {
	// Truncate says that the table's rows vanish, or their open versions end at Time: only what the unit brings counts. It is in the
	// first part, if at all.
	Truncate bool
	Time     arrow.Timestamp // of the first truncate; microseconds

	// Upserts are final rows, one for each key, in the table's schema. In history mode they are nil.
	Upserts arrow.RecordBatch
	// Keys are those whose rows vanish from the table before Upserts come in, if they are there: those of Upserts and of deleted rows. No
	// key is in two parts. In history mode they are those whose open version in the table ends, at the time in their last column,
	// change.ColumnValidTo.
	Keys arrow.RecordBatch
	// Changes are the net changes, one for each of Keys, and one for Truncate; see Merge.ChangesSchema. In history mode they are nil.
	Changes arrow.RecordBatch
	// Versions are the rows of history mode; see Merge.VersionsSchema.
	Versions arrow.RecordBatch

	// Rejected rows are those of RejectedRows, in order: changes of which nobody knows the values that they left out. What they replaced
	// is gone all the same. RejectedRows are like Changes, with their own _op.
	Rejected     []Rejection
	RejectedRows arrow.RecordBatch
}

func (p *Part) release() {
	for _, b := range []arrow.RecordBatch{p.Upserts, p.Keys, p.Changes, p.Versions, p.RejectedRows} {
		if b != nil {
			b.Release()
		}
	}
}

// KeysSchema is that of Part.Keys.
func (m *Merge) KeysSchema() *arrow.Schema {
	fields := m.keyFields()
	if m.settings.Mode == History {
		fields = append(fields, arrow.Field{Name: change.ColumnValidTo, Type: metaFields[metaTs].Type})
	}
	return arrow.NewSchema(fields, nil)
}

func (m *Merge) keyFields() []arrow.Field {
	fields := make([]arrow.Field, 0, len(m.keyAt)+1)
	for _, at := range m.keyAt {
		fields = append(fields, arrow.Field{Name: m.columns[at].Name, Type: m.columns[at].Type})
	}
	return fields
}

func (m *Merge) tableFields() []arrow.Field {
	fields := make([]arrow.Field, 0, len(m.order)+metaColumns)
	for _, at := range m.order {
		fields = append(fields, m.columns[at])
	}
	return fields
}

// ChangesSchema is that of Part.Changes and Part.RejectedRows: the table's columns, nullable, and _op, _pos, _tx_seq and _ts of the last
// change of the key. The net _op is Delete for a key that is gone; for others it is Insert if the key's first change in the unit says that
// there was no row before, Update if it says that there was one, and Snapshot if it doesn't say.
func (m *Merge) ChangesSchema() *arrow.Schema {
	return arrow.NewSchema(append(m.tableFields(), metaFields[:]...), nil)
}

// VersionsSchema is that of Part.Versions: the table's columns, nullable, change.ColumnValidFrom, change.ColumnValidTo, and _op, _pos and
// _tx_seq of the change that made the version. Versions that were replaced within their transaction began and ended at one time.
func (m *Merge) VersionsSchema() *arrow.Schema {
	ts := metaFields[metaTs].Type
	fields := append(m.tableFields(),
		arrow.Field{Name: change.ColumnValidFrom, Type: ts}, arrow.Field{Name: change.ColumnValidTo, Type: ts, Nullable: true})
	return arrow.NewSchema(append(fields, metaFields[:metaTs]...), nil)
}

var errStopped = errors.New("no more parts are wanted")

// Parts ends the unit and gives out what it comes to, once. Equal batches and settings give equal parts in equal order; with another
// budget the rows are the same, in another order. An error is the last thing that comes.
func (m *Merge) Parts(ctx context.Context) iter.Seq2[*Part, error] {
	return func(yield func(*Part, error) bool) {
		if m.done {
			yield(nil, errEnded)
			return
		}
		m.done = true
		o := &output{merge: m, ctx: ctx, yield: yield}
		if err := o.run(); err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

// output hands parts out.
type output struct {
	merge *Merge
	ctx   context.Context //nolint:containedctx // of the one call that it serves
	yield func(*Part, error) bool
}

// give takes the part over.
func (o *output) give(p *Part) error {
	defer p.release()
	if err := o.ctx.Err(); err != nil {
		return err
	}
	o.merge.counts.Rejected += int64(len(p.Rejected))
	o.merge.counts.Merged -= int64(len(p.Rejected))
	if !o.yield(p, nil) {
		return errStopped
	}
	return nil
}

func (o *output) run() error {
	m := o.merge
	if m.truncated.happened {
		p := &Part{Truncate: true, Time: m.truncated.first}
		if m.settings.Mode == Net {
			p.Changes = o.truncateRow()
		}
		if err := o.give(p); err != nil {
			return err
		}
	}
	return o.level(m.top)
}

func (o *output) truncateRow() arrow.RecordBatch {
	m := o.merge
	var columns []arrow.Array
	for _, at := range m.order {
		columns = append(columns, array.MakeArrayOfNull(m.alloc, m.columns[at].Type, 1))
	}
	defer releaseArrays(columns)
	return array.NewRecordBatch(m.ChangesSchema(), append(slices.Clip(columns), m.truncated.last.Columns()...), 1)
}

// level gives out what a level comes to: its fold, or partition by partition.
func (o *output) level(l *level) error {
	if l.parts == nil {
		if o.merge.settings.Mode == History {
			return o.history(l.fold, false)
		}
		return o.net(l.fold)
	}
	if err := l.spill(); err != nil {
		return err
	}
	for p := range l.parts {
		if err := o.partition(l, &l.parts[p]); err != nil {
			return err
		}
	}
	return nil
}

func (o *output) partition(l *level, p *partition) error {
	if err := p.end(); err != nil {
		return err
	}
	defer p.discard()
	child := newLevel(o.merge, l.depth+1, l.begunEmpty)
	defer child.close()
	err := p.each(o.merge, func(batch arrow.RecordBatch) error {
		if err := o.ctx.Err(); err != nil {
			return err
		}
		if err := child.fold.read(batch); err != nil {
			return err
		}
		if child.fold.history && child.parts == nil && child.fold.bytes() > o.merge.settings.Budget {
			return o.drain(child)
		}
		return child.makeRoom()
	})
	if err != nil {
		return err
	}
	return o.level(child)
}

// net gives out the final rows and the deleted keys.
func (o *output) net(f *fold) error {
	var whole, deleted, lacking, lost []int32
	for i := range f.states {
		s, id := &f.states[i], int32(i)
		switch {
		case s.kind == untouched:
		case s.kind == gone:
			deleted = append(deleted, id)
		case s.lack == complete:
			whole = append(whole, id)
		case s.lack == nowhere || o.merge.settings.Lookup == nil:
			lost = append(lost, id)
		default:
			lacking = append(lacking, id)
		}
	}
	if err := o.upserts(f, whole); err != nil {
		return err
	}
	if err := o.deletes(f, deleted); err != nil {
		return err
	}
	values := func(i int) *value { return &f.states[lacking[i]].value }
	err := o.lookUp(f, len(lacking), values, func(from, to int) error {
		var found []int32
		for _, id := range lacking[from:to] {
			if f.states[id].lack == complete {
				found = append(found, id)
			} else {
				lost = append(lost, id)
			}
		}
		return o.upserts(f, found)
	})
	if err != nil {
		return err
	}
	return o.lost(f, lost)
}

func (f *fold) chunksOf(ids []int32, each func(ids []int32) error) error {
	return f.chunks(len(ids), func(i int) *value { return &f.states[ids[i]].value }, func(from, to int) error {
		return each(ids[from:to])
	})
}

func (o *output) upserts(f *fold, ids []int32) error {
	return f.chunksOf(ids, func(ids []int32) error {
		changes, err := f.changes(ids, present, func(s *state) change.Op {
			switch s.was {
			case absent:
				return change.Insert
			case existed:
				return change.Update
			}
			return change.Snapshot
		})
		if err != nil {
			return err
		}
		table := changes.Columns()[:len(o.merge.order)]
		rows := array.NewRecordBatch(o.merge.settings.Table, table, changes.NumRows())
		return o.give(&Part{Upserts: rows, Keys: o.keys(f, ids), Changes: changes})
	})
}

func (o *output) deletes(f *fold, ids []int32) error {
	return f.chunksOf(ids, func(ids []int32) error {
		changes, err := f.changes(ids, gone, func(*state) change.Op { return change.Delete })
		if err != nil {
			return err
		}
		return o.give(&Part{Keys: o.keys(f, ids), Changes: changes})
	})
}

// lost rejects rows that nobody can complete. What was there under their keys before has been replaced, so it is deleted.
func (o *output) lost(f *fold, ids []int32) error {
	return f.chunksOf(ids, func(ids []int32) error {
		p := &Part{Keys: o.keys(f, ids)}
		var err error
		if p.Changes, err = f.changes(ids, gone, func(*state) change.Op { return change.Delete }); err != nil {
			p.release()
			return err
		}
		values := make([]value, len(ids))
		for i, id := range ids {
			values[i] = f.states[id].value
		}
		if p.Rejected, p.RejectedRows, err = f.reject(values); err != nil {
			p.release()
			return err
		}
		return o.give(p)
	})
}

// keys are the keys of the ids.
func (o *output) keys(f *fold, ids []int32) arrow.RecordBatch {
	m := o.merge
	columns := m.codec.decode(m.alloc, len(ids), func(i int) []byte { return f.keys.key(ids[i]) })
	defer releaseArrays(columns)
	return array.NewRecordBatch(arrow.NewSchema(m.keyFields(), nil), columns, int64(len(ids)))
}
