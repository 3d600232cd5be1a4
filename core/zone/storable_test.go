package zone_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
)

// kept is one row of the table of types: what a type is kept as, and what values
// read back as (array.Array's ValueStr).
type kept struct {
	name string
	in   arrow.DataType
	json string // three values, the middle one null
	to   arrow.DataType
	want [2]string // first and third value
	note string    // part of the note, empty when the type is kept as it is
}

func decimalOf(precision, scale int32) arrow.DataType {
	return &arrow.Decimal128Type{Precision: precision, Scale: scale}
}

func listOf(t arrow.DataType) arrow.DataType {
	return arrow.ListOfField(arrow.Field{Name: "element", Type: t, Nullable: true})
}

var (
	i32, i64 = arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64
	text     = arrow.BinaryTypes.String
	micros   = &arrow.TimestampType{Unit: arrow.Microsecond}
	utc      = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
)

func plainTypes() []kept {
	return []kept{
		{"bool", arrow.FixedWidthTypes.Boolean, `[true,null,false]`, arrow.FixedWidthTypes.Boolean, [2]string{"true", "false"}, ""},
		{"int8", arrow.PrimitiveTypes.Int8, `[-128,null,127]`, i32, [2]string{"-128", "127"}, "int8 → int32"},
		{"int16", arrow.PrimitiveTypes.Int16, `[-32768,null,3]`, i32, [2]string{"-32768", "3"}, "→ int32"},
		{"uint8", arrow.PrimitiveTypes.Uint8, `[255,null,1]`, i32, [2]string{"255", "1"}, "→ int32"},
		{"uint16", arrow.PrimitiveTypes.Uint16, `[65535,null,1]`, i32, [2]string{"65535", "1"}, "→ int32"},
		{"int32", i32, `[-5,null,7]`, i32, [2]string{"-5", "7"}, ""},
		{"uint32", arrow.PrimitiveTypes.Uint32, `[4294967295,null,1]`, i64, [2]string{"4294967295", "1"}, "→ int64"},
		{"int64", i64, `[-5,null,7]`, i64, [2]string{"-5", "7"}, ""},
		{"uint64", arrow.PrimitiveTypes.Uint64, `["18446744073709551615",null,"1"]`, decimalOf(20, 0), [2]string{"18446744073709551615", "1"}, "→ decimal(20, 0)"},
		{"float16", arrow.FixedWidthTypes.Float16, `[1.5,null,-2]`, arrow.PrimitiveTypes.Float32, [2]string{"1.5", "-2"}, "→ float32"},
		{"float32", arrow.PrimitiveTypes.Float32, `[1.5,null,-2]`, arrow.PrimitiveTypes.Float32, [2]string{"1.5", "-2"}, ""},
		{"float64", arrow.PrimitiveTypes.Float64, `[1.5,null,-2]`, arrow.PrimitiveTypes.Float64, [2]string{"1.5", "-2"}, ""},
		{"utf8", text, `["a",null,"ö"]`, text, [2]string{"a", "ö"}, ""},
		{"large_utf8", arrow.BinaryTypes.LargeString, `["a",null,"ö"]`, text, [2]string{"a", "ö"}, "→ utf8"},
		{"utf8_view", arrow.BinaryTypes.StringView, `["a",null,"a string longer than twelve bytes"]`, text, [2]string{"a", "a string longer than twelve bytes"}, "→ utf8"},
		{"binary", arrow.BinaryTypes.Binary, `["YQ==",null,"Yg=="]`, arrow.BinaryTypes.Binary, [2]string{"YQ==", "Yg=="}, ""},
		{"large_binary", arrow.BinaryTypes.LargeBinary, `["YQ==",null,"Yg=="]`, arrow.BinaryTypes.Binary, [2]string{"YQ==", "Yg=="}, "→ binary"},
		{"binary_view", arrow.BinaryTypes.BinaryView, `["YQ==",null,"Yg=="]`, arrow.BinaryTypes.Binary, [2]string{"YQ==", "Yg=="}, "→ binary"},
		{"fixed", &arrow.FixedSizeBinaryType{ByteWidth: 2}, `["YWI=",null,"Y2Q="]`, &arrow.FixedSizeBinaryType{ByteWidth: 2}, [2]string{"YWI=", "Y2Q="}, ""},
		{"null", arrow.Null, `[null,null,null]`, text, [2]string{"(null)", "(null)"}, "→ utf8"},
	}
}

