package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

func text(name string) arrow.Field {
	return arrow.Field{Name: name, Type: arrow.BinaryTypes.String, Nullable: true}
}

func whole(name string) arrow.Field {
	return arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Int64}
}

// config reads steps from JSON, as the SDK does.
func config(t *testing.T, steps string) Config {
	t.Helper()
	var c Config
	if err := json.Unmarshal([]byte(`{"steps":`+steps+`}`), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// result of a run: what was planned, the rows as JSON, and the rejections.
type result struct {
	plan     sdk.Plan
	rows     []string
	rejected []sdk.Rejection
}

// run plans and applies steps to rows in JSON, and checks that the two agree and no memory is left.
func run(t *testing.T, steps string, key []string, rows string, fields ...arrow.Field) result {
	t.Helper()
	return runSliced(t, steps, key, rows, func(r arrow.RecordBatch) arrow.RecordBatch { return r.NewSlice(0, r.NumRows()) }, fields...)
}

func runSliced(t *testing.T, steps string, key []string, rows string, slice func(arrow.RecordBatch) arrow.RecordBatch, fields ...arrow.Field) result {
	t.Helper()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	c := config(t, steps)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	transform, err := New(t.Context(), c, sdk.Env{Log: hclog.NewNullLogger(), Alloc: alloc})
	if err != nil {
		t.Fatal(err)
	}
	schema := arrow.NewSchema(fields, nil)
	plan, err := transform.Plan(t.Context(), []sdk.SchemaChange{{Stream: "in", Version: 1, Schema: schema, Key: key}})
	if err != nil {
		t.Fatal(err)
	}
	record, _, err := array.RecordFromJSON(alloc, schema, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	part := slice(record)
	record.Release()
	recorder := &plugintest.Recorder{}
	defer recorder.Release()
	in := part.NumRows()
	if err := transform.Apply(t.Context(), sdk.Batch{Stream: "in", Version: 1, Origin: "file:1", Record: part}, recorder); err != nil {
		t.Fatal(err)
	}
	if out := recorder.Rows("in") + int64(len(recorder.Rejections)); out != in {
		t.Errorf("%d rows in, %d rows and rejections out", in, out)
	}
	var lines strings.Builder
	for _, b := range recorder.Records("in") {
		if !b.Schema().Equal(plan.Outputs[0].Schema) {
			t.Errorf("planned %v, made %v", plan.Outputs[0].Schema, b.Schema())
		}
		if err := array.RecordToJSON(b, &lines); err != nil {
			t.Fatal(err)
		}
	}
	got := result{plan: plan, rejected: recorder.Rejections}
	if lines.Len() > 0 {
		got.rows = strings.Split(strings.TrimSuffix(lines.String(), "\n"), "\n")
	}
	if err := transform.Close(t.Context()); err != nil {
		t.Error(err)
	}
	return got
}

func columns(s *arrow.Schema) string {
	var names []string
	for _, f := range s.Fields() {
		nullable := ""
		if f.Nullable {
			nullable = "?"
		}
		names = append(names, f.Name+" "+f.Type.String()+nullable)
	}
	return strings.Join(names, ", ")
}

func TestStepsInOrder(t *testing.T) {
	t.Parallel()
	address := arrow.Field{Name: "address", Nullable: true, Type: arrow.StructOf(text("city"), whole("zip"),
		arrow.Field{Name: "geo", Type: arrow.StructOf(whole("x")), Nullable: true})}
	for _, c := range []struct{ name, steps, columns, first, second string }{
		{
			"pick gives the order", `[{"pick":["b","a"]}]`,
			"b utf8?, a int64", `{"a":1,"b":"x"}`, `{"a":2,"b":null}`,
		},
		{"drop", `[{"drop":["address","b"]}]`, "a int64", `{"a":1}`, `{"a":2}`},
		{
			"rename swaps", `[{"rename":{"a":"b","b":"a"}},{"drop":["address"]}]`,
			"b int64, a utf8?", `{"a":"x","b":1}`, `{"a":null,"b":2}`,
		},
		{
			"copy", `[{"pick":["a"]},{"copy":{"z":"a","y":"a"}}]`,
			"a int64, y int64, z int64", `{"a":1,"y":1,"z":1}`, `{"a":2,"y":2,"z":2}`,
		},
		{
			"flatten keeps nulls", `[{"pick":["address","a"]},{"flatten":{"column":"address","separator":"_"}},{"drop":["address_geo"]}]`,
			"address_city utf8?, address_zip int64?, a int64",
			`{"a":1,"address_city":"Ulm","address_zip":89073}`, `{"a":2,"address_city":null,"address_zip":null}`,
		},
		{
			"flatten twice", `[{"pick":["address"]},{"flatten":{"column":"address","separator":"."}},{"flatten":{"column":"address.geo","separator":"."}}]`,
			"address.city utf8?, address.zip int64?, address.geo.x int64?",
			`{"address.city":"Ulm","address.geo.x":7,"address.zip":89073}`, `{"address.city":null,"address.geo.x":null,"address.zip":null}`,
		},
		{
			"add", `[{"pick":["a"]},{"add":{"shop":"s7","n":1,"ok":true,"f":0.5,"day":{"value":"2024-02-29","type":"date"},` +
				`"none":{"value":null,"type":"decimal(9,2)"},"d":{"value":1.5,"type":"decimal(9,2)"}}}]`,
			"a int64, d decimal(9, 2), day date32, f float64, n int64, none decimal(9, 2)?, ok bool, shop utf8",
			`{"a":1,"d":"1.5","day":"2024-02-29","f":0.5,"n":1,"none":null,"ok":true,"shop":"s7"}`,
			`{"a":2,"d":"1.5","day":"2024-02-29","f":0.5,"n":1,"none":null,"ok":true,"shop":"s7"}`,
		},
		{
			"cast", `[{"pick":["a"]},{"copy":{"s":"a"}},{"cast":{"a":"float64","s":"string"}}]`,
			"a float64, s utf8", `{"a":1,"s":"1"}`, `{"a":2,"s":"2"}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := run(t, c.steps, nil, `[{"a":1,"b":"x","address":{"city":"Ulm","zip":89073,"geo":{"x":7}}},{"a":2,"b":null,"address":null}]`,
				whole("a"), text("b"), address)
			if diff := cmp.Diff(c.columns, columns(got.plan.Outputs[0].Schema)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{c.first, c.second}, got.rows); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFlattenOfASliceKeepsItsRows(t *testing.T) {
	t.Parallel()
	group := arrow.Field{Name: "g", Nullable: true, Type: arrow.StructOf(text("s"),
		arrow.Field{Name: "l", Type: arrow.ListOf(arrow.PrimitiveTypes.Int64), Nullable: true}, arrow.Field{Name: "n", Type: arrow.Null, Nullable: true})}
	rows := `[{"g":{"s":"a","l":[1]}},{"g":null},{"g":{"s":"c","l":null}},{"g":{"s":null,"l":[3,4]}}]`
	got := runSliced(t, `[{"flatten":{"column":"g","separator":"_"}}]`, nil, rows,
		func(r arrow.RecordBatch) arrow.RecordBatch { return r.NewSlice(1, 4) }, group)
	want := []string{`{"g_l":null,"g_n":null,"g_s":null}`, `{"g_l":null,"g_n":null,"g_s":"c"}`, `{"g_l":[3,4],"g_n":null,"g_s":null}`}
	if diff := cmp.Diff(want, got.rows); diff != "" {
		t.Error(diff)
	}
}

func TestLineageNamesEachColumnsOrigin(t *testing.T) {
	t.Parallel()
	group := arrow.Field{Name: "g", Type: arrow.StructOf(text("s"))}
	steps := `[{"rename":{"a":"id"}},{"copy":{"twin":"id"}},{"cast":{"b":"int64","id":"int64"}},{"add":{"shop":"s7"}},{"flatten":{"column":"g","separator":"_"}},{"drop":["gone"]}]`
	got := run(t, steps, []string{"a"}, `[]`, whole("a"), text("b"), text("gone"), group, text("same"))
	ref := func(column string) []sdk.ColumnRef { return []sdk.ColumnRef{{Input: "in", Column: column}} }
	want := []sdk.ColumnLineage{
		{Output: "in", Column: "id", Inputs: ref("a"), Kind: sdk.Identity},
		{Output: "in", Column: "b", Inputs: ref("b"), Kind: sdk.Derived},
		{Output: "in", Column: "g_s", Inputs: ref("g"), Kind: sdk.Derived},
		{Output: "in", Column: "same", Inputs: ref("same"), Kind: sdk.Identity},
		{Output: "in", Column: "twin", Inputs: ref("a"), Kind: sdk.Derived},
		{Output: "in", Column: "shop", Kind: sdk.Derived},
	}
	if diff := cmp.Diff(want, got.plan.Lineage); diff != "" {
		t.Error(diff)
	}
	if p := got.plan; p.Cardinality != sdk.OneToOne || !p.Deterministic || p.Collects || !cmp.Equal(p.Outputs[0].Key, []string{"id"}) {
		t.Errorf("plan %+v", p)
	}
}

func TestKeyIsLostWithItsColumns(t *testing.T) {
	t.Parallel()
	for steps, want := range map[string][]string{
		`[{"rename":{"a":"x"}}]`:                      {"x", "b"},
		`[{"drop":["a"]}]`:                            nil,
		`[{"copy":{"c":"a"}},{"drop":["a"]}]`:         nil,
		`[{"drop":["a"]},{"add":{"a":1}}]`:            nil,
		`[{"cast":{"a":"string"}},{"add":{"z":"1"}}]`: {"a", "b"},
	} {
		got := run(t, steps, []string{"a", "b"}, `[]`, whole("a"), text("b"))
		if diff := cmp.Diff(want, got.plan.Outputs[0].Key); diff != "" {
			t.Errorf("%s:\n%s", steps, diff)
		}
	}
}

func TestOnlyTheRowThatFailsIsRejected(t *testing.T) {
	t.Parallel()
	got := run(t, `[{"cast":{"a":"int64","b":"date"}},{"drop":["c"]}]`, nil,
		`[{"a":"1","b":"2024-01-01"},{"a":"x","b":"y"},{"a":" 3 ","b":null},{"a":"4","b":"2024-02-30"}]`, text("a"), text("b"), text("c"))
	if diff := cmp.Diff([]string{`{"a":1,"b":"2024-01-01"}`, `{"a":3,"b":null}`}, got.rows); diff != "" {
		t.Error(diff)
	}
	want := []sdk.Rejection{
		{Stream: "in", Origin: "file:1", Row: 1, Code: "cast_failed", Reason: `column "a": "x" can't be cast to int64: expected a whole number`},
		{Stream: "in", Origin: "file:1", Row: 3, Code: "cast_failed", Reason: `column "b": "2024-02-30" can't be cast to date: expected a day such as 2024-01-31`},
	}
	if diff := cmp.Diff(want, got.rejected); diff != "" {
		t.Error(diff)
	}
	all := run(t, `[{"cast":{"a":"bool"}}]`, nil, `[{"a":"maybe"},{"a":"`+strings.Repeat("ü", 100)+`"}]`, text("a"))
	if len(all.rows) != 0 || len(all.rejected) != 2 || !strings.Contains(all.rejected[1].Reason, `ü…" can't`) {
		t.Errorf("%+v", all)
	}
}

func TestInputsGoTheirOwnWays(t *testing.T) {
	t.Parallel()
	transform, err := New(t.Context(), config(t, `[{"drop":["x"]}]`), sdk.Env{Alloc: memory.DefaultAllocator})
	if err != nil {
		t.Fatal(err)
	}
	change := func(name string, fields ...arrow.Field) sdk.SchemaChange {
		return sdk.SchemaChange{Stream: name, Version: 1, Schema: arrow.NewSchema(fields, nil)}
	}
	plan, err := transform.Plan(t.Context(), []sdk.SchemaChange{change("one", whole("x"), whole("a")), change("two", text("b"), text("x"))})
	if err != nil {
		t.Fatal(err)
	}
	if got := columns(plan.Outputs[0].Schema) + "; " + columns(plan.Outputs[1].Schema); got != "a int64; b utf8?" || plan.Outputs[1].Name != "two" {
		t.Errorf("%s, second output %q", got, plan.Outputs[1].Name)
	}
	_, err = transform.Plan(t.Context(), []sdk.SchemaChange{change("one", whole("x")), change("three", whole("a"), text("b"))})
	if want := `setting "/steps/0/drop/0": input "three" has no column "x", there are a, b`; err == nil || err.Error() != want {
		t.Errorf("%v, expected %s", err, want)
	}
}

func TestNewColumnsPassUnlessPicked(t *testing.T) {
	t.Parallel()
	for steps, want := range map[string]string{
		`[{"rename":{"a":"id"}}]`: "id int64, later utf8?",
		`[{"pick":["a"]}]`:        "a int64",
	} {
		transform, err := New(t.Context(), config(t, steps), sdk.Env{Alloc: memory.DefaultAllocator})
		if err != nil {
			t.Fatal(err)
		}
		for version, fields := range [][]arrow.Field{{whole("a")}, {whole("a"), text("later")}} {
			plan, err := transform.Plan(t.Context(), []sdk.SchemaChange{{Stream: "in", Version: version + 1, Schema: arrow.NewSchema(fields, nil)}})
			if err != nil {
				t.Fatal(err)
			}
			if got := columns(plan.Outputs[0].Schema); version == 1 && got != want {
				t.Errorf("%s: %s, expected %s", steps, got, want)
			}
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	for steps, want := range map[string]string{
		`[{"pick":["a","x"]}]`:                                           `setting "/steps/0/pick/1": input "in" has no column "x", there are a, b, g`,
		`[{"drop":["a"]},{"rename":{"a":"z"}}]`:                          `setting "/steps/1/rename/a": input "in" has no column "a", there are b, g`,
		`[{"rename":{"a":"b"}}]`:                                         `setting "/steps/0/rename/a": input "in" would have two columns "b"`,
		`[{"rename":{"b":"a"}}]`:                                         `setting "/steps/0/rename/b": input "in" would have two columns "a"`,
		`[{"copy":{"b":"a"}}]`:                                           `setting "/steps/0/copy/b": input "in" has a column "b" already`,
		`[{"copy":{"c":"x"}}]`:                                           `setting "/steps/0/copy/c": input "in" has no column "x"`,
		`[{"add":{"b":1}}]`:                                              `setting "/steps/0/add/b": input "in" has a column "b" already`,
		`[{"cast":{"x":"int64"}}]`:                                       `setting "/steps/0/cast/x": input "in" has no column "x"`,
		`[{"cast":{"g":"int64"}}]`:                                       `setting "/steps/0/cast/g": column "g" of input "in": struct<s: utf8> can't be cast to int64, which takes`,
		`[{"cast":{"a":"date"}}]`:                                        `int64 can't be cast to date, which takes dates, timestamps and text`,
		`[{"cast":{"a":"binary"}}]`:                                      `int64 can't be cast to binary, which takes binary and text`,
		`[{"flatten":{"column":"a","separator":"_"}}]`:                   `setting "/steps/0/flatten/column": column "a" of input "in" is int64, expected a struct`,
		`[{"flatten":{"column":"x","separator":"_"}}]`:                   `setting "/steps/0/flatten/column": input "in" has no column "x"`,
		`[{"add":{"g_s":1}},{"flatten":{"column":"g","separator":"_"}}]`: `setting "/steps/1/flatten": input "in" would have two columns "g_s"`,
	} {
		transform, err := New(t.Context(), config(t, steps), sdk.Env{Alloc: memory.DefaultAllocator})
		if err != nil {
			t.Fatal(err)
		}
		schema := arrow.NewSchema([]arrow.Field{whole("a"), text("b"), {Name: "g", Type: arrow.StructOf(arrow.Field{Name: "s", Type: arrow.BinaryTypes.String})}}, nil)
		_, err = transform.Plan(t.Context(), []sdk.SchemaChange{{Stream: "in", Schema: schema}})
		if err == nil || !strings.HasPrefix(err.Error(), want) && !strings.HasSuffix(err.Error(), want) || sdk.KindOf(err) != sdk.KindConfig {
			t.Errorf("%s: %v, expected %s", steps, err, want)
		}
	}
}

func BenchmarkCastTextToDecimal(b *testing.B) {
	var c Config
	if err := json.Unmarshal([]byte(`{"steps":[{"cast":{"a":"decimal(12,2)"}}]}`), &c); err != nil {
		b.Fatal(err)
	}
	transform, err := New(b.Context(), c, sdk.Env{Alloc: memory.DefaultAllocator})
	if err != nil {
		b.Fatal(err)
	}
	builder := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{text("a")}, nil))
	const rows = 8192
	for range rows {
		builder.Field(0).(*array.StringBuilder).Append("12345.67")
	}
	record := builder.NewRecordBatch()
	for b.Loop() {
		table, err := transform.run("in", nil, record)
		if err != nil {
			b.Fatal(err)
		}
		table.release()
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

func TestRejectedRowsLeaveUnionsWhole(t *testing.T) {
	t.Parallel()
	kinds := []arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}}
	codes := []arrow.UnionTypeCode{0, 1}
	for _, union := range []arrow.DataType{
		arrow.SparseUnionOf(kinds, codes), arrow.DenseUnionOf(kinds, codes),
		arrow.StructOf(arrow.Field{Name: "inner", Type: arrow.DenseUnionOf(kinds, codes), Nullable: true}),
	} {
		t.Run(union.String(), func(t *testing.T) {
			t.Parallel()
			value := `[0, 5]`
			if union.ID() == arrow.STRUCT {
				value = `{"inner": [0, 5]}`
			}
			rows := `[{"a": "1", "u": ` + value + `}, {"a": "x", "u": ` + value + `}, {"a": "2", "u": ` + value + `}, {"a": "3", "u": ` + value + `}]`
			got := run(t, `[{"cast": {"a": "int64"}}]`, nil, rows, text("a"), arrow.Field{Name: "u", Type: union})
			if len(got.rows) != 3 || len(got.rejected) != 1 || got.rejected[0].Row != 1 {
				t.Errorf("rows %v, rejections %v", got.rows, got.rejected)
			}
		})
	}
}
