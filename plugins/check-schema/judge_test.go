package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/specs/contract"
)

// judgeCase is a rule, a column and the indexes of the values that break it; fault is a part of the error if the rule makes no
// sense for the column.
type judgeCase struct {
	name   string
	rule   contract.Rule
	kind   arrow.DataType
	values string
	want   []int
	fault  string
}

func runJudges(t *testing.T, cases []judgeCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.rule.Columns = []contract.Column{{Path: []string{"v"}, Names: []string{"v"}, Property: &contract.Property{}}}
			j, err := newJudge(demand{Rule: c.rule}, c.kind)
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) {
					t.Fatalf("got %v, expected %q", err, c.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
			defer alloc.AssertSize(t, 0)
			values, _, err := array.FromJSON(alloc, c.kind, strings.NewReader(c.values))
			if err != nil {
				t.Fatal(err)
			}
			defer values.Release()
			var got []int
			if j.find != nil {
				j.find(values, func(i int) { got = append(got, i) })
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("expected %s: %s", j.expected, diff)
			}
		})
	}
}

func numbers(low, high string) contract.Rule {
	r := contract.Rule{Kind: contract.KindRange}
	if low != "" {
		r.Min = &contract.Bound{Of: contract.BoundNumber, Number: contract.Number(low)}
	}
	if high != "" {
		r.Max = &contract.Bound{Of: contract.BoundNumber, Number: contract.Number(high)}
	}
	return r
}

func open(r contract.Rule) contract.Rule {
	if r.Min != nil {
		r.Min.Exclusive = true
	}
	if r.Max != nil {
		r.Max.Exclusive = true
	}
	return r
}

func times(low, high time.Time) contract.Rule {
	return contract.Rule{
		Kind: contract.KindRange, Min: &contract.Bound{Of: contract.BoundTime, Time: low}, Max: &contract.Bound{Of: contract.BoundTime, Time: high},
	}
}

