package mask

import (
	"errors"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/google/go-cmp/cmp"
)

// typeCase is a type with a constant of it and three values as JSON, of which the second is null.
type typeCase struct {
	dt       arrow.DataType
	json     string
	constant any
	shown    string // the constant as a value of the result; "" for itself
}

func typeCases() []typeCase {
	s := utf8Type
	return []typeCase{
		{arrow.FixedWidthTypes.Boolean, `[true, null, false]`, true, "true"},
		{arrow.PrimitiveTypes.Int8, `[7, null, -7]`, -128, "-128"},
		{arrow.PrimitiveTypes.Int16, `[7, null, -7]`, 32767, "32767"},
		{arrow.PrimitiveTypes.Int32, `[7, null, -7]`, "-12", "-12"},
		{arrow.PrimitiveTypes.Int64, `[7, null, -7]`, int64(-1 << 63), "-9223372036854775808"},
		{arrow.PrimitiveTypes.Uint8, `[7, null, 8]`, 255.0, "255"},
		{arrow.PrimitiveTypes.Uint16, `[7, null, 8]`, 1, "1"},
		{arrow.PrimitiveTypes.Uint32, `[7, null, 8]`, 1, "1"},
		{arrow.PrimitiveTypes.Uint64, `[7, null, 8]`, uint64(1<<64 - 1), "18446744073709551615"},
		{arrow.FixedWidthTypes.Float16, `[7.5, null, 8]`, 1.5, "1.5"},
		{arrow.PrimitiveTypes.Float32, `[7.5, null, 8]`, 0.1, "0.1"},
		{arrow.PrimitiveTypes.Float64, `[7.5, null, 8]`, -0.1, "-0.1"},
		{&arrow.Decimal32Type{Precision: 9, Scale: 2}, `["7.50", null, "8.00"]`, 1.25, "1.25"},
		{&arrow.Decimal64Type{Precision: 18, Scale: 2}, `["7.50", null, "8.00"]`, "-1.25", "-1.25"},
		{&arrow.Decimal128Type{Precision: 38, Scale: 2}, `["7.50", null, "8.00"]`, "-1.25", "-1.25"},
		{&arrow.Decimal256Type{Precision: 76, Scale: 2}, `["7.50", null, "8.00"]`, "-1.25", "-1.25"},
		{s, `["ab", null, "cde"]`, "x", "x"},
		{arrow.BinaryTypes.LargeString, `["ab", null, "cde"]`, "x", "x"},
		{arrow.BinaryTypes.StringView, `["ab", null, "a long text that is out of line"]`, "x", "x"},
		{arrow.BinaryTypes.Binary, `["YWI=", null, "YWI="]`, "x", "eA=="},
		{arrow.BinaryTypes.LargeBinary, `["YWI=", null, "YWI="]`, "x", "eA=="},
		{arrow.BinaryTypes.BinaryView, `["YWI=", null, "YWI="]`, "x", "eA=="},
		{&arrow.FixedSizeBinaryType{ByteWidth: 2}, `["YWI=", null, "YWI="]`, "xy", "eHk="},
		{arrow.FixedWidthTypes.Date32, `["2026-01-31", null, "2026-02-01"]`, "1969-12-31", "1969-12-31"},
		{arrow.FixedWidthTypes.Date64, `["2026-01-31", null, "2026-02-01"]`, "1969-12-31", "1969-12-31"},
		{arrow.FixedWidthTypes.Timestamp_s, `["2026-01-31T00:00:00Z", null, "2026-02-01T00:00:00Z"]`, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"},
		{arrow.FixedWidthTypes.Timestamp_ns, `["2026-01-31T00:00:00Z", null, "2026-02-01T00:00:00Z"]`, "2026-01-01T01:00:00.5+01:00", "2026-01-01T00:00:00.5Z"},
		{&arrow.TimestampType{Unit: arrow.Microsecond}, `["2026-01-31", null, "2026-02-01"]`, "2026-01-01T00:00:00", "2026-01-01T00:00:00"},
		{arrow.FixedWidthTypes.Time32s, `["12:00:00", null, "12:00:01"]`, "00:00:01", "00:00:01"},
		{arrow.FixedWidthTypes.Time64ns, `["12:00:00", null, "12:00:01"]`, "00:00:01.000000001", "00:00:01.000000001"},
		{arrow.FixedWidthTypes.Duration_ms, `["5ms", null, "6ms"]`, "-1m", "-60000ms"},
		{arrow.FixedWidthTypes.MonthInterval, `[{"months": 1}, null, {"months": 2}]`, "x", "x"},
		{arrow.FixedWidthTypes.DayTimeInterval, `[{"days": 1, "milliseconds": 2}, null, {"days": 2, "milliseconds": 1}]`, "x", "x"},
		{arrow.FixedWidthTypes.MonthDayNanoInterval, `[{"months": 1, "days": 2, "nanoseconds": 3}, null, {"months": 2, "days": 2, "nanoseconds": 3}]`, "x", "x"},
		{arrow.ListOf(s), `[["ab", null], null, []]`, "x", "x"},
		{arrow.LargeListOf(s), `[["ab", null], null, []]`, "x", "x"},
		{arrow.ListViewOf(s), `[["ab", null], null, []]`, "x", "x"},
		{arrow.LargeListViewOf(s), `[["ab", null], null, []]`, "x", "x"},
		{arrow.FixedSizeListOf(2, s), `[["ab", null], null, ["c", "d"]]`, "x", "x"},
		{arrow.StructOf(field("s", s), field("n", arrow.PrimitiveTypes.Int64)), `[{"s": "ab", "n": 1}, null, {"s": null, "n": 2}]`, "x", "x"},
		{arrow.MapOf(s, arrow.PrimitiveTypes.Int64), `[[{"key": "ab", "value": 1}], null, []]`, "x", "x"},
		{&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: s}, `["ab", null, "cd"]`, "x", "x"},
		{arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, s), `["ab", null, "cd"]`, "x", "x"},
		{extensions.NewUUIDType(), `["6ba7b810-9dad-11d1-80b4-00c04fd430c8", null, "6ba7b811-9dad-11d1-80b4-00c04fd430c8"]`,
			"00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000001"},
		{extensions.NewBool8Type(), `[true, null, false]`, 1, "1"},
		{arrow.SparseUnionOf([]arrow.Field{field("n", arrow.PrimitiveTypes.Int64), field("s", s)}, []arrow.UnionTypeCode{0, 5}), `[[0, 1], [5, null], [5, "ab"]]`, "x", "x"},
		{arrow.DenseUnionOf([]arrow.Field{field("n", arrow.PrimitiveTypes.Int64), field("s", s)}, []arrow.UnionTypeCode{0, 5}), `[[0, 1], [5, null], [5, "ab"]]`, "x", "x"},
	}
}

