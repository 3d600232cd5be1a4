package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
)

const threeRows = `[{"id": 1, "email": "A@x", "amount": "1.50"}, {"id": 2, "email": "B@x", "amount": "2"}, {"id": 3, "email": null, "amount": "3"}]`

func TestQueryRunsOverEachBatch(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Query: "select id, lower(email) as email, amount::decimal(12,2) as amount from input where id <> 2;"})
	plan := b.plan(t, input("landing.shop.orders", shop()))
	want := sdk.Plan{
		Outputs: []sdk.PlannedOutput{{Name: "landing.shop.orders", Schema: columns(
			field("id", arrow.PrimitiveTypes.Int64), field("email", arrow.BinaryTypes.String),
			field("amount", &arrow.Decimal128Type{Precision: 12, Scale: 2}))}},
		Cardinality: sdk.Filters, Deterministic: true, Description: b.config.Query,
	}
	want.Lineage = sdk.DerivedFromAll([]sdk.SchemaChange{input("landing.shop.orders", shop())}, want.Outputs)
	if diff := cmp.Diff(want, plan, cmp.Comparer(func(a, b *arrow.Schema) bool { return a.Equal(b) })); diff != "" {
		t.Error(diff)
	}
	for range 2 {
		b.feedIn(t, "landing.shop.orders", shop(), threeRows)
	}
	rows := "{\"amount\":\"1.5\",\"email\":\"a@x\",\"id\":1}\n{\"amount\":\"3\",\"email\":null,\"id\":3}"
	if diff := cmp.Diff(rows+"\n"+rows, b.got(t, "landing.shop.orders")); diff != "" {
		t.Error(diff)
	}
	if record := b.recorder.Batches[0].Record; !record.Schema().Equal(plan.Outputs[0].Schema) {
		t.Errorf("planned %v, got %v", plan.Outputs[0].Schema, record.Schema())
	}
}

func TestInputsHaveTheirOwnNames(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Query: "select count(*) as n, min(o.id) as least from orders o join customers c on o.id = c.id", Collect: true})
	plan := b.plan(t, input("landing.shop.orders", shop()), input("customers", shop()))
	if plan.Outputs[0].Name != "result" || !plan.Collects {
		t.Errorf("planned %+v", plan)
	}
	b.feedIn(t, "landing.shop.orders", shop(), threeRows)
	b.feedIn(t, "customers", shop(), `[{"id": 2}, {"id": 3}, {"id": 4}]`)
	b.end(t)
	if diff := cmp.Diff(`{"least":2,"n":2}`, b.got(t, "result")); diff != "" {
		t.Error(diff)
	}
}

func TestEachInputGoesThroughTheQueryAlone(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Query: "select id from input", Output: "all"})
	plan := b.plan(t, input("a", shop()), input("b", columns(field("id", arrow.PrimitiveTypes.Int64))))
	if len(plan.Outputs) != 1 || plan.Outputs[0].Name != "all" || plan.Cardinality != sdk.OneToOne {
		t.Errorf("planned %+v", plan)
	}
	b.feedIn(t, "a", shop(), `[{"id": 1}]`)
	b.feedIn(t, "b", columns(field("id", arrow.PrimitiveTypes.Int64)), `[{"id": 2}]`)
	b.feedIn(t, "a", shop(), `[{"id": 3}]`)
	if diff := cmp.Diff("{\"id\":1}\n{\"id\":2}\n{\"id\":3}", b.got(t, "all")); diff != "" {
		t.Error(diff)
	}
}

func TestPlanFollowsAChangeOfSchema(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Query: "select * from orders"})
	narrow := columns(field("id", arrow.PrimitiveTypes.Int64))
	b.plan(t, input("orders", narrow))
	b.feedIn(t, "orders", narrow, `[{"id": 1}]`)
	wide := columns(field("id", arrow.PrimitiveTypes.Int64), field("note", arrow.BinaryTypes.String))
	if plan := b.plan(t, input("orders", wide)); !plan.Outputs[0].Schema.Equal(wide) {
		t.Errorf("planned %v", plan.Outputs[0].Schema)
	}
	b.feedIn(t, "orders", wide, `[{"id": 2, "note": "x"}]`)
	if diff := cmp.Diff("{\"id\":1}\n{\"id\":2,\"note\":\"x\"}", b.got(t, "orders")); diff != "" {
		t.Error(diff)
	}
}

