package mask

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"
)

func generalised(a args) Rule { return Rule{Method: "generalise", Args: a} }

func TestTimesAreCutToTheirStart(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	us := &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	times := `["2024-02-29T23:59:59.999999Z", "1969-12-31T23:59:59.5Z", "1970-01-01T00:00:00Z", null, "1600-03-01T12:00:00Z"]`
	dates := `["2024-02-29", "1969-12-31", "2000-03-01", null]`
	for _, c := range []struct {
		dt   arrow.DataType
		json string
		to   string
		want []string
	}{
		{us, times, "hour", []string{"2024-02-29T23:00:00Z", "1969-12-31T23:00:00Z", "1970-01-01T00:00:00Z", "(null)", "1600-03-01T12:00:00Z"}},
		{us, times, "day", []string{"2024-02-29T00:00:00Z", "1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z", "(null)", "1600-03-01T00:00:00Z"}},
		{us, times, "month", []string{"2024-02-01T00:00:00Z", "1969-12-01T00:00:00Z", "1970-01-01T00:00:00Z", "(null)", "1600-03-01T00:00:00Z"}},
		{us, times, "year", []string{"2024-01-01T00:00:00Z", "1969-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "(null)", "1600-01-01T00:00:00Z"}},
		{arrow.FixedWidthTypes.Date32, dates, "month", []string{"2024-02-01", "1969-12-01", "2000-03-01", "(null)"}},
		{arrow.FixedWidthTypes.Date64, dates, "year", []string{"2024-01-01", "1969-01-01", "2000-01-01", "(null)"}},
	} {
		got := shownValues(masked(t, alloc, values(t, alloc, c.dt, c.json), generalised(args{"to": c.to})))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s to %s: (-want +got)\n%s", c.dt, c.to, diff)
		}
	}
}

func TestMonthsAndYearsAreThoseOfTheCalendar(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(11, 12))
	for range 100_000 {
		day := rnd.Int64N(8_000_000) - 4_000_000
		y, m, _ := time.Unix(day*secondsPerDay, 0).UTC().Date()
		month, year := monthAndYear(day)
		if month != time.Date(y, m, 1, 0, 0, 0, 0, time.UTC).Unix()/secondsPerDay || year != time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC).Unix()/secondsPerDay {
			t.Fatalf("day %d: got %d and %d", day, month, year)
		}
	}
}

func TestWhatATypeCantHoldBecomesItsLowestValue(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	ns := array.NewTimestampBuilder(alloc, &arrow.TimestampType{Unit: arrow.Nanosecond})
	defer ns.Release()
	ns.Append(math.MinInt64)
	days := array.NewDate32Builder(alloc)
	defer days.Release()
	days.Append(math.MinInt32)
	first, second := ns.NewArray(), days.NewArray()
	defer first.Release()
	defer second.Release()
	for _, to := range []string{"month", "year"} {
		if got := masked(t, alloc, first, generalised(args{"to": to})).(*array.Timestamp).Value(0); got != math.MinInt64 {
			t.Errorf("timestamp to %s: %d", to, got)
		}
		if got := masked(t, alloc, second, generalised(args{"to": to})).(*array.Date32).Value(0); got != math.MinInt32 {
			t.Errorf("date to %s: %d", to, got)
		}
	}
}

