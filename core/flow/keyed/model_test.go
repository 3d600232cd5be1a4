package keyed

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/qanat-data/qanat/sdk/change"
)

// edit is one change of a table with the columns id, a and s. Times are in microseconds, below 0: none is said.
type edit struct {
	op        change.Op
	id        int64
	before    int64 // the old id, below 0: the key has not changed
	a         int64
	s         string
	unchanged bool // s is not sent
	at        int64
}

type values struct {
	a int64
	s string
}

func (v values) String() string { return fmt.Sprintf("%d %s", v.a, v.s) }

// version is a row and when it held; to is below 0 while it does.
type version struct {
	id       int64
	row      values
	from, to int64
}

func (v version) String() string { return fmt.Sprintf("%d: %s [%d,%d)", v.id, v.row, v.from, v.to) }

// model keeps the versions of a table's rows by applying change by change. It knows nothing of units.
type model struct {
	rows     map[int64]values
	open     map[int64]*version
	versions []*version
	clock    int64
	states   []moment
}

// moment is what the table held from a time on.
type moment struct {
	at   int64
	rows map[int64]values
}

func newModel() *model { return &model{rows: map[int64]values{}, open: map[int64]*version{}} }

func (m *model) apply(e edit) {
	m.clock = max(m.clock, e.at)
	switch e.op {
	case change.Truncate:
		for id := range m.rows {
			m.end(id)
		}
	case change.Delete:
		m.end(e.id)
	default:
		from := e.id
		if e.before >= 0 {
			from = e.before
		}
		row := values{a: e.a, s: e.s}
		if e.unchanged {
			row.s = m.rows[from].s
		}
		m.end(e.id)
		m.end(from)
		m.rows[e.id] = row
		v := &version{id: e.id, row: row, from: m.clock, to: -1}
		m.open[e.id], m.versions = v, append(m.versions, v)
	}
	m.states = append(m.states, moment{at: m.clock, rows: maps.Clone(m.rows)})
}

func (m *model) end(id int64) {
	if v := m.open[id]; v != nil {
		v.to = m.clock
	}
	delete(m.open, id)
	delete(m.rows, id)
}

// asOf is what the table held at a time.
func (m *model) asOf(at int64) map[int64]values {
	var rows map[int64]values
	for _, s := range m.states {
		if s.at <= at {
			rows = s.rows
		}
	}
	return rows
}

func (m *model) lines() []string {
	var out []string
	for _, v := range m.versions {
		out = append(out, v.String())
	}
	slices.Sort(out)
	return out
}

// transaction makes changes that a database could have made, and applies them.
func (m *model) transaction(random *rand.Rand, at int64) []edit {
	var edits []edit
	if random.IntN(25) == 0 {
		edits = append(edits, edit{op: change.Truncate, before: -1, at: at})
		m.apply(edits[0])
	}
	for range random.IntN(5) {
		e := m.draw(random, at)
		m.apply(e)
		edits = append(edits, e)
	}
	return edits
}

const modelKeys = 12

func (m *model) draw(random *rand.Rand, at int64) edit {
	e := edit{
		op: change.Update, id: random.Int64N(modelKeys), before: -1, a: random.Int64N(100), s: fmt.Sprintf("s%d", random.IntN(1000)), at: at,
	}
	_, there := m.rows[e.id]
	switch what := random.IntN(10); {
	case !there:
		e.op = change.Insert
	case what < 2:
		e.op, e.a, e.s = change.Delete, 0, ""
	case what < 5:
		if to := random.Int64N(modelKeys); to != e.id {
			if _, taken := m.rows[to]; !taken {
				e.before, e.id = e.id, to
			}
		}
		e.unchanged = what == 2
	default:
		e.unchanged = what < 7
	}
	return e
}
