package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"

	"github.com/qanat-data/qanat/sdk"
)

// typeCase is a column as it comes, as DuckDB sees it and as it goes on; values are JSON as Arrow reads them.
type typeCase struct {
	in     arrow.DataType
	sql    string
	out    arrow.DataType // the same as in, if absent
	values string
	want   string // the same as values, if absent
}

func typeCases() map[string]typeCase {
	texts := arrow.BinaryTypes.String
	return map[string]typeCase{
		"bool":       {in: arrow.FixedWidthTypes.Boolean, sql: "BOOLEAN", values: `[true,null,false]`},
		"int8":       {in: arrow.PrimitiveTypes.Int8, sql: "TINYINT", values: `[-128,null,127]`},
		"int16":      {in: arrow.PrimitiveTypes.Int16, sql: "SMALLINT", values: `[-32768,null,32767]`},
		"int32":      {in: arrow.PrimitiveTypes.Int32, sql: "INTEGER", values: `[-2147483648,null,2147483647]`},
		"int64":      {in: arrow.PrimitiveTypes.Int64, sql: "BIGINT", values: `[-9223372036854775808,null,9223372036854775807]`},
		"uint8":      {in: arrow.PrimitiveTypes.Uint8, sql: "UTINYINT", values: `[0,null,255]`},
		"uint16":     {in: arrow.PrimitiveTypes.Uint16, sql: "USMALLINT", values: `[0,null,65535]`},
		"uint32":     {in: arrow.PrimitiveTypes.Uint32, sql: "UINTEGER", values: `[0,null,4294967295]`},
		"uint64":     {in: arrow.PrimitiveTypes.Uint64, sql: "UBIGINT", values: `[0,null,18446744073709551615]`},
		"float32":    {in: arrow.PrimitiveTypes.Float32, sql: "FLOAT", values: `[1.5,null,-0.25]`},
		"float64":    {in: arrow.PrimitiveTypes.Float64, sql: "DOUBLE", values: `[1.1,null,-1e300]`},
		"decimal":    {in: &arrow.Decimal128Type{Precision: 12, Scale: 2}, sql: "DECIMAL(12,2)", values: `["1234567890.12",null,"-0.01"]`},
		"decimal38":  {in: &arrow.Decimal128Type{Precision: 38, Scale: 10}, sql: "DECIMAL(38,10)", values: `["1234567890123456789012345678.0123456789",null,"-0.01"]`},
		"text":       {in: texts, sql: "VARCHAR", values: `["","a longer text with ünïcode","x"]`},
		"largetext":  {in: arrow.BinaryTypes.LargeString, sql: "VARCHAR", out: texts, values: `["a",null,"x"]`},
		"textview":   {in: arrow.BinaryTypes.StringView, sql: "VARCHAR", out: texts, values: `["a","more than twelve bytes","x"]`},
		"binary":     {in: arrow.BinaryTypes.Binary, sql: "BLOB", values: `["AAH/",null,""]`},
		"fixed":      {in: &arrow.FixedSizeBinaryType{ByteWidth: 3}, sql: "BLOB", out: arrow.BinaryTypes.Binary, values: `["AAH/",null,"AAAA"]`},
		"date":       {in: arrow.FixedWidthTypes.Date32, sql: "DATE", values: `["1969-12-31",null,"2024-02-29"]`},
		"time":       {in: arrow.FixedWidthTypes.Time64us, sql: "TIME", values: `["00:00:00.000001",null,"23:59:59.999999"]`},
		"timestamp":  {in: &arrow.TimestampType{Unit: arrow.Microsecond}, sql: "TIMESTAMP", values: `["1969-12-31 23:59:59.999999",null,"2024-02-29 12:00:00"]`},
		"timestampz": {in: arrow.FixedWidthTypes.Timestamp_us, sql: "TIMESTAMP WITH TIME ZONE", values: `["1969-12-31 23:59:59.999999Z",null,"2024-02-29 12:00:00Z"]`},
		"seconds":    {in: &arrow.TimestampType{Unit: arrow.Second}, sql: "TIMESTAMP_S", values: `["1969-12-31 23:59:59",null,"2024-02-29 12:00:00"]`},
		"nanos":      {in: &arrow.TimestampType{Unit: arrow.Nanosecond}, sql: "TIMESTAMP_NS", values: `["1969-12-31 23:59:59.999999999",null,"2024-02-29 12:00:00"]`},
		"millisz": {in: &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "Europe/Berlin"}, sql: "TIMESTAMP WITH TIME ZONE",
			out: arrow.FixedWidthTypes.Timestamp_us, values: `["2024-02-29 12:00:00.001Z"]`, want: `["2024-02-29 12:00:00.001Z"]`},
		"uuid":   {in: extensions.NewUUIDType(), sql: "UUID", values: `["6ba7b810-9dad-11d1-80b4-00c04fd430c8",null,"ffffffff-ffff-ffff-ffff-ffffffffffff"]`},
		"list":   {in: arrow.ListOf(texts), sql: "VARCHAR[]", values: `[["a",null],null,[]]`},
		"nested": {in: arrow.ListOf(arrow.StructOf(field("n", arrow.PrimitiveTypes.Int32))), sql: "STRUCT(n INTEGER)[]", values: `[[{"n":1},{"n":null}],null,[]]`},
		"struct": {in: arrow.StructOf(field("a", arrow.PrimitiveTypes.Int64), field("b", texts)), sql: "STRUCT(a BIGINT, b VARCHAR)", values: `[{"a":1,"b":"x"},null,{"a":null,"b":null}]`},
		"map":    {in: arrow.MapOf(texts, arrow.PrimitiveTypes.Int64), sql: "MAP(VARCHAR, BIGINT)", values: `[[{"key":"a","value":1}],null,[]]`},
		"dictionary": {in: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: texts}, sql: "VARCHAR", out: texts,
			values: `["a",null,"b"]`},
	}
}

