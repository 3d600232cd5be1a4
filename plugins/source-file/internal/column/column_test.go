package column

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func TestTypesAreReadAndWritten(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"bool", "string", "date", "timestamp", "timestamp_ntz", "decimal(12,2)", "binary", "json", "int64", "int32", "float32", "float64",
		"list<string>", "struct<a: int64, b: list<struct<c: decimal(3,1), d: json>>>",
	} {
		f, err := Parse("x", text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := Text(f); !strings.HasPrefix(got, text) && got != text {
			t.Errorf("%s is written %s", text, got)
		}
	}
	for _, text := range []string{"", "list<>", "list<int64", "struct<>", "struct<a>", "decimal(0,0)", "decimal(39,1)", "decimal(3,4)", "text"} {
		if _, err := Parse("x", text); err == nil {
			t.Errorf("%q is taken for a type", text)
		}
	}
}

// TestTextBecomesValues has a type, a text, and what comes back from the builder; an error if that begins with !.
func TestTextBecomesValues(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{"int64", "-9223372036854775808", "-9223372036854775808"}, {"int64", "9223372036854775807", "9223372036854775807"},
		{"int64", "9223372036854775808", "!range"}, {"int64", "", "!integer"}, {"int64", "-", "!integer"}, {"int64", "1.0", "!integer"},
		{"int64", " 12 ", "12"}, {"int64", "0012", "!zeros"}, {"int64", "+1", "!plus"}, {"int64", "1_000", "!integer"},
		{"int32", "2147483648", "!range"}, {"int32", "-2147483648", "-2147483648"},
		{"float64", "1e309", "!range"}, {"float64", "0x1p4", "!number"}, {"float64", "1_0", "!number"}, {"float64", ".5", "0.5"},
		{"float64", "5.", "5"}, {"float64", "-1.5e-3", "-0.0015"}, {"float64", "NaN", "NaN"}, {"float64", "9007199254740993", "!digits"},
		{"float64", "9007199254740994", "9.007199254740994e+15"}, {"float64", "007.5", "!zeros"}, {"float64", "1e", "!number"}, {"float64", ".", "!number"},
		{"float32", "16777217", "!digits"}, {"float32", "1.5", "1.5"},
		{"bool", "TRUE", "true"}, {"bool", "yes", "!true or false"},
		{"date", "2024-02-29", "2024-02-29"}, {"date", "2023-02-29", "!date"}, {"date", "2024-2-9", "!date"}, {"date", "2024-01-01T00:00:00Z", "!date"},
		{"date", "0001-01-01", "0001-01-01"}, {"date", "1969-12-31", "1969-12-31"},
		{"timestamp", "2024-01-31T10:00:00+02:00", "2024-01-31T08:00:00Z"}, {"timestamp", "2024-01-31 10:00", "2024-01-31T10:00:00Z"},
		{"timestamp", "2024-01-31T10:00:00.123456Z", "2024-01-31T10:00:00.123456Z"}, {"timestamp", "2024-01-31T10:00:00.1234567Z", "!microseconds"},
		{"timestamp", "2024-01-31T10:00:00.123456000-0130", "2024-01-31T11:30:00.123456Z"}, {"timestamp", "2024-01-31T24:00:00Z", "!timestamp"},
		{"timestamp", "2024-01-31T10:00:00 Z", "!timestamp"}, {"timestamp", "1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z"},
		{"timestamp_ntz", "2024-01-31T10:00:00", "2024-01-31T10:00:00"}, {"timestamp_ntz", "2024-01-31T10:00:00Z", "!time zone"},
		{"decimal(5,2)", "123.45", "123.45"}, {"decimal(5,2)", "-.5", "-0.5"}, {"decimal(5,2)", "1.500", "1.5"}, {"decimal(5,2)", "1.234", "!places"},
		{"decimal(5,2)", "1234.5", "!range"}, {"decimal(5,2)", "1e2", "!decimal"}, {"decimal(5,2)", "x", "!decimal"}, {"decimal(2,0)", "-.0", "0"},
		{"decimal(38,0)", strings.Repeat("9", 38), strings.Repeat("9", 38)}, {"decimal(38,0)", strings.Repeat("9", 39), "!range"},
		{"decimal(38,0)", strings.Repeat("9", 500), "!range"},
		{"binary", "aGk=", "aGk="}, {"binary", "?", "!base64"}, {"string", " x ", " x "},
	} {
		f, err := Parse("x", c[0])
		if err != nil {
			t.Fatal(err)
		}
		got, err := appended(t, f, c[1])
		fault, expected := strings.CutPrefix(c[2], "!")
		if (err == nil && got != c[2]) || (err != nil && (!expected || !strings.Contains(err.Error(), fault))) {
			t.Errorf("%s %q: %q and error %v, want %q", c[0], c[1], got, err, c[2])
		}
	}
}

// appended is what a strict appender makes of a text.
func appended(t *testing.T, f arrow.Field, text string) (string, error) {
	t.Helper()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	builder := array.NewBuilder(alloc, f.Type)
	defer builder.Release()
	err := NewAppender(builder, true)([]byte(text))
	a := builder.NewArray()
	defer a.Release()
	if err != nil {
		if a.Len() != 0 {
			t.Errorf("%q: something is appended in spite of the error", text)
		}
		return "", err
	}
	return a.ValueStr(0), nil
}

// FuzzInferredTypesGiveTheTextBack says that a type is only inferred for text that the value leads back to.
func FuzzInferredTypesGiveTheTextBack(f *testing.F) {
	for _, seed := range []string{"1", "-1.5", "00501", "1e5", "2024-02-29", "2024-01-31T10:00:00.5+02:00", "true", "NaN", "9007199254740993", "1E-400", "-0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var g Guess
		g.See([]byte(text))
		field := Field("x", g.Type())
		got, err := appended(t, field, text)
		if err != nil {
			if !strings.Contains(err.Error(), "range") {
				t.Fatalf("%q is inferred to be %s, then %v", text, field.Type, err)
			}
			return
		}
		trimmed := strings.Trim(text, " \t")
		switch field.Type.ID() {
		case arrow.INT64:
			if got != strings.TrimPrefix(trimmed, "-") && got != trimmed {
				t.Fatalf("%q becomes %s", text, got)
			}
		case arrow.FLOAT64:
			checkFloat(t, trimmed, got)
		case arrow.DATE32:
			if got != trimmed {
				t.Fatalf("%q becomes %s", text, got)
			}
		case arrow.TIMESTAMP:
			if _, err := time.Parse("2006-01-02T15:04:05.999999999Z07:00", trimmed); err != nil && strings.Contains(trimmed, "T") && len(trimmed) == 20 {
				t.Fatalf("%q is no timestamp: %v", text, err)
			}
		}
	})
}

func checkFloat(t *testing.T, text, got string) {
	t.Helper()
	want, ok := new(big.Float).SetPrec(60).SetString(text)
	if !ok {
		return // NaN or infinite
	}
	var v float64
	if _, err := fmt.Sscan(got, &v); err != nil {
		t.Fatal(err)
	}
	wanted, _ := want.Float64()
	if difference := new(big.Float).Sub(want, big.NewFloat(v)); difference.Sign() != 0 && v != wanted {
		if ratio, _ := new(big.Float).Quo(difference, want).Float64(); ratio > 1e-15 || ratio < -1e-15 {
			t.Fatalf("%q becomes %s", text, got)
		}
	}
}
