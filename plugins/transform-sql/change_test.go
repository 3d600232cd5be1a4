package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// people is a table whose changes the tests send.
func people() *arrow.Schema {
	return columns(
		field("id", arrow.PrimitiveTypes.Int64), field("email", arrow.BinaryTypes.String), field("status", arrow.BinaryTypes.String),
		field("amount", arrow.BinaryTypes.String), field("tags", arrow.ListOf(arrow.BinaryTypes.String)),
	)
}

func peopleChanges(key ...string) sdk.SchemaChange {
	in := input("landing.shop.people", change.Schema(people(), key))
	in.Key = key
	return in
}

// startChanges starts a query over changes of people with the key id.
func startChanges(t *testing.T, query string) (*bench, sdk.Plan) {
	t.Helper()
	b := start(t, Config{Query: query})
	return b, b.plan(t, peopleChanges("id"))
}

// came is what came out for rows, one line each: the columns that are not null.
func (b *bench) came(t *testing.T, rows string) string {
	t.Helper()
	b.feedIn(t, "landing.shop.people", change.Schema(people(), nil), rows)
	var lines []string
	for line := range strings.SplitSeq(b.got(t, "landing.shop.people"), "\n") {
		var row map[string]any
		if line == "" {
			continue
		}
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.UseNumber()
		if err := decoder.Decode(&row); err != nil {
			t.Fatal(err)
		}
		slim(row)
		text, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(text))
	}
	for _, r := range b.recorder.Rejections {
		lines = append(lines, fmt.Sprintf("rejected %d %s: %s", r.Row, r.Code, r.Reason))
	}
	b.recorder.Release()
	b.recorder.Rejections, b.recorder.Batches = nil, nil
	return strings.Join(lines, "\n")
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

const plainQuery = "select id, lower(email) as email from input where status <> 'test'"

func TestChangeColumnsPassByThemselves(t *testing.T) {
	t.Parallel()
	_, plan := startChanges(t, "select email as mail, id as person from input")
	out := plan.Outputs[0]
	want := change.Schema(columns(field("mail", arrow.BinaryTypes.String), field("person", arrow.PrimitiveTypes.Int64)), []string{"person"})
	if !out.Schema.Equal(want) || !cmp.Equal(out.Key, []string{"person"}) || !cmp.Equal(change.Key(out.Schema), []string{"person"}) {
		t.Errorf("planned %v with key %v", out.Schema, out.Key)
	}
	if plan.Cardinality != sdk.OneToOne || !plan.Deterministic {
		t.Errorf("%+v", plan)
	}
	_, plan = startChanges(t, "select * from people where id > 0")
	if !plan.Outputs[0].Schema.Equal(change.Schema(people(), nil)) || plan.Cardinality != sdk.OneToOne {
		t.Errorf("planned %v, cardinality %s", plan.Outputs[0].Schema, plan.Cardinality)
	}
}

func TestNamedChangeColumnsAreRefused(t *testing.T) {
	t.Parallel()
	for _, query := range []string{
		"select id, _op from input", "select * exclude (_pos) from input", "select id from input where _OP <> 3", "select id as _ts from input",
		"select input._before.id as b from input", "select * replace (1 as _tx_seq) from input", "select * rename (id as _op) from input",
		"with c(_op) as (select id from input) select * from c",
	} {
		b := start(t, Config{Query: query})
		_, err := b.Plan(t.Context(), []sdk.SchemaChange{peopleChanges("id")})
		var fault *sdk.Error
		if !errors.As(err, &fault) || fault.Path != "/query" || !strings.Contains(err.Error(), "pass by themselves") {
			t.Errorf("%s: %v", query, err)
		}
	}
	startChanges(t, "select id, '_op' as kind from input where status = '_ts'")
}

