package value

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/plugins/internal/postgres/pgtest"
)

const (
	days      = "to_json(v - date '1970-01-01')"
	micros    = "to_json((extract(epoch from v) * 1000000)::int8)"
	asPrinted = "to_json(pg_catalog.format('%s', v))"
)

// typeCase is a PostgreSQL type, the Arrow type that is expected, SQL of values, and what the server is asked for to compare; a value
// with the code of a fault before a bar is expected to be one.
type typeCase struct {
	name   string
	setup  string
	pg     string
	arrow  string
	values []string
	oracle string // to_json(v) if empty
	text   bool   // selected as text
}

var typeCases = []typeCase{
	{name: "bool", pg: "bool", arrow: "bool", values: []string{"true", "false", "null"}},
	{name: "int2", pg: "int2", arrow: "int32", values: []string{"-32768", "32767", "0", "null"}},
	{name: "int4", pg: "int4", arrow: "int32", values: []string{"-2147483648", "2147483647", "-1", "null"}},
	{name: "int8", pg: "int8", arrow: "int64", values: []string{"-9223372036854775808", "9223372036854775807", "0", "null"}},
	{name: "oid", pg: "oid", arrow: "int64", values: []string{"0", "4294967295", "2147483648"}},
	{name: "xid", pg: "xid", arrow: "int64", values: []string{"'0'", "'4294967295'"}},
	{name: "cid", pg: "cid", arrow: "int64", values: []string{"'7'"}},
	{name: "float4", pg: "float4", arrow: "float32", values: []string{
		"'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "3.4028235e38", "1.17549435e-38", "1e-45", "0.1", "16777217", "null"}},
	{name: "float8", pg: "float8", arrow: "float64", values: []string{
		"'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "1.7976931348623157e308", "2.2250738585072014e-308", "5e-324", "0.1", "1e22", "9007199254740993", "null"}},
	{name: "numeric(12,2)", pg: "numeric(12,2)", arrow: "decimal(12, 2)", values: []string{
		"0", "-0.01", "0.01", "9999999999.99", "-9999999999.99", "1.5", "100", "10000", "100000000", "123456789.01", "-1", "not_finite|'NaN'", "null"}},
	{name: "numeric(38,0)", pg: "numeric(38,0)", arrow: "decimal(38, 0)", values: []string{
		strings.Repeat("9", 38), "-" + strings.Repeat("9", 38), "1" + strings.Repeat("0", 37), "0", "10000", "123456789012345678901234567890"}},
	{name: "numeric(38,38)", pg: "numeric(38,38)", arrow: "decimal(38, 38)", values: []string{
		"0." + strings.Repeat("9", 38), "-0." + strings.Repeat("0", 37) + "1", "0.1", "0"}},
	{name: "numeric(38,37)", pg: "numeric(38,37)", arrow: "decimal(38, 37)", values: []string{"9." + strings.Repeat("9", 37), "1", "-0.5"}},
	{name: "numeric(5,3)", pg: "numeric(5,3)", arrow: "decimal(5, 3)", values: []string{"99.999", "0.001", "0.0010", "12.3", "-12.34"}},
	{name: "numeric", pg: "numeric", arrow: "utf8", oracle: asPrinted, values: []string{
		"0", "0.0", "0.000", "-1.50", "'NaN'", "'Infinity'", "'-Infinity'", "1e40", "1e-40", "12345.678900", "0.0001", "0.00001", "10000", "99999999",
		"123456789012345678901234567890.123456789012345678901234567890", "1e131071", "1e-16383", "-0.00000001", "10000.0001", "null"}},
	{name: "numeric(50,2)", pg: "numeric(50,2)", arrow: "utf8", oracle: asPrinted, values: []string{strings.Repeat("9", 48) + ".99", "0", "'NaN'"}},
	{name: "numeric(5,-2)", pg: "numeric(5,-2)", arrow: "utf8", oracle: asPrinted, values: []string{"1234567", "50", "0"}},
	{name: "numeric(3,5)", pg: "numeric(3,5)", arrow: "utf8", oracle: asPrinted, values: []string{"0.00123", "-0.00999"}},
	{name: "money", pg: "money", arrow: "utf8", text: true, values: []string{"'-92233720368547758.08'", "12.34", "null"}},
	{name: "text", pg: "text", arrow: "utf8", values: []string{
		`''`, `'a'`, `'it''s "quoted"'`, `'back\slash'`, `'日本 🐫'`, `E'tab\tnewline\n'`, `'NULL'`, `'null'`, `'\x00'`, `repeat('x', 10000)`, `'{a,b}'`, "null"}},
	{name: "varchar", pg: "varchar(5)", arrow: "utf8", values: []string{`'ab   '`, `''`, `'abcde'`}},
	{name: "bpchar", pg: "char(5)", arrow: "utf8", values: []string{`'ab'`, `''`, `'abcde'`}, oracle: asPrinted},
	{name: "name", pg: "name", arrow: "utf8", values: []string{`'pg'`, `repeat('é', 31)`}},
	{name: "citext", pg: "citext", arrow: "utf8", values: []string{`'AbC'`, `''`, "null"}},
	{name: "char", pg: `"char"`, arrow: "utf8", text: true, values: []string{`'a'`, `''`, `'"'`, `'\377'`}, oracle: asPrinted},
	{name: "xml", pg: "xml", arrow: "utf8", text: true, oracle: asPrinted, values: []string{
		`'<a b="1">é</a>'`, `'<?xml version="1.0" encoding="UTF-8"?><a/>'`}},
	{name: "inet", pg: "inet", arrow: "utf8", text: true, values: []string{`'1.2.3.4'`, `'10.0.0.1/8'`, `'::1'`, `'::ffff:1.2.3.4'`, `'2001:db8::/32'`, "null"}},
	{name: "cidr", pg: "cidr", arrow: "utf8", text: true, values: []string{`'10.0.0.0/8'`, `'1.2.3.4/32'`, `'::/0'`}},
	{name: "macaddr", pg: "macaddr", arrow: "utf8", text: true, values: []string{`'08:00:2b:01:02:03'`}},
	{name: "macaddr8", pg: "macaddr8", arrow: "utf8", text: true, values: []string{`'08:00:2b:01:02:03:04:05'`}},
	{name: "bit", pg: "bit(3)", arrow: "utf8", text: true, values: []string{`B'101'`, "null"}},
	{name: "varbit", pg: "varbit", arrow: "utf8", text: true, values: []string{`B''`, `B'1010101010101'`}},
	{name: "interval", pg: "interval", arrow: "utf8", text: true, values: []string{
		`'1 year -2 mons +3 days -04:05:06.789'`, `'0'`, `'-178000000 years'`, `'1 microsecond'`, "null"}},
	{name: "tsvector", pg: "tsvector", arrow: "utf8", text: true, values: []string{`'fat:2 cat:3A ''it''''s'':1'`, `''`}},
	{name: "tsquery", pg: "tsquery", arrow: "utf8", text: true, values: []string{`'fat & (cat | !dog)'`}},
	{name: "point", pg: "point", arrow: "utf8", text: true, values: []string{`'(1.5,-0)'`, `'(Infinity,NaN)'`}},
	{name: "polygon", pg: "polygon", arrow: "utf8", text: true, values: []string{`'((0,0),(1,0.1),(1e300,1))'`}},
	{name: "circle", pg: "circle", arrow: "utf8", text: true, values: []string{`'<(1,2),3>'`}},
	{name: "pg_lsn", pg: "pg_lsn", arrow: "utf8", text: true, values: []string{`'16/B374D848'`, `'0/0'`}},
	{name: "json", pg: "json", arrow: "utf8", oracle: asPrinted, values: []string{`'{"a" : 1.0, "a":[null,"\u00e9"]}'`, `'null'`, `' 1 '`, "null"}},
	{name: "jsonb", pg: "jsonb", arrow: "utf8", oracle: asPrinted, values: []string{`'{"b":1,"a":[null,"\u00e9", 1.00]}'`, `'null'`, `'"x\"y"'`, "null"}},
	{name: "bytea", pg: "bytea", arrow: "binary", values: []string{`''`, `'\x00ff5c'`, `decode(repeat('00ff', 5000), 'hex')`, "null"}},
	{name: "uuid", pg: "uuid", arrow: "extension<arrow.uuid>", values: []string{
		`'00000000-0000-0000-0000-000000000000'`, `'ffffffff-ffff-ffff-ffff-ffffffffffff'`, `'01234567-89ab-cdef-0123-456789abcdef'`, "null"}},
	{name: "date", pg: "date", arrow: "date32", oracle: days, values: []string{
		`'1970-01-01'`, `'2000-01-01'`, `'2024-02-29'`, `'1900-02-28'`, `'0001-01-01'`, `'0001-12-31 BC'`, `'0044-03-15 BC'`, `'4714-11-24 BC'`, `'4713-12-31 BC'`, `'4713-01-01 BC'`,
		`'0005-02-29 BC'`, `'9999-12-31'`, `'10000-01-01'`, `'5874897-12-31'`, `not_finite|'infinity'`, `not_finite|'-infinity'`, "null"}},
	{name: "timestamp", pg: "timestamp", arrow: "timestamp[us]", oracle: micros, values: []string{
		`'1970-01-01'`, `'1969-12-31 23:59:59.999999'`, `'2024-02-29 13:45:00.5'`, `'4714-11-24 00:00 BC'`, `'0044-03-15 12:00:00.000001 BC'`, `'294247-01-10 04:00:54.775806'`,
		`out_of_range|'294247-01-10 04:00:54.775807'`, `out_of_range|'294276-12-31 23:59:59.999999'`, `not_finite|'infinity'`, `not_finite|'-infinity'`, "null"}},
	{name: "timestamptz", pg: "timestamptz", arrow: "timestamp[us, tz=UTC]", oracle: micros, values: []string{
		`'1970-01-01 00:00+00'`, `'2024-02-29 13:45:00.123456+05:30'`, `'1883-11-18 12:00 America/New_York'`, `'4714-11-24 00:00+00 BC'`, `not_finite|'infinity'`, "null"}},
	{name: "timestamp(0)", pg: "timestamp(0)", arrow: "timestamp[us]", oracle: micros, values: []string{`'2024-02-29 13:45:00.5'`}},
	{name: "time", pg: "time", arrow: "time64[us]", oracle: micros, values: []string{
		`'00:00'`, `'23:59:59.999999'`, `'13:45:00.5'`, `out_of_range|'24:00'`, "null"}},
	{name: "timetz", pg: "timetz", arrow: "utf8", text: true, values: []string{`'13:45:00.5+05:30'`, `'24:00-15:59:59'`}},
	{name: "enum", setup: `create type mood as enum ('sad', 'it''s "ok"', '日本')`, pg: "mood", arrow: "utf8", values: []string{`'sad'`, `'it''s "ok"'`, `'日本'`, "null"}},
	{name: "domain", setup: "create domain price as numeric(8,2) check (value >= 0); create domain prize as price", pg: "prize", arrow: "decimal(8, 2)",
		values: []string{"12.34", "0", "not_finite|'NaN'", "null"}},
	{name: "domain of array", setup: "create domain tags as text[]; create table other (t tags[])", pg: "tags[]", arrow: "list<element: list<element: utf8>>",
		values: []string{`'{"{a,\"b c\",NULL}",NULL,"{}"}'`}},
	{name: "int4[]", pg: "int4[]", arrow: "list<element: int32>", values: []string{
		`'{}'`, `'{1}'`, `'{-2147483648,NULL,2147483647}'`, `(select array_agg(n) from generate_series(1, 5000) n)`,
		`array_shape|'{{1,2},{3,4}}'`, `array_shape|'[0:1]={1,2}'`, `array_shape|'[-1:-1]={7}'`, `array_shape|'{{1}}'`, "null"}},
	{name: "text[]", pg: "text[]", arrow: "list<element: utf8>", values: []string{
		`array['', 'NULL', 'null', null, 'a,b', '{x}', 'q"q', 'b\s', ' sp ', E'\n', '日本', '()']`, `array['']`, `'{}'`, `array[null]::text[]`, `array['[0:1]={1}']`, `array['""', '\"', '"']`}},
	{name: "numeric(6,2)[]", pg: "numeric(6,2)[]", arrow: "list<element: decimal(6, 2)>", values: []string{
		`'{1.5,-0.01,NULL}'`, `not_finite|'{1,NaN}'`}, oracle: "(select to_json(array_agg(x)) from unnest(v) x)"},
	{name: "numeric[]", pg: "numeric[]", arrow: "list<element: utf8>", values: []string{`'{1.500,-0.01,NULL,Infinity,NaN}'`}},
	{name: "timestamptz[]", pg: "timestamptz[]", arrow: "list<element: timestamp[us, tz=UTC]>", values: []string{
		`'{2024-02-29 13:45:00+00,NULL}'`, `not_finite|'{infinity}'`}, oracle: "(select json_agg((extract(epoch from x) * 1000000)::int8) from unnest(v) x)"},
	{name: "bytea[]", pg: "bytea[]", arrow: "list<element: binary>", values: []string{`array['\x00ff'::bytea, '', null]`}},
	{name: "uuid[]", pg: "uuid[]", arrow: "list<element: extension<arrow.uuid>>", values: []string{`'{01234567-89ab-cdef-0123-456789abcdef,NULL}'`}},
	{name: "inet[]", pg: "inet[]", arrow: "list<element: utf8>", text: true, values: []string{`'{1.2.3.4,10.0.0.1/8,NULL}'`, `array_shape|'{{::1}}'`}},
	{name: "box[]", pg: "box[]", arrow: "list<element: utf8>", text: true, values: []string{`'{(1,2),(3,4);(5,6),(7,8)}'`}},
	{name: "jsonb[]", pg: "jsonb[]", arrow: "list<element: utf8>", values: []string{`array['{"a": "q\"{}"}'::jsonb, null, '[1]']`},
		oracle: "(select json_agg(x::text) from unnest(v) x)"},
	{name: "composite", setup: `create type address as ("Street" text, zip int, tags text[], spot numeric(6,2)); create type person as (name text, home address, born date, raw bytea, ok bool)`,
		pg: "person", arrow: "struct<name: utf8, home: struct<Street: utf8, zip: int32, tags: list<element: utf8>, spot: decimal(6, 2)>, born: date32, raw: binary, ok: bool>",
		values: []string{
			`('Ann', ('x "y" \z', 1, array['a,b', 'q"', '\', null, '', '(', '日本'], 1.5), '1970-01-02', '\x00ff', true)`,
			`('', ('', null, '{}', null), null, '', false)`, `(null, null, null, null, null)`, `('(),"\', null, null, null, null)`,
			`('NULL', (null, null, null, null), null, null, null)`, `not_finite|('a', ('b', 1, null, 'NaN'), null, null, true)`, `array_shape|('a', ('b', 1, '{{a}}', 1), null, null, true)`, "null"},
		oracle: "(select to_jsonb(v) || case when v is distinct from null then jsonb_build_object('born', (v).born - date '1970-01-01') end)"},
	{name: "composite[]", setup: `create type pair as (a text, b int); create domain pairs as pair[]`, pg: "pairs",
		arrow: "list<element: struct<a: utf8, b: int32>>", values: []string{`array[('q"\', 1)::pair, null, (null, null)::pair, ('', 2)::pair]`, `'{}'`}},
	{name: "composite of text", setup: `create type visit as (at inet, took interval, n int)`, pg: "visit", text: true,
		arrow: "struct<at: utf8, took: utf8, n: int32>", values: []string{`('1.2.3.4', '1 day', 3)`, `(null, null, null)`, "null"}},
	{name: "composite of nothing", setup: `create type hollow as ()`, pg: "hollow", arrow: "utf8", text: true, oracle: asPrinted, values: []string{"row()"}},
	{name: "dropped attribute", setup: `create type shrunk as (a int, b text, c int); alter type shrunk drop attribute b`, pg: "shrunk", arrow: "struct<a: int32, c: int32>", values: []string{"(1, 2)"}},
	{name: "int4range", pg: "int4range", arrow: "utf8", text: true, values: []string{`'[1,5)'`, `'empty'`, `'(,)'`, "null"}},
	{name: "tstzrange", pg: "tstzrange", arrow: "utf8", text: true, values: []string{`'["2024-01-01 00:00+00",infinity]'`}},
	{name: "int4multirange", pg: "int4multirange", arrow: "utf8", text: true, values: []string{`'{[1,2),[5,9)}'`, `'{}'`}},
	{name: "hstore", pg: "hstore", arrow: "map<utf8, utf8, items_nullable>", values: []string{
		`''`, `'a=>1, "b c"=>NULL, d=>"NULL", ""=>""'`, `hstore(array['q"', 'b\', '=>', ', '], array['"', '\', '日本', ' "x"=>"y"'])`, "null"}},
	{name: "hstore[]", pg: "hstore[]", arrow: "list<element: map<utf8, utf8, items_nullable>>", values: []string{`array['a=>"q\"{"'::hstore, null, '']`},
		oracle: "(select json_agg(to_json(x)) from unnest(v) x)"},
	{name: "ltree", pg: "ltree", arrow: "utf8", text: true, values: []string{`'a.b.c'`, `''`}},
	{name: "cube", pg: "cube", arrow: "utf8", text: true, values: []string{`'(1,2,3)'`}},
	{name: "regclass", pg: "regclass", arrow: "utf8", text: true, values: []string{`'pg_class'`, `0`}},
	{name: "int2vector", pg: "int2vector", arrow: "utf8", text: true, oracle: asPrinted, values: []string{`'1 2 3'`}},
	{name: "own text cast", setup: `create type odd as (n int); create function odd_text(odd) returns text language sql as $$ select 'odd' $$; create cast (odd as text) with function odd_text(odd); create domain odds as odd`,
		pg: "odds", arrow: "struct<n: int32>", values: []string{"row(1)::odd"}},
}

func TestTypesComeOutAsTheServerHasThem(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Shared(t).Database(t)
	execute(t, connect(t, dsn), "create extension citext; create extension hstore; create extension ltree; create extension cube")
	for i, c := range typeCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, dsn)
			execute(t, conn, fmt.Sprintf("create schema s%d; set search_path = s%d, public", i, i))
			if c.setup != "" {
				execute(t, conn, c.setup)
			}
			execute(t, conn, "create table t (id int, v "+c.pg+")")
			codes := make([]string, len(c.values))
			for i, v := range c.values {
				if code, rest, found := strings.Cut(v, "|"); found && !strings.Contains(code, "'") && strings.ContainsAny(code, "_") {
					codes[i], v = code, rest
				}
				execute(t, conn, fmt.Sprintf("insert into t values (%d, %s)", i, v))
			}
			column := columnOf(t, conn, Options{})
			if got := strings.NewReplacer(", nullable", "", " nullable", "").Replace(column.Type.String()); got != c.arrow {
				t.Errorf("type %s, want %s", got, c.arrow)
			}
			if got := column.SelectAs("v") != "v"; got != c.text {
				t.Errorf("it is selected as text: %v", got)
			}
			text := asText(t, conn, column)
			binary := asBinary(t, conn, column, 1<<20)
			cut := asBinary(t, conn, column, 3)
			sql := c.oracle
			if sql == "" {
				sql = "to_json(v)"
			}
			for i := range c.values {
				compareFaults(t, c.values[i], codes[i], binary.errs[i], text.errs[i], cut.errs[i])
				if codes[i] != "" {
					continue
				}
				answer := ask(t, conn, fmt.Sprintf("select %s from t where id = %d and num_nulls(v) = 0", sql, i))
				var want any
				if len(answer) > 0 {
					want = oracle(t, answer[0][0])
				}
				for form, a := range map[string]decoded{"binary": binary, "text": text, "cut binary": cut} {
					if got := plain(t, a.values, i); !same(got, want) {
						t.Errorf("%s as %s: %s", c.values[i], form, cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)))
					}
				}
			}
			equal := array.WithNaNsEqual(true)
			if !array.ApproxEqual(binary.values, cut.values, equal) || (noneOf(codes) && !array.ApproxEqual(binary.values, text.values, equal)) {
				t.Errorf("binary %v, text %v", binary.values, text.values)
			}
		})
	}
}

