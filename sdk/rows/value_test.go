package rows_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/qanat-data/qanat/sdk/rows"
)

func TestDecimalsAreExact(t *testing.T) {
	t.Parallel()
	type row struct {
		D rows.Decimal `arrow:"d,decimal(38,10)"`
	}
	for in, want := range map[rows.Decimal]rows.Decimal{
		"0": "0.0000000000", "-0.5": "-0.5000000000", "+7": "7.0000000000", ".25": "0.2500000000", "1.": "1.0000000000",
		"0001.50000000000000": "1.5000000000", "-9999999999999999999999999999.9999999999": "-9999999999999999999999999999.9999999999",
	} {
		if got := read[row](t, build(t, row{D: in})); got[0].D != want {
			t.Errorf("%q became %q, want %q", in, got[0].D, want)
		}
	}
	b := builder[row](t)
	for _, in := range []rows.Decimal{"", ".", "-", "1-2", "1.-2", "--1", "0x10", "1_000", " 1", "NaN", "1.00000000001", "10000000000000000000000000000"} {
		if err := b.Append(row{D: in}); err == nil {
			t.Errorf("%q was taken for a number", in)
		}
	}
}

func TestDatesKnowTheCalendar(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1970-01-01", "1969-12-31", "0001-01-01", "2024-02-29", "9999-12-31"} {
		day, err := rows.ParseDate(text)
		if err != nil {
			t.Fatal(err)
		}
		type row struct{ D rows.Date }
		if got := read[row](t, build(t, row{D: day}))[0].D; got != day || got.String() != text {
			t.Errorf("%s became %s", text, got)
		}
		raw, err := json.Marshal(day)
		if err != nil || string(raw) != `"`+text+`"` {
			t.Errorf("%s as JSON is %s, %v", text, raw, err)
		}
		var back rows.Date
		if err := json.Unmarshal(raw, &back); err != nil || back != day {
			t.Errorf("%s came back as %s, %v", raw, back, err)
		}
	}
	if _, err := rows.ParseDate("2023-02-29"); err == nil {
		t.Error("2023-02-29 was taken for a day")
	}
}

func TestTimesAreInUTCToTheMicrosecond(t *testing.T) {
	t.Parallel()
	type row struct{ At time.Time }
	berlin := time.FixedZone("CET", 3600)
	at := time.Date(2024, 5, 6, 7, 8, 9, 123_456_789, berlin)
	got := read[row](t, build(t, row{At: at}))[0].At
	if want := time.Date(2024, 5, 6, 6, 8, 9, 123_456_000, time.UTC); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
