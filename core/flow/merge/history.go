package merge

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// drain makes room in a partition's fold: versions that have ended are given out, and only those that hold are kept. If these are many,
// the partition is cut into smaller ones.
func (o *output) drain(l *level) error {
	if err := o.history(l.fold, true); err != nil {
		return err
	}
	if err := l.compact(l.fold.states); err != nil {
		return err
	}
	if !l.cannotSplit() && 2*l.fold.bytes() > o.merge.settings.Budget {
		return l.spill()
	}
	return nil
}

// history gives out versions in the order of their changes: all, or those that have ended.
func (o *output) history(f *fold, ended bool) error {
	var whole, lacking, lost, first []int32
	for i := range f.log {
		e, at := &f.log[i], int32(i)
		if e.first {
			first = append(first, at)
		}
		switch {
		case e.kind != present || (ended && e.next < 0):
		case e.lack == complete:
			whole = append(whole, at)
		case e.lack == nowhere || o.merge.settings.Lookup == nil:
			lost = append(lost, at)
		default:
			lacking = append(lacking, at)
		}
	}
	if err := o.endings(f, first); err != nil {
		return err
	}
	if err := o.versions(f, whole); err != nil {
		return err
	}
	err := o.lookUp(f, len(lacking), func(i int) *value { return &f.log[lacking[i]].value }, func(from, to int) error {
		var found []int32
		for _, at := range lacking[from:to] {
			if f.log[at].lack == complete {
				found = append(found, at)
			} else {
				lost = append(lost, at)
			}
		}
		return o.versions(f, found)
	})
	if err != nil {
		return err
	}
	return o.lostVersions(f, lost)
}

func (f *fold) chunksOfLog(log []int32, each func(log []int32) error) error {
	return f.chunks(len(log), func(i int) *value { return &f.log[log[i]].value }, func(from, to int) error {
		return each(log[from:to])
	})
}

// endings are the keys whose version in the table has ended, if there is one.
func (o *output) endings(f *fold, log []int32) error {
	m := o.merge
	return f.chunksOfLog(log, func(log []int32) error {
		times := make([]ref, len(log))
		for i, at := range log {
			times[i] = f.log[at].at
		}
		ends, err := gather(m.alloc, metaFields[metaTs].Type, f.views[metaTs], times)
		if err != nil {
			return err
		}
		columns := append(m.codec.decode(m.alloc, len(log), func(i int) []byte { return f.keys.key(f.log[log[i]].id) }), ends)
		defer releaseArrays(columns)
		return o.give(&Part{Keys: array.NewRecordBatch(m.KeysSchema(), columns, int64(len(log)))})
	})
}

func (o *output) versions(f *fold, log []int32) error {
	m := o.merge
	return f.chunksOfLog(log, func(log []int32) error {
		values, ends := make([]value, len(log)), make([]ref, len(log))
		for i, at := range log {
			values[i], ends[i] = f.log[at].value, nullRef
			if next := f.log[at].next; next >= 0 {
				ends[i] = f.log[next].at
			}
		}
		g := f.gatherer(values)
		var columns []arrow.Array
		defer func() { releaseArrays(columns) }()
		for _, at := range append(slices.Clone(m.order), metaTs) {
			a, err := g.column(at, nil)
			if err != nil {
				return err
			}
			columns = append(columns, a)
		}
		to, err := gather(m.alloc, metaFields[metaTs].Type, f.views[metaTs], ends)
		if err != nil {
			return err
		}
		columns = append(columns, to)
		began(m.alloc, columns[len(m.order):])
		for at := range metaTs {
			a, err := g.column(at, nil)
			if err != nil {
				return err
			}
			columns = append(columns, a)
		}
		return o.give(&Part{Versions: array.NewRecordBatch(m.VersionsSchema(), columns, int64(len(log)))})
	})
}

func (o *output) lostVersions(f *fold, log []int32) error {
	return f.chunksOfLog(log, func(log []int32) error {
		values := make([]value, len(log))
		for i, at := range log {
			values[i] = f.log[at].value
		}
		rejected, rows, err := f.reject(values)
		if err != nil {
			return err
		}
		return o.give(&Part{Rejected: rejected, RejectedRows: rows})
	})
}
