package contract

import (
	"testing"
	"time"
)

func TestLimitsJudgeCounts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		limit        Limit
		count, total int64
		want         bool
	}{
		{Limit{Op: OpEqual, Value: "0"}, 0, 9, true},
		{Limit{Op: OpEqual, Value: "0"}, 1, 9, false},
		{Limit{Op: OpNotEqual, Value: "3"}, 3, 9, false},
		{Limit{Op: OpGreater, Value: "3"}, 3, 9, false},
		{Limit{Op: OpGreater, Value: "3"}, 4, 9, true},
		{Limit{Op: OpGreaterOrEqual, Value: "3"}, 3, 9, true},
		{Limit{Op: OpLess, Value: "3"}, 3, 9, false},
		{Limit{Op: OpLessOrEqual, Value: "3"}, 3, 9, true},
		{Limit{Op: OpBetween, Value: "2", Upper: "4"}, 2, 9, true},
		{Limit{Op: OpBetween, Value: "2", Upper: "4"}, 4, 9, true},
		{Limit{Op: OpBetween, Value: "2", Upper: "4"}, 5, 9, false},
		{Limit{Op: OpNotBetween, Value: "2", Upper: "4"}, 4, 9, false},
		{Limit{Op: OpNotBetween, Value: "2", Upper: "4"}, 5, 9, true},
		{Limit{Op: OpLess, Value: "10", Percent: true}, 1, 10, false},
		{Limit{Op: OpLessOrEqual, Value: "0.1", Percent: true}, 1, 1000, true},
		{Limit{Op: OpLessOrEqual, Value: "0.1", Percent: true}, 2, 1000, false},
		{Limit{Op: OpEqual, Value: "0", Percent: true}, 0, 0, true},
		{Limit{Op: "?"}, 0, 0, false},
	} {
		if got := tc.limit.Holds(tc.count, tc.total); got != tc.want {
			t.Errorf("%d of %d within %s: got %v", tc.count, tc.total, tc.limit, got)
		}
	}
}

func TestOnlyLimitsOfZeroJudgeEachRow(t *testing.T) {
	t.Parallel()
	for limit, want := range map[Limit]bool{
		{Op: OpEqual, Value: "0"}:                true,
		{Op: OpEqual, Value: "0", Percent: true}: true,
		{Op: OpLessOrEqual, Value: "0"}:          true,
		{Op: OpLess, Value: "1"}:                 true,
		{Op: OpLess, Value: "0"}:                 false,
		{Op: OpLess, Value: "1", Percent: true}:  false,
		{Op: OpLess, Value: "2"}:                 false,
		{Op: OpEqual, Value: "1"}:                false,
		{Op: OpGreater, Value: "0"}:              false,
	} {
		if got := limit.EachRow(); got != want {
			t.Errorf("%s: got %v", limit, got)
		}
	}
}

func TestNumbersStayExact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0.1": "1/10", "1e3": "1000", "-7": "-7", "0x1F": "31", "18446744073709551615": "18446744073709551615",
		"0.1000000000000000055": "200000000000000011/2000000000000000000",
	} {
		c, err := Parse("c.yaml", []byte(head+"price: {priceAmount: "+text+"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Price.PriceAmount.Rat().RatString(); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	if n := Number("1e999999999"); n.Rat().Sign() != 0 || n.Float() != 0 {
		t.Error("a number out of range isn't 0")
	}
	if _, ok := Number("0.5").Int64(); ok {
		t.Error("0.5 passes for a whole number")
	}
}

func TestDateFormatsBecomeLayouts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ format, text string }{
		{"yyyy-MM-dd", "2024-03-05"},
		{"dd/MM/yy HH:mm", "05/03/24 00:00"},
		{"yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2024-03-05T00:00:00.000Z"},
		{"yyyy-MM-dd'T'HH:mm:ss'Z'", "2024-03-05T00:00:00Z"},
		{"EEEE, d. MMMM uuuu", "Tuesday, 5. March 2024"},
		{"MMM d yyyy h:mm a", "Mar 5 2024 12:00 AM"},
		{"yyyyMMdd", "20240305"},
	} {
		layout, err := goLayout(tc.format)
		if err != nil {
			t.Error(err)
			continue
		}
		at, err := time.Parse(layout, tc.text)
		if err != nil || !at.Equal(time.Date(2024, 3, 5, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: %q reads as %v, %v", tc.format, tc.text, at, err)
		}
	}
	for _, format := range []string{"yyyy-ww", "'open", "yyyy'07'", "HH:mmSSS", "[yyyy]", "'Jan'yyyy"} {
		if layout, err := goLayout(format); err == nil {
			t.Errorf("%s became %q", format, layout)
		}
	}
}