func TestRangesCompareExactly(t *testing.T) {
	t.Parallel()
	newYear, noon := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2024, 1, 1, 12, 0, 0, 500, time.UTC)
	ofDay := contract.Rule{Kind: contract.KindRange, Min: &contract.Bound{Of: contract.BoundOfDay, SinceMidnight: 8 * time.Hour}}
	money := &arrow.Decimal128Type{Precision: 20, Scale: 2}
	wide := &arrow.Decimal256Type{Precision: 50, Scale: 2}
	runJudges(t, []judgeCase{
		{name: "int8", rule: numbers("-5", "5"), kind: arrow.PrimitiveTypes.Int8, values: `[-6,-5,5,6,null]`, want: []int{0, 3}},
		{name: "fractions round inwards", rule: numbers("0.5", "2.5"), kind: arrow.PrimitiveTypes.Int16, values: `[0,1,2,3]`, want: []int{0, 3}},
		{name: "exclusive", rule: open(numbers("0", "3")), kind: arrow.PrimitiveTypes.Int32, values: `[0,1,2,3]`, want: []int{0, 3}},
		{name: "int64 ends", rule: numbers("-9223372036854775808", "9223372036854775807"), kind: arrow.PrimitiveTypes.Int64, values: `[-9223372036854775808,9223372036854775807]`},
		{name: "beyond all", rule: numbers("1e30", ""), kind: arrow.PrimitiveTypes.Int64, values: `[1,null,3]`, want: []int{0, 2}},
		{name: "below all", rule: numbers("", "-1"), kind: arrow.PrimitiveTypes.Uint8, values: `[0,null,3]`, want: []int{0, 2}},
		{name: "far bounds", rule: numbers("-1e30", "1e30"), kind: arrow.PrimitiveTypes.Uint32, values: `[0,4294967295]`},
		{name: "uint16", rule: numbers("1", "65535"), kind: arrow.PrimitiveTypes.Uint16, values: `[0,65535]`, want: []int{0}},
		{name: "uint64 top", rule: open(numbers("", "18446744073709551615")), kind: arrow.PrimitiveTypes.Uint64, values: `[18446744073709551614,18446744073709551615]`, want: []int{1}},
		{name: "float64", rule: numbers("0.1", "0.3"), kind: arrow.PrimitiveTypes.Float64, values: `[0.1,0.3,0.30000000000000004,null]`, want: []int{2}},
		{name: "float exclusive", rule: open(numbers("0.1", "")), kind: arrow.PrimitiveTypes.Float64, values: `[0.1,0.10000000000000002]`, want: []int{0}},
		{name: "float32", rule: numbers("", "1.5"), kind: arrow.PrimitiveTypes.Float32, values: `[1.5,1.75]`, want: []int{1}},
		{name: "decimal", rule: numbers("-0.01", "9.995"), kind: money, values: `["-0.02","-0.01","9.99","10.00",null]`, want: []int{0, 3}},
		{name: "decimal beyond", rule: numbers("1e40", ""), kind: money, values: `["1.00"]`, want: []int{0}},
		{name: "decimal far", rule: numbers("-1e60", "1e60"), kind: money, values: `["1.00"]`},
		{name: "decimal256", rule: numbers("0", "1e40"), kind: wide, values: `["-1.00","10000000000000000000000000000000000000000.01","1.00",null]`, want: []int{0, 1}},
		{name: "date", rule: times(newYear, newYear.AddDate(0, 0, 1)), kind: arrow.FixedWidthTypes.Date32, values: `["2023-12-31","2024-01-01","2024-01-02","2024-01-03"]`, want: []int{0, 3}},
		{name: "date within a day", rule: times(noon, noon.AddDate(0, 0, 1)), kind: arrow.FixedWidthTypes.Date32, values: `["2024-01-01","2024-01-02"]`, want: []int{0}},
		{name: "seconds", rule: times(noon, noon.Add(time.Hour)), kind: &arrow.TimestampType{Unit: arrow.Second}, values: `["2024-01-01 12:00:00","2024-01-01 12:00:01"]`, want: []int{0}},
		{name: "nanoseconds", rule: times(noon, noon.Add(time.Hour)), kind: &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}, values: `["2024-01-01 12:00:00.000000499Z","2024-01-01 12:00:00.0000005Z"]`, want: []int{0}},
		{name: "time of day", rule: ofDay, kind: arrow.FixedWidthTypes.Time64us, values: `["07:59:59.999999","08:00:00"]`, want: []int{0}},
		{name: "text of numbers", rule: numbers("0", "10"), kind: arrow.BinaryTypes.String, values: `["-1","0","1e1","11","n/a",null]`, want: []int{0, 3}},
		{name: "text of dates", rule: times(newYear, noon), kind: arrow.BinaryTypes.String, values: `["2023-12-31","2024-01-01","2024-01-01T12:00:01Z","?"]`, want: []int{0, 2}},
		{name: "text of times", rule: ofDay, kind: arrow.BinaryTypes.LargeString, values: `["07:59","08:00:00"]`, want: []int{0}},
		{name: "nulls only", rule: numbers("0", ""), kind: arrow.Null, values: `[null,null]`},
		{name: "number for a date", rule: numbers("0", ""), kind: arrow.FixedWidthTypes.Date32, fault: "bounds of kind number"},
		{name: "date for a number", rule: times(newYear, noon), kind: arrow.PrimitiveTypes.Int64, fault: "bounds of kind time"},
		{name: "range of a list", rule: numbers("0", ""), kind: arrow.ListOf(arrow.PrimitiveTypes.Int64), fault: "can't hold for list"},
	})
}

func typeRule(kind arrow.DataType) contract.Rule {
	return contract.Rule{Kind: contract.KindType, Type: kind}
}