func TestTypesKeepTheirValues(t *testing.T) {
	t.Parallel()
	for name, c := range typeCases() {
		for _, collect := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s collect %v", name, collect), func(t *testing.T) {
				t.Parallel()
				passThrough(t, c, collect)
			})
		}
	}
}

func passThrough(t *testing.T, c typeCase, collect bool) {
	if c.out == nil {
		c.out = c.in
	}
	if c.want == "" {
		c.want = c.values
	}
	b := start(t, Config{Query: "select v, typeof(v) as kind from input", Collect: collect})
	schema := columns(field("v", c.in))
	plan := b.plan(t, input("orders", schema))
	want := columns(field("v", c.out), field("kind", arrow.BinaryTypes.String))
	if got := plan.Outputs[0].Schema; !sameTypes(got, want) {
		t.Fatalf("planned %v, expected %v", got, want)
	}
	values, _, err := array.FromJSON(b.alloc, c.in, strings.NewReader(c.values))
	if err != nil {
		t.Fatal(err)
	}
	defer values.Release()
	b.give(t, "orders", array.NewRecordBatch(schema, []arrow.Array{values}, int64(values.Len())))
	if collect {
		b.end(t)
	}
	wanted, _, err := array.FromJSON(b.alloc, c.out, strings.NewReader(c.want))
	if err != nil {
		t.Fatal(err)
	}
	defer wanted.Release()
	if len(b.recorder.Batches) != 1 {
		t.Fatalf("%d batches, rejected %v", len(b.recorder.Batches), b.recorder.Rejections)
	}
	record := b.recorder.Batches[0].Record
	if got := record.Column(0); got.String() != wanted.String() {
		t.Errorf("got %v, expected %v", got, wanted)
	}
	if kind := record.Column(1).(*array.String).Value(0); kind != c.sql {
		t.Errorf("duckdb sees %s, expected %s", kind, c.sql)
	}
}

// sameTypes compares what a dataset keeps of a schema: the names of a list's items differ between writers.
func sameTypes(a, b *arrow.Schema) bool {
	if a.NumFields() != b.NumFields() {
		return false
	}
	for i := range a.NumFields() {
		if a.Field(i).Name != b.Field(i).Name || !arrow.TypeEqual(a.Field(i).Type, b.Field(i).Type) {
			return false
		}
	}
	return true
}