// DuckDB pushes projections and filters into the scan of a registered Arrow stream, and the stream ignores them: a query right on
// such a view gets other columns' values and all rows.
func TestColumnsAndFiltersAreNotMixedUp(t *testing.T) {
	t.Parallel()
	schema := columns(
		field("id", arrow.PrimitiveTypes.Int64), field("label", arrow.BinaryTypes.String),
		field("amount", arrow.PrimitiveTypes.Float64), field("other", arrow.PrimitiveTypes.Int64),
	)
	const rows = 20000
	fill := func(b *bench) arrow.RecordBatch {
		builder := array.NewRecordBuilder(b.alloc, schema)
		defer builder.Release()
		for i := range rows {
			builder.Field(0).(*array.Int64Builder).Append(int64(i))
			builder.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("row number %d of many", i))
			builder.Field(2).(*array.Float64Builder).Append(float64(i) / 2)
			builder.Field(3).(*array.Int64Builder).Append(-1)
		}
		return builder.NewRecordBatch()
	}
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Query: "select amount, label from input where id = 777"}, `{"amount":388.5,"label":"row number 777 of many"}`},
		{Config{Query: "select max(amount) as most, min(other) as least from input", Collect: true}, `{"least":-1,"most":9999.5}`},
		{Config{Query: "select label from input where id = 777", Collect: true}, `{"label":"row number 777 of many"}`},
	} {
		b := start(t, c.config)
		b.plan(t, input("orders", schema))
		b.give(t, "orders", fill(b))
		if c.config.Collect {
			b.end(t)
		}
		if diff := cmp.Diff(c.want, b.got(t, "orders")); diff != "" {
			t.Errorf("%s: %s", c.config.Query, diff)
		}
	}
}

func TestRowsThatFailAreRejectedAndTheRestGoesOn(t *testing.T) {
	t.Parallel()
	schema := columns(field("id", arrow.PrimitiveTypes.Int64), field("amount", arrow.BinaryTypes.String))
	b := start(t, Config{Query: "select id, amount::integer as amount from input where id % 2 = 0"})
	b.plan(t, input("orders", schema))
	var rows strings.Builder
	want := map[int]string{}
	for i := range 3000 {
		amount := fmt.Sprint(i)
		if i%2 == 0 && (i == 0 || i == 2 || i > 1200 && i < 1210 || i == 2998) {
			amount = "n/a"
			want[i] = `Conversion Error: Could not convert string 'n/a' to INT32 when casting from source column amount`
		}
		fmt.Fprintf(&rows, "{\"id\": %d, \"amount\": %q}\n", i, amount)
	}
	b.feedIn(t, "orders", schema, "["+strings.ReplaceAll(strings.TrimSpace(rows.String()), "\n", ",")+"]")
	got := map[int]string{}
	for _, rejection := range b.recorder.Rejections {
		if rejection.Code != "sql_error" || rejection.Stream != "orders" {
			t.Errorf("rejection %+v", rejection)
		}
		got[rejection.Row] = rejection.Reason
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := b.recorder.Rows("orders"); n != int64(1500-len(want)) {
		t.Errorf("%d rows went on", n)
	}
	if len(b.recorder.Batches) != 1 {
		t.Errorf("%d batches for one", len(b.recorder.Batches))
	}
	previous := int64(-1)
	for _, id := range b.recorder.Batches[0].Record.Column(0).(*array.Int64).Int64Values() {
		if id <= previous {
			t.Fatalf("row %d follows row %d", id, previous)
		}
		previous = id
	}
}

func TestBadRowsAreFoundInQueriesOfAnyForm(t *testing.T) {
	t.Parallel()
	schema := columns(field("id", arrow.PrimitiveTypes.Int64), field("amount", arrow.BinaryTypes.String))
	for query, probed := range map[string]bool{
		"select id, o.amount::integer as a from input o":                                                true,
		"select * exclude (amount), amount::integer as a from orders":                                   true,
		"select id from input where amount::integer >= 0":                                               true,
		"select * replace (amount::integer as amount) from input":                                       false,
		"select amount::integer as a, a + 1 as b from input":                                            false,
		"with c as (select amount::integer as a from input) select a from c":                            false,
		"select amount::integer as a, random() as r from input where random() < 2":                      false,
		"select amount::integer + random() as a from input":                                             false,
		"select amount::integer as a, name from input left join (values (1, 'a')) v(k, name) on k = id": false,
	} {
		b := start(t, Config{Query: query})
		b.plan(t, input("orders", schema))
		if has := b.way.(*batches).lanes["orders"].probe != nil; has != probed {
			t.Errorf("%s: probe %v, expected %v", query, has, probed)
		}
		var rows []string
		for i := range 80 {
			amount := fmt.Sprint(i)
			if i%4 == 1 {
				amount = "x"
			}
			rows = append(rows, fmt.Sprintf(`{"id": %d, "amount": %q}`, i, amount))
		}
		b.feedIn(t, "orders", schema, "["+strings.Join(rows, ",")+"]")
		if len(b.recorder.Rejections) != 20 || b.recorder.Rows("orders") != 60 {
			t.Errorf("%s: %d rejected, %d went on", query, len(b.recorder.Rejections), b.recorder.Rows("orders"))
		}
		for i, rejection := range b.recorder.Rejections {
			if rejection.Row != 4*i+1 || !strings.Contains(rejection.Reason, "string 'x' to INT32") && !strings.Contains(rejection.Reason, "can't evaluate") {
				t.Errorf("%s: %+v", query, rejection)
			}
		}
	}
}

func TestABatchOfBadRowsOnlyGivesNothing(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Query: "select 1 / id as inverse, error(email) as fault from input"})
	b.plan(t, input("orders", shop()))
	b.feedIn(t, "orders", shop(), `[{"id": 1, "email": "one"}, {"id": 2, "email": "two"}]`)
	if len(b.recorder.Rejections) != 2 || len(b.recorder.Batches) != 0 {
		t.Errorf("rejected %v, emitted %v", b.recorder.Rejections, b.recorder.Batches)
	}
}