// TestRandomValuesComeOutAsTheServerHasThem has the whole ranges of types.
func TestRandomValuesComeOutAsTheServerHasThem(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Shared(t).Database(t)
	const long = "((random() * 1e9)::int8::text || (random() * 1e9)::int8::text || (random() * 1e9)::int8::text)::numeric"
	for pg, c := range map[string][2]string{ // how values are made, and what the server is asked for
		"date":           {"date '4714-11-24 BC' + (random() * 2147483493)::int", days},
		"timestamp":      {"timestamp '4714-11-24 BC' + random() * interval '298960 years'", micros},
		"timestamptz":    {"timestamptz '1600-01-01' + random() * interval '1000 years'", micros},
		"time":           {"time '00:00' + random() * interval '24 hours'", micros},
		"float8":         {"(random() - 0.5) * 10.0::float8 ^ (random() * 600 - 300)::int", "to_json(v)"},
		"float4":         {"((random() - 0.5) * 10.0::float8 ^ (random() * 60 - 30)::int)::float4", "to_json(v)"},
		"numeric":        {long + " * (10::numeric ^ (n % 80 - 40)) * (n % 3 - 1)", asPrinted},
		"numeric(38,19)": {long + " / (10::numeric ^ (9 + n % 30)) * (n % 3 - 1)", asPrinted},
		"numeric(30,1)":  {long + " / (10::numeric ^ (n % 30)) * (n % 3 - 1)", asPrinted},
		"int8":           {"('x' || substr(md5(n::text), 1, 16))::bit(64)::int8", "to_json(v)"},
		"uuid":           {"gen_random_uuid()", "to_json(v)"},
		"bytea":          {"decode(repeat(md5(n::text), n % 40), 'hex')", "to_json(v)"},
		"text":           {"(select string_agg(chr(1 + (random() * 5000 + g * 0)::int), '') from generate_series(1, n % 20) g)", "to_json(v)"},
		"text[]":         {`(select array_agg(substr(e'a"\\\\,{}() ()\n\'', 1 + (random() * 10 + g * 0)::int, (random() * 4)::int)) from generate_series(0, n % 5) g)`, "to_json(v)"},
	} {
		t.Run(pg, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, dsn)
			execute(t, conn, fmt.Sprintf("create temp table t (id int, v %s); insert into t select n, %s from generate_series(1, 1000) n", pg, c[0]))
			column := columnOf(t, conn, Options{})
			binary, text := asBinary(t, conn, column, 1000), asText(t, conn, column)
			for i, answer := range ask(t, conn, "select "+c[1]+" from t order by id") {
				want := oracle(t, answer[0])
				if a, b := plain(t, binary.values, i), plain(t, text.values, i); !same(a, want) || !same(b, want) || binary.errs[i] != nil || text.errs[i] != nil {
					t.Fatalf("binary %v (%v), text %v (%v), want %v", a, binary.errs[i], b, text.errs[i], want)
				}
			}
		})
	}
}

func noneOf(codes []string) bool { return strings.Join(codes, "") == "" }

func compareFaults(t *testing.T, value, code string, errs ...error) {
	t.Helper()
	for _, err := range errs {
		var f *Fault
		switch {
		case code == "" && err != nil:
			t.Errorf("%s: %v", value, err)
		case code != "" && (!errors.As(err, &f) || f.Code != code || !strings.HasPrefix(f.Column, "v") || f.Value == "" || f.Type == ""):
			t.Errorf("%s: error %v, want code %s", value, err, code)
		}
	}
}
