package merge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk/change"
)

func steps(s ...step) []step {
	for i := range s {
		s[i].n = i + 1
		if s[i].op != change.Update || s[i].before == 0 {
			s[i].before = -1
		}
		if s[i].a == "" {
			s[i].a = null
		}
		if s[i].s == "" {
			s[i].s = null
		}
		s[i].oldA, s[i].oldS = null, null
	}
	return s
}

func TestWhatChangesComeTo(t *testing.T) {
	t.Parallel()
	table := map[int]modelRow{1: {"a": "10", "s": "one"}, 2: {"a": "20", "s": "two"}, 3: {"a": "30", "s": "three"}}
	keep := []string{"s"}
	for _, c := range []struct {
		name     string
		steps    []step
		rows     []string // of keys 1 to 3 and new ones, after the unit
		changes  []string
		rejected []string
	}{
		{
			"an inserted and deleted row is deleted, as the key may have been there",
			steps(step{op: change.Insert, key: 9, a: "1"}, step{op: change.Delete, key: 9}),
			[]string{"1 10|one", "2 20|two", "3 30|three"}, []string{"9 delete 2"}, nil,
		},
		{
			"a deleted and inserted row is updated",
			steps(step{op: change.Delete, key: 1}, step{op: change.Insert, key: 1, a: "11"}),
			[]string{"1 11|∅", "2 20|two", "3 30|three"}, []string{"1 update 2 11|∅"}, nil,
		},
		{
			"keys are swapped by way of a third, and unchanged values go along",
			steps(
				step{op: change.Update, key: 7, before: 1, a: "10", unchanged: keep},
				step{op: change.Update, key: 1, before: 2, a: "20", unchanged: keep},
				step{op: change.Update, key: 2, before: 7, a: "10", unchanged: keep}),
			[]string{"1 20|two", "2 10|one", "3 30|three"},
			[]string{"1 update 2 20|two", "2 update 3 10|one", "7 delete 3"}, nil,
		},
		{
			"a chain of keys ends in one row",
			steps(
				step{op: change.Update, key: 7, before: 1, a: "11", unchanged: keep},
				step{op: change.Update, key: 8, before: 7, a: "12", unchanged: keep}),
			[]string{"2 20|two", "3 30|three", "8 12|one"},
			[]string{"1 delete 1", "7 delete 2", "8 insert 2 12|one"}, nil,
		},
		{
			"what an insert in the unit set is what an update left out",
			steps(step{op: change.Insert, key: 9, a: "1", s: "nine"}, step{op: change.Update, key: 9, a: "2", unchanged: keep}),
			[]string{"1 10|one", "2 20|two", "3 30|three", "9 2|nine"}, []string{"9 insert 2 2|nine"}, nil,
		},
		{
			"only what follows a truncate counts",
			steps(
				step{op: change.Update, key: 1, a: "11"}, step{op: change.Truncate}, step{op: change.Insert, key: 2, a: "21"},
				step{op: change.Update, key: 2, a: "22", unchanged: keep}),
			[]string{"2 22|∅"}, []string{"2 insert 4 22|∅"}, nil,
		},
		{
			"a row of which nobody knows the values is rejected",
			steps(step{op: change.Update, key: 9, a: "1", unchanged: keep}, step{op: change.Update, key: 8, a: "1", unchanged: keep},
				step{op: change.Update, key: 8, a: "2", s: "eight"}),
			[]string{"1 10|one", "2 20|two", "3 30|three", "8 2|eight"}, []string{"8 update 3 2|eight", "9 delete 1"}, []string{"1 " + CodeNoRow},
		},
		{
			"rows of a snapshot are upserts",
			steps(step{op: change.Snapshot, key: 1, a: "1"}, step{op: change.Snapshot, key: 9, a: "9"}),
			[]string{"1 1|∅", "2 20|two", "3 30|three", "9 9|∅"}, []string{"1 snapshot 1 1|∅", "9 snapshot 2 9|∅"}, nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, budget := range []int64{1 << 20, 1, 0} {
				alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
				settings := plainKey.settings(alloc, table, t.TempDir())
				settings.Budget = budget
				after := func(*Merge) error { return nil }
				if budget == 0 {
					after = func(m *Merge) error { return m.top.compact(m.top.fold.states) }
				}
				var batches [][]step
				for _, s := range c.steps {
					batches = append(batches, []step{s})
				}
				got := plainKey.runWith(t, settings, batches, table, after)
				alloc.AssertSize(t, 0)
				if diff := cmp.Diff([][]string{c.rows, c.changes, c.rejected}, [][]string{got.rows, got.changes, got.rejected}); diff != "" {
					t.Errorf("budget %d: (-want +got)\n%s", budget, diff)
				}
			}
		})
	}
}