func TestSumsOfIntegersAre64BitIntegers(t *testing.T) {
	t.Parallel()
	schema := columns(field("id", arrow.PrimitiveTypes.Int64))
	b := start(t, Config{Query: "select sum(id) as total, sum(id)::decimal(38,0) as exact from input", Collect: true})
	plan := b.plan(t, input("orders", schema))
	want := columns(field("total", arrow.PrimitiveTypes.Int64), field("exact", &arrow.Decimal128Type{Precision: 38}))
	if !plan.Outputs[0].Schema.Equal(want) {
		t.Errorf("planned %v", plan.Outputs[0].Schema)
	}
	b.feedIn(t, "orders", schema, `[{"id": -9223372036854775807}, {"id": -1}, {"id": null}]`)
	b.end(t)
	if diff := cmp.Diff(`{"exact":"-9223372036854775808","total":-9223372036854775808}`, b.got(t, "orders")); diff != "" {
		t.Error(diff)
	}
	b.feedIn(t, "orders", schema, `[{"id": 9223372036854775807}, {"id": 1}]`)
	err := b.Finish(t.Context(), b.recorder)
	if err == nil || !strings.Contains(err.Error(), `column "total": 9223372036854775808 doesn't fit 64 bits`) {
		t.Errorf("an overflowing sum gave %v", err)
	}
}

func TestACancelledContextEndsTheQuery(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Query: "select id from input"})
	b.plan(t, input("orders", shop()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := b.Apply(ctx, sdk.Batch{Stream: "orders", Record: parse(t, b.alloc, shop(), threeRows)}, b.recorder)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if len(b.recorder.Rejections) > 0 {
		t.Errorf("rows were rejected: %v", b.recorder.Rejections)
	}
	b.feedIn(t, "orders", shop(), threeRows)
	if n := b.recorder.Rows("orders"); n != 3 {
		t.Errorf("%d rows after the cancelled call", n)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Query: " "}, `setting "/query": is empty, expected one SELECT`},
		{Config{Query: "x", MemoryLimit: 5}, `setting "/memory_limit": 5 bytes are too few, expected at least 32MiB`},
		{Config{Query: "x", Threads: -1}, `setting "/threads": -1 is out of range, expected 1 to 256`},
	} {
		if err := c.config.Validate(); err == nil || err.Error() != c.want {
			t.Errorf("%+v: %v", c.config, err)
		}
	}
	if err := (Config{Query: "x"}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestCollectingNeedsAScratchFolder(t *testing.T) {
	t.Parallel()
	if _, err := New(t.Context(), Config{Query: "select 1", Collect: true}, sdk.Env{Alloc: memory.DefaultAllocator}); err == nil {
		t.Error("no error without a scratch folder")
	}
}
