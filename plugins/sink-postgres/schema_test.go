package main

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

func field(name string, dt arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: dt, Nullable: true}
}

func version(n int, key []string, fields ...arrow.Field) sdk.SchemaChange {
	return sdk.SchemaChange{Stream: "orders", Version: n, Schema: arrow.NewSchema(fields, nil), Key: key}
}

const columnsSQL = `select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum`

func columnsOf(table string) string { return strings.Replace(columnsSQL, "%s", "'"+table+"'", 1) }

func TestTablesFollowTheirStreams(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	i32, i64, text := arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String
	config := Config{Mode: modeUpsert, Types: map[string]string{"code": "varchar(5)", "orders.place": "inet", "other.place": "cidr"}}
	sink, _ := s.begin(t, config, sdk.Append, 1, version(1, []string{"id"}, field("id", i32), field("note", text), field("n", i32), field("d", &arrow.Decimal128Type{Precision: 6, Scale: 2})))
	s.want(t, columnsOf("orders"), "(id,integer,t)", "(note,text,f)", "(n,integer,f)", `(d,"numeric(6,2)",f)`)
	v1 := sink.streams["orders"]
	none(t, write(t, sink, "orders", 1, record(t, arrow.NewSchema([]arrow.Field{field("id", i32), field("note", text), field("n", i32), field("d", &arrow.Decimal128Type{Precision: 6, Scale: 2})}, nil),
		`{"id":1,"note":"a","n":1,"d":"1.50"}`, `{"id":2,"note":"b","n":2}`)))
	second := version(2, []string{"id"}, field("id", i64), field("n", i64), field("d", &arrow.Decimal128Type{Precision: 9, Scale: 4}), field("code", text), field("place", text))
	planned, err := sink.PlanSchema(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, a := range planned {
		said = append(said, a.Object+": "+a.Description)
	}
	if diff := cmp.Diff([]string{
		`public.orders: widen column id from integer to bigint, which may rewrite the table: alter table "public"."orders" alter column "id" type bigint`,
		`public.orders: widen column n from integer to bigint, which may rewrite the table: alter table "public"."orders" alter column "n" type bigint`,
		`public.orders: widen column d from numeric(6,2) to numeric(9,4), which may rewrite the table: alter table "public"."orders" alter column "d" type numeric(9,4)`,
		`public.orders: add column code: alter table "public"."orders" add column if not exists "code" varchar(5)`,
		`public.orders: add column place: alter table "public"."orders" add column if not exists "place" inet`,
		`public.orders: upsert rows by id`,
	}, said); diff != "" {
		t.Error(diff)
	}
	apply(t, sink, second) // in the middle of the unit
	rejected := write(t, sink, "orders", 2, record(t, second.Schema, `{"id":1,"n":10,"d":"12345.6789","code":"abc","place":"10.0.0.1"}`,
		`{"id":3,"n":8589934592,"code":"abcdef","place":"10.0.0.2"}`, `{"id":4,"n":8589934592,"code":"e","place":"nowhere"}`, `{"id":5,"n":8589934592,"code":"f","place":"::1"}`))
	if len(rejected) != 2 || rejected[0].Row != 1 || rejected[0].Code != "too_long" || rejected[1].Row != 2 || rejected[1].Code != "malformed" {
		t.Errorf("%+v", rejected)
	}
	none(t, commit(t, sink, mark(1, 1)))
	s.want(t, "select id, note, n, d, code, place from orders order by id", "(1,a,10,12345.6789,abc,10.0.0.1)", "(2,b,2,,,)", "(5,,8589934592,,f,::1)")
	if v1.staging != nil || len(sink.unit.parts) != 0 {
		t.Error("the old version's staging table is still there")
	}
	none(t, write(t, sink, "orders", 2, record(t, second.Schema, `{"id":2,"n":3}`)))
	none(t, commit(t, sink, mark(1, 2)))
	s.want(t, "select note, n from orders where id = 2", "(b,3)")
}

func TestChangesOfTwoVersionsInOneUnitApplyInOrder(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	key := []string{"id"}
	first := version(1, key, change.Schema(orders, key).Fields()...)
	wider := arrow.NewSchema(append(orders.Fields(), field("more", arrow.BinaryTypes.String)), nil)
	second := version(2, key, change.Schema(wider, key).Fields()...)
	sink, _ := s.begin(t, Config{}, sdk.Upsert, 1, first)
	none(t, write(t, sink, "orders", 1, record(t, first.Schema, `{"id":1,"note":"a","_op":1}`, `{"id":2,"note":"b","_op":1}`, `{"id":3,"note":"c","_op":1}`)))
	apply(t, sink, second)
	none(t, write(t, sink, "orders", 2, record(t, second.Schema, `{"id":1,"more":"m","_op":2,"_unchanged":["note"]}`, `{"id":4,"more":"x","_op":2,"_unchanged":["note"],"_before":{"id":2}}`, `{"id":3,"_op":3}`)))
	none(t, commit(t, sink, mark(1, 1)))
	s.want(t, "select * from orders order by id", "(1,a,m)", "(4,b,x)")
}

func TestWhatCantBeDoneIsSaidBeforeAnythingIsDone(t *testing.T) {
	t.Parallel()
	no := false
	i64, text := arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String
	long := strings.Repeat("ü", 32)
	for _, c := range []struct {
		name, setup string
		config      Config
		mode        sdk.WriteMode
		stream      sdk.SchemaChange
		want        []string
	}{
		{"types", "create table orders (id boolean, note bytea)", Config{}, sdk.Append, ordersStream(), []string{`column "id": values of type int64 don't fit the column's type boolean`, `column "note": values of type utf8 don't fit the column's type bytea`, "cast it in a transform"}},
		{"no table", "select", Config{Create: &no}, sdk.Append, ordersStream(), []string{"create is false", `create table if not exists "public"."orders" ("id" bigint, "note" text)`}},
		{"no column", "create table orders (id int8)", Config{Evolve: &no}, sdk.Append, ordersStream(), []string{"evolve is false", `add column if not exists "note" text`}},
		{"no index", "create table orders (id int8, note text)", Config{Evolve: &no}, sdk.Upsert, ordersStream("id"), []string{"evolve is false", `create unique index on "public"."orders" ("id")`}},
		{"not filled", "create table orders (id int8, note text, more int not null)", Config{}, sdk.Append, ordersStream(), []string{`column "more" of table public.orders needs a value`}},
		{"generated", "create table orders (id int8, note text generated always as ('x') stored)", Config{}, sdk.Append, ordersStream(), []string{`column "note" of table public.orders is generated`}},
		{"view", "create view orders as select 1 as id", Config{}, sdk.Append, ordersStream(), []string{"expected an ordinary or a partitioned table"}},
		{"no key", "select", Config{}, sdk.Upsert, ordersStream(), []string{`"/key"`, `stream "orders" has no key`}},
		{"other key", "select", Config{Key: []string{"x"}}, sdk.Upsert, ordersStream("id"), []string{`"/key"`, `no column "x"`}},
		{"changes replace", "select", Config{}, sdk.Overwrite, version(1, nil, change.Schema(orders, nil).Fields()...), []string{"has changes, which can't replace all rows"}},
		{"names", "select", Config{}, sdk.Append, version(1, nil, field(long, i64), field("ctid", text), field("a", text), field("a", text), field("", text)), []string{"has 64 bytes", "system column", `"a" is there twice`, "a name is empty"}},
		{"long table", "select", Config{Table: strings.Repeat("x", 60) + "{stream}"}, sdk.Append, ordersStream(), []string{`"/table"`, "has 66 bytes"}},
		{"deleted column", "create table orders (id int8 primary key, note text, _deleted_at date)", Config{Delete: "soft"}, sdk.Upsert, ordersStream("id"), []string{"expected timestamptz"}},
		{"type override", "select", Config{Types: map[string]string{"note": "nonsense"}}, sdk.Append, ordersStream(), []string{`no type "nonsense"`}},
		{"injected type", "select", Config{Types: map[string]string{"note": "int; drop table x"}}, sdk.Append, ordersStream(), []string{`"/types"`}},
		{"unfit override", "select", Config{Types: map[string]string{"id": "date"}}, sdk.Append, ordersStream(), []string{"don't fit the column's type date"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.setup)
			sink := s.open(t, c.config, c.mode)
			_, err := sink.PlanSchema(t.Context(), c.stream)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %s", err, want)
				}
			}
			if err := sink.ApplySchema(t.Context(), c.stream); err == nil {
				t.Error("it was applied")
			}
			s.want(t, "select count(*) from pg_class where relname = '_qanat_ledger'", "(0)")
		})
	}
}