// sliced is an array again, with rows before and after it that don't show.
func sliced(t *testing.T, in arrow.Array) arrow.Array {
	t.Helper()
	twice, err := array.Concatenate([]arrow.Array{in, in, in}, checked(t))
	if err != nil {
		t.Fatal(err)
	}
	defer twice.Release()
	out := array.NewSlice(twice, int64(in.Len()), int64(2*in.Len()))
	t.Cleanup(out.Release)
	return out
}

func canConcatenate(dt arrow.DataType) bool {
	return dt.ID() != arrow.SPARSE_UNION && dt.ID() != arrow.DENSE_UNION
}

func TestEveryTypeHasAnOutcomeInTheMethodsForAll(t *testing.T) {
	t.Parallel()
	for _, c := range typeCases() {
		t.Run(c.dt.String(), func(t *testing.T) {
			t.Parallel()
			alloc := checked(t)
			inputs := []arrow.Array{values(t, alloc, c.dt, c.json)}
			if canConcatenate(c.dt) {
				inputs = append(inputs, sliced(t, inputs[0]))
			}
			for _, in := range inputs {
				none := masked(t, alloc, in, Rule{Method: "null"})
				isNull := nullTest(none)
				if !isNull(0) || !isNull(1) || !isNull(2) || !arrow.TypeEqual(none.DataType(), c.dt) {
					t.Errorf("null: %s", none)
				}
				if diff := cmp.Diff([]string{"***", "(null)", "***"}, shownValues(masked(t, alloc, in, Rule{Method: "redact"}))); diff != "" {
					t.Errorf("redact: (-want +got)\n%s", diff)
				}
				one := masked(t, alloc, in, Rule{Method: "constant", Args: args{"value": c.constant}})
				if diff := cmp.Diff([]string{c.shown, c.shown, c.shown}, shownValues(one)); diff != "" {
					t.Errorf("constant: (-want +got)\n%s", diff)
				}
				hashes := masked(t, alloc, in, Rule{Method: "hash", Args: args{"key": "one"}})
				if hashes.IsNull(0) || !hashes.IsNull(1) || len(hashes.ValueStr(2)) != 64 {
					t.Errorf("hash: %s", hashes)
				}
				if len(inputs) > 1 && !array.Equal(hashes, masked(t, alloc, inputs[0], Rule{Method: "hash", Args: args{"key": "one"}})) {
					t.Errorf("hash of a slice differs: %s", hashes)
				}
			}
		})
	}
}