func TestQueriesThatMixRowsAreRefusedOverChanges(t *testing.T) {
	t.Parallel()
	for query, reason := range map[string]string{
		"select count(*) as n from input":                                                                          "an aggregation over the rows",
		"select distinct email from input":                                                                         "distinct",
		"select id, row_number() over () as n from input":                                                          "a window function",
		"select a.id from input a join people b on a.id = b.id":                                                    "joins the input to itself",
		"select id, name from input join (values (1, 'a')) v(k, name) on k=id":                                     "several rows of one",
		"select id, unnest(tags) as tag from input":                                                                "several rows of one",
		"select id, columns('e.*') from input":                                                                     "columns(…)",
		"select id, to_json(input) as j from input":                                                                `"input" stands for a whole row`,
		"select id, #2 as x from input":                                                                            "named by its place",
		"with c as (select id, uuid() as u from input) select id, u from c":                                        "another value each time",
		"select id from (select id, (select max(x) from unnest(tags) t(x)) as m from input) where (select m) > ''": "a subquery within an expression",
	} {
		b := start(t, Config{Query: query})
		_, err := b.Plan(t.Context(), []sdk.SchemaChange{peopleChanges("id")})
		var fault *sdk.Error
		if !errors.As(err, &fault) || fault.Path != "/query" || !strings.Contains(err.Error(), reason) || !strings.Contains(err.Error(), "overwrite") {
			t.Errorf("%s: %v", query, err)
		}
	}
	b := start(t, Config{Query: "select count(*) as n from people", Collect: true})
	_, err := b.Plan(t.Context(), []sdk.SchemaChange{peopleChanges("id")})
	if err == nil || !strings.Contains(err.Error(), `setting "/collect"`) || !strings.Contains(err.Error(), "overwrite") {
		t.Error(err)
	}
	b.plan(t, input("people", people()))
}