func TestTypesTakeWhatFits(t *testing.T) {
	t.Parallel()
	p, text := arrow.PrimitiveTypes, arrow.BinaryTypes.String
	decimal := func(precision, scale int32) arrow.DataType {
		return &arrow.Decimal128Type{Precision: precision, Scale: scale}
	}
	plainTime := &arrow.TimestampType{Unit: arrow.Microsecond}
	runJudges(t, []judgeCase{
		{name: "same", rule: typeRule(p.Int64), kind: p.Int64, values: `[1]`},
		{name: "narrower", rule: typeRule(p.Int64), kind: p.Int32, values: `[1]`},
		{name: "wider", rule: typeRule(p.Int8), kind: p.Int64, values: `[127,128,-129,null]`, want: []int{1, 2}},
		{name: "unsigned", rule: typeRule(p.Uint16), kind: p.Int32, values: `[-1,0,65536]`, want: []int{0, 2}},
		{name: "int of decimal", rule: typeRule(p.Int16), kind: decimal(10, 1), values: `["5.0","5.5","40000.0"]`, want: []int{2, 1}},
		{name: "decimal of int", rule: typeRule(decimal(4, 2)), kind: p.Int64, values: `[99,100,-100]`, want: []int{1, 2}},
		{name: "decimal of decimal", rule: typeRule(decimal(4, 1)), kind: decimal(10, 2), values: `["999.90","999.85","1000.00"]`, want: []int{2, 1}},
		{name: "decimal without digits before the point", rule: typeRule(decimal(2, 2)), kind: decimal(10, 2), values: `["0.99","1.00"]`, want: []int{1}},
		{name: "float of int", rule: typeRule(p.Float64), kind: p.Int64, values: `[1]`},
		{name: "int of float", rule: typeRule(p.Int64), kind: p.Float64, fault: "expected int64, found float64"},
		{name: "number of text", rule: typeRule(p.Float64), kind: text, values: `["1","-1.5e3","x","",null]`, want: []int{2, 3}},
		{name: "int of text", rule: typeRule(p.Int8), kind: text, values: `["1","128","1.0"]`, want: []int{1, 2}},
		{name: "uint of text", rule: typeRule(p.Uint8), kind: arrow.BinaryTypes.StringView, values: `["255","-1","256"]`, want: []int{1, 2}},
		{name: "decimal of text", rule: typeRule(decimal(4, 2)), kind: text, values: `["12.34","012.340","123.4","1.234","-.5","","1e1","."]`, want: []int{2, 3, 5, 6, 7}},
		{name: "bool of text", rule: typeRule(arrow.FixedWidthTypes.Boolean), kind: text, values: `["true","0","yes"]`, want: []int{2}},
		{name: "date of text", rule: typeRule(arrow.FixedWidthTypes.Date32), kind: text, values: `["2024-02-29","2023-02-29","29.2.2024"]`, want: []int{1, 2}},
		{name: "date in its own form", rule: contract.Rule{Kind: contract.KindType, Type: arrow.FixedWidthTypes.Date32, Layout: "02.01.2006"}, kind: text, values: `["2024-02-29","29.02.2024"]`, want: []int{0}},
		{name: "timestamp of text", rule: typeRule(plainTime), kind: text, values: `["2024-02-29T10:00:00Z","2024-02-29 10:00:00.5","10:00"]`, want: []int{2}},
		{name: "time of text", rule: typeRule(arrow.FixedWidthTypes.Time64us), kind: text, values: `["10:00","10:00:01.5","25:00"]`, want: []int{2}},
		{name: "text of dictionary", rule: typeRule(text), kind: &arrow.DictionaryType{IndexType: p.Int8, ValueType: text}, values: `["a","b"]`},
		{name: "int of dictionary", rule: typeRule(p.Int64), kind: &arrow.DictionaryType{IndexType: p.Int8, ValueType: text}, values: `["1","b","1",null,"b"]`, want: []int{1, 4}},
		{name: "numbers in a dictionary", rule: typeRule(p.Int64), kind: &arrow.DictionaryType{IndexType: p.Int8, ValueType: p.Int64}, fault: "dictionaries"},
		{name: "text of uuid", rule: typeRule(text), kind: extensions.NewUUIDType(), values: `[null]`},
		{name: "text of int", rule: typeRule(text), kind: p.Int64, fault: "expected text, found int64"},
		{name: "binary", rule: typeRule(arrow.BinaryTypes.Binary), kind: &arrow.FixedSizeBinaryType{ByteWidth: 2}, values: `[null]`},
		{name: "binary of text", rule: typeRule(arrow.BinaryTypes.Binary), kind: text, fault: "expected binary"},
		{name: "instant for a plain timestamp", rule: typeRule(plainTime), kind: arrow.FixedWidthTypes.Timestamp_ns, values: `[null]`},
		{name: "plain for an instant", rule: typeRule(arrow.FixedWidthTypes.Timestamp_us), kind: plainTime, fault: "with a time zone"},
		{name: "date of timestamp", rule: typeRule(arrow.FixedWidthTypes.Date32), kind: plainTime, fault: "expected a date"},
		{name: "time", rule: typeRule(arrow.FixedWidthTypes.Time64us), kind: arrow.FixedWidthTypes.Time32ms, values: `[null]`},
		{name: "list", rule: typeRule(arrow.ListOf(text)), kind: arrow.LargeListOf(text), values: `[null]`},
		{name: "list of map", rule: typeRule(arrow.ListOf(text)), kind: arrow.MapOf(text, text), fault: "expected an array"},
		{name: "struct of list", rule: typeRule(arrow.StructOf()), kind: arrow.ListOf(text), fault: "expected a struct"},
		{name: "bool of int", rule: typeRule(arrow.FixedWidthTypes.Boolean), kind: p.Int8, fault: "expected a boolean"},
		{name: "nulls only", rule: typeRule(p.Int64), kind: arrow.Null, values: `[null]`},
	})
}

