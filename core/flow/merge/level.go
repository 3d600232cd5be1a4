package merge

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
)

// A level cuts the keys into partitions by four bits of their hash, those that the levels above have not used.
const (
	fanoutBits = 4
	fanout     = 1 << fanoutBits
	maxDepth   = 64/fanoutBits - 1
)

// level is the fold of some of the keys: of all of them at depth 0, then of a partition's.
type level struct {
	merge      *Merge
	depth      int
	fold       *fold
	parts      *[fanout]partition // nil as long as all is in the fold
	begunEmpty bool               // there was nothing before the unit
}

func newLevel(m *Merge, depth int, empty bool) *level {
	return &level{merge: m, depth: depth, fold: newFold(m, empty), begunEmpty: empty}
}

func (l *level) partition(hash uint64) int {
	return int(hash>>(64-fanoutBits*(l.depth+1))) & (fanout - 1) //nolint:gosec // four bits
}

// makeRoom keeps the budget: what is no longer needed goes first; if that is not much, everything goes to files.
func (l *level) makeRoom() error {
	f, budget := l.fold, l.merge.settings.Budget
	if f.bytes() <= budget {
		return nil
	}
	if !f.history && (l.cannotSplit() || 2*f.liveBytes() < budget) {
		return l.compact(f.states)
	}
	return l.spill()
}

// cannotSplit says that files would not help: there is one key, or no bit of the hash is left.
func (l *level) cannotSplit() bool { return l.fold.keys.len() <= 1 || l.depth >= maxDepth }

// liveBytes estimates what the rows take that still count.
func (f *fold) liveBytes() int64 {
	size := f.keys.bytes() + stateBytes*int64(len(f.states))
	for i := range f.states {
		if s := &f.states[i]; s.kind == present {
			size += f.rowBytes(&s.value)
		}
	}
	return size
}

// compact replaces the fold by one that holds the states only.
func (l *level) compact(states []state) error {
	f := l.fold
	items := make([]item, 0, len(states))
	for i := range states {
		s := &states[i]
		if s.kind == untouched {
			continue
		}
		it := item{value: s.value, id: int32(i), kind: s.kind, was: s.was}
		if f.history {
			it.was = carried
		}
		items = append(items, it)
	}
	next := newFold(l.merge, f.empty)
	err := f.chunks(len(items), func(i int) *value { return &items[i].value }, func(from, to int) error {
		batch, err := f.write(items[from:to], true)
		if err != nil {
			return err
		}
		defer batch.Release()
		return next.read(batch)
	})
	if err != nil {
		next.release()
		return err
	}
	f.release()
	l.fold = next
	return nil
}

// spill writes what the fold knows behind what earlier ones wrote, and begins a new one.
func (l *level) spill() error {
	f := l.fold
	if l.parts == nil {
		l.begunEmpty = f.begunEmpty
	}
	if err := l.resolve(); err != nil {
		return err
	}
	if l.parts == nil {
		l.parts = new([fanout]partition)
	}
	for p, items := range l.split() {
		err := f.chunks(len(items), func(i int) *value { return &items[i].value }, func(from, to int) error {
			batch, err := f.write(items[from:to], false)
			if err != nil {
				return err
			}
			defer batch.Release()
			return l.parts[p].write(l.merge, batch)
		})
		if err != nil {
			return err
		}
	}
	f.release()
	l.fold = newFold(l.merge, false)
	return nil
}

// split sorts what is to be written by partition; a truncate goes to all.
func (l *level) split() [fanout][]item {
	var out [fanout][]item
	f := l.fold
	put := func(it item) {
		p := l.partition(f.keys.hashes[it.id])
		out[p] = append(out[p], it)
	}
	if !f.history {
		for i := range f.states {
			if s := &f.states[i]; s.kind != untouched {
				put(item{value: s.value, id: int32(i), kind: s.kind, was: s.was})
			}
		}
		return out
	}
	for i := range f.log {
		e := &f.log[i]
		it := item{value: e.value, id: e.id, kind: e.kind, was: e.was()}
		if e.kind != untouched {
			put(it)
			continue
		}
		it.id = -1
		for p := range out {
			out[p] = append(out[p], it)
		}
	}
	return out
}

// evolve brings the fold to the merge's columns. What is in files is brought there when it is read.
func (l *level) evolve() error {
	f := l.fold
	for len(f.views) < len(l.merge.columns) {
		f.views = append(f.views, make([]view, 0, len(f.sources)))
		for range f.sources {
			f.views[len(f.views)-1] = append(f.views[len(f.views)-1], newView(nil))
		}
	}
	for at, s := range f.sources {
		for i, a := range s.arrays {
			if a == nil || arrow.TypeEqual(a.DataType(), l.merge.columns[i].Type) {
				continue
			}
			wide, err := l.merge.cast(a, i)
			if err != nil {
				return fmt.Errorf("merge: new schema: %w", err)
			}
			a.Release()
			s.arrays[i], f.views[i][at] = wide, newView(wide)
		}
	}
	if l.parts == nil {
		return nil
	}
	for p := range l.parts {
		if err := l.parts[p].end(); err != nil {
			return err
		}
	}
	return nil
}

func (l *level) close() {
	l.fold.release()
	if l.parts == nil {
		return
	}
	for p := range l.parts {
		l.parts[p].discard()
	}
	l.parts = nil
}
