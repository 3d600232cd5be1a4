package merge

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/change"
)

// shape is a key's form in tests: how a small number becomes a key.
type shape struct {
	name   string
	fields []arrow.Field
	put    func(b func(i int) array.Builder, n int)
	get    func(columns []arrow.Array, row int) int
}

var (
	plainKey = shape{
		name:   "int64",
		fields: []arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}},
		put:    func(b func(int) array.Builder, n int) { b(0).(*array.Int64Builder).Append(int64(n)) },
		get:    func(c []arrow.Array, row int) int { return int(c[0].(*array.Int64).Value(row)) },
	}
	pairKey = shape{
		name: "text and int32",
		fields: []arrow.Field{
			{Name: "region", Type: arrow.BinaryTypes.String}, {Name: "id", Type: arrow.PrimitiveTypes.Int32},
		},
		put: func(b func(int) array.Builder, n int) {
			b(0).(*array.StringBuilder).Append("region"[:n%4])
			b(1).(*array.Int32Builder).Append(int32(n))
		},
		get: func(c []arrow.Array, row int) int { return int(c[1].(*array.Int32).Value(row)) },
	}
)

func (s *shape) names() []string {
	var out []string
	for _, f := range s.fields {
		out = append(out, f.Name)
	}
	return out
}

func (s *shape) table() *arrow.Schema {
	return arrow.NewSchema(append(slices.Clone(s.fields),
		arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		arrow.Field{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}), nil)
}

func appendText(b array.Builder, text string) {
	if text == null {
		b.AppendNull()
		return
	}
	if err := b.AppendValueFromString(text); err != nil {
		panic(err)
	}
}