func TestDeletionsAndTruncatesPassWhateverTheConditionSays(t *testing.T) {
	t.Parallel()
	b, _ := startChanges(t, "select id, coalesce(email, 'none') as email, amount::int as amount, 'x' as source from input where status <> 'test' and error(status) is null")
	got := b.came(t, `[{"id": 1, "_op": 3, "_tx_seq": 1}, {"_op": 4, "_tx_seq": 2}]`)
	const want = `{"_op":3,"_tx_seq":1,"id":1}
{"_op":4,"_tx_seq":2}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestARowThatIsLeftOutIsADeletion(t *testing.T) {
	t.Parallel()
	b, plan := startChanges(t, plainQuery)
	if plan.Cardinality != sdk.OneToOne {
		t.Errorf("cardinality %s", plan.Cardinality)
	}
	got := b.came(t, `[
		{"id": 1, "email": "A@x", "status": "new", "_op": 1, "_pos": "AQ==", "_tx_seq": 1, "_ts": "2024-01-01T00:00:00Z"},
		{"id": 2, "email": "B@x", "status": "test", "_op": 1, "_pos": "AQ==", "_tx_seq": 2, "_ts": "2024-01-01T00:00:00Z"},
		{"id": 3, "email": "C@x", "_op": 0},
		{"id": 5, "email": "E@x", "status": "test", "_op": 2, "_before": {"id": 4, "email": "D@x", "status": "new"}},
		{"id": 7, "email": "G@x", "status": "new", "_op": 2, "_before": {"id": 6, "email": "F@x", "status": "test"}},
		{"id": 8, "status": "test", "_op": 2, "_before": {"id": 8}}]`)
	const want = `{"_op":1,"_pos":"AQ==","_ts":"2024-01-01T00:00:00Z","_tx_seq":1,"email":"a@x","id":1}
{"_op":3,"_pos":"AQ==","_ts":"2024-01-01T00:00:00Z","_tx_seq":2,"id":2}
{"_op":3,"id":3}
{"_op":3,"id":4}
{"_before":{"email":"f@x","id":6},"_op":2,"email":"g@x","id":7}
{"_op":3,"id":8}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWithoutAKeyRowsAreFiltered(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Query: plainQuery})
	plan := b.plan(t, peopleChanges())
	if plan.Cardinality != sdk.Filters || plan.Outputs[0].Key != nil {
		t.Errorf("%+v", plan)
	}
	got := b.came(t, `[{"id": 1, "email": "A", "status": "test", "_op": 1}, {"id": 2, "email": "B", "status": "new", "_op": 1}, {"id": 3, "_op": 3}, {"_op": 4}]`)
	const want = `{"_op":1,"email":"b","id":2}
{"_op":3,"id":3}
{"_op":4}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBeforeGoesThroughTheProjection(t *testing.T) {
	t.Parallel()
	b, plan := startChanges(t, "select upper(email) as mail, id, amount::int as amount, 'x' as source from input")
	before := arrow.StructOf(field("mail", arrow.BinaryTypes.String), field("id", arrow.PrimitiveTypes.Int64),
		field("amount", arrow.PrimitiveTypes.Int32), field("source", arrow.BinaryTypes.String))
	if f, _ := plan.Outputs[0].Schema.FieldsByName("_before"); !arrow.TypeEqual(f[0].Type, before) || !f[0].Nullable {
		t.Errorf("_before is %v", f)
	}
	got := b.came(t, `[
		{"id": 1, "email": "a", "amount": "2", "_op": 2, "_before": {"id": 1, "email": "b", "amount": "1"}},
		{"id": 2, "email": "c", "_op": 2, "_before": {"id": 3}},
		{"id": 4, "email": "d", "_op": 2, "_before": null},
		{"id": 5, "email": "e", "_op": 2, "_before": {"id": 5, "email": "e", "amount": "n/a"}},
		{"id": 6, "email": "f", "amount": "bad", "_op": 2, "_before": {"id": 6, "email": "g", "amount": "9"}},
		{"id": 7, "_op": 3, "_before": {"id": 7, "email": "h", "amount": "3"}}]`)
	want := `{"_before":{"amount":1,"id":1,"mail":"B","source":"x"},"_op":2,"amount":2,"id":1,"mail":"A","source":"x"}
{"_before":{"id":3},"_op":2,"id":2,"mail":"C","source":"x"}
{"_op":2,"id":4,"mail":"D","source":"x"}
{"_before":{"id":5},"_op":2,"id":5,"mail":"E","source":"x"}
{"_before":{"amount":3,"id":7,"mail":"H","source":"x"},"_op":3,"id":7}
rejected 4 sql_error: Conversion Error: Could not convert string 'bad' to INT32 when casting from source column amount`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUnchangedFollowsTheProjection(t *testing.T) {
	t.Parallel()
	b, _ := startChanges(t, `select id, coalesce(email, 'none') as mail, email || amount as both, tags, 1 as one from input where status <> 'test'`)
	got := b.came(t, `[
		{"id": 1, "status": "new", "amount": "5", "_op": 2, "_unchanged": ["tags"]},
		{"id": 2, "status": "new", "_op": 2, "_unchanged": ["email", "amount"]},
		{"id": 3, "status": "new", "email": "c", "_op": 2, "_unchanged": ["amount"]},
		{"id": 4, "status": "test", "email": "c", "_op": 2, "_unchanged": ["amount"]},
		{"id": 5, "email": "e", "_op": 2, "_unchanged": ["status", "tags"]},
		{"id": 6, "status": "new", "email": "f", "amount": "1", "tags": ["x"], "_op": 2, "_unchanged": []},
		{"id": 7, "_op": 9}, {"id": 8, "_op": 3, "_unchanged": ["status"]}]`)
	const want = `{"_op":2,"_unchanged":["tags"],"id":1,"mail":"none","one":1}
{"_op":2,"_unchanged":["mail","both"],"id":2,"one":1}
{"_op":3,"id":4}
{"_op":2,"both":"f1","id":6,"mail":"f","one":1,"tags":["x"]}
{"_op":3,"id":8}
rejected 2 unchanged_input: column "both" needs "amount", which the source did not send because it did not change: set the table's replica identity to full
rejected 4 unchanged_input: the condition needs "status", which the source did not send because it did not change: set the table's replica identity to full
rejected 6 unknown_op: no operation: expected 0 (snapshot), 1 (insert), 2 (update), 3 (delete) or 4 (truncate)`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What is made of the key alone tells whose row it is where the key itself is not passed on.
func TestDeletionsHaveWhatIsMadeOfTheKey(t *testing.T) {
	t.Parallel()
	b, plan := startChanges(t, "select 'p' || id as person, email, 1 as one from input where status <> 'test'")
	if plan.Outputs[0].Key != nil {
		t.Errorf("key %v", plan.Outputs[0].Key)
	}
	got := b.came(t, `[{"id": 1, "_op": 3}, {"id": 3, "status": "test", "_op": 2, "_before": {"id": 2}}, {"_op": 4}]`)
	const want = `{"_op":3,"person":"p1"}
{"_op":3,"person":"p2"}
{"_op":4}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSelectsWithinSelectsAreOne(t *testing.T) {
	t.Parallel()
	for _, query := range []string{
		"select id, lower(email) as email from input where status <> 'test' and amount::int > 1",
		"with good as (select * from input where status <> 'test') select id, lower(email) as email from good g where g.amount::int > 1",
		"select p.id, mail as email from (select id, lower(i.email) as mail, amount::int as n from input i where i.status <> 'test') p where p.n > 1",
		"with a(one, two, three) as (from people), b as (select one as id, lower(two) as email, cast(amount as int) as n from a where three <> 'test') select * exclude (n) from b where n > 1",
		"select id, lower(email) as email, from input where status <> 'test' and (select max(x) from (values (try_cast(amount as int))) v(x)) > 1",
		"select id, lower(email) as email from input where status <> 'test' and list_filter([amount::int], email -> email > 1) <> []",
	} {
		b, plan := startChanges(t, query)
		if plan.Cardinality != sdk.OneToOne || !cmp.Equal(plan.Outputs[0].Key, []string{"id"}) {
			t.Errorf("%s: %+v", query, plan)
		}
		got := b.came(t, `[
			{"id": 1, "email": "A", "status": "new", "amount": "2", "_op": 1}, {"id": 2, "email": "B", "status": "test", "amount": "none", "_op": 1},
			{"id": 3, "email": "C", "status": "new", "amount": "1", "_op": 1}]`)
		want := `{"_op":1,"email":"a","id":1}
{"_op":3,"id":2}
{"_op":3,"id":3}`
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}

func TestLineageOfChangesNamesWhatDecides(t *testing.T) {
	t.Parallel()
	text := func(plan sdk.Plan) string {
		var lines []string
		for _, l := range plan.Lineage {
			var from []string
			for _, ref := range l.Inputs {
				from = append(from, ref.Column)
			}
			lines = append(lines, fmt.Sprintf("%s %s %s", l.Column, l.Kind, strings.Join(from, ",")))
		}
		return strings.Join(lines, "\n")
	}
	_, plan := startChanges(t, "select id as person, lower(email) as mail, status from input")
	const all = `person identity id
mail derived email,_op,_unchanged
status identity status,_op
_op identity _op
_pos identity _pos
_tx_seq identity _tx_seq
_ts identity _ts
_before derived _before
_unchanged identity _unchanged,_op`
	if diff := cmp.Diff(all, text(plan)); diff != "" {
		t.Error(diff)
	}
	_, plan = startChanges(t, "select id as person, email || upper(status) as mail, email || 1 as twin, list_transform(tags, t -> t || amount) as tags from input where amount > ''")
	const some = `person identity id,amount,_op,_before
mail derived email,status,amount,_op,_unchanged
twin derived email,amount,_op,_unchanged
tags derived amount,tags,_op,_unchanged
_op identity _op,amount
_pos identity _pos
_tx_seq identity _tx_seq
_ts identity _ts
_before derived _before,amount,_op
_unchanged identity _unchanged,_op,amount`
	if diff := cmp.Diff(some, text(plan)); diff != "" {
		t.Error(diff)
	}
	if key := plan.KeyOf(plan.Outputs[0], []sdk.SchemaChange{peopleChanges("id")}); !cmp.Equal(key, []string{"person"}) {
		t.Errorf("key %v", key)
	}
}

// Readers of a dataset with a key get net changes: _op is wider there, and there is no _before.
func TestNetChangesGoThroughTheQuery(t *testing.T) {
	t.Parallel()
	fields := change.Net(people()).Fields()
	fields[people().NumFields()].Type = arrow.PrimitiveTypes.Int32
	schema := columns(fields...)
	in := input("people", schema)
	in.Key = []string{"id"}
	b := start(t, Config{Query: plainQuery})
	plan := b.plan(t, in)
	if got := plan.Outputs[0].Schema; got.NumFields() != 6 || !arrow.TypeEqual(got.Field(2).Type, arrow.PrimitiveTypes.Int32) {
		t.Errorf("planned %v", got)
	}
	b.feedIn(t, "people", schema, `[{"id": 1, "email": "A", "status": "new", "_op": 1}, {"id": 2, "status": "test", "_op": 2}, {"id": 3, "_op": 3}, {"_op": 4}]`)
	const want = `{"_op":1,"_pos":null,"_ts":null,"_tx_seq":null,"email":"a","id":1}
{"_op":3,"_pos":null,"_ts":null,"_tx_seq":null,"email":null,"id":2}
{"_op":3,"_pos":null,"_ts":null,"_tx_seq":null,"email":null,"id":3}
{"_op":4,"_pos":null,"_ts":null,"_tx_seq":null,"email":null,"id":null}`
	if diff := cmp.Diff(want, b.got(t, "people")); diff != "" {
		t.Error(diff)
	}
}

func TestBadChangesAreFoundInOnePass(t *testing.T) {
	t.Parallel()
	b, _ := startChanges(t, "select id, amount::int as amount from input where (id - 2)::utinyint >= 0")
	if b.way.(*batches).lanes["landing.shop.people"].probe == nil {
		t.Error("no probe")
	}
	got := b.came(t, `[{"id": 1, "amount": "1", "_op": 1}, {"id": 2, "amount": "x", "_op": 1}, {"id": 3, "amount": "3", "_op": 1}, {"id": 1, "amount": "x", "_op": 3}]`)
	const want = `{"_op":1,"amount":3,"id":3}
{"_op":3,"id":1}
rejected 0 sql_error: Conversion Error: Type INT64 with value -1 can't be cast because the value is out of range for the destination type UINT8
rejected 1 sql_error: Conversion Error: Could not convert string 'x' to INT32 when casting from source column amount`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