func TestListsOfValuesCompareByValue(t *testing.T) {
	t.Parallel()
	enum := func(values ...any) contract.Rule { return contract.Rule{Kind: contract.KindEnum, Values: values} }
	missing := func(values ...any) contract.Rule { return contract.Rule{Kind: contract.KindMissing, Values: values} }
	p, text := arrow.PrimitiveTypes, arrow.BinaryTypes.String
	runJudges(t, []judgeCase{
		{name: "text", rule: enum("a", int64(7), true), kind: text, values: `["a","7","true","A",null]`, want: []int{3}},
		{name: "dictionary", rule: enum("a"), kind: &arrow.DictionaryType{IndexType: p.Int8, ValueType: text}, values: `["b","a","b"]`, want: []int{0, 2}},
		{name: "int8", rule: enum(int64(1), "2", 3.0, int64(300), "x"), kind: p.Int8, values: `[1,2,3,44,null]`, want: []int{3}},
		{name: "uint64", rule: enum(uint64(18446744073709551615)), kind: p.Uint64, values: `[18446744073709551615,1]`, want: []int{1}},
		{name: "int64", rule: enum(1.5, int64(2)), kind: p.Int64, values: `[1,2]`, want: []int{0}},
		{name: "float32", rule: enum(0.1), kind: p.Float32, values: `[0.1,0.2]`, want: []int{1}},
		{name: "float64", rule: enum(0.1, int64(2)), kind: p.Float64, values: `[0.1,2,3]`, want: []int{2}},
		{name: "decimal", rule: enum(1.5, int64(2)), kind: &arrow.Decimal128Type{Precision: 5, Scale: 2}, values: `["1.50","2.00","2.01"]`, want: []int{2}},
		{name: "bool", rule: enum(true), kind: arrow.FixedWidthTypes.Boolean, values: `[true,false]`, want: []int{1}},
		{name: "date", rule: enum("2024-01-01"), kind: arrow.FixedWidthTypes.Date32, values: `["2024-01-01","2024-01-02"]`, want: []int{1}},
		{name: "missing", rule: missing("NA", ""), kind: text, values: `["NA","","x",null]`, want: []int{0, 1}},
		{name: "missing with null", rule: missing(nil, int64(-1)), kind: p.Int32, values: `[1,null,-1]`, want: []int{1, 2}},
		{name: "missing and all null", rule: missing(nil), kind: arrow.Null, values: `[null]`, want: []int{0}},
		{name: "required", rule: contract.Rule{Kind: contract.KindRequired}, kind: p.Int8, values: `[1,null]`, want: []int{1}},
		{name: "required and all null", rule: contract.Rule{Kind: contract.KindRequired}, kind: arrow.Null, values: `[null]`, want: []int{0}},
	})
}

