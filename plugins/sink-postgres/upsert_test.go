package main

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// wide has two parts of a key, a plain value, and two large ones that may be left out.
var wide = arrow.NewSchema([]arrow.Field{
	{Name: "A", Type: arrow.PrimitiveTypes.Int64}, {Name: "b", Type: arrow.BinaryTypes.String},
	{Name: "n", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	{Name: "big one", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "Ünsent", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

type key struct {
	a int64
	b string
}

type values struct {
	n        int32
	big, uns string
}

// model is a table, changed row by row, and the changes that say so.
type model struct {
	t    *testing.T
	r    *rand.Rand
	rows map[key]values
	out  *change.Builder
	seen map[key]bool // rows that were there at the end of a unit
	seq  int64
}

func newModel(t *testing.T, seed uint64) *model {
	t.Helper()
	m := &model{t: t, r: rand.New(rand.NewPCG(seed, 1)), rows: map[key]values{}, seen: map[key]bool{}}
	m.out = change.NewBuilder(memory.DefaultAllocator, wide, []string{"A", "b"})
	t.Cleanup(m.out.Release)
	return m
}

func (m *model) key() key { return key{m.r.Int64N(4), string(rune('x' + m.r.IntN(3)))} }

func (m *model) values() values {
	m.seq++
	return values{int32(m.seq), fmt.Sprint("big ", m.seq), fmt.Sprint("unsent ", m.seq)}
}

func text(b array.Builder, v string, sent bool) {
	if !sent {
		b.AppendNull()
		return
	}
	b.(*array.StringBuilder).Append(v)
}

func (m *model) emit(op change.Op, k key, v values, before *key, unsent ...string) {
	m.out.Column(0).(*array.Int64Builder).Append(k.a)
	m.out.Column(1).(*array.StringBuilder).Append(k.b)
	if op == change.Delete {
		m.out.Column(2).AppendNull()
	} else {
		m.out.Column(2).(*array.Int32Builder).Append(v.n)
	}
	text(m.out.Column(3), v.big, op != change.Delete && !slices.Contains(unsent, "big one"))
	text(m.out.Column(4), v.uns, op != change.Delete && !slices.Contains(unsent, "Ünsent"))
	if before != nil {
		b := m.out.Before()
		b.Append(true)
		b.FieldBuilder(0).(*array.Int64Builder).Append(before.a)
		b.FieldBuilder(1).(*array.StringBuilder).Append(before.b)
		for i := 2; i < b.NumField(); i++ {
			b.FieldBuilder(i).AppendNull()
		}
	}
	m.out.Append(change.Change{Op: op, Pos: []byte{1}, TxSeq: m.seq, Ts: time.Unix(1e9+m.seq, 0), Unchanged: unsent})
}

// step makes one change.
func (m *model) step() {
	k := m.key()
	old, there := m.rows[k]
	v := m.values()
	switch {
	case m.r.IntN(60) == 0:
		clear(m.rows)
		m.out.AppendTruncate(change.Change{Pos: []byte{1}, TxSeq: m.seq, Ts: time.Unix(1e9+m.seq, 0)})
	case !there:
		m.rows[k] = v
		m.emit([]change.Op{change.Insert, change.Snapshot}[m.r.IntN(2)], k, v, nil)
	case m.r.IntN(4) == 0:
		delete(m.rows, k)
		m.emit(change.Delete, k, values{}, &k)
	default:
		m.update(k, old, v)
	}
}

func (m *model) update(k key, old, v values) {
	var unsent []string
	if m.r.IntN(2) == 0 {
		v.big, unsent = old.big, append(unsent, "big one")
	}
	if m.r.IntN(3) == 0 {
		v.uns, unsent = old.uns, append(unsent, "Ünsent")
	}
	next := m.key()
	if _, taken := m.rows[next]; !taken && m.r.IntN(2) == 0 {
		delete(m.rows, k)
		m.rows[next] = v
		m.emit(change.Update, next, v, &k, unsent...)
		return
	}
	m.rows[k] = v
	var before *key
	if m.r.IntN(2) == 0 {
		before = &k // as with a replica identity of the whole row
	}
	m.emit(change.Update, k, v, before, unsent...)
}

// batch is the changes since the last one.
func (m *model) batch() arrow.RecordBatch {
	m.t.Helper()
	b, err := m.out.Batch()
	if err != nil {
		m.t.Fatal(err)
	}
	return b
}

func (m *model) expected() []string {
	var out []string
	for _, k := range slices.SortedFunc(maps.Keys(m.rows), func(a, b key) int { return cmp.Or(cmp.Compare(a.a, b.a), cmp.Compare(a.b, b.b)) }) {
		v := m.rows[k]
		out = append(out, fmt.Sprintf("(%d,%s,%d,%q,%q)", k.a, k.b, v.n, v.big, v.uns))
	}
	return out
}

const wideSQL = `select "A", b, n, "big one", "Ünsent" from "Wide ""table" where %s order by "A", b collate "C"`

func TestChangesComeToWhatTheSourceHas(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		seed  uint64
		soft  bool
		units int
	}{{"hard", 1, false, 60}, {"soft", 2, true, 60}, {"large units", 3, false, 8}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			config := Config{Table: `Wide "table`}
			there := "true"
			if c.soft {
				config.Delete, there = "soft", "_deleted_at is null"
			}
			m := newModel(t, c.seed)
			stream := sdk.SchemaChange{Stream: "wide", Version: 1, Schema: change.Schema(wide, []string{"A", "b"})}
			sink, _ := s.begin(t, config, sdk.Upsert, 1, stream)
			for unit := range c.units {
				for range m.r.IntN(1 + 600/c.units) {
					m.step()
					if m.r.IntN(20) == 0 {
						none(t, write(t, sink, "wide", 1, m.batch()))
					}
				}
				none(t, write(t, sink, "wide", 1, m.batch()))
				none(t, commit(t, sink, mark(1, uint64(unit+1))))
				s.want(t, fmt.Sprintf(wideSQL, there), m.expected()...)
				for k := range m.rows {
					m.seen[k] = true
				}
				if c.soft && one[int](t, s, `select count(*)::int from "Wide ""table" where _deleted_at is not null`) != len(m.seen)-len(m.rows) {
					t.Errorf("unit %d: expected %d deleted rows", unit, len(m.seen)-len(m.rows))
				}
				if t.Failed() {
					t.FailNow()
				}
			}
		})
	}
}