func TestResultsHaveTypesThatDatasetsHold(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Query: `select 1::hugeint as h, 2::uhugeint as u, 'a'::enum('a', 'b') as e, uuid '6ba7b810-9dad-11d1-80b4-00c04fd430c8' as g,
		null as n, [1]::int[1] as f, '{"a": 1}'::json as j from input`})
	b.plan(t, input("orders", shop()))
	b.feedIn(t, "orders", shop(), `[{"id": 1}]`)
	const want = `{"e":"a","f":[1],"g":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","h":1,"j":"{\"a\": 1}","n":null,"u":2}`
	if got := b.got(t, "orders"); got != want {
		t.Errorf("got %s", got)
	}
	if kind := b.recorder.Batches[0].Record.Column(6).DataType(); !arrow.TypeEqual(kind, arrow.BinaryTypes.String) {
		t.Errorf("json goes on as %v", kind)
	}
	for _, query := range []string{"select '101'::bit as v from input", "select time '12:00:00'::timetz as v from input", "select 12::bignum as v from input"} {
		refused := start(t, Config{Query: query})
		if _, err := refused.Plan(t.Context(), append([]sdk.SchemaChange{}, input("orders", shop()))); err == nil || !strings.Contains(err.Error(), `"v"::varchar`) {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func TestTypesThatDuckDBLacksAreNamed(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Query: "from input"})
	for _, kind := range []arrow.DataType{&arrow.Decimal256Type{Precision: 60, Scale: 2}, arrow.FixedWidthTypes.Float16} {
		_, err := b.Plan(t.Context(), []sdk.SchemaChange{input("orders", columns(field("ok", arrow.PrimitiveTypes.Int64), field("v", kind)))})
		want := fmt.Sprintf(`input "orders": duckdb has no type for column "v" (%s)`, kind)
		if err == nil || err.Error() != want {
			t.Errorf("got %v, expected %s", err, want)
		}
	}
	b.plan(t, input("orders", shop()))
}

// DuckDB takes such a column and reads 2 days as 2 milliseconds; a union can't be put together from the rows that are left.
func TestTypesThatCantBeReadRightlyAreRefused(t *testing.T) {
	t.Parallel()
	interval := arrow.FixedWidthTypes.DayTimeInterval
	for _, kind := range []arrow.DataType{
		interval, arrow.ListOf(interval), arrow.StructOf(field("a", arrow.MapOf(arrow.BinaryTypes.String, interval))),
		&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: interval},
		arrow.SparseUnionOf([]arrow.Field{field("n", arrow.PrimitiveTypes.Int64)}, []arrow.UnionTypeCode{0}),
	} {
		for _, collect := range []bool{false, true} {
			b := start(t, Config{Query: "select 1 as one from input", Collect: collect})
			_, err := b.Plan(t.Context(), []sdk.SchemaChange{input("orders", columns(field("v", kind)))})
			if err == nil || !strings.Contains(err.Error(), "can't be read rightly") {
				t.Errorf("%s, collect %v: %v", kind, collect, err)
			}
		}
	}
}

// Arrow's C interface counts the place where a slice of structs begins twice, and rows behind a bad one run as a slice.
func TestRowsBehindABadOneKeepTheirStructs(t *testing.T) {
	t.Parallel()
	place := arrow.StructOf(field("city", arrow.BinaryTypes.String), field("at", arrow.StructOf(field("zip", arrow.PrimitiveTypes.Int32))))
	schema := columns(field("id", arrow.PrimitiveTypes.Int64), field("amount", arrow.BinaryTypes.String), field("place", place))
	for name, query := range map[string]string{
		"probed": "select id, amount::int as amount, place.city as city, place.at.zip as zip from input",
		"halved": "with all_rows as (select * from input) select id, amount::int as amount, place.city as city, place.at.zip as zip from all_rows",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, Config{Query: query})
			b.plan(t, input("orders", schema))
			var rows, want []string
			for i := range 40 {
				amount := fmt.Sprint(i)
				if i == 0 || i == 7 {
					amount = "bad"
				} else {
					want = append(want, fmt.Sprintf(`{"amount":%d,"city":"city %d","id":%d,"zip":%d}`, i, i, i, i))
				}
				rows = append(rows, fmt.Sprintf(`{"id":%d,"amount":%q,"place":{"city":"city %d","at":{"zip":%d}}}`, i, amount, i, i))
			}
			b.feedIn(t, "orders", schema, "["+strings.Join(rows, ",")+"]")
			if got := b.got(t, "orders"); got != strings.Join(want, "\n") {
				t.Errorf("got\n%s", got)
			}
			if len(b.recorder.Rejections) != 2 {
				t.Errorf("rejected %v", b.recorder.Rejections)
			}
		})
	}
}
