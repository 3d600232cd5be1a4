package merge

import (
	"github.com/apache/arrow-go/v18/arrow"
)

// kind is what became of a key.
type kind uint8

const (
	untouched kind = iota // as it was before the fold
	present
	gone
)

// was is what is known of a key before the unit, by the word of its first change.
type was uint8

const (
	unknown was = iota
	absent
	existed
	carried // history: the first change has been given out already
)

// lack says where a row's unresolved columns are to be found.
type lack uint8

const (
	complete lack = iota
	base          // in the row of the key value.from, as it was before the fold
	inTable       // in the table's row of the key value.from
	nowhere       // there was no row
)

// value is a row: where it lies, and which of its columns lie elsewhere.
type value struct {
	at    ref
	first int32 // of its patches
	count int32
	from  int32 // number of a key; a row's unresolved columns all come from one row
	lack  lack
	moved bool // the unresolved columns are not those that the key itself had before the change
}

// patch is a column of a row that lies elsewhere; nullRef: it is unresolved.
type patch struct {
	column int32
	at     ref
}

type state struct {
	value
	kind kind
	was  was
	open int32 // history: place in the log of the version that holds, -1 if there is none
}

// Sizes of what a fold holds, for the budget.
const (
	stateBytes = 40
	patchBytes = 12
	eventBytes = 48
)

// source is a batch that rows point into.
type source struct {
	arrays  []arrow.Array // by column of the merge; nil: null
	rows    int
	bytes   int64
	batch   int32   // where the rows came in
	batches []int32 // the same by row, for rows that were in files
	places  []int32
}

func (s *source) origin(row int32) (batch, place int32) {
	if s.batches != nil {
		return s.batches[row], s.places[row]
	}
	return s.batch, row
}

// fold applies changes in order.
type fold struct {
	merge   *Merge
	keys    keyTable
	states  []state
	patches []patch
	sources []*source
	views   [][]view // by column, then by source
	held    int64    // bytes of the sources

	begunEmpty bool // nothing was there before
	empty      bool // nothing is there but what the fold has
	history    bool
	log        []event
}

// event is a change, in history mode.
type event struct {
	value
	id    int32
	kind  kind  // untouched: a truncate
	first bool  // the key's first change, so a version that the table has ends here
	next  int32 // the change that ended the version, -1 as long as it holds
}

func newFold(m *Merge, empty bool) *fold {
	return &fold{
		merge: m, keys: newKeyTable(m.codec.width), views: make([][]view, len(m.columns)),
		begunEmpty: empty, empty: empty, history: m.settings.Mode == History,
	}
}

func (f *fold) bytes() int64 {
	return f.held + f.keys.bytes() + stateBytes*int64(cap(f.states)) + patchBytes*int64(cap(f.patches)) + eventBytes*int64(cap(f.log))
}

func (f *fold) release() {
	for _, s := range f.sources {
		releaseArrays(s.arrays)
	}
	f.sources, f.views, f.states, f.patches, f.log = nil, nil, nil, nil, nil
}

// addSource takes the source's arrays over.
func (f *fold) addSource(s *source) int32 {
	for i := range f.views {
		var a arrow.Array
		if i < len(s.arrays) {
			a = s.arrays[i]
		}
		f.views[i] = append(f.views[i], newView(a))
	}
	f.sources = append(f.sources, s)
	f.held += s.bytes
	return int32(len(f.sources) - 1) //nolint:gosec // memory ends before 2^31 batches
}

func (f *fold) id(key []byte) int32 {
	id := f.keys.put(key)
	if int(id) == len(f.states) {
		f.states = append(f.states, state{open: -1})
	}
	return id
}

// put applies a row. The columns in mask, if any, are those of the row that holds under the key from.
func (f *fold) put(id int32, at ref, mask, from int32, w was) {
	v := value{at: at}
	if mask != 0 {
		v = f.inherit(at, f.merge.masks.columns[mask], from)
		v.moved = v.lack == base && from != id
	}
	f.set(id, v, w)
}

