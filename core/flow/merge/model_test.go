package merge

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/qanat-data/qanat/sdk/change"
)

// A model row: values by column, "∅" for null. A lost value is one that nobody knows.
type modelRow map[string]string

const (
	null    = "∅"
	lostVal = "?"
)

// step is one change of a random history. Keys are small numbers, below 0: null.
type step struct {
	op        change.Op
	key       int
	before    int // -1: nothing is known
	a, s      string
	unchanged []string
	full      bool // _before has the other columns as well
	oldA      string
	oldS      string
	n         int // from 1: position and time
}

// model applies changes one by one to maps.
type model struct {
	rows      map[int]modelRow
	first     map[int]change.Op
	moved     map[int]bool // the first change of the key was a row that came from another key
	cleared   map[int]bool // the first change of the key came after a truncate
	last      map[int]step
	truncated bool
	rejected  []string

	opened   map[int]*modelVersion
	versions []*modelVersion
	endings  []string
	seen     map[int]bool
}

type modelVersion struct {
	row      modelRow
	from, to int
	step     step
}

func newModel(table map[int]modelRow) *model {
	m := &model{
		rows: map[int]modelRow{}, first: map[int]change.Op{}, moved: map[int]bool{}, cleared: map[int]bool{}, last: map[int]step{},
		opened: map[int]*modelVersion{}, seen: map[int]bool{},
	}
	maps.Copy(m.rows, table)
	return m
}

func (m *model) touch(k int, s step, op change.Op, moved bool) {
	if _, ok := m.first[k]; !ok {
		m.first[k], m.moved[k], m.cleared[k] = op, moved, m.truncated
	}
	m.last[k] = s
	if !m.seen[k] && !m.truncated {
		m.endings = append(m.endings, fmt.Sprintf("%d@%d", k, s.n))
	}
	m.seen[k] = true
	if v := m.opened[k]; v != nil {
		v.to = s.n
		delete(m.opened, k)
	}
}

func (m *model) apply(s step) {
	switch {
	case s.op == change.Truncate:
		for _, v := range m.opened {
			v.to = s.n
		}
		clear(m.rows)
		clear(m.first)
		clear(m.last)
		clear(m.opened)
		m.truncated = true
		return
	case s.op > change.Truncate:
		m.rejected = append(m.rejected, fmt.Sprintf("%d %s", s.n, CodeOp))
		return
	case s.key < 0:
		m.rejected = append(m.rejected, fmt.Sprintf("%d %s", s.n, CodeNullKey))
		return
	case s.op == change.Delete:
		m.touch(s.key, s, s.op, false)
		delete(m.rows, s.key)
		return
	}
	from := s.key
	if s.op == change.Update && s.before >= 0 {
		from = s.before
	}
	old, had := m.rows[from]
	row := modelRow{"a": s.a, "s": s.s}
	for _, c := range s.unchanged {
		switch known := map[string]string{"a": s.oldA, "s": s.oldS}[c]; {
		case s.before >= 0 && s.full && known != null:
			row[c] = known
		case had:
			row[c] = old[c]
		default:
			row[c] = lostVal
		}
	}
	m.touch(s.key, s, s.op, from != s.key)
	m.rows[s.key] = row
	v := &modelVersion{row: row, from: s.n, to: -1, step: s}
	m.versions = append(m.versions, v)
	m.opened[s.key] = v
	if from != s.key {
		m.touch(from, s, change.Delete, false)
		delete(m.rows, from)
	}
}

func (m *model) label(k int) change.Op {
	switch op := m.first[k]; {
	case m.rows[k] == nil:
		return change.Delete
	case m.cleared[k] || op == change.Insert || m.moved[k]:
		return change.Insert
	case op == change.Snapshot:
		return change.Snapshot
	}
	return change.Update
}

// finish rejects rows that are not whole, and returns what the changes come to, as sorted lines.
func (m *model) finish() (rows, changes []string) {
	for k, s := range m.last {
		if r := m.rows[k]; r != nil && (r["a"] == lostVal || r["s"] == lostVal) {
			m.rejected = append(m.rejected, fmt.Sprintf("%d %s", s.n, CodeNoRow))
			delete(m.rows, k)
		}
		line := fmt.Sprintf("%d %s %d", k, m.label(k), s.n)
		if r := m.rows[k]; r != nil {
			line += " " + r.String()
		}
		changes = append(changes, line)
	}
	for k, r := range m.rows {
		rows = append(rows, fmt.Sprintf("%d %s", k, r))
	}
	slices.Sort(rows)
	slices.Sort(changes)
	slices.Sort(m.rejected)
	return rows, changes
}

func (m *model) history() []string {
	var out []string
	for _, v := range m.versions {
		if v.row["a"] == lostVal || v.row["s"] == lostVal {
			m.rejected = append(m.rejected, fmt.Sprintf("%d %s", v.step.n, CodeNoRow))
			continue
		}
		out = append(out, fmt.Sprintf("%d %s [%d,%d) %s", v.step.key, v.row, v.from, v.to, v.step.op))
	}
	slices.Sort(out)
	slices.Sort(m.rejected)
	slices.Sort(m.endings)
	return out
}

func (r modelRow) String() string { return strings.Join([]string{r["a"], r["s"]}, "|") }
