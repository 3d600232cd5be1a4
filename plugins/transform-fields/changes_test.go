package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

func shop() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{
		whole("id"), text("amount"), text("note"), {Name: "place", Type: arrow.StructOf(text("city")), Nullable: true},
	}, nil)
}

// runChanges runs steps over changes of shop, and gives the rows without nulls.
func runChanges(t *testing.T, steps string, key []string, rows string) result {
	t.Helper()
	got := run(t, steps, key, rows, change.Schema(shop(), key).Fields()...)
	for i, line := range got.rows {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		slim(row)
		text, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		got.rows[i] = string(text)
	}
	for _, r := range got.rejected {
		got.rows = append(got.rows, fmt.Sprintf("rejected %d: %s", r.Row, r.Reason))
	}
	return got
}

func slim(row map[string]any) {
	for name, value := range row {
		if value == nil {
			delete(row, name)
		}
		if inner, ok := value.(map[string]any); ok {
			slim(inner)
		}
	}
}

func TestStepsBringChangesInLine(t *testing.T) {
	t.Parallel()
	const rows = `[
		{"id": 1, "amount": "5", "note": "n", "place": {"city": "Ulm"}, "_op": 1, "_pos": "AQ==", "_tx_seq": 1, "_ts": "2024-01-01T00:00:00Z"},
		{"id": 2, "amount": "6", "_op": 2, "_before": {"id": 1, "amount": "5", "note": "n", "place": {"city": "Ulm"}}, "_unchanged": ["note", "place"]},
		{"id": 3, "amount": "7", "_op": 2, "_before": {"id": 2}},
		{"id": 3, "_op": 3, "_before": {"id": 3, "amount": "much"}},
		{"_op": 4},
		{"id": 4, "amount": "x", "_op": 0}]`
	for _, c := range []struct{ name, steps, columns, want string }{
		{"rename, cast and drop", `[{"rename":{"id":"number","note":"text"}},{"cast":{"amount":"int64","number":"string"}},{"drop":["place"]}]`,
			"number utf8?, amount int64?, text utf8?, _op uint8, _pos binary?, _tx_seq int64?, _ts timestamp[us, tz=UTC]?, " +
				"_before struct<number: utf8 nullable, amount: int64 nullable, text: utf8 nullable>?, _unchanged list<item: utf8, nullable>?",
			`{"_op":1,"_pos":"AQ==","_ts":"2024-01-01T00:00:00Z","_tx_seq":1,"amount":5,"number":"1","text":"n"}
{"_before":{"amount":5,"number":"1","text":"n"},"_op":2,"_unchanged":["text"],"amount":6,"number":"2"}
{"_before":{"number":"2"},"_op":2,"amount":7,"number":"3"}
{"_before":{"number":"3"},"_op":3,"number":"3"}
{"_op":4}
rejected 5: column "amount": "x" can't be cast to int64: expected a whole number`},
		{"add, copy and pick", `[{"add":{"shop":"s7"}},{"copy":{"twin":"id","text":"note"}},{"pick":["shop","id","twin","text"]}]`,
			"shop utf8?, id int64?, twin int64?, text utf8?, _op uint8, _pos binary?, _tx_seq int64?, _ts timestamp[us, tz=UTC]?, " +
				"_before struct<shop: utf8 nullable, id: int64 nullable, twin: int64 nullable, text: utf8 nullable>?, _unchanged list<item: utf8, nullable>?",
			`{"_op":1,"_pos":"AQ==","_ts":"2024-01-01T00:00:00Z","_tx_seq":1,"id":1,"shop":"s7","text":"n","twin":1}
{"_before":{"id":1,"shop":"s7","text":"n","twin":1},"_op":2,"_unchanged":["text"],"id":2,"shop":"s7","twin":2}
{"_before":{"id":2},"_op":2,"id":3,"shop":"s7","twin":3}
{"_before":{"id":3,"shop":"s7","twin":3},"_op":3,"id":3}
{"_op":4}
{"_op":0,"id":4,"shop":"s7","twin":4}`},
		{"flatten", `[{"flatten":{"column":"place","separator":"."}},{"pick":["id","place.city"]}]`,
			"id int64?, place.city utf8?, _op uint8, _pos binary?, _tx_seq int64?, _ts timestamp[us, tz=UTC]?, " +
				"_before struct<id: int64 nullable, place.city: utf8 nullable>?, _unchanged list<item: utf8, nullable>?",
			`{"_op":1,"_pos":"AQ==","_ts":"2024-01-01T00:00:00Z","_tx_seq":1,"id":1,"place.city":"Ulm"}
{"_before":{"id":1,"place.city":"Ulm"},"_op":2,"_unchanged":["place.city"],"id":2}
{"_before":{"id":2},"_op":2,"id":3}
{"_before":{"id":3},"_op":3,"id":3}
{"_op":4}
{"_op":0,"id":4}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := runChanges(t, c.steps, []string{"id"}, rows)
			if diff := cmp.Diff(c.columns, columns(got.plan.Outputs[0].Schema)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.want, strings.Join(got.rows, "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDeletionsPassWhateverTheyHold(t *testing.T) {
	t.Parallel()
	const rows = `[{"id": 1, "amount": "x", "note": "left over", "_op": 3, "_tx_seq": 1}, {"amount": "x", "_op": 4, "_tx_seq": 2}, {"id": 2, "amount": "1", "_op": 3, "_tx_seq": 3}]`
	got := runChanges(t, `[{"cast":{"amount":"int64"}}]`, []string{"id"}, rows)
	const want = `{"_op":3,"_tx_seq":1,"id":1}
{"_op":4,"_tx_seq":2}
{"_op":3,"_tx_seq":3,"id":2}`
	if diff := cmp.Diff(want, strings.Join(got.rows, "\n")); diff != "" {
		t.Error(diff)
	}
	got = runChanges(t, `[{"cast":{"amount":"int64"}},{"pick":["amount"]}]`, []string{"amount"}, rows)
	const cast = `{"_op":4,"_tx_seq":2}
{"_op":3,"_tx_seq":3,"amount":1}
rejected 0: column "amount": "x" can't be cast to int64: expected a whole number`
	if diff := cmp.Diff(cast, strings.Join(got.rows, "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestTheKeyOfChangesFollowsItsColumns(t *testing.T) {
	t.Parallel()
	for steps, want := range map[string][]string{
		`[{"rename":{"id":"number"}},{"cast":{"number":"string"}}]`: {"number"},
		`[{"copy":{"twin":"id"}},{"drop":["id"]}]`:                  nil,
	} {
		got := runChanges(t, steps, []string{"id"}, `[{"id": 5, "_op": 3, "_tx_seq": 1}]`)
		out := got.plan.Outputs[0]
		if !cmp.Equal(out.Key, want) || !cmp.Equal(change.Key(out.Schema), want) {
			t.Errorf("%s: key %v, in the schema %v", steps, out.Key, change.Key(out.Schema))
		}
		if !strings.Contains(got.rows[0], "5") {
			t.Errorf("%s: a deletion lost its key: %s", steps, got.rows[0])
		}
	}
}

func TestStepsOnChangeColumnsAreRefused(t *testing.T) {
	t.Parallel()
	for steps, path := range map[string]string{
		`[{"drop":["_before"]}]`:             "/steps/0/drop/0",
		`[{"pick":["id","_op"]}]`:            "/steps/0/pick/1",
		`[{"rename":{"_ts":"at"}}]`:          "/steps/0/rename/_ts",
		`[{"rename":{"note":"_ts"}}]`:        "/steps/0/rename/note",
		`[{"cast":{"_op":"int32"}}]`:         "/steps/0/cast/_op",
		`[{"add":{"_pos":"x"}}]`:             "/steps/0/add/_pos",
		`[{"copy":{"at":"_ts"}}]`:            "/steps/0/copy/at",
		`[{"copy":{"_ts":"note"}}]`:          "/steps/0/copy/_ts",
		`[{"flatten":{"column":"_before"}}]`: "/steps/0/flatten/column",
	} {
		transform, err := New(t.Context(), config(t, steps), sdk.Env{Alloc: memory.DefaultAllocator})
		if err != nil {
			t.Fatal(err)
		}
		_, err = transform.Plan(t.Context(), []sdk.SchemaChange{{Stream: "in", Schema: change.Schema(shop(), nil)}})
		if err == nil || !strings.HasPrefix(err.Error(), `setting "`+path+`"`) || !strings.Contains(err.Error(), "change columns pass by themselves") {
			t.Errorf("%s: %v", steps, err)
		}
	}
}

func TestUnionsInChangesAreRefused(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	transform, err := New(t.Context(), config(t, `[{"drop":["id"]}]`), sdk.Env{Alloc: alloc})
	if err != nil {
		t.Fatal(err)
	}
	union := arrow.SparseUnionOf([]arrow.Field{whole("n")}, []arrow.UnionTypeCode{0})
	schema := change.Schema(arrow.NewSchema([]arrow.Field{whole("id"), {Name: "u", Type: union}}, nil), nil)
	if _, err := transform.Plan(t.Context(), []sdk.SchemaChange{{Stream: "in", Schema: schema}}); err == nil || !strings.Contains(err.Error(), "unions") {
		t.Error(err)
	}
}

func TestWithoutOpTheyAreColumnsLikeOthers(t *testing.T) {
	t.Parallel()
	got := run(t, `[{"rename":{"_ts":"at","a":"_before"}}]`, nil, `[{"a": 1, "_ts": "x"}]`, whole("a"), text("_ts"))
	if diff := cmp.Diff([]string{`{"_before":1,"at":"x"}`}, got.rows); diff != "" {
		t.Error(diff)
	}
}

func TestLineageOfChanges(t *testing.T) {
	t.Parallel()
	lines := func(steps string) string {
		var out []string
		for _, l := range runChanges(t, steps, []string{"id"}, `[]`).plan.Lineage {
			var from []string
			for _, ref := range l.Inputs {
				from = append(from, ref.Column)
			}
			out = append(out, fmt.Sprintf("%s %s %s", l.Column, l.Kind, strings.Join(from, ",")))
		}
		return strings.Join(out, "\n")
	}
	const changed = `number identity id
amount derived amount,_op
place identity place,_op
one derived _op
_op identity _op
_pos identity _pos
_tx_seq identity _tx_seq
_ts identity _ts
_before derived _before
_unchanged derived _unchanged`
	if diff := cmp.Diff(changed, lines(`[{"rename":{"id":"number"}},{"cast":{"amount":"int64"}},{"drop":["note"]},{"add":{"one":1}}]`)); diff != "" {
		t.Error(diff)
	}
	got := lines(`[{"cast":{"amount":"string"}}]`)
	if !strings.Contains(got, "_before identity _before\n_unchanged identity _unchanged") {
		t.Error(got)
	}
}

func TestSlicesOfChangesKeepTheirRows(t *testing.T) {
	t.Parallel()
	rows := `[{"id":1,"note":"a","_op":2,"_before":{"id":9,"note":"z"}},{"id":2,"note":"b","_op":2,"_before":{"id":2,"note":"y"},"_unchanged":["amount"]},{"id":3,"_op":3},{"id":4,"note":"d","_op":1}]`
	got := runSliced(t, `[{"rename":{"amount":"sum"}},{"add":{"one":1}},{"pick":["id","note","sum","one"]}]`, []string{"id"}, rows,
		func(r arrow.RecordBatch) arrow.RecordBatch { return r.NewSlice(1, 4) }, change.Schema(shop(), nil).Fields()...)
	for i, want := range []string{
		`"_before":{"id":2,"note":"y","one":1,"sum":null}`, `"id":3,"note":null,"one":null`, `"id":4,"note":"d","one":1`,
	} {
		if !strings.Contains(got.rows[i], want) {
			t.Errorf("row %s, expected %s", got.rows[i], want)
		}
	}
	if !strings.Contains(got.rows[0], `"_unchanged":["sum"]`) {
		t.Error(got.rows[0])
	}
}

func BenchmarkCastsOfChanges(b *testing.B) {
	var c Config
	if err := json.Unmarshal([]byte(`{"steps":[{"cast":{"amount":"decimal(12,2)"}}]}`), &c); err != nil {
		b.Fatal(err)
	}
	transform, err := New(b.Context(), c, sdk.Env{Alloc: memory.DefaultAllocator})
	if err != nil {
		b.Fatal(err)
	}
	builder := change.NewBuilder(memory.DefaultAllocator, shop(), []string{"id"})
	const rows = 8192
	for i := range rows {
		builder.Column(0).(*array.Int64Builder).Append(int64(i))
		builder.Column(1).(*array.StringBuilder).Append("12345.67")
		builder.Column(2).AppendNull()
		builder.Column(3).AppendNull()
		builder.Append(change.Change{Op: change.Update})
	}
	record, err := builder.Batch()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		table, err := transform.run("in", []string{"id"}, record)
		if err != nil {
			b.Fatal(err)
		}
		table.release()
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds()/1e6, "Mrows/s")
}