func timeTypes() []kept {
	days := func(id arrow.DataType) arrow.DataType { return id }
	ts := func(u arrow.TimeUnit, zone string) arrow.DataType {
		return &arrow.TimestampType{Unit: u, TimeZone: zone}
	}
	stamp := `["2024-02-29 12:00:01",null,"1969-12-31 23:59:59"]`
	stampUTC := `["2024-02-29 12:00:01Z",null,"1969-12-31 23:59:59Z"]`
	plain := [2]string{"2024-02-29T12:00:01", "1969-12-31T23:59:59"}
	zoned := [2]string{"2024-02-29T12:00:01Z", "1969-12-31T23:59:59Z"}
	t64 := arrow.FixedWidthTypes.Time64us
	return []kept{
		{"date32", days(arrow.FixedWidthTypes.Date32), `["2024-02-29",null,"1900-01-01"]`, arrow.FixedWidthTypes.Date32, [2]string{"2024-02-29", "1900-01-01"}, ""},
		{"date64", days(arrow.FixedWidthTypes.Date64), `["2024-02-29",null,"1900-01-01"]`, arrow.FixedWidthTypes.Date32, [2]string{"2024-02-29", "1900-01-01"}, "→ date32"},
		{"time32s", arrow.FixedWidthTypes.Time32s, `["12:00:01",null,"00:00:00"]`, t64, [2]string{"12:00:01.000000", "00:00:00.000000"}, "→ time64[us]"},
		{"time32ms", arrow.FixedWidthTypes.Time32ms, `["12:00:01.5",null,"00:00:00"]`, t64, [2]string{"12:00:01.500000", "00:00:00.000000"}, "→ time64[us]"},
		{"time64us", t64, `["12:00:01.5",null,"00:00:00"]`, t64, [2]string{"12:00:01.500000", "00:00:00.000000"}, ""},
		{"time64ns", arrow.FixedWidthTypes.Time64ns, `["12:00:01.000001999",null,"00:00:00"]`, t64, [2]string{"12:00:01.000001", "00:00:00.000000"}, "nanoseconds are cut"},
		{"ts_s", ts(arrow.Second, ""), stamp, micros, plain, "→ timestamp[us]"},
		{"ts_ms", ts(arrow.Millisecond, ""), stamp, micros, plain, "→ timestamp[us]"},
		{"ts_us", ts(arrow.Microsecond, ""), stamp, micros, plain, ""},
		{"ts_ns", ts(arrow.Nanosecond, ""), stamp, micros, plain, "nanoseconds are cut"},
		{"tz_ms", ts(arrow.Millisecond, "UTC"), stampUTC, utc, zoned, "→ timestamp[us, tz=UTC]"},
		{"tz_us", ts(arrow.Microsecond, "UTC"), stampUTC, utc, zoned, ""},
		{"tz_ns", ts(arrow.Nanosecond, "UTC"), stampUTC, utc, zoned, "nanoseconds are cut"},
		{"tz_offset", ts(arrow.Microsecond, "+00:00"), stampUTC, utc, zoned, "tz=UTC"},
		{"tz_named", ts(arrow.Microsecond, "Europe/Berlin"), `[1709208001000000,null,-1000000]`, utc, zoned, "tz=UTC"},
		{"tz_named_s", ts(arrow.Second, "Europe/Berlin"), `[1709208001,null,-1]`, utc, zoned, "tz=UTC"},
		{"duration_s", arrow.FixedWidthTypes.Duration_s, `[3,null,-1]`, i64, [2]string{"3000000", "-1000000"}, "as microseconds"},
		{"duration_us", arrow.FixedWidthTypes.Duration_us, `[3,null,-1]`, i64, [2]string{"3", "-1"}, "as microseconds"},
		{"duration_ns", arrow.FixedWidthTypes.Duration_ns, `[3999,null,5000]`, i64, [2]string{"3", "5"}, "nanoseconds are cut"},
		{"months", arrow.FixedWidthTypes.MonthInterval, `[{"months":14},null,{"months":-1}]`, text, [2]string{"P14M", "P-1M"}, "ISO 8601"},
		{"daytime", arrow.FixedWidthTypes.DayTimeInterval, `[{"days":2,"milliseconds":1500},null,{"days":0,"milliseconds":-1}]`, text, [2]string{"P2DT1.5S", "P0DT-0.001S"}, "ISO 8601"},
		{"mdn", arrow.FixedWidthTypes.MonthDayNanoInterval, `[{"months":1,"days":2,"nanoseconds":3},null,{"months":0,"days":0,"nanoseconds":0}]`, text, [2]string{"P1M2DT0.000000003S", "P0M0DT0S"}, "ISO 8601"},
	}
}