func TestNumbersAreCutToTheStartOfTheirBand(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	money := func(p int32) arrow.DataType { return &arrow.Decimal128Type{Precision: p, Scale: 2} }
	for _, c := range []struct {
		dt   arrow.DataType
		json string
		band any
		want []string
		out  string
	}{
		{arrow.PrimitiveTypes.Int8, `[0, 9, 10, -1, -128, null]`, 100, []string{"0", "0", "0", "-100", "-200", "(null)"}, "int64"},
		{arrow.PrimitiveTypes.Int64, `[19, -9223372036854775808]`, 10, []string{"10", "-9223372036854775808"}, "int64"},
		{arrow.PrimitiveTypes.Uint32, `[19, 4294967295]`, "10", []string{"10", "4294967290"}, "int64"},
		{arrow.PrimitiveTypes.Uint64, `[19, 18446744073709551615, null]`, 10.0, []string{"10", "18446744073709551610", "(null)"}, "uint64"},
		{arrow.PrimitiveTypes.Float64, `[0.35, 0.3, -0.05, 1e300, null, "NaN", "-Inf"]`, 0.1, []string{"0.3", "0.3", "-0.1", "1e+300", "(null)", "NaN", "-Inf"}, "float64"},
		{arrow.PrimitiveTypes.Float32, `[12.5]`, 2.5, []string{"12.5"}, "float64"},
		{arrow.FixedWidthTypes.Float16, `[12]`, 5, []string{"10"}, "float64"},
		{&arrow.Decimal32Type{Precision: 5, Scale: 2}, `["999.99", "-999.99", null]`, 100, []string{"900", "-1000", "(null)"}, "decimal(38, 2)"},
		{&arrow.Decimal64Type{Precision: 9, Scale: 2}, `["12.34"]`, "0.5", []string{"12"}, "decimal(38, 2)"},
		{money(38), `["12.34", "-999999999999999999999999999999999999.99", "99999999999999999999999999999999999.99"]`, 0.05,
			[]string{"12.3", "-999999999999999999999999999999999999.99", "99999999999999999999999999999999999.95"}, "decimal(38, 2)"},
		{&arrow.Decimal256Type{Precision: 50, Scale: 2}, `["12.34", "-12.34"]`, 5, []string{"10", "-15"}, "decimal256(76, 2)"},
	} {
		out := masked(t, alloc, values(t, alloc, c.dt, c.json), generalised(args{"band": c.band}))
		if diff := cmp.Diff(c.want, shownValues(out)); diff != "" || out.DataType().String() != c.out {
			t.Errorf("%s: %s (-want +got)\n%s", c.dt, out.DataType(), diff)
		}
	}
}

func TestAddressesBecomeNetworks(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	in := textArray(t, "10.1.2.3", "::ffff:10.1.2.3", "2001:db8:1:2:3:4:5:6", "fe80::1%eth0", "10.1.2.3/8", "no address", "")
	b := batchOf(t, in)
	for _, c := range []struct {
		args args
		want []string
	}{
		{args{"prefix": 24}, []string{"10.1.2.0/24", "10.1.2.0/24", "2001:db8:1::/48", "fe80::/48", "***", "***", "***"}},
		{args{"prefix": 8, "prefix6": 64}, []string{"10.0.0.0/8", "10.0.0.0/8", "2001:db8:1:2::/64", "fe80::/64", "***", "***", "***"}},
	} {
		m := newMasker(t, alloc, b.Schema(), map[string]Rule{"a": generalised(c.args)})
		if diff := cmp.Diff(c.want, shownValues(apply(t, m, b).Column(0))); diff != "" {
			t.Errorf("%v: (-want +got)\n%s", c.args, diff)
		}
		if diff := cmp.Diff(map[string]int64{"a": 3}, m.Refused()); diff != "" {
			t.Errorf("refused: (-want +got)\n%s", diff)
		}
	}
}

func TestGeneraliseRefusesWhatWouldChangeNothingOrIsUnclear(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dt   arrow.DataType
		args args
	}{
		{utf8Type, args{}},
		{utf8Type, args{"prefix": 24, "band": 10}},
		{utf8Type, args{"prefix": 32}},
		{utf8Type, args{"prefix": 24, "prefix6": 128}},
		{utf8Type, args{"prefix6": 64}},
		{arrow.FixedWidthTypes.Date32, args{"to": "day"}},
		{arrow.FixedWidthTypes.Date32, args{"to": "week"}},
		{arrow.FixedWidthTypes.Date64, args{"to": "hour"}},
		{arrow.PrimitiveTypes.Int64, args{"band": 1}},
		{arrow.PrimitiveTypes.Int64, args{"band": 0}},
		{arrow.PrimitiveTypes.Int64, args{"band": -10}},
		{arrow.PrimitiveTypes.Int64, args{"band": 2.5}},
		{arrow.PrimitiveTypes.Int64, args{"band": "x"}},
		{arrow.PrimitiveTypes.Int64, args{"band": "1e30"}},
		{arrow.PrimitiveTypes.Float64, args{"band": "0.12345678901234567890"}},
		{&arrow.Decimal128Type{Precision: 10, Scale: 2}, args{"band": 0.01}},
		{&arrow.Decimal128Type{Precision: 10, Scale: 2}, args{"band": 0.005}},
		{&arrow.Decimal128Type{Precision: 10, Scale: 2}, args{"band": "1e37"}},
	} {
		if _, err := Outcome(c.dt, generalised(c.args)); err == nil {
			t.Errorf("%s: %v is taken", c.dt, c.args)
		} else if got := fmt.Sprint(err); len(got) < 20 {
			t.Errorf("%s: %v: %s", c.dt, c.args, got)
		}
	}
}