func TestTwoStreamsCantHaveOneTable(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	sink := s.open(t, Config{Table: "all"}, sdk.Append)
	apply(t, sink, ordersStream())
	other := ordersStream()
	other.Stream = "items"
	if _, err := sink.PlanSchema(t.Context(), other); sdk.KindOf(err) != sdk.KindConfig || !strings.Contains(err.Error(), `streams "orders" and "items"`) {
		t.Errorf("got %v", err)
	}
}

func TestModesGoWithTheFlow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config Config
		flow   sdk.WriteMode
		want   string // a mode, or what is wrong
	}{
		{Config{}, sdk.Append, modeAppend}, {Config{}, sdk.Upsert, modeUpsert}, {Config{}, sdk.Overwrite, modeReplace},
		{Config{Mode: modeUpsert}, sdk.Append, modeUpsert}, {Config{Mode: modeReplace}, sdk.Append, "write: {mode: overwrite}"},
		{Config{Mode: modeUpsert}, sdk.Overwrite, "would stay"}, {Config{Mode: modeAppend}, sdk.Upsert, "does not go with"},
		{Config{Delete: softDelete}, sdk.Append, "soft is for mode upsert"}, {Config{}, "history", `write mode "history"`},
	} {
		c.config.DSN = "postgres://localhost/x"
		sink, err := New(t.Context(), c.config, sdk.Env{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = sink.Open(t.Context(), sdk.OpenRequest{Flow: "f", Mode: c.flow})
		if err == nil && sink.mode != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v in %s: mode %s, %v", c.config, c.flow, sink.mode, err)
		}
	}
}