func decimalTypes() []kept {
	return []kept{
		{"decimal32", &arrow.Decimal32Type{Precision: 9, Scale: 2}, `["1234567.89",null,"-0.01"]`, decimalOf(9, 2), [2]string{"1234567.89", "-0.01"}, "→ decimal(9, 2)"},
		{"decimal64", &arrow.Decimal64Type{Precision: 18, Scale: 3}, `["1.500",null,"-0.001"]`, decimalOf(18, 3), [2]string{"1.5", "-0.001"}, "→ decimal(18, 3)"},
		{"decimal128", decimalOf(38, 10), `["1.5",null,"-2"]`, decimalOf(38, 10), [2]string{"1.5", "-2"}, ""},
		{"decimal256", &arrow.Decimal256Type{Precision: 38, Scale: 2}, `["1.50",null,"-2.00"]`, decimalOf(38, 2), [2]string{"1.5", "-2"}, "→ decimal(38, 2)"},
		{"decimal256wide", &arrow.Decimal256Type{Precision: 40, Scale: 2}, `["-0.05",null,"123.45"]`, text, [2]string{"-0.05", "123.45"}, "decimal256(40, 2) → utf8"},
		{"decimal_negative", decimalOf(5, -2), `["1200",null,"-500"]`, decimalOf(7, 0), [2]string{"1200", "-500"}, "→ decimal(7, 0)"},
		{"decimal_negative_wide", decimalOf(37, -4), `["120000",null,"-50000"]`, text, [2]string{"120000", "-50000"}, "→ utf8"},
	}
}

func nestedTypes() []kept {
	point := arrow.StructOf(arrow.Field{Name: "x", Type: i64, Nullable: true}, arrow.Field{Name: "y", Type: text, Nullable: true})
	return []kept{
		{"struct", point, `[{"x":1,"y":"a"},null,{"x":null,"y":"b"}]`, point, [2]string{`{"x":1,"y":"a"}`, `{"x":null,"y":"b"}`}, ""},
		{"struct_cast", arrow.StructOf(arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Uint32, Nullable: true}, arrow.Field{Name: "y", Type: arrow.BinaryTypes.LargeString, Nullable: true}),
			`[{"x":1,"y":"a"},null,{"x":null,"y":"b"}]`, point, [2]string{`{"x":1,"y":"a"}`, `{"x":null,"y":"b"}`}, "→ struct"},
		{"list", arrow.ListOf(i64), `[[1,null],null,[]]`, listOf(i64), [2]string{"[1,null]", "[]"}, ""},
		{"list_cast", arrow.ListOf(arrow.PrimitiveTypes.Int8), `[[1,null],null,[2,3]]`, listOf(i32), [2]string{"[1,null]", "[2,3]"}, "→ list"},
		{"large_list", arrow.LargeListOf(arrow.PrimitiveTypes.Int8), `[[1,null],null,[2,3]]`, listOf(i32), [2]string{"[1,null]", "[2,3]"}, "→ list"},
		{"fixed_list", arrow.FixedSizeListOf(2, i64), `[[1,2],null,[3,null]]`, listOf(i64), [2]string{"[1,2]", "[3,null]"}, "→ list"},
		{"list_view", arrow.ListViewOf(i64), `[[1,2],null,[3]]`, listOf(i64), [2]string{"[1,2]", "[3]"}, "→ list"},
		{"large_list_view", arrow.LargeListViewOf(text), `[["a"],null,["b","c"]]`, listOf(text), [2]string{`["a"]`, `["b","c"]`}, "→ list"},
		{"list_of_struct", arrow.LargeListOf(point), `[[{"x":1,"y":"a"}],null,[null]]`, listOf(point), [2]string{`[{"x":1,"y":"a"}]`, "[null]"}, "→ list"},
		{"map", arrow.MapOf(text, i64), `[[{"key":"a","value":1}],null,[]]`, arrow.MapOf(text, i64), [2]string{`[{"key":"a","value":1}]`, "[]"}, ""},
		{"map_cast", arrow.MapOf(arrow.BinaryTypes.LargeString, arrow.PrimitiveTypes.Int8), `[[{"key":"a","value":1}],null,[{"key":"b","value":null}]]`, arrow.MapOf(text, i32), [2]string{`[{"key":"a","value":1}]`, `[{"key":"b","value":null}]`}, "→ map"},
		{"empty_struct", arrow.StructOf(), `[{},null,{}]`, arrow.FixedWidthTypes.Boolean, [2]string{"true", "true"}, "true where the struct is present"},
		{"dictionary", &arrow.DictionaryType{IndexType: i32, ValueType: text}, `["a",null,"b"]`, text, [2]string{"a", "b"}, "→ utf8"},
		{"dictionary_cast", &arrow.DictionaryType{IndexType: i32, ValueType: arrow.PrimitiveTypes.Int8}, `[1,null,2]`, i32, [2]string{"1", "2"}, "→ int32"},
		{"run_end", arrow.RunEndEncodedOf(i32, i64), `[1,null,2]`, i64, [2]string{"1", "2"}, "→ int64"},
		{"uuid", extensions.NewUUIDType(), `["00000000-0000-0000-0000-000000000001",null,"00000000-0000-0000-0000-00000000000a"]`, extensions.NewUUIDType(), [2]string{"00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-00000000000a"}, ""},
		{"bool8", extensions.NewBool8Type(), `[true,null,false]`, arrow.FixedWidthTypes.Boolean, [2]string{"true", "false"}, "→ bool"},
		{"opaque", extensions.NewOpaqueType(text, "kind", "vendor"), `["a",null,"b"]`, text, [2]string{"a", "b"}, "→ utf8"},
	}
}