func record(t *testing.T, alloc memory.Allocator, schema *arrow.Schema, rows string) arrow.RecordBatch {
	t.Helper()
	b, _, err := array.RecordFromJSON(alloc, schema, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func schema(columns ...any) *arrow.Schema {
	var fields []arrow.Field
	for i := 0; i < len(columns); i += 2 {
		fields = append(fields, arrow.Field{Name: columns[i].(string), Type: columns[i+1].(arrow.DataType), Nullable: true})
	}
	return arrow.NewSchema(fields, nil)
}

var (
	int32s, int64s = arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64
	texts          = arrow.BinaryTypes.String
)

// upserts gives the upserted rows, in order, as JSON.
func upserts(t *testing.T, m *Merge) string {
	t.Helper()
	var out strings.Builder
	for p, err := range m.Parts(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if p.Upserts == nil {
			continue
		}
		text, err := p.Upserts.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
	}
	return out.String()
}

func open(t *testing.T, s Settings) *Merge {
	t.Helper()
	m, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func add(t *testing.T, m *Merge, b arrow.RecordBatch) []Rejection {
	t.Helper()
	defer b.Release()
	rejected, err := m.Add(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return rejected
}

func TestWithoutOpLaterRowsWin(t *testing.T) {
	t.Parallel()
	s := schema("id", int64s, "a", texts)
	m := open(t, Settings{Table: s, Key: []string{"id"}})
	rejected := add(t, m, record(t, memory.DefaultAllocator, s, `[{"id": 1, "a": "x"}, {"id": 2, "a": "y"}, {"id": null, "a": "z"}, {"id": 1, "a": "w"}]`))
	want := []Rejection{{Batch: 0, Row: 2, Code: CodeNullKey, Column: "id", Reason: `key column "id" is null: expected a value in every change but a truncate`}}
	if diff := cmp.Diff(want, rejected); diff != "" {
		t.Errorf("rejected: (-want +got)\n%s", diff)
	}
	if got, want := upserts(t, m), `[{"a":"w","id":1}`+"\n"+`,{"a":"y","id":2}`+"\n]"; got != want {
		t.Errorf("got %s, expected %s", got, want)
	}
}

func TestOpsAreReadAsDatasetsKeepThem(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
	t.Cleanup(func() { alloc.AssertSize(t, 0) })
	s := schema("id", int32s, change.ColumnOp, int32s)
	m := open(t, Settings{Table: schema("id", int64s), Key: []string{"id"}, Alloc: alloc})
	rejected := add(t, m, record(t, alloc, s, `[{"id": 1, "_op": 1}, {"id": 2, "_op": 1}, {"id": 2, "_op": 3}, {"id": 3, "_op": -1}, {"id": 3, "_op": 256}, {"id": 3}]`))
	var got []string
	for _, r := range rejected {
		got = append(got, fmt.Sprint(r.Row, r.Code))
	}
	if diff := cmp.Diff([]string{"3" + CodeOp, "4" + CodeOp, "5" + CodeOp}, got); diff != "" {
		t.Errorf("rejected: (-want +got)\n%s", diff)
	}
	if got := upserts(t, m); got != `[{"id":1}`+"\n]" {
		t.Errorf("upserted %s", got)
	}
}

func TestATableEvolvesWithinAUnit(t *testing.T) {
	t.Parallel()
	for _, budget := range []int64{1 << 20, 1} {
		alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
		before := schema("id", int32s, "a", int32s, "s", texts)
		after := schema("new", texts, "id", int64s, "a", int64s, "s", texts)
		m, err := New(Settings{Table: before, Key: []string{"id"}, Budget: budget, Folder: t.TempDir(), Alloc: alloc})
		if err != nil {
			t.Fatal(err)
		}
		ops := func(s *arrow.Schema) *arrow.Schema { return change.Schema(s, nil) }
		add(t, m, record(t, alloc, ops(before), `[{"id": -1, "a": 1, "s": "x", "_op": 1}, {"id": 2, "a": 2, "s": "y", "_op": 1}]`))
		if err := m.Evolve(after); err != nil {
			t.Fatal(err)
		}
		add(t, m, record(t, alloc, ops(after), `[{"id": -1, "a": 8589934592, "new": "n", "_op": 2, "_unchanged": ["s"]}, {"id": 3, "a": 3, "_op": 1}]`))
		got := upserts(t, m)
		for _, want := range []string{
			`{"a":8589934592,"id":-1,"new":"n","s":"x"}`, `{"a":2,"id":2,"new":null,"s":"y"}`, `{"a":3,"id":3,"new":null,"s":null}`,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("budget %d: got %s, expected %s in it", budget, got, want)
			}
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		alloc.AssertSize(t, 0)
	}
}

func TestATableThatCanNotBeMergedIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		settings Settings
		want     string
	}{
		{"no key", Settings{Table: schema("id", int64s)}, "a key"},
		{"unknown key", Settings{Table: schema("id", int64s), Key: []string{"no"}}, `no key column "no"`},
		{"float", Settings{Table: schema("id", arrow.PrimitiveTypes.Float64), Key: []string{"id"}}, "float64"},
		{"half float", Settings{Table: schema("id", arrow.FixedWidthTypes.Float16), Key: []string{"id"}}, "float16"},
		{"list", Settings{Table: schema("id", arrow.ListOf(int64s)), Key: []string{"id"}}, "list"},
		{"change column", Settings{Table: schema("id", int64s, "_op", int32s), Key: []string{"id"}}, `"_op"`},
		{"doubled", Settings{Table: schema("id", int64s, "id", int32s), Key: []string{"id"}}, `"id"`},
		{"history without time", Settings{Table: schema("id", int64s), Key: []string{"id"}, Mode: History}, "time"},
		{"history of history", Settings{
			Table: schema("id", int64s, change.ColumnValidTo, int64s), Key: []string{"id"}, Mode: History, At: time.UnixMicro(1),
		}, change.ColumnValidTo},
	} {
		if _, err := New(c.settings); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, expected %q in it", c.name, err, c.want)
		}
	}
	m := open(t, Settings{Table: schema("id", int64s, "a", int64s), Key: []string{"id"}})
	for name, to := range map[string]*arrow.Schema{"column gone": schema("id", int64s), "other key": schema("id", texts, "a", int64s)} {
		if err := m.Evolve(to); err == nil {
			t.Errorf("%s: evolved", name)
		}
	}
}

func TestABatchThatDoesNotFitIsAnError(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
	t.Cleanup(func() { alloc.AssertSize(t, 0) })
	m := open(t, Settings{Table: schema("id", int64s, "a", int32s), Key: []string{"id"}, Alloc: alloc})
	for name, b := range map[string]arrow.RecordBatch{
		"no key":     record(t, alloc, schema("a", int32s), `[{"a": 1}]`),
		"two keys":   record(t, alloc, schema("id", int64s, "id", int64s), `[]`),
		"too wide":   record(t, alloc, schema("id", int64s, "a", int64s), `[{"id": 1, "a": 8589934592}]`),
		"other _op":  record(t, alloc, schema("id", int64s, "_op", texts), `[{"id": 1, "_op": "I"}]`),
		"bad before": record(t, alloc, schema("id", int64s, "_op", int32s, "_before", arrow.StructOf(arrow.Field{Name: "id", Type: texts, Nullable: true})), `[{"id": 1, "_op": 2, "_before": {"id": "x"}}]`),
	} {
		if _, err := m.Add(t.Context(), b); err == nil {
			t.Errorf("%s: taken", name)
		}
		b.Release()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := record(t, alloc, schema("id", int64s), `[{"id": 1}]`)
	defer b.Release()
	if _, err := m.Add(ctx, b); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, expected the end of the context", err)
	}
}

func TestHistoryWithoutTimesHasTheUnits(t *testing.T) {
	t.Parallel()
	s := schema("id", int64s, "a", texts)
	m := open(t, Settings{Table: s, Key: []string{"id"}, Mode: History, At: time.UnixMicro(77)})
	add(t, m, record(t, memory.DefaultAllocator, s, `[{"id": 1, "a": "x"}, {"id": 1, "a": "y"}]`))
	var got []string
	for p, err := range m.Parts(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if p.Versions == nil {
			continue
		}
		for row := range int(p.Versions.NumRows()) {
			got = append(got, fmt.Sprint(p.Versions.Column(1).ValueStr(row), p.Versions.Column(2).(*array.Timestamp).Value(row), p.Versions.Column(3).IsNull(row)))
		}
	}
	if diff := cmp.Diff([]string{"x77 false", "y77 true"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestVersionsOfARowThatLeavesItsKeyAndComesBack(t *testing.T) {
	t.Parallel()
	keep := []string{"s"}
	all := steps(
		step{op: change.Update, key: 1, a: "11", unchanged: keep},
		step{op: change.Update, key: 7, before: 1, a: "12", unchanged: keep},
		step{op: change.Update, key: 1, before: 7, a: "13", unchanged: keep},
		step{op: change.Update, key: 1, a: "14", unchanged: keep},
	)
	for _, first := range []int{0, 1, 2, 3} { // rows in the first batch
		table := map[int]modelRow{1: {"a": "10", "s": "one"}}
		settings := plainKey.settings(memory.DefaultAllocator, table, t.TempDir())
		settings.Budget, settings.Mode = 1, History
		got := plainKey.run(t, settings, [][]step{all[:first], all[first:]}, table)
		want := []string{"1 11|one [1,2) update", "1 13|one [3,4) update", "1 14|one [4,-1) update", "7 12|one [2,3) update"}
		if diff := cmp.Diff([][]string{want, {"1@1", "7@2"}, nil}, [][]string{got.versions, got.endings, got.rejected}); diff != "" {
			t.Errorf("%d rows first: (-want +got)\n%s", first, diff)
		}
	}
}