func TestSettingsAreJudgedWithTheirPaths(t *testing.T) {
	t.Parallel()
	c := Config{
		DSN: "nonsense", Schema: strings.Repeat("x", 64), Table: "{flow}", Mode: modeAppend, Key: []string{"a", "a", ""}, Delete: softDelete,
		Types: map[string]string{"a/b": " "}, Ledger: "\x00",
	}
	err := c.Validate()
	for _, path := range []string{"/dsn", "/schema", "/table", "/key", "/key/1", "/key/2", "/delete", "/types/a~1b", "/ledger"} {
		if err == nil || !strings.Contains(err.Error(), `"`+path+`"`) {
			t.Errorf("%s is not in %v", path, err)
		}
	}
}

func TestNamesAreQuoted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	names := []string{"select", "Upper", `with "quotes"`, "space s", "日本", "semi;colon", "back\\slash", "o", "c0", strings.Repeat("x", 63), "per%cent", "$1", "{i}"}
	var fields []arrow.Field
	row := map[string]string{}
	for _, name := range names {
		fields = append(fields, field(name, arrow.BinaryTypes.String))
		row[name] = "v " + name
	}
	key := names[:2]
	config := Config{Schema: `My "schema"`, Table: `T-"{stream}" 日`, Ledger: `The ledger`, Delete: softDelete, DeletedColumn: `gone "at"`, Types: map[string]string{"Upper": "varchar(20)", "o": "xml"}}
	c := sdk.SchemaChange{Stream: `a.b/c`, Version: 1, Schema: change.Schema(arrow.NewSchema(fields, nil), key), Key: key}
	sink, _ := s.begin(t, config, sdk.Upsert, 1, c)
	insert := `{"_op":1`
	for name, v := range row {
		insert += "," + quoteJSON(name) + ":" + quoteJSON(v)
	}
	partial := `{"_op":2,"select":"v select","Upper":"moved","_before":{"select":"v select","Upper":"v Upper"},"c0":"new","_unchanged":[` + quoteJSON(names[2]) + `,"{i}","per%cent","$1"]}`
	none(t, write(t, sink, c.Stream, 1, record(t, c.Schema, insert+"}", partial)))
	none(t, commit(t, sink, mark(1, 1)))
	s.want(t, `select "Upper", "with ""quotes""", "c0", "{i}", "per%cent", "gone ""at""" from "My ""schema"""."T-""a.b/c"" 日" order by 1`,
		`(moved,"v with ""quotes""",new,"v {i}","v per%cent",)`)
	none(t, write(t, sink, c.Stream, 1, record(t, c.Schema, `{"_op":3,"select":"v select","Upper":"moved","_ts":"2024-02-29T12:00:00Z"}`)))
	none(t, commit(t, sink, mark(1, 2)))
	s.want(t, `select "gone ""at""" at time zone 'UTC' from "My ""schema"""."T-""a.b/c"" 日"`, `("2024-02-29 12:00:00")`)
}

func quoteJSON(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