// batch makes change rows.
func (s *shape) batch(t testing.TB, alloc memory.Allocator, steps []step) arrow.RecordBatch {
	t.Helper()
	b := change.NewBuilder(alloc, s.table(), s.names())
	defer b.Release()
	n := len(s.fields)
	for _, c := range steps {
		meta := change.Change{
			Op: c.op, Pos: binary.BigEndian.AppendUint64(nil, uint64(c.n)), TxSeq: int64(c.n), Ts: time.UnixMicro(int64(c.n)),
			Unchanged: c.unchanged,
		}
		if c.op == change.Truncate {
			b.AppendTruncate(meta)
			continue
		}
		s.key(b.Column, c.key)
		a, text := c.a, c.s
		if c.op == change.Delete {
			a, text = null, null
		}
		for _, u := range c.unchanged {
			switch u {
			case "a":
				a = null
			case "s":
				text = null
			}
		}
		appendText(b.Column(n), a)
		appendText(b.Column(n+1), text)
		if c.before >= 0 {
			b.Before().Append(true)
			s.put(b.Before().FieldBuilder, c.before)
			oldA, oldS := null, null
			if c.full {
				oldA, oldS = c.oldA, c.oldS
			}
			appendText(b.Before().FieldBuilder(n), oldA)
			appendText(b.Before().FieldBuilder(n+1), oldS)
		}
		b.Append(meta)
	}
	out, err := b.Batch()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (s *shape) key(b func(int) array.Builder, n int) {
	if n >= 0 {
		s.put(b, n)
		return
	}
	for i := range s.fields {
		b(i).AppendNull()
	}
}

// table is the target's rows, which lookups find.
func (s *shape) lookup(alloc memory.Allocator, table map[int]modelRow) Lookup {
	return func(_ context.Context, keys arrow.RecordBatch, columns []string) (arrow.RecordBatch, error) {
		b := array.NewRecordBuilder(alloc, s.table())
		defer b.Release()
		for row := range int(keys.NumRows()) {
			k := s.get(keys.Columns(), row)
			r, ok := table[k]
			if !ok {
				continue
			}
			s.put(b.Field, k)
			for i, c := range []string{"a", "s"} {
				if !slices.Contains(columns, c) {
					b.Field(len(s.fields) + i).AppendNull()
					continue
				}
				appendText(b.Field(len(s.fields)+i), r[c])
			}
		}
		return b.NewRecordBatch(), nil
	}
}

func text(a arrow.Array, row int) string {
	if a.IsNull(row) {
		return null
	}
	return a.ValueStr(row)
}

// outcome is what a merge gave, as sorted lines.
type outcome struct {
	rows, changes, rejected, versions, endings []string
	truncated                                  bool
	counts                                     Counts
	parts                                      []string // in order
}

// run merges batches and applies the parts to a copy of the table.
func (s *shape) run(t testing.TB, settings Settings, batches [][]step, table map[int]modelRow) outcome {
	t.Helper()
	return s.runWith(t, settings, batches, table, func(*Merge) error { return nil })
}

// runWith does something after each batch.
func (s *shape) runWith(
	t testing.TB, settings Settings, batches [][]step, table map[int]modelRow, after func(m *Merge) error,
) outcome {
	t.Helper()
	m, err := New(settings)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	var o outcome
	reject := func(rejected []Rejection) {
		for _, r := range rejected {
			o.rejected = append(o.rejected, fmt.Sprintf("%d %s", batches[r.Batch][r.Row].n, r.Code))
		}
	}
	for _, steps := range batches {
		b := s.batch(t, settings.Alloc, steps)
		rejected, err := m.Add(t.Context(), b)
		b.Release()
		if err != nil {
			t.Fatal(err)
		}
		reject(rejected)
		if err := after(m); err != nil {
			t.Fatal(err)
		}
	}
	now := map[int]modelRow{}
	maps.Copy(now, table)
	touched := map[int]bool{}
	for p, err := range m.Parts(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		reject(p.Rejected)
		s.check(t, p, touched)
		s.take(&o, p, now)
	}
	for k, r := range now {
		o.rows = append(o.rows, fmt.Sprintf("%d %s", k, r))
	}
	for _, lines := range [][]string{o.rows, o.changes, o.rejected, o.versions, o.endings} {
		slices.Sort(lines)
	}
	o.truncated, o.counts = m.Truncated(), m.Counts()
	return o
}

// check holds a part to its promises.
func (s *shape) check(t testing.TB, p *Part, touched map[int]bool) {
	t.Helper()
	if p.Keys != nil {
		for row := range int(p.Keys.NumRows()) {
			k := s.get(p.Keys.Columns(), row)
			if touched[k] {
				t.Errorf("key %d is given out twice", k)
			}
			touched[k] = true
		}
	}
	if p.RejectedRows != nil && int(p.RejectedRows.NumRows()) != len(p.Rejected) {
		t.Errorf("%d rejections of %d rows", len(p.Rejected), p.RejectedRows.NumRows())
	}
	if p.Keys != nil && p.Changes != nil && p.Keys.NumRows() != p.Changes.NumRows() {
		t.Errorf("%d keys, %d changes", p.Keys.NumRows(), p.Changes.NumRows())
	}
}

func (s *shape) take(o *outcome, p *Part, now map[int]modelRow) {
	n := len(s.fields)
	if p.Truncate {
		clear(now)
		o.parts = append(o.parts, "truncate")
	}
	if p.Keys != nil {
		for row := range int(p.Keys.NumRows()) {
			k := s.get(p.Keys.Columns(), row)
			delete(now, k)
			if p.Versions == nil && p.Changes == nil {
				o.endings = append(o.endings, fmt.Sprintf("%d@%d", k, int64(p.Keys.Column(n).(*array.Timestamp).Value(row))))
			}
		}
		o.parts = append(o.parts, fmt.Sprint(p.Keys))
	}
	if p.Upserts != nil {
		for row := range int(p.Upserts.NumRows()) {
			c := p.Upserts.Columns()
			now[s.get(c, row)] = modelRow{"a": text(c[n], row), "s": text(c[n+1], row)}
		}
		o.parts = append(o.parts, fmt.Sprint(p.Upserts))
	}
	if p.Changes != nil && !p.Truncate {
		for row := range int(p.Changes.NumRows()) {
			c := p.Changes.Columns()
			op := change.Op(c[n+2].(*array.Uint8).Value(row))
			line := fmt.Sprintf("%d %s %s", s.get(c, row), op, text(c[n+4], row))
			if op != change.Delete {
				line += " " + modelRow{"a": text(c[n], row), "s": text(c[n+1], row)}.String()
			}
			o.changes = append(o.changes, line)
		}
		o.parts = append(o.parts, fmt.Sprint(p.Changes))
	}
	if p.Versions != nil {
		for row := range int(p.Versions.NumRows()) {
			c := p.Versions.Columns()
			to := "-1"
			if c[n+3].IsValid(row) {
				to = strconv.FormatInt(int64(c[n+3].(*array.Timestamp).Value(row)), 10)
			}
			o.versions = append(o.versions, fmt.Sprintf("%d %s [%d,%s) %s", s.get(c, row),
				modelRow{"a": text(c[n], row), "s": text(c[n+1], row)}, int64(c[n+2].(*array.Timestamp).Value(row)), to,
				change.Op(c[n+4].(*array.Uint8).Value(row))))
		}
		o.parts = append(o.parts, fmt.Sprint(p.Versions))
	}
}
