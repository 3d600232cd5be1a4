// Package typetest has PostgreSQL's types with the Arrow types that plugins make of them and values at their ends: for tests of the
// packages beside it. Servers are internal/pgtest's.
package typetest

import "strings"

// How the server words values for Case.Oracle.
const (
	Days      = "to_json(v - date '1970-01-01')"
	Micros    = "to_json((extract(epoch from v) * 1000000)::int8)"
	AsPrinted = "to_json(pg_catalog.format('%s', v))"
)

// Case is a PostgreSQL type, the Arrow type that is expected, SQL of values, and what the server is asked for to compare; a value
// with the code of a fault before a bar is expected to be one.
type Case struct {
	Name   string
	Setup  string
	PG     string
	Arrow  string
	Values []string
	Oracle string // to_json(v) if empty
	Text   bool   // selected as text
}

// Cases are PostgreSQL's types with values at their ends.
var Cases = []Case{
	{Name: "bool", PG: "bool", Arrow: "bool", Values: []string{"true", "false", "null"}},
	{Name: "int2", PG: "int2", Arrow: "int32", Values: []string{"-32768", "32767", "0", "null"}},
	{Name: "int4", PG: "int4", Arrow: "int32", Values: []string{"-2147483648", "2147483647", "-1", "null"}},
	{Name: "int8", PG: "int8", Arrow: "int64", Values: []string{"-9223372036854775808", "9223372036854775807", "0", "null"}},
	{Name: "oid", PG: "oid", Arrow: "int64", Values: []string{"0", "4294967295", "2147483648"}},
	{Name: "xid", PG: "xid", Arrow: "int64", Values: []string{"'0'", "'4294967295'"}},
	{Name: "cid", PG: "cid", Arrow: "int64", Values: []string{"'7'"}},
	{Name: "float4", PG: "float4", Arrow: "float32", Values: []string{
		"'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "3.4028235e38", "1.17549435e-38", "1e-45", "0.1", "16777217", "null"}},
	{Name: "float8", PG: "float8", Arrow: "float64", Values: []string{
		"'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "1.7976931348623157e308", "2.2250738585072014e-308", "5e-324", "0.1", "1e22", "9007199254740993", "null"}},
	{Name: "numeric(12,2)", PG: "numeric(12,2)", Arrow: "decimal(12, 2)", Values: []string{
		"0", "-0.01", "0.01", "9999999999.99", "-9999999999.99", "1.5", "100", "10000", "100000000", "123456789.01", "-1", "not_finite|'NaN'", "null"}},
	{Name: "numeric(38,0)", PG: "numeric(38,0)", Arrow: "decimal(38, 0)", Values: []string{
		strings.Repeat("9", 38), "-" + strings.Repeat("9", 38), "1" + strings.Repeat("0", 37), "0", "10000", "123456789012345678901234567890"}},
	{Name: "numeric(38,38)", PG: "numeric(38,38)", Arrow: "decimal(38, 38)", Values: []string{
		"0." + strings.Repeat("9", 38), "-0." + strings.Repeat("0", 37) + "1", "0.1", "0"}},
	{Name: "numeric(38,37)", PG: "numeric(38,37)", Arrow: "decimal(38, 37)", Values: []string{"9." + strings.Repeat("9", 37), "1", "-0.5"}},
	{Name: "numeric(5,3)", PG: "numeric(5,3)", Arrow: "decimal(5, 3)", Values: []string{"99.999", "0.001", "0.0010", "12.3", "-12.34"}},
	{Name: "numeric", PG: "numeric", Arrow: "utf8", Oracle: AsPrinted, Values: []string{
		"0", "0.0", "0.000", "-1.50", "'NaN'", "'Infinity'", "'-Infinity'", "1e40", "1e-40", "12345.678900", "0.0001", "0.00001", "10000", "99999999",
		"123456789012345678901234567890.123456789012345678901234567890", "1e131071", "1e-16383", "-0.00000001", "10000.0001", "null"}},
	{Name: "numeric(50,2)", PG: "numeric(50,2)", Arrow: "utf8", Oracle: AsPrinted, Values: []string{strings.Repeat("9", 48) + ".99", "0", "'NaN'"}},
	{Name: "numeric(5,-2)", PG: "numeric(5,-2)", Arrow: "utf8", Oracle: AsPrinted, Values: []string{"1234567", "50", "0"}},
	{Name: "numeric(3,5)", PG: "numeric(3,5)", Arrow: "utf8", Oracle: AsPrinted, Values: []string{"0.00123", "-0.00999"}},
	{Name: "money", PG: "money", Arrow: "utf8", Text: true, Values: []string{"'-92233720368547758.08'", "12.34", "null"}},
	{Name: "text", PG: "text", Arrow: "utf8", Values: []string{
		`''`, `'a'`, `'it''s "quoted"'`, `'back\slash'`, `'日本 🐫'`, `E'tab\tnewline\n'`, `'NULL'`, `'null'`, `'\x00'`, `repeat('x', 10000)`, `'{a,b}'`, "null"}},
	{Name: "varchar", PG: "varchar(5)", Arrow: "utf8", Values: []string{`'ab   '`, `''`, `'abcde'`}},
	{Name: "bpchar", PG: "char(5)", Arrow: "utf8", Values: []string{`'ab'`, `''`, `'abcde'`}, Oracle: AsPrinted},
	{Name: "name", PG: "name", Arrow: "utf8", Values: []string{`'pg'`, `repeat('é', 31)`}},
	{Name: "citext", PG: "citext", Arrow: "utf8", Values: []string{`'AbC'`, `''`, "null"}},
	{Name: "char", PG: `"char"`, Arrow: "utf8", Text: true, Values: []string{`'a'`, `''`, `'"'`, `'\377'`}, Oracle: AsPrinted},
	{Name: "xml", PG: "xml", Arrow: "utf8", Text: true, Oracle: AsPrinted, Values: []string{
		`'<a b="1">é</a>'`, `'<?xml version="1.0" encoding="UTF-8"?><a/>'`}},
	{Name: "inet", PG: "inet", Arrow: "utf8", Text: true, Values: []string{`'1.2.3.4'`, `'10.0.0.1/8'`, `'::1'`, `'::ffff:1.2.3.4'`, `'2001:db8::/32'`, "null"}},
	{Name: "cidr", PG: "cidr", Arrow: "utf8", Text: true, Values: []string{`'10.0.0.0/8'`, `'1.2.3.4/32'`, `'::/0'`}},
	{Name: "macaddr", PG: "macaddr", Arrow: "utf8", Text: true, Values: []string{`'08:00:2b:01:02:03'`}},
	{Name: "macaddr8", PG: "macaddr8", Arrow: "utf8", Text: true, Values: []string{`'08:00:2b:01:02:03:04:05'`}},
	{Name: "bit", PG: "bit(3)", Arrow: "utf8", Text: true, Values: []string{`B'101'`, "null"}},
	{Name: "varbit", PG: "varbit", Arrow: "utf8", Text: true, Values: []string{`B''`, `B'1010101010101'`}},
	{Name: "interval", PG: "interval", Arrow: "utf8", Text: true, Values: []string{
		`'1 year -2 mons +3 days -04:05:06.789'`, `'0'`, `'-178000000 years'`, `'1 microsecond'`, "null"}},
	{Name: "tsvector", PG: "tsvector", Arrow: "utf8", Text: true, Values: []string{`'fat:2 cat:3A ''it''''s'':1'`, `''`}},
	{Name: "tsquery", PG: "tsquery", Arrow: "utf8", Text: true, Values: []string{`'fat & (cat | !dog)'`}},
	{Name: "point", PG: "point", Arrow: "utf8", Text: true, Values: []string{`'(1.5,-0)'`, `'(Infinity,NaN)'`}},
	{Name: "polygon", PG: "polygon", Arrow: "utf8", Text: true, Values: []string{`'((0,0),(1,0.1),(1e300,1))'`}},
	{Name: "circle", PG: "circle", Arrow: "utf8", Text: true, Values: []string{`'<(1,2),3>'`}},
	{Name: "pg_lsn", PG: "pg_lsn", Arrow: "utf8", Text: true, Values: []string{`'16/B374D848'`, `'0/0'`}},
	{Name: "json", PG: "json", Arrow: "utf8", Oracle: AsPrinted, Values: []string{`'{"a" : 1.0, "a":[null,"\u00e9"]}'`, `'null'`, `' 1 '`, "null"}},
	{Name: "jsonb", PG: "jsonb", Arrow: "utf8", Oracle: AsPrinted, Values: []string{`'{"b":1,"a":[null,"\u00e9", 1.00]}'`, `'null'`, `'"x\"y"'`, "null"}},
	{Name: "bytea", PG: "bytea", Arrow: "binary", Values: []string{`''`, `'\x00ff5c'`, `decode(repeat('00ff', 5000), 'hex')`, "null"}},
	{Name: "uuid", PG: "uuid", Arrow: "extension<arrow.uuid>", Values: []string{
		`'00000000-0000-0000-0000-000000000000'`, `'ffffffff-ffff-ffff-ffff-ffffffffffff'`, `'01234567-89ab-cdef-0123-456789abcdef'`, "null"}},
	{Name: "date", PG: "date", Arrow: "date32", Oracle: Days, Values: []string{
		`'1970-01-01'`, `'2000-01-01'`, `'2024-02-29'`, `'1900-02-28'`, `'0001-01-01'`, `'0001-12-31 BC'`, `'0044-03-15 BC'`, `'4714-11-24 BC'`, `'4713-12-31 BC'`, `'4713-01-01 BC'`,
		`'0005-02-29 BC'`, `'9999-12-31'`, `'10000-01-01'`, `'5874897-12-31'`, `not_finite|'infinity'`, `not_finite|'-infinity'`, "null"}},
	{Name: "timestamp", PG: "timestamp", Arrow: "timestamp[us]", Oracle: Micros, Values: []string{
		`'1970-01-01'`, `'1969-12-31 23:59:59.999999'`, `'2024-02-29 13:45:00.5'`, `'4714-11-24 00:00 BC'`, `'0044-03-15 12:00:00.000001 BC'`, `'294247-01-10 04:00:54.775806'`,
		`out_of_range|'294247-01-10 04:00:54.775807'`, `out_of_range|'294276-12-31 23:59:59.999999'`, `not_finite|'infinity'`, `not_finite|'-infinity'`, "null"}},
	{Name: "timestamptz", PG: "timestamptz", Arrow: "timestamp[us, tz=UTC]", Oracle: Micros, Values: []string{
		`'1970-01-01 00:00+00'`, `'2024-02-29 13:45:00.123456+05:30'`, `'1883-11-18 12:00 America/New_York'`, `'4714-11-24 00:00+00 BC'`, `not_finite|'infinity'`, "null"}},
	{Name: "timestamp(0)", PG: "timestamp(0)", Arrow: "timestamp[us]", Oracle: Micros, Values: []string{`'2024-02-29 13:45:00.5'`}},
	{Name: "time", PG: "time", Arrow: "time64[us]", Oracle: Micros, Values: []string{
		`'00:00'`, `'23:59:59.999999'`, `'13:45:00.5'`, `out_of_range|'24:00'`, "null"}},
	{Name: "timetz", PG: "timetz", Arrow: "utf8", Text: true, Values: []string{`'13:45:00.5+05:30'`, `'24:00-15:59:59'`}},
	{Name: "enum", Setup: `create type mood as enum ('sad', 'it''s "ok"', '日本')`, PG: "mood", Arrow: "utf8", Values: []string{`'sad'`, `'it''s "ok"'`, `'日本'`, "null"}},
	{Name: "domain", Setup: "create domain price as numeric(8,2) check (value >= 0); create domain prize as price", PG: "prize", Arrow: "decimal(8, 2)",
		Values: []string{"12.34", "0", "not_finite|'NaN'", "null"}},
	{Name: "domain of array", Setup: "create domain tags as text[]; create table other (t tags[])", PG: "tags[]", Arrow: "list<element: list<element: utf8>>",
		Values: []string{`'{"{a,\"b c\",NULL}",NULL,"{}"}'`}},
	{Name: "int4[]", PG: "int4[]", Arrow: "list<element: int32>", Values: []string{
		`'{}'`, `'{1}'`, `'{-2147483648,NULL,2147483647}'`, `(select array_agg(n) from generate_series(1, 5000) n)`,
		`array_shape|'{{1,2},{3,4}}'`, `array_shape|'[0:1]={1,2}'`, `array_shape|'[-1:-1]={7}'`, `array_shape|'{{1}}'`, "null"}},
	{Name: "text[]", PG: "text[]", Arrow: "list<element: utf8>", Values: []string{
		`array['', 'NULL', 'null', null, 'a,b', '{x}', 'q"q', 'b\s', ' sp ', E'\n', '日本', '()']`, `array['']`, `'{}'`, `array[null]::text[]`, `array['[0:1]={1}']`, `array['""', '\"', '"']`}},
	{Name: "numeric(6,2)[]", PG: "numeric(6,2)[]", Arrow: "list<element: decimal(6, 2)>", Values: []string{
		`'{1.5,-0.01,NULL}'`, `not_finite|'{1,NaN}'`}, Oracle: "(select to_json(array_agg(x)) from unnest(v) x)"},
	{Name: "numeric[]", PG: "numeric[]", Arrow: "list<element: utf8>", Values: []string{`'{1.500,-0.01,NULL,Infinity,NaN}'`}},
	{Name: "timestamptz[]", PG: "timestamptz[]", Arrow: "list<element: timestamp[us, tz=UTC]>", Values: []string{
		`'{2024-02-29 13:45:00+00,NULL}'`, `not_finite|'{infinity}'`}, Oracle: "(select json_agg((extract(epoch from x) * 1000000)::int8) from unnest(v) x)"},
	{Name: "bytea[]", PG: "bytea[]", Arrow: "list<element: binary>", Values: []string{`array['\x00ff'::bytea, '', null]`}},
	{Name: "uuid[]", PG: "uuid[]", Arrow: "list<element: extension<arrow.uuid>>", Values: []string{`'{01234567-89ab-cdef-0123-456789abcdef,NULL}'`}},
	{Name: "inet[]", PG: "inet[]", Arrow: "list<element: utf8>", Text: true, Values: []string{`'{1.2.3.4,10.0.0.1/8,NULL}'`, `array_shape|'{{::1}}'`}},
	{Name: "box[]", PG: "box[]", Arrow: "list<element: utf8>", Text: true, Values: []string{`'{(1,2),(3,4);(5,6),(7,8)}'`}},
	{Name: "jsonb[]", PG: "jsonb[]", Arrow: "list<element: utf8>", Values: []string{`array['{"a": "q\"{}"}'::jsonb, null, '[1]']`},
		Oracle: "(select json_agg(x::text) from unnest(v) x)"},
	{Name: "composite", Setup: `create type address as ("Street" text, zip int, tags text[], spot numeric(6,2)); create type person as (name text, home address, born date, raw bytea, ok bool)`,
		PG: "person", Arrow: "struct<name: utf8, home: struct<Street: utf8, zip: int32, tags: list<element: utf8>, spot: decimal(6, 2)>, born: date32, raw: binary, ok: bool>",
		Values: []string{
			`('Ann', ('x "y" \z', 1, array['a,b', 'q"', '\', null, '', '(', '日本'], 1.5), '1970-01-02', '\x00ff', true)`,
			`('', ('', null, '{}', null), null, '', false)`, `(null, null, null, null, null)`, `('(),"\', null, null, null, null)`,
			`('NULL', (null, null, null, null), null, null, null)`, `not_finite|('a', ('b', 1, null, 'NaN'), null, null, true)`, `array_shape|('a', ('b', 1, '{{a}}', 1), null, null, true)`, "null"},
		Oracle: "(select to_jsonb(v) || case when v is distinct from null then jsonb_build_object('born', (v).born - date '1970-01-01') end)"},
	{Name: "composite[]", Setup: `create type pair as (a text, b int); create domain pairs as pair[]`, PG: "pairs",
		Arrow: "list<element: struct<a: utf8, b: int32>>", Values: []string{`array[('q"\', 1)::pair, null, (null, null)::pair, ('', 2)::pair]`, `'{}'`}},
	{Name: "composite of text", Setup: `create type visit as (at inet, took interval, n int)`, PG: "visit", Text: true,
		Arrow: "struct<at: utf8, took: utf8, n: int32>", Values: []string{`('1.2.3.4', '1 day', 3)`, `(null, null, null)`, "null"}},
	{Name: "composite of nothing", Setup: `create type hollow as ()`, PG: "hollow", Arrow: "utf8", Text: true, Oracle: AsPrinted, Values: []string{"row()"}},
	{Name: "dropped attribute", Setup: `create type shrunk as (a int, b text, c int); alter type shrunk drop attribute b`, PG: "shrunk", Arrow: "struct<a: int32, c: int32>", Values: []string{"(1, 2)"}},
	{Name: "int4range", PG: "int4range", Arrow: "utf8", Text: true, Values: []string{`'[1,5)'`, `'empty'`, `'(,)'`, "null"}},
	{Name: "tstzrange", PG: "tstzrange", Arrow: "utf8", Text: true, Values: []string{`'["2024-01-01 00:00+00",infinity]'`}},
	{Name: "int4multirange", PG: "int4multirange", Arrow: "utf8", Text: true, Values: []string{`'{[1,2),[5,9)}'`, `'{}'`}},
	{Name: "hstore", PG: "hstore", Arrow: "map<utf8, utf8, items_nullable>", Values: []string{
		`''`, `'a=>1, "b c"=>NULL, d=>"NULL", ""=>""'`, `hstore(array['q"', 'b\', '=>', ', '], array['"', '\', '日本', ' "x"=>"y"'])`, "null"}},
	{Name: "hstore[]", PG: "hstore[]", Arrow: "list<element: map<utf8, utf8, items_nullable>>", Values: []string{`array['a=>"q\"{"'::hstore, null, '']`},
		Oracle: "(select json_agg(to_json(x)) from unnest(v) x)"},
	{Name: "ltree", PG: "ltree", Arrow: "utf8", Text: true, Values: []string{`'a.b.c'`, `''`}},
	{Name: "cube", PG: "cube", Arrow: "utf8", Text: true, Values: []string{`'(1,2,3)'`}},
	{Name: "regclass", PG: "regclass", Arrow: "utf8", Text: true, Values: []string{`'pg_class'`, `0`}},
	{Name: "int2vector", PG: "int2vector", Arrow: "utf8", Text: true, Oracle: AsPrinted, Values: []string{`'1 2 3'`}},
	{Name: "own text cast", Setup: `create type odd as (n int); create function odd_text(odd) returns text language sql as $$ select 'odd' $$; create cast (odd as text) with function odd_text(odd); create domain odds as odd`,
		PG: "odds", Arrow: "struct<n: int32>", Values: []string{"row(1)::odd"}},
}

// Code takes the code of a fault off a value.
func Code(value string) (code, rest string) {
	if code, rest, found := strings.Cut(value, "|"); found && !strings.Contains(code, "'") && strings.ContainsAny(code, "_") {
		return code, rest
	}
	return "", value
}
