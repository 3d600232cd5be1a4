package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/sdk"
)

func TestCardinalityFollowsFromThePlan(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]sdk.Cardinality{
		"select * from input": sdk.OneToOne,
		"from orders":         sdk.OneToOne,
		"select id + 1 as next, upper(email) as e from orders":                         sdk.OneToOne,
		"with o as (select * from input) select o.id from o":                           sdk.OneToOne,
		"select id, (select 5) as five from input":                                     sdk.AnyRows,
		"select id, (select max(x) from unnest(tags) t(x)) as top from input":          sdk.OneToOne,
		"select id, id in (select * from (values (1), (2))) as known from input":       sdk.OneToOne,
		"select id from input where id in (1, 2, 3)":                                   sdk.Filters,
		"select id from input where id in (select max(x) from (values (1), (2)) v(x))": sdk.Filters,
		"with o as (select * from input where id > 1) select id from o":                sdk.Filters,
		"select id, unnest(tags) as tag from input":                                    sdk.AnyRows,
		"select id, tag from input, unnest(tags) u(tag)":                               sdk.AnyRows,
		"select id, name from input join (values (1, 'a')) v(k, name) on k = id":       sdk.AnyRows,
		"select id, name from (values (1, 'a')) v(k, name) right join input on k = id": sdk.AnyRows,
		"select id from input union all select id + 1 from input":                      sdk.AnyRows,
	} {
		b := start(t, Config{Query: query})
		if plan := b.plan(t, input("orders", shop())); plan.Cardinality != want {
			t.Errorf("%s: %s, expected %s", query, plan.Cardinality, want)
		}
	}
}

func TestQueriesOverManyRowsNeedCollect(t *testing.T) {
	t.Parallel()
	for query, reason := range map[string]string{
		"select max(id) as m from input":                                          "an aggregation",
		"select id, count(*) as n from input group by id":                         "an aggregation",
		"select distinct id from input":                                           "distinct",
		"select id, row_number() over () as r from input":                         "a window function",
		"select id from input qualify row_number() over (order by id) = 1":        "a window function",
		"select id from input order by id":                                        "order by",
		"select id from input limit 5":                                            "limit",
		"select id from input using sample 10%":                                   "a sample",
		"select a.id from input a join orders b on a.id = b.id":                   "joins the input to itself",
		"with c as (select * from input) select a.id from c a, c b":               "joins the input to itself",
		"select x from (values (1)) v(x) left join input on id = x":               "left comparison join",
		"select x from (values (1)) v(x) where x in (select id from input)":       "comparison join",
		"select id from input full join (values (1)) v(x) on id = x":              "full comparison join",
		"select id from input positional join (values (1)) v(x)":                  "a positional join",
		"select id from input union all select 1":                                 "constant rows",
		"select id from input union select id from orders":                        "distinct",
		"select id from input except select 1":                                    "except",
		"select 1 as one":                                                         "doesn't read its input",
		"select id, (select max(id) from input) as top from input":                "an aggregation",
		"select id from input where exists (select 1 from orders o where o.id=1)": "limit",
		"pivot (select id, email from input) on email in ('a') using count(*)":    "an aggregation",
	} {
		b := start(t, Config{Query: query})
		_, err := b.Plan(t.Context(), []sdk.SchemaChange{input("orders", shop())})
		var fault *sdk.Error
		if !errors.As(err, &fault) || fault.Path != "/query" || !strings.Contains(err.Error(), "set collect: true") ||
			!strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v, expected a word about %s", query, err, reason)
		}
	}
}

func TestCollectTakesQueriesOverManyRows(t *testing.T) {
	t.Parallel()
	for _, query := range []string{
		"select distinct email, row_number() over (order by id) as r, (select max(id) from input) as top from orders order by id limit 5",
		"with c as (select * from input) select a.id from c a join orders b using (id) group by all",
		"pivot (select id, email from input) on email in ('a') using count(*)",
	} {
		b := start(t, Config{Query: query, Collect: true})
		if plan := b.plan(t, input("orders", shop())); !plan.Collects || plan.Cardinality != sdk.AnyRows {
			t.Errorf("%s: %+v", query, plan)
		}
	}
}