func TestANullColumnHasNothingToMask(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	in := array.NewNull(3)
	defer in.Release()
	for _, r := range []Rule{{Method: "null"}, {Method: "redact"}, {Method: "hash", Args: args{"key": "one"}}} {
		if out := masked(t, alloc, in, r); out.NullN() != 3 {
			t.Errorf("%s: %s", r.Method, out)
		}
	}
	if out := masked(t, alloc, in, Rule{Method: "constant", Args: args{"value": "x"}}); out.ValueStr(2) != "x" {
		t.Errorf("constant: %s", out)
	}
}

func TestMethodsForSomeTypesRefuseTheOthers(t *testing.T) {
	t.Parallel()
	isNumber := func(dt arrow.DataType) bool {
		return arrow.IsInteger(dt.ID()) || arrow.IsFloating(dt.ID()) || arrow.IsDecimal(dt.ID())
	}
	isMoment := func(dt arrow.DataType) bool {
		return dt.ID() == arrow.DATE32 || dt.ID() == arrow.DATE64 || dt.ID() == arrow.TIMESTAMP
	}
	for _, one := range []struct {
		rule Rule
		fits func(arrow.DataType) bool
	}{
		{Rule{Method: "partial", Args: args{"keep_last": 4}}, isText},
		{tokenRule, func(dt arrow.DataType) bool { return isText(dt) || arrow.IsInteger(dt.ID()) }},
		{Rule{Method: "generalise", Args: args{"band": 10}}, isNumber},
		{Rule{Method: "generalise", Args: args{"to": "month"}}, isMoment},
		{Rule{Method: "generalise", Args: args{"prefix": 24}}, isText},
	} {
		for _, c := range typeCases() {
			r := one.rule
			values, _ := valueType(c.dt)
			_, err := Outcome(c.dt, r)
			var fault *ArgError
			if fits := one.fits(values); fits != (err == nil) {
				t.Errorf("%s of %s: %v", r.Method, c.dt, err)
			} else if err != nil && (!errors.As(err, &fault) || fault.Method != r.Method || fault.Type != c.dt || fault.Allowed == "") {
				t.Errorf("%s of %s: %#v", r.Method, c.dt, err)
			}
		}
	}
}

