package merge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
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
			Table: schema("id", int64s, ColumnValidTo, int64s), Key: []string{"id"}, Mode: History, At: time.UnixMicro(1),
		}, ColumnValidTo},
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

// many are batches whose rows do not fit into a small budget.
func many(t *testing.T, alloc memory.Allocator, m *Merge, batches int) error {
	t.Helper()
	for n := range batches {
		var s []step
		for i := range 200 {
			s = append(s, step{op: change.Insert, key: n*200 + i, before: -1, a: "1", s: strings.Repeat("text ", 30), n: n*200 + i})
		}
		b := plainKey.batch(t, alloc, s)
		_, err := m.Add(t.Context(), b)
		b.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// drained takes all parts and returns the error at their end.
func drained(t *testing.T, m *Merge) error {
	t.Helper()
	for _, err := range m.Parts(t.Context()) {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestTroubleWithFilesIsAnError(t *testing.T) {
	t.Parallel()
	full := func(m *Merge) error { // every write fails as on a full disk
		for p := range m.top.parts {
			if w := m.top.parts[p].writer; w != nil {
				device, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
				if err != nil {
					return err
				}
				w.buffer.Reset(device)
				_ = w.file.Close()
				w.file = device
			}
		}
		return nil
	}
	shorten := func(to func(int64) int64) func(m *Merge) error {
		return func(m *Merge) error {
			for p := range m.top.parts {
				part := &m.top.parts[p]
				if err := part.end(); err != nil {
					return err
				}
				for _, f := range part.files {
					info, err := os.Stat(f.path)
					if err != nil {
						return err
					}
					if err := os.Truncate(f.path, to(info.Size())); err != nil {
						return err
					}
				}
			}
			return nil
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(m *Merge) error
		want  string
	}{
		{"disk full", full, "no space left on device"},
		{"file cut off", shorten(func(n int64) int64 { return n - 100 }), "read spilled changes"},
		{"file empty", shorten(func(int64) int64 { return 0 }), "read spilled changes"},
		{"files gone", func(m *Merge) error { return os.RemoveAll(m.folder) }, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
			folder := t.TempDir()
			settings := plainKey.settings(alloc, nil, folder)
			settings.Budget = 20_000
			m, err := New(settings)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(many(t, alloc, m, 10), c.spoil(m)); err != nil {
				t.Fatal(err)
			}
			err = many(t, alloc, m, 10)
			if err == nil {
				err = drained(t, m)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, expected %q in it", err, c.want)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			alloc.AssertSize(t, 0)
			if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
				t.Errorf("%d files are left, %v", len(left), err)
			}
		})
	}
}

func TestWithoutAFolderABudgetThatIsUsedUpIsAnError(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
	t.Cleanup(func() { alloc.AssertSize(t, 0) })
	settings := plainKey.settings(alloc, nil, filepath.Join(t.TempDir(), "missing"))
	settings.Budget = 20_000
	if err := many(t, alloc, open(t, settings), 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, expected that the folder does not exist", err)
	}
}

func TestALookupThatFailsOrLiesIsAnError(t *testing.T) {
	t.Parallel()
	table := map[int]modelRow{1: {"a": "1", "s": "x"}}
	errLookup := errors.New("the table is gone")
	full := schema("id", int64s, "a", int64s, "s", texts)
	for name, rows := range map[string]string{
		"fails": "", "twice": `[{"id": 1, "s": "x"}, {"id": 1, "s": "y"}]`, "null key": `[{"s": "x"}]`, "no column": "-",
	} {
		alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
		settings := plainKey.settings(alloc, table, t.TempDir())
		settings.Lookup = func(context.Context, arrow.RecordBatch, []string) (arrow.RecordBatch, error) {
			switch rows {
			case "":
				return nil, errLookup
			case "-":
				return record(t, alloc, schema("id", int64s), `[{"id": 1}]`), nil
			}
			return record(t, alloc, full, rows), nil
		}
		m, err := New(settings)
		if err != nil {
			t.Fatal(err)
		}
		add(t, m, plainKey.batch(t, alloc, steps(step{op: change.Update, key: 1, a: "2", unchanged: []string{"s"}})))
		if err := drained(t, m); err == nil || (rows == "" && !errors.Is(err, errLookup)) {
			t.Errorf("%s: got %v", name, err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		alloc.AssertSize(t, 0)
	}
}

func TestPartsCanBeLeftEarlyAndAreGivenOutOnce(t *testing.T) {
	t.Parallel()
	for _, budget := range []int64{1 << 30, 20_000} {
		alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
		settings := plainKey.settings(alloc, nil, t.TempDir())
		settings.Budget, settings.BatchRows = budget, 10
		m, err := New(settings)
		if err != nil {
			t.Fatal(err)
		}
		if err := many(t, alloc, m, 10); err != nil {
			t.Fatal(err)
		}
		for p, err := range m.Parts(t.Context()) {
			if err != nil || p.Upserts.NumRows() < 1 || p.Upserts.NumRows() > 10 {
				t.Errorf("%v, %v", p, err)
			}
			break
		}
		if err := drained(t, m); !errors.Is(err, errEnded) {
			t.Errorf("got %v, expected that the unit has ended", err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		alloc.AssertSize(t, 0)
	}
}

// peak counts what is allocated at a time.
type peak struct {
	memory.Allocator
	now, most atomic.Int64
}

func (p *peak) count(n int) {
	now := p.now.Add(int64(n))
	p.most.Store(max(p.most.Load(), now))
}

func (p *peak) Allocate(n int) []byte { p.count(n); return p.Allocator.Allocate(n) }

func (p *peak) Reallocate(n int, b []byte) []byte {
	p.count(n - len(b))
	return p.Allocator.Reallocate(n, b)
}

func (p *peak) Free(b []byte) { p.count(-len(b)); p.Allocator.Free(b) }

func TestMemoryIsBoundedWhateverTheUnit(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{Net, History} {
		alloc := &peak{Allocator: memory.DefaultAllocator}
		settings := plainKey.settings(alloc, nil, t.TempDir())
		settings.Budget, settings.Mode, settings.BatchBytes = 48<<10, mode, 16<<10
		m := open(t, settings)
		if err := many(t, alloc, m, 150); err != nil {
			t.Fatal(err)
		}
		if err := drained(t, m); err != nil {
			t.Fatal(err)
		}
		if most := alloc.most.Load(); most > 256<<10 {
			t.Errorf("mode %d: %d bytes at a time with a budget of %d", mode, most, settings.Budget)
		}
	}
}

func TestOneKeyWithManyVersionsNeedsNoMoreMemory(t *testing.T) {
	t.Parallel()
	alloc := &peak{Allocator: memory.DefaultAllocator}
	settings := plainKey.settings(alloc, nil, t.TempDir())
	settings.Budget, settings.Mode, settings.BatchBytes = 256<<10, History, 64<<10
	m := open(t, settings)
	const versions = 40_000
	for n := range versions / 200 {
		var s []step
		for i := range 200 {
			s = append(s, step{op: change.Update, key: 1, before: -1, a: "1", s: "some text", n: n*200 + i + 1})
		}
		add(t, m, plainKey.batch(t, alloc, s))
	}
	rows := int64(0)
	for p, err := range m.Parts(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if p.Versions != nil {
			rows += p.Versions.NumRows()
		}
	}
	if most := alloc.most.Load(); rows != versions || most > 1<<20 {
		t.Errorf("%d versions, expected %d; %d bytes at a time with a budget of %d", rows, versions, most, settings.Budget)
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