func allTypes(t *testing.T) []kept {
	t.Helper()
	types := append(plainTypes(), timeTypes()...)
	types = append(types, decimalTypes()...)
	types = append(types, nestedTypes()...)
	jsonType, err := extensions.NewJSONType(text)
	if err != nil {
		t.Fatal(err)
	}
	return append(types, kept{"json", jsonType, `["{\"a\":1}",null,"[2]"]`, text, [2]string{`{"a":1}`, "[2]"}, "→ utf8"})
}

func column(t *testing.T, alloc memory.Allocator, k kept) arrow.Array {
	t.Helper()
	a, _, err := array.FromJSON(alloc, k.in, strings.NewReader(k.json))
	if err != nil {
		t.Fatalf("%s: %v", k.name, err)
	}
	return a
}

// Every type is converted, written to a real table and read back, from a batch that
// starts at an offset.
func TestEveryTypeRoundTrips(t *testing.T) {
	t.Parallel()
	z, alloc := checked(t)
	types := allTypes(t)
	var fields []arrow.Field
	var columns []arrow.Array
	for _, k := range types {
		fields = append(fields, arrow.Field{Name: k.name, Type: k.in, Nullable: true})
		columns = append(columns, shifted(t, alloc, column(t, alloc, k)))
	}
	batch := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, 3)
	defer batch.Release()
	for _, c := range columns {
		c.Release()
	}
	conversion, err := zone.Storable(batch.Schema())
	if err != nil {
		t.Fatal(err)
	}
	converted, err := conversion.Apply(t.Context(), alloc, batch)
	if err != nil {
		t.Fatal(err)
	}
	defer converted.Release()
	d := create(t, z, "landing.shop.types", conversion.Schema())
	if !sameColumns(d.Schema(), conversion.Schema()) {
		t.Errorf("table holds %s\nwant %s", d.Schema(), conversion.Schema())
	}
	files := stage(t, d, "f", 1, converted)
	if _, err := d.Commit(t.Context(), zone.CommitRequest{Files: files, Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: 1}}); err != nil {
		t.Fatal(err)
	}
	_, batches, err := d.Scan(t.Context(), zone.ScanRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for b, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		for i, k := range types {
			checkColumn(t, k, b.Column(i))
		}
		b.Release()
	}
}

// shifted repeats an array and slices the second half off, so that it has an offset.
func shifted(t *testing.T, alloc memory.Allocator, in arrow.Array) arrow.Array {
	t.Helper()
	defer in.Release()
	both, err := array.Concatenate([]arrow.Array{in, in}, alloc)
	if err != nil {
		in.Retain() // runs and views can't all be joined
		return in
	}
	defer both.Release()
	return array.NewSlice(both, int64(in.Len()), int64(2*in.Len()))
}

func checkColumn(t *testing.T, k kept, got arrow.Array) {
	t.Helper()
	if !arrow.TypeEqual(got.DataType(), k.to) {
		t.Errorf("%s: read back as %s, want %s", k.name, got.DataType(), k.to)
		return
	}
	if got.Len() != 3 || !got.IsNull(1) {
		t.Errorf("%s: read back %s", k.name, got)
		return
	}
	for i, want := range k.want {
		if have := got.ValueStr(2 * i); have != want {
			t.Errorf("%s: value %d is %q, want %q", k.name, 2*i, have, want)
		}
	}
}