func TestConstantsMustFitTheirColumn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dt     arrow.DataType
		values []any
	}{
		{arrow.FixedWidthTypes.Boolean, []any{"true", 1, nil}},
		{arrow.PrimitiveTypes.Int8, []any{128, -129, 1.5, "x", "1e400", "1/2", true, strings.Repeat("1", 500)}},
		{arrow.PrimitiveTypes.Uint64, []any{-1, "18446744073709551616"}},
		{arrow.FixedWidthTypes.Float16, []any{70000, "NaN"}},
		{arrow.PrimitiveTypes.Float32, []any{1e39, "Inf"}},
		{arrow.PrimitiveTypes.Float64, []any{"1e309"}},
		{&arrow.Decimal128Type{Precision: 4, Scale: 2}, []any{"1.255", 100, "-100.00"}},
		{utf8Type, []any{1, strings.Repeat("x", 2000)}},
		{&arrow.FixedSizeBinaryType{ByteWidth: 2}, []any{"x", "xyz", 12}},
		{arrow.FixedWidthTypes.Date32, []any{"2026-02-30", "2026-01-01T00:00:00Z", 1}},
		{arrow.FixedWidthTypes.Timestamp_s, []any{"2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00.5Z"}},
		{arrow.FixedWidthTypes.Timestamp_ns, []any{"1600-01-01T00:00:00Z"}},
		{arrow.FixedWidthTypes.Time32s, []any{"24:00:00", "00:00:00.5"}},
		{arrow.FixedWidthTypes.Duration_s, []any{"1", "5ms"}},
		{arrow.ListOf(utf8Type), []any{[]any{"x"}}},
		{extensions.NewUUIDType(), []any{"x", 1}},
	} {
		for _, v := range c.values {
			_, err := Outcome(c.dt, Rule{Method: "constant", Args: args{"value": v}})
			var fault *ArgError
			if !errors.As(err, &fault) || fault.Arg != "value" || fault.Allowed == "" {
				t.Errorf("%s: %v: %v", c.dt, v, err)
			}
		}
	}
}

