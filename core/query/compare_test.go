package query_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/query"
	"github.com/qanat-data/qanat/core/zone"
)

var compared = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "amount", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
	{Name: "at", Type: arrow.StructOf(arrow.Field{Name: "city", Type: arrow.BinaryTypes.String, Nullable: true}), Nullable: true},
	{Name: "more", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64), Nullable: true},
}, nil)

// put makes a dataset, if there is none, and commits rows given as JSON lines to it as a unit of a flow.
func (r *rig) put(name zone.Name, s *arrow.Schema, flow string, lines string) {
	r.t.Helper()
	ctx := r.t.Context()
	if err := r.ledger.AddWriter(ctx, ledger.Writer{Dataset: name.String(), Flow: flow, Mode: "append"}); err != nil {
		r.t.Fatal(err)
	}
	dataset, err := r.zones.Dataset(ctx, name)
	if err != nil {
		if dataset, err = r.zones.Create(ctx, name, s, zone.CreateOptions{}); err != nil {
			r.t.Fatal(err)
		}
	}
	r.seq[flow]++
	stage, err := dataset.Stage(ctx, zone.StageOptions{Flow: flow, Seq: r.seq[flow], IngestedAt: time.Now()})
	if err != nil {
		r.t.Fatal(err)
	}
	batch, _, err := array.RecordFromJSON(memory.DefaultAllocator, s, strings.NewReader("["+strings.ReplaceAll(strings.TrimSpace(lines), "\n", ",")+"]"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer batch.Release()
	if err := stage.Write(ctx, nan(batch), ""); err != nil {
		r.t.Fatal(err)
	}
	files, err := stage.Finish(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	epoch, err := r.ledger.TakeOver(ctx, flow, "me", 0, ledger.Owner{})
	if err != nil {
		r.t.Fatal(err)
	}
	snapshot, err := dataset.Commit(ctx, zone.CommitRequest{Files: files, Mark: zone.Mark{Flow: flow, Epoch: epoch, Seq: r.seq[flow]}})
	if err != nil {
		r.t.Fatal(err)
	}
	err = r.ledger.Append(ctx, ledger.Unit{
		Flow: flow, Seq: r.seq[flow], Epoch: epoch, Verdict: ledger.Committed, Committed: time.Now(),
		Datasets: map[string]ledger.Output{name.String(): {Snapshot: snapshot.ID, Rows: batch.NumRows()}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// nan turns amounts of -1 into NaN, for which JSON has no word.
func nan(batch arrow.RecordBatch) arrow.RecordBatch {
	at := batch.Schema().FieldIndices("amount")
	if len(at) == 0 {
		return batch
	}
	amounts, ok := batch.Column(at[0]).(*array.Float64)
	if !ok {
		return batch
	}
	b := array.NewFloat64Builder(memory.DefaultAllocator)
	for i := range amounts.Len() {
		switch {
		case amounts.IsNull(i):
			b.AppendNull()
		case amounts.Value(i) == -1:
			b.Append(math.NaN())
		default:
			b.Append(amounts.Value(i))
		}
	}
	columns := append([]arrow.Array{}, batch.Columns()...)
	columns[at[0]] = b.NewArray()
	return array.NewRecordBatch(batch.Schema(), columns, batch.NumRows())
}

func dataset(name string) zone.Name {
	return zone.Name{Zone: zone.Processing, Namespace: "q", Dataset: name}
}

func TestCompareIsExactForDuplicatesNullsNaNAndNestedValues(t *testing.T) {
	r := newRig(t)
	r.put(dataset("old"), compared, "q.old", `
{"id": 1, "amount": 1.5, "tags": ["a", null], "at": {"city": "x"}, "more": [{"key": "k", "value": 1}]}
{"id": 2, "amount": -1, "tags": [], "at": null, "more": null}
{"id": 2, "amount": -1, "tags": [], "at": null, "more": null}
{"id": null, "amount": null, "tags": null, "at": {"city": null}, "more": []}
{"id": 3, "amount": 3, "tags": ["t"], "at": {"city": "y"}, "more": null}
{"id": 4, "amount": 4, "tags": ["t"], "at": {"city": "y"}, "more": null}
{"id": 5, "amount": 5, "tags": ["t"], "at": {"city": "y"}, "more": [{"key": "k", "value": 1}]}
{"id": 6, "amount": null, "tags": null, "at": null, "more": null}`)
	r.put(dataset("new"), compared, "q.new", `
{"id": 1, "amount": 1.5, "tags": ["a", null], "at": {"city": "x"}, "more": [{"key": "k", "value": 1}]}
{"id": 2, "amount": -1, "tags": [], "at": null, "more": null}
{"id": null, "amount": null, "tags": null, "at": {"city": null}, "more": []}
{"id": 3, "amount": -1, "tags": ["t"], "at": {"city": "y"}, "more": null}
{"id": 4, "amount": 4, "tags": null, "at": {"city": "z"}, "more": null}
{"id": 5, "amount": 5, "tags": ["t"], "at": {"city": "y"}, "more": [{"key": "k", "value": 2}]}
{"id": 7, "amount": 7, "tags": null, "at": null, "more": null}
{"id": 7, "amount": 7, "tags": null, "at": null, "more": null}`)
	sides := query.Comparison{Before: query.Side{Dataset: dataset("old")}, After: query.Side{Dataset: dataset("new")}}
	got, err := r.engine.Compare(t.Context(), sides)
	if err != nil {
		t.Fatal(err)
	}
	// One of the twins with id 2 is gone, 3 to 6 differ, 7 is there twice.
	if want := (query.Difference{Before: 8, After: 8, Same: 3, Removed: 5, Added: 5}); cmp.Diff(want, got) != "" {
		t.Error(cmp.Diff(want, got))
	}
	sides.Key, sides.Samples = []string{"id"}, 9
	if got, err = r.engine.Compare(t.Context(), sides); err != nil {
		t.Fatal(err)
	}
	samples := got.Samples
	got.Samples = nil
	want := query.Difference{
		Before: 8, After: 8, Same: 3, Removed: 2, Added: 2, Changed: 3, Key: []string{"id"},
		Columns: []query.ColumnCount{{Column: "amount", Rows: 1}, {Column: "tags", Rows: 1}, {Column: "at", Rows: 1}, {Column: "more", Rows: 1}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var third []query.SampleValue
	kinds := map[string]int{}
	for _, s := range samples {
		kinds[s.Kind]++
		if s.Kind == query.ChangedRow && s.Values[0].Before == int64(3) {
			third = s.Values
		}
	}
	if diff := cmp.Diff(map[string]int{query.OnlyBefore: 2, query.OnlyAfter: 1, query.ChangedRow: 3}, kinds); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]query.SampleValue{{Column: "id", Before: int64(3), After: int64(3)}, {Column: "amount", Before: 3.0, After: "NaN"}}, third); diff != "" {
		t.Error(diff)
	}
}

// The new twins of id 2 can't be told apart, so that they are no changed rows.
func TestCompareDoesNotPairRowsWhoseKeyIsAmbiguous(t *testing.T) {
	r := newRig(t)
	plain := arrow.NewSchema(compared.Fields()[:2], nil)
	r.put(dataset("old"), plain, "q.old", `{"id": 1, "amount": 1}`+"\n"+`{"id": 2, "amount": 2}`)
	r.put(dataset("new"), plain, "q.new", `{"id": 1, "amount": 9}`+"\n"+`{"id": 2, "amount": 3}`+"\n"+`{"id": 2, "amount": 4}`)
	got, err := r.engine.Compare(t.Context(), query.Comparison{
		Before: query.Side{Dataset: dataset("old")}, After: query.Side{Dataset: dataset("new")}, Key: []string{"id"},
	})
	want := query.Difference{
		Before: 2, After: 3, Removed: 1, Added: 2, Changed: 1, Ambiguous: 3, Key: []string{"id"}, Columns: []query.ColumnCount{{Column: "amount", Rows: 1}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestCompareTellsColumnsThatDiffer(t *testing.T) {
	r := newRig(t)
	narrow := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int32}, {Name: "gone", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	wide := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "come", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	r.put(dataset("old"), narrow, "q.old", `{"id": 1, "gone": null}`+"\n"+`{"id": 2, "gone": "g"}`)
	r.put(dataset("new"), wide, "q.new", `{"id": 1, "come": null}`+"\n"+`{"id": 2, "come": "c"}`)
	got, err := r.engine.Compare(t.Context(), query.Comparison{Before: query.Side{Dataset: dataset("old")}, After: query.Side{Dataset: dataset("new")}})
	want := query.Difference{Before: 2, After: 2, Same: 1, Removed: 1, Added: 1, Schema: []query.ColumnChange{
		{Column: "id", Before: "INTEGER", After: "BIGINT"}, {Column: "gone", Before: "VARCHAR"}, {Column: "come", After: "VARCHAR"},
	}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestCompareOfUnitsAndOfWhatDoesNotExist(t *testing.T) {
	r := newRig(t)
	plain := arrow.NewSchema(compared.Fields()[:1], nil)
	for _, line := range []string{`{"id": 1}`, `{"id": 2}`, `{"id": 3}`} {
		r.put(dataset("old"), plain, "q.old", line)
	}
	r.put(dataset("old"), plain, "q.other", `{"id": 2}`)
	some := query.Side{Dataset: dataset("old"), Flow: "q.old", Units: []ledger.Span{{First: 1, Last: 1}, {First: 3, Last: 9}}}
	for name, c := range map[string]struct {
		before, after query.Side
		want          query.Difference
	}{
		"units":   {some, query.Side{Dataset: dataset("old")}, query.Difference{Before: 2, After: 4, Same: 2, Added: 2}},
		"nothing": {query.Side{Dataset: dataset("none")}, some, query.Difference{After: 2, Added: 2}},
		"neither": {query.Side{Dataset: dataset("none")}, query.Side{Dataset: dataset("nor")}, query.Difference{}},
	} {
		got, err := r.engine.Compare(t.Context(), query.Comparison{Before: c.before, After: c.after})
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	counts, err := r.engine.CountBy(t.Context(), query.Side{Dataset: dataset("old")}, "id")
	if diff := cmp.Diff(map[string]int64{"1": 1, "2": 2, "3": 1}, counts); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// Rows of two flows are read at the snapshots of each: what one has put into the table without a ledger row stays out of sight also
// where the other's snapshot holds it.
func TestEachFlowIsReadAtItsOwnSnapshot(t *testing.T) {
	r := newRig(t)
	r.commit("q.one", true, schema, 0, 10)
	r.commit("q.two", true, schema, 100, 105)
	replaced, err := r.zones.Dataset(t.Context(), events)
	if err != nil {
		t.Fatal(err)
	}
	_, err = replaced.Rebuild(t.Context(), zone.RebuildRequest{
		Mark: zone.Mark{Flow: "q.one", Epoch: 9, Seq: 2}, Units: []zone.UnitRange{{Upto: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.commit("q.two", true, schema, 200, 202)
	if got := r.one(`select count(*), max(id) from processing.q.events`); got != "17 201" {
		t.Errorf("got %s, want the ten rows of the first flow, which no ledger row has replaced, and seven of the other", got)
	}
	wider := arrow.NewSchema(append(schema.Fields(), arrow.Field{Name: "note", Type: arrow.BinaryTypes.String, Nullable: true}), nil)
	r.commit("q.two", true, wider, 300, 301)
	if got := r.one(`select count(*), count(note) from processing.q.events`); got != "18 1" {
		t.Errorf("got %s, want 18 rows, one of them with a note", got)
	}
}