func sameColumns(a, b *arrow.Schema) bool {
	if a.NumFields() != b.NumFields() {
		return false
	}
	for i, f := range a.Fields() {
		g := b.Field(i)
		if f.Name != g.Name || f.Nullable != g.Nullable || !arrow.TypeEqual(f.Type, g.Type) {
			return false
		}
	}
	return true
}

func TestStorableSaysWhatChanges(t *testing.T) {
	t.Parallel()
	for _, k := range allTypes(t) {
		c, err := zone.Storable(arrow.NewSchema([]arrow.Field{{Name: k.name, Type: k.in, Nullable: true}}, nil))
		if err != nil {
			t.Errorf("%s: %v", k.name, err)
			continue
		}
		if !arrow.TypeEqual(c.Schema().Field(0).Type, k.to) {
			t.Errorf("%s: kept as %s, want %s", k.name, c.Schema().Field(0).Type, k.to)
		}
		notes := strings.Join(c.Notes(), "; ")
		if (k.note == "") != (notes == "") || !strings.Contains(notes, k.note) {
			t.Errorf("%s: notes %q, want %q", k.name, notes, k.note)
		}
		again, err := zone.Storable(c.Schema())
		if err != nil || len(again.Notes()) > 0 || !sameColumns(again.Schema(), c.Schema()) {
			t.Errorf("%s: the storable schema isn't storable: %v, %v", k.name, again.Notes(), err)
		}
	}
}

func TestUnionsAreKeptAsJSON(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	union := arrow.SparseUnionOf([]arrow.Field{{Name: "n", Type: i64, Nullable: true}, {Name: "s", Type: text, Nullable: true}}, []arrow.UnionTypeCode{0, 1})
	b := array.NewRecordBuilder(alloc, arrow.NewSchema([]arrow.Field{{Name: "u", Type: union}}, nil))
	defer b.Release()
	u := b.Field(0).(*array.SparseUnionBuilder)
	u.Append(0)
	u.Child(0).(*array.Int64Builder).Append(5)
	u.Child(1).AppendEmptyValue()
	u.Append(1)
	u.Child(0).AppendEmptyValue()
	u.Child(1).(*array.StringBuilder).Append("x")
	batch := b.NewRecordBatch()
	defer batch.Release()
	c, err := zone.Storable(batch.Schema())
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.Apply(t.Context(), alloc, batch)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	got := []string{out.Column(0).ValueStr(0), out.Column(0).ValueStr(1)}
	if diff := cmp.Diff([]string{"[0,5]", `[1,"x"]`}, got); diff != "" {
		t.Error(diff)
	}
}

func TestStorableListsEveryFault(t *testing.T) {
	t.Parallel()
	_, err := zone.Storable(arrow.NewSchema([]arrow.Field{
		{Name: "", Type: i64},
		{Name: "a", Type: i64},
		{Name: "a", Type: i64},
		{Name: "_qanat_seq", Type: i64},
		{Name: "v", Type: arrow.ListOf(extensions.NewDefaultVariantType())},
		{Name: "s", Type: arrow.StructOf(arrow.Field{Name: "x", Type: i64}, arrow.Field{Name: "x", Type: i64})},
	}, nil))
	var schemaError *zone.SchemaError
	if !errors.As(err, &schemaError) {
		t.Fatalf("error is %v", err)
	}
	if len(schemaError.Faults) != 5 {
		t.Errorf("faults: %q", schemaError.Faults)
	}
	if _, err := zone.Storable(arrow.NewSchema(nil, nil)); !errors.As(err, &schemaError) {
		t.Errorf("no columns: %v", err)
	}
}

func TestApplyNamesTheColumnThatDoesNotFit(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	wide := array.NewDecimal128Builder(alloc, &arrow.Decimal128Type{Precision: 5, Scale: -2})
	defer wide.Release()
	wide.Append(decimal128.FromI64(99999999))
	for _, k := range []kept{
		{name: "late", in: &arrow.TimestampType{Unit: arrow.Second}, json: `[9223372036854775807]`},
		{name: "long", in: wide.Type()},
	} {
		var in arrow.Array
		if k.json != "" {
			in = column(t, alloc, k)
		} else {
			in = wide.NewArray()
		}
		batch := array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: k.name, Type: k.in}}, nil), []arrow.Array{in}, 1)
		in.Release()
		c, err := zone.Storable(batch.Schema())
		if err != nil {
			t.Fatal(err)
		}
		if out, err := c.Apply(t.Context(), alloc, batch); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", k.name)) {
			t.Errorf("%s: %v, %v", k.name, out, err)
		}
		batch.Release()
	}
}