// inherit makes a row whose columns are those of the row under the key from.
func (f *fold) inherit(at ref, columns []int32, from int32) value {
	old := f.states[from]
	v := value{at: at, first: int32(len(f.patches))} //nolint:gosec // memory ends before 2^31 patches
	switch {
	case old.kind == untouched && !f.empty:
		v.lack, v.from = base, from
	case old.kind != present:
		v.lack = nowhere
	}
	lacking := v.lack != complete
	for _, column := range columns {
		p := patch{column: column, at: nullRef}
		if !lacking {
			p.at = f.lookUp(&old.value, column)
			if p.at == nullRef {
				v.lack, v.from = old.lack, old.from
			}
		}
		f.patches = append(f.patches, p)
	}
	v.count = int32(len(f.patches)) - v.first //nolint:gosec // as above
	return v
}

// lookUp says where a column of a row lies.
func (f *fold) lookUp(v *value, column int32) ref {
	for _, p := range f.patchesOf(v) {
		if p.column == column {
			return p.at
		}
	}
	return v.at
}

func (f *fold) patchesOf(v *value) []patch { return f.patches[v.first : v.first+v.count] }

// putFixed applies a row whose unresolved columns, those in mask, come from a place that is known.
func (f *fold) putFixed(id int32, at ref, mask int32, l lack, from int32, w was) {
	v := value{at: at, first: int32(len(f.patches)), lack: l, from: from} //nolint:gosec // see inherit
	for _, column := range f.merge.masks.columns[mask] {
		f.patches = append(f.patches, patch{column: column, at: nullRef})
	}
	v.count = int32(len(f.patches)) - v.first //nolint:gosec // see inherit
	v.moved = l == base && from != id
	f.set(id, v, w)
}

// supply resolves columns of the row put last, which the change itself knows in _before.
func (f *fold) supply(id int32, old int32, row int) {
	s := &f.states[id]
	open := false
	for i := s.first; i < s.first+s.count; i++ {
		p := &f.patches[i]
		if v := &f.views[p.column][old]; !v.isNull(row) {
			p.at = ref{source: old, row: int32(row)} //nolint:gosec // rows of a batch
		}
		open = open || p.at == nullRef
	}
	if !open {
		s.lack, s.moved = complete, false
	}
	if f.history {
		f.log[len(f.log)-1].value = s.value
	}
}

func (f *fold) delete(id int32, at ref, w was) {
	first := f.touch(id, w)
	s := &f.states[id]
	s.value, s.kind = value{at: at}, gone
	if f.history {
		f.record(id, first)
		s.open = -1
	}
}

func (f *fold) set(id int32, v value, w was) {
	first := f.touch(id, w)
	s := &f.states[id]
	s.value, s.kind = v, present
	if f.history {
		f.record(id, first)
		s.open = int32(len(f.log) - 1) //nolint:gosec // memory ends before 2^31 changes
	}
}

// touch notes what the first change of a key says about the time before. It says whether there may have been a row then.
func (f *fold) touch(id int32, w was) bool {
	s := &f.states[id]
	if s.kind != untouched {
		return false
	}
	if s.was = w; f.empty && w != carried {
		s.was = absent
	}
	return !f.empty && w != carried
}

// record appends to the log, and ends the version before.
func (f *fold) record(id int32, first bool) {
	s := &f.states[id]
	if s.open >= 0 {
		f.log[s.open].next = int32(len(f.log)) //nolint:gosec // memory ends before 2^31 changes
	}
	f.log = append(f.log, event{value: s.value, id: id, kind: s.kind, first: first, next: -1})
}

// truncate empties the table: in history mode, it ends all versions.
func (f *fold) truncate(at ref) {
	for i := range f.states {
		s := &f.states[i]
		if s.open >= 0 {
			f.log[s.open].next = int32(len(f.log)) //nolint:gosec // memory ends before 2^31 changes
			s.open = -1
		}
		if s.kind == untouched {
			continue
		}
		s.kind, s.value = gone, value{at: at}
	}
	f.empty = true
	f.log = append(f.log, event{value: value{at: at}, next: -1})
}

// was is how an entry tells whether the change is the first of its key.
func (e *event) was() was {
	if e.first || e.kind == untouched {
		return unknown
	}
	return carried
}
