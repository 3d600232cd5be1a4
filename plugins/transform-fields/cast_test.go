package main

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
)

// A cast of each value: what comes out as Arrow shows it, or ! and the reason.
func TestCasts(t *testing.T) {
	t.Parallel()
	stamp := func(unit arrow.TimeUnit, zone string) arrow.DataType {
		return &arrow.TimestampType{Unit: unit, TimeZone: zone}
	}
	str, i64, f64 := arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Float64
	dec := func(p, s int32) arrow.DataType { return &arrow.Decimal128Type{Precision: p, Scale: s} }
	for _, c := range []struct {
		from arrow.DataType
		to   string
		in   string // JSON values
		want []string
	}{
		{str, "bool", `["true"," T ","YES","0","Off","",null,"2"]`, []string{"true", "true", "true", "false", "false", "!expected true", "(null)", "!expected true"}},
		{i64, "bool", `[0,1,2]`, []string{"false", "true", "!expected 0 or 1"}},
		{arrow.FixedWidthTypes.Boolean, "int32", `[true,false]`, []string{"1", "0"}},
		{str, "int64", `[" 12 ","-7","+7","9223372036854775807","9223372036854775808","1.0","1e3","","0x10","1_000"]`,
			[]string{"12", "-7", "7", "9223372036854775807", "!out of range", "!expected a whole number", "!expected a whole number", "!expected a whole number", "!expected a whole number", "!expected a whole number"}},
		{i64, "int32", `[2147483647,-2147483648,2147483648]`, []string{"2147483647", "-2147483648", "!out of range"}},
		{arrow.PrimitiveTypes.Uint64, "int64", `[5,18446744073709551615]`, []string{"5", "!out of range"}},
		{f64, "int64", `[3,-3,3.5,9.3e18,"NaN","Inf",-9223372036854775808]`, []string{"3", "-3", "!expected a whole number", "!out of range", "!expected a whole number", "!expected a whole number", "-9223372036854775808"}},
		{dec(12, 2), "int64", `["12.00","12.50","-0.00"]`, []string{"12", "!expected a whole number", "0"}},
		{str, "float64", `["1.5"," -2e3 ","NaN","-Infinity","1e999","0x1p2","1,5",""]`, []string{"1.5", "-2000", "NaN", "-Inf", "!out of range", "!expected digits", "!expected digits", "!expected digits"}},
		{i64, "float64", `[9007199254740992,9007199254740993,9223372036854775807,-9223372036854775808]`, []string{"9.007199254740992e+15", "!the value would change", "!the value would change", "-9.223372036854776e+18"}},
		{i64, "float32", `[16777216,16777217]`, []string{"1.6777216e+07", "!the value would change"}},
		{arrow.PrimitiveTypes.Uint64, "float64", `[18446744073709551615,1024]`, []string{"!the value would change", "1024"}},
		{f64, "float32", `[0.1,1e39,"Inf"]`, []string{"0.1", "!out of range", "+Inf"}},
		{str, "float32", `["0.1","1e39"]`, []string{"0.1", "!out of range"}},
		{dec(12, 2), "float64", `["12.30","-0.05"]`, []string{"12.3", "-0.05"}},
		{str, "decimal(5,2)", `["1.5"," -001.50 ","+.5","5.","999.99","1000","1.234","1.230","1e2",".","-","--1","",null]`,
			[]string{"1.5", "-1.5", "0.5", "5", "999.99", "!more than 3 digits before", "!more than 2 digits behind", "1.23", "!expected digits", "!expected digits", "!expected digits", "!expected digits", "!expected digits", "(null)"}},
		{f64, "decimal(5,2)", `[1.239,0.30000000000000004,1e9,"NaN"]`, []string{"1.24", "0.3", "!more than 3 digits", "!expected a finite number"}},
		{i64, "decimal(5,2)", `[7,-1000]`, []string{"7", "!more than 3 digits"}},
		{dec(12, 4), "decimal(5,2)", `["1.2300","1.2345"]`, []string{"1.23", "!more than 2 digits"}},
		{&arrow.Decimal256Type{Precision: 50, Scale: 1}, "decimal(38,1)", `["1234567890123456789012345678901234567.8","12345678901234567890123456789012345678.0"]`,
			[]string{"1234567890123456789012345678901234567.8", "!more than 37 digits"}},
		{str, "date", `["2024-02-29"," 2024-02-29 ","2023-02-29","29.2.2024","2024-02-29T00:00:00"]`, []string{"2024-02-29", "2024-02-29", "!expected a day", "!expected a day", "!expected a day"}},
		{stamp(arrow.Microsecond, "UTC"), "date", `["1969-12-31T23:59:59Z","2024-02-29T00:00:00Z"]`, []string{"1969-12-31", "2024-02-29"}},
		{arrow.FixedWidthTypes.Date64, "date", `["1969-12-31"]`, []string{"1969-12-31"}},
		{str, "timestamp", `["2024-02-29T12:00:00.5","2024-02-29 12:00:00","2024-02-29T12:00:00Z","2024-02-29","2024-02-29T12:00:00.1234567"]`,
			[]string{"2024-02-29T12:00:00.5", "2024-02-29T12:00:00", "!expected a time without offset", "!expected a time without offset", "!finer than a microsecond"}},
		{str, "timestamp_tz", `["2024-02-29T12:00:00Z","2024-02-29 12:00:00.25+01:00","2024-02-29 12:00:00+0100","2024-02-29 12:00:00+01","2024-02-29T12:00:00"]`,
			[]string{"2024-02-29T12:00:00Z", "2024-02-29T11:00:00.25Z", "2024-02-29T11:00:00Z", "2024-02-29T11:00:00Z", "!expected a time with offset"}},
		{arrow.FixedWidthTypes.Date32, "timestamp", `["2024-02-29"]`, []string{"2024-02-29T00:00:00"}},
		{stamp(arrow.Nanosecond, ""), "timestamp", `["2024-02-29 12:00:00.000001","2024-02-29 12:00:00.000000001"]`, []string{"2024-02-29T12:00:00.000001", "!finer"}},
		{stamp(arrow.Second, ""), "timestamp_tz", `["2024-02-29 12:00:00"]`, []string{"2024-02-29T12:00:00Z"}},
		{stamp(arrow.Second, ""), "timestamp", `[9223372036854775807,-9223372036854]`, []string{"!out of range", "-9223372036854000000"}},
		{f64, "string", `[1000000,0.1,1e-7,1e21,"NaN","-Inf"]`, []string{"1000000", "0.1", "1e-07", "1e+21", "NaN", "-Infinity"}},
		{arrow.PrimitiveTypes.Float32, "string", `[0.1]`, []string{"0.1"}},
		{dec(12, 2), "string", `["-12.30","0.05"]`, []string{"-12.30", "0.05"}},
		{stamp(arrow.Microsecond, "Europe/Berlin"), "string", `["2024-02-29 12:00:00.5Z"]`, []string{"2024-02-29T12:00:00.5Z"}},
		{stamp(arrow.Microsecond, ""), "string", `["2024-02-29 12:00:00"]`, []string{"2024-02-29T12:00:00"}},
		{arrow.FixedWidthTypes.Time64us, "string", `["01:02:03.5"]`, []string{"01:02:03.5"}},
		{arrow.FixedWidthTypes.Boolean, "string", `[true]`, []string{"true"}},
		{arrow.BinaryTypes.Binary, "string", `["YWI=","/w=="]`, []string{"ab", "!expected UTF-8"}},
		{arrow.ListOf(i64), "string", `[[1,null]]`, []string{"[1,null]"}},
		{str, "binary", `["ab"]`, []string{"YWI="}},
		{&arrow.FixedSizeBinaryType{ByteWidth: 2}, "binary", `["YWI="]`, []string{"YWI="}},
		{str, "json", `["{\"a\": 1}","[","7",""]`, []string{`{"a": 1}`, "!expected JSON", "7", "!expected JSON"}},
		{f64, "json", `[1.5,"NaN"]`, []string{"1.5", "!expected a finite number"}},
		{i64, "json", `[5]`, []string{"5"}},
		{arrow.FixedWidthTypes.Date32, "json", `["2024-02-29"]`, []string{`"2024-02-29"`}},
		{arrow.BinaryTypes.Binary, "json", `["YWI="]`, []string{`"YWI="`}},
		{arrow.StructOf(text("s"), arrow.Field{Name: "n", Type: i64}), "json", `[{"s":"ü\"","n":1}]`, []string{`{"n":1,"s":"ü\""}`}},
	} {
		t.Run(c.from.String()+" to "+c.to, func(t *testing.T) {
			t.Parallel()
			alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
			defer alloc.AssertSize(t, 0)
			in, _, err := array.FromJSON(alloc, c.from, strings.NewReader(c.in))
			if err != nil {
				t.Fatal(err)
			}
			defer in.Release()
			got := make([]string, in.Len())
			to, err := parseTarget(c.to)
			if err != nil {
				t.Fatal(err)
			}
			out, err := to.cast(alloc, in, func(row int, why error) { got[row] = "!" + why.Error() })
			if err != nil {
				t.Fatal(err)
			}
			defer out.Release()
			for row := range out.Len() {
				if got[row] == "" {
					got[row] = out.ValueStr(row)
				}
				if strings.HasPrefix(c.want[row], "!") && strings.HasPrefix(got[row], c.want[row]) {
					got[row] = c.want[row]
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDictionariesAreRefused(t *testing.T) {
	t.Parallel()
	in := array.MakeArrayOfNull(memory.DefaultAllocator, &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}, 1)
	for _, name := range []string{"string", "json", "int64"} {
		to, err := parseTarget(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.cast(memory.DefaultAllocator, in, nil); err == nil {
			t.Errorf("a dictionary was cast to %s", name)
		}
	}
}

func FuzzUnscaled(f *testing.F) {
	for _, s := range []string{"0", "-1.50", "+.5", "5.", "1e3", "--1", "1.2.3", "", "99999999999999999999999999999999999999.9"} {
		f.Add(s, 2)
	}
	f.Fuzz(func(t *testing.T, text string, scale int) {
		scale = max(0, min(38, scale))
		v, err := unscaled(text, scale)
		if short, ok := unscaledShort(text, scale); ok && (err != nil || !v.IsInt64() || v.Int64() != short) {
			t.Errorf("%q was read as %v and as %d, error %v", text, v, short, err)
		}
		if err != nil {
			return
		}
		want, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%q was read as %v", text, v)
		}
		unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
		if want.Mul(want, new(big.Rat).SetInt(unit)).Cmp(new(big.Rat).SetInt(v)) != 0 {
			t.Errorf("%q was read as %v × 10^-%d", text, v, scale)
		}
	})
}

func FuzzCastsOfText(f *testing.F) {
	for _, s := range []string{"1", "-7.5", "2024-02-29", "2024-02-29 12:00:00+01", "true", "{}", "NaN", " ", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := array.NewStringBuilder(memory.DefaultAllocator)
		b.Append(s)
		in := b.NewArray()
		for _, name := range []string{"bool", "int32", "int64", "float32", "float64", "binary", "date", "timestamp", "timestamp_tz", "decimal(12,2)", "json"} {
			to, err := parseTarget(name)
			if err != nil {
				t.Fatal(err)
			}
			failed := errors.New("none")
			out, err := to.cast(memory.DefaultAllocator, in, func(_ int, why error) { failed = why })
			if err != nil {
				t.Fatal(err)
			}
			if out.IsNull(0) != (failed.Error() != "none") {
				t.Errorf("%q to %s: %v, %v", s, name, out, failed)
			}
		}
	})
}