func TestFaultsOfTheQueryNameThePlace(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"select idd from input":                           "Candidate bindings: \"id\"",
		"select id frm input":                             "LINE 1: select id frm input",
		"select id from nowhere":                          "Table with name nowhere does not exist",
		"select id from input; drop table input":          "expected one SELECT, found none or several",
		"-- nothing":                                      "expected one SELECT, found none or several",
		"delete from input":                               "Can only delete from base table",
		"select id from input where id = ?":               "has 1 parameters",
		"select id, email as ID from input":               `gives two columns the name "ID"`,
		"select * from read_csv('/etc/passwd')":           "file system operations are disabled",
		"select interval 1 day as step, id from input":    `column "step" has a type that datasets can't hold`,
		"create table more (id int)":                      "expected a SELECT, this is another kind of statement",
		"set threads = 64":                                "expected a SELECT",
		"copy (select 1) to '/tmp/x'":                     "file system operations are disabled",
		"install httpfs":                                  "expected a SELECT",
		"select id from input where email = cast('a' as)": "syntax error",
	} {
		for _, collect := range []bool{false, true} {
			b := start(t, Config{Query: query, Collect: collect})
			_, err := b.Plan(t.Context(), []sdk.SchemaChange{input("orders", shop())})
			var fault *sdk.Error
			if !errors.As(err, &fault) || fault.Kind != sdk.KindConfig || fault.Path != "/query" || !strings.Contains(err.Error(), want) {
				t.Errorf("%s (collect %v): %v, expected %q", query, collect, err, want)
			}
		}
	}
}

func TestDeterminismFollowsFromTheFunctions(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]bool{
		"select id, lower(email) as e from input":                true,
		"select id from input where amount = 'random()'":         true,
		"select id, random() as r from input":                    false,
		"select id, uuid() as r from input":                      false,
		"select id, now() as t from input":                       false,
		"select id, current_timestamp as t from input":           false,
		"select id from input where current_date > '2020-01-01'": false,
		"with o as (select today() as d, * from input) from o":   false,
	} {
		b := start(t, Config{Query: query})
		if plan := b.plan(t, input("orders", shop())); plan.Deterministic != want {
			t.Errorf("%s: deterministic %v", query, plan.Deterministic)
		}
	}
	sampled := start(t, Config{Query: "select id from input using sample 10%", Collect: true})
	if sampled.plan(t, input("orders", shop())).Deterministic {
		t.Error("a sample without a seed counts as deterministic")
	}
}

func TestInputsThatSQLCantTellApartAreRefused(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Query: "select 1 as one", Collect: true})
	if _, err := b.Plan(t.Context(), []sdk.SchemaChange{input("a.orders", shop()), input("b.Orders", shop())}); err == nil {
		t.Error("two inputs of one name were taken")
	}
	twice := columns(field("id", arrow.PrimitiveTypes.Int64), field("ID", arrow.PrimitiveTypes.Int64))
	if _, err := b.Plan(t.Context(), []sdk.SchemaChange{input("orders", twice)}); err == nil || !strings.Contains(err.Error(), `"id" and "ID"`) {
		t.Errorf("two columns of one name: %v", err)
	}
	b.plan(t, input("a.orders", shop()))
}

func TestOutputsOfDifferentColumnsCantShareAName(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Query: "select * from input", Output: "all"})
	_, err := b.Plan(t.Context(), []sdk.SchemaChange{input("a", shop()), input("b", columns(field("id", arrow.PrimitiveTypes.Int64)))})
	var fault *sdk.Error
	if !errors.As(err, &fault) || fault.Path != "/output" {
		t.Errorf("got %v", err)
	}
}