func TestTextsAreReadAsCharacters(t *testing.T) {
	t.Parallel()
	two, three := 2, 3
	length := contract.Rule{Kind: contract.KindLength, MinCount: &two, MaxCount: &three}
	text := arrow.BinaryTypes.String
	format := func(f contract.Format) contract.Rule { return contract.Rule{Kind: contract.KindFormat, Format: f} }
	runJudges(t, []judgeCase{
		{name: "length", rule: length, kind: text, values: `["é","éé","ééé","éééé","ab","",null]`, want: []int{0, 3, 5}},
		{name: "length of bytes", rule: length, kind: arrow.BinaryTypes.Binary, values: `["AA==","AAA=","AAAAAA==",null]`, want: []int{0, 2}},
		{name: "length of fixed bytes", rule: length, kind: &arrow.FixedSizeBinaryType{ByteWidth: 1}, values: `["AA==",null]`, want: []int{0}},
		{name: "length of a number", rule: length, kind: arrow.PrimitiveTypes.Int64, fault: "needs text"},
		{name: "pattern", rule: contract.Rule{Kind: contract.KindPattern, Pattern: regexp.MustCompile("b+")}, kind: text, values: `["abc","ac",null]`, want: []int{1}},
		{name: "email", rule: format(contract.FormatEmail), kind: text, values: `["a@x.org","A <a@x.org>","a@","@x","a b@x.org","a@-x"]`, want: []int{1, 2, 3, 4, 5}},
		{name: "uuid", rule: format(contract.FormatUUID), kind: text, values: `["6ba7b810-9dad-11d1-80b4-00c04fd430c8","6ba7b8109dad11d180b400c04fd430c8","x"]`, want: []int{1, 2}},
		{name: "uuid of its own type", rule: format(contract.FormatUUID), kind: extensions.NewUUIDType(), values: `[null]`},
		{name: "uri", rule: format(contract.FormatURI), kind: text, values: `["https://x.org/a","mailto:a@x","/a","x.org","http://"]`, want: []int{2, 3, 4}},
		{name: "hostname", rule: format(contract.FormatHostname), kind: text, values: `["x.org","localhost","-x","a..b","a_b",""]`, want: []int{2, 3, 4, 5}},
		{name: "ipv4", rule: format(contract.FormatIPv4), kind: text, values: `["1.2.3.4","1.2.3","::1"]`, want: []int{1, 2}},
		{name: "ipv6", rule: format(contract.FormatIPv6), kind: text, values: `["::1","1.2.3.4"]`, want: []int{1}},
		{name: "byte", rule: format(contract.FormatByte), kind: text, values: `["AAA=","AAA"]`, want: []int{1}},
	})
}

func TestMultiplesAreExact(t *testing.T) {
	t.Parallel()
	step := func(n string) contract.Rule {
		return contract.Rule{Kind: contract.KindMultipleOf, Step: contract.Number(n)}
	}
	p := arrow.PrimitiveTypes
	runJudges(t, []judgeCase{
		{name: "int8", rule: step("5"), kind: p.Int8, values: `[-5,0,4,null]`, want: []int{2}},
		{name: "int16", rule: step("5"), kind: p.Int16, values: `[4]`, want: []int{0}},
		{name: "int32", rule: step("5"), kind: p.Int32, values: `[4]`, want: []int{0}},
		{name: "int64", rule: step("5"), kind: p.Int64, values: `[4]`, want: []int{0}},
		{name: "uint8", rule: step("5"), kind: p.Uint8, values: `[4,5]`, want: []int{0}},
		{name: "uint16", rule: step("5"), kind: p.Uint16, values: `[4]`, want: []int{0}},
		{name: "uint32", rule: step("5"), kind: p.Uint32, values: `[4]`, want: []int{0}},
		{name: "uint64", rule: step("5"), kind: p.Uint64, values: `[18446744073709551615,18446744073709551614]`, want: []int{1}},
		{name: "int of fractions", rule: step("1.5"), kind: p.Int64, values: `[3,4,null]`, want: []int{1}},
		{name: "float", rule: step("0.1"), kind: p.Float64, values: `[0.3,0.35,null]`, want: []int{1}},
		{name: "float32", rule: step("0.1"), kind: p.Float32, values: `[0.3,0.35]`, want: []int{1}},
		{name: "float of whole", rule: step("2"), kind: p.Float64, values: `[4,5,4.5]`, want: []int{1, 2}},
		{name: "decimal", rule: step("0.05"), kind: &arrow.Decimal128Type{Precision: 5, Scale: 2}, values: `["0.15","0.16",null]`, want: []int{1}},
		{name: "decimal256", rule: step("0.05"), kind: &arrow.Decimal256Type{Precision: 50, Scale: 2}, values: `["0.15","0.16"]`, want: []int{1}},
		{name: "text", rule: step("0.1"), kind: arrow.BinaryTypes.String, values: `["0.3","0.35","x"]`, want: []int{1}},
		{name: "zero", rule: step("0"), kind: p.Int8, fault: "isn't above zero"},
		{name: "bool", rule: step("2"), kind: arrow.FixedWidthTypes.Boolean, fault: "needs numbers"},
	})
}