// TestEqualValuesHaveOneHash lists values that are equal in a row, and different ones in different rows.
func TestEqualValuesHaveOneHash(t *testing.T) {
	t.Parallel()
	type one struct {
		dt   arrow.DataType
		json string
	}
	i8, i64, u64, f16, f32, f64 := arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Uint64,
		arrow.FixedWidthTypes.Float16, arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64
	d32, d64, d128, d256 := &arrow.Decimal32Type{Precision: 9, Scale: 4}, &arrow.Decimal64Type{Precision: 18, Scale: 4},
		&arrow.Decimal128Type{Precision: 38, Scale: 30}, &arrow.Decimal256Type{Precision: 76, Scale: 30}
	same := [][]one{
		{{i8, "7"}, {i64, "7"}, {u64, "7"}, {f16, "7"}, {f32, "7"}, {f64, "7"}, {d32, `"7"`}, {d64, `"7"`}, {d128, `"7"`}, {d256, `"7"`}, {arrow.PrimitiveTypes.Uint16, "7"}},
		{{i8, "-7"}, {i64, "-7"}, {f64, "-7"}, {d32, `"-7"`}, {d128, `"-7"`}},
		{{i8, "0"}, {f64, "-0.0"}, {d128, `"0"`}, {d256, `"0"`}},
		{{f16, "0.5"}, {f32, "0.5"}, {f64, "0.5"}, {d32, `"0.5"`}, {d128, `"0.5"`}, {d256, `"0.5"`}},
		{{d32, `"0.1"`}, {d64, `"0.1"`}, {d128, `"0.1"`}, {d256, `"0.1"`}},
		{{f64, "0.1"}},
		{{i64, "9007199254740993"}}, {{f64, "9007199254740992"}, {i64, "9007199254740992"}},
		{{&arrow.Decimal128Type{Precision: 38, Scale: 1}, `"900719925474099301.5"`}}, {{i64, "900719925474099328"}}, // which is the nearest float
		{{u64, "9223372036854775808"}, {f64, "9223372036854775808"}, {d256, `"9223372036854775808"`}},
		{{u64, "9223372036854775807"}, {i64, "9223372036854775807"}, {d256, `"9223372036854775807"`}},
		{{&arrow.Decimal128Type{Precision: 5, Scale: -2}, `"700"`}, {&arrow.Decimal256Type{Precision: 5, Scale: -2}, `"700"`}, {i64, "700"}},
		{{f64, "9.31322574615478515625e-10"}, {d128, `"0.000000000931322574615478515625"`}, {d256, `"0.000000000931322574615478515625"`}}, // 2^-30
		{{d128, `"0.000000000931322574615478515626"`}, {d256, `"0.000000000931322574615478515626"`}},
		{{d256, `"12345678901234567890.5"`}, {&arrow.Decimal128Type{Precision: 38, Scale: 4}, `"12345678901234567890.5"`}},
		{{f64, `"NaN"`}, {f32, `"NaN"`}}, {{f64, `"Inf"`}, {f32, `"Inf"`}}, {{f64, `"-Inf"`}},
		{{utf8Type, `"7"`}, {arrow.BinaryTypes.LargeString, `"7"`}, {arrow.BinaryTypes.StringView, `"7"`},
			{&arrow.DictionaryType{IndexType: i8, ValueType: utf8Type}, `"7"`}, {arrow.RunEndEncodedOf(i64, utf8Type), `"7"`}},
		{{arrow.BinaryTypes.Binary, `"Nw=="`}, {&arrow.FixedSizeBinaryType{ByteWidth: 1}, `"Nw=="`}},
		{{arrow.FixedWidthTypes.Date32, `"2026-01-31"`}, {arrow.FixedWidthTypes.Date64, `"2026-01-31"`}},
		{{arrow.FixedWidthTypes.Timestamp_s, `"1969-12-31T23:59:59Z"`}, {arrow.FixedWidthTypes.Timestamp_ns, `"1969-12-31T23:59:59Z"`},
			{&arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "Europe/Berlin"}, `"1969-12-31T23:59:59Z"`}},
		{{&arrow.TimestampType{Unit: arrow.Millisecond}, `"1969-12-31T23:59:59"`}},
		{{arrow.FixedWidthTypes.Time32s, `"00:00:01"`}, {arrow.FixedWidthTypes.Time64ns, `"00:00:01"`}},
		{{arrow.FixedWidthTypes.Duration_s, `"1s"`}, {arrow.FixedWidthTypes.Duration_ns, `"1000000000ns"`}},
		{{arrow.ListOf(i8), "[1, null]"}, {arrow.LargeListOf(i64), "[1, null]"}, {arrow.ListViewOf(u64), "[1, null]"}, {arrow.FixedSizeListOf(2, f64), "[1, null]"}},
		{{arrow.ListOf(i8), "[null, 1]"}}, {{arrow.ListOf(i8), "[1]"}}, {{arrow.ListOf(i8), "[]"}},
		{{arrow.ListOf(utf8Type), `["ab", null]`}, {arrow.ListOf(&arrow.DictionaryType{IndexType: i8, ValueType: utf8Type}), `["ab", null]`}},
		{{arrow.ListOf(arrow.ListOf(i8)), `[[1, 2], null, []]`}, {arrow.LargeListOf(arrow.ListOf(i64)), `[[1, 2], null, []]`}},
		{{arrow.ListOf(arrow.ListOf(i8)), `[[1], [2], null, []]`}},
		{{arrow.ListOf(utf8Type), `["ab", "c"]`}}, {{arrow.ListOf(utf8Type), `["a", "bc"]`}},
		{{arrow.StructOf(field("x", i8)), `{"x": 1}`}, {arrow.StructOf(field("x", f64)), `{"x": 1}`}},
		{{arrow.StructOf(field("y", i8)), `{"y": 1}`}},
	}
	alloc := checked(t)
	seen := map[string]int{}
	for i, row := range same {
		var first string
		for _, v := range row {
			in := values(t, alloc, v.dt, "["+v.json+"]")
			got := masked(t, alloc, in, Rule{Method: "hash", Args: args{"key": "one"}}).ValueStr(0)
			if first == "" {
				first = got
			}
			if got != first {
				t.Errorf("%s %s has another hash than %s %s", v.dt, v.json, row[0].dt, row[0].json)
			}
		}
		if other, ok := seen[first]; ok {
			t.Errorf("%v and %v have one hash", row, same[other])
		}
		seen[first] = i
	}
}
