package value

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// PostgreSQL counts from 2000, Arrow from 1970.
const (
	epochDays = 10957
	dayMicros = 86_400_000_000
)

// What PostgreSQL's dates may be, in days since 1970: 4714-11-24 BC to 5874897-12-31. All of them fit a date32.
const (
	firstDate = -2_451_545 + epochDays
	lastDate  = 2_145_031_948 + epochDays
)

var (
	errDate     = malformed("a date such as 2024-02-29")
	errInfinite = &flaw{CodeNotFinite, "an infinite date or timestamp can't be held"}
)

type dateCodec struct{ unheld Unheld }

func (c dateCodec) binary(_ *work, b array.Builder, raw []byte) error {
	if len(raw) != 4 {
		return errDate
	}
	switch v := int32(binary.BigEndian.Uint32(raw)); v { //nolint:gosec // the bits are an int32
	case math.MaxInt32:
		return c.infinite(b, lastDate)
	case math.MinInt32:
		return c.infinite(b, firstDate)
	default:
		return c.add(b, int64(v)+epochDays)
	}
}

func (c dateCodec) text(_ *work, b array.Builder, raw []byte) error {
	switch view(raw) {
	case "infinity":
		return c.infinite(b, lastDate)
	case "-infinity":
		return c.infinite(b, firstDate)
	}
	raw, bc := cutBC(raw)
	days, rest, ok := parseDate(raw, bc)
	if !ok || len(rest) > 0 {
		return errDate
	}
	return c.add(b, days)
}

func (dateCodec) add(b array.Builder, days int64) error {
	if days < firstDate || days > lastDate {
		return errDate
	}
	b.(*array.Date32Builder).Append(arrow.Date32(days))
	return nil
}

func (c dateCodec) infinite(b array.Builder, limit arrow.Date32) error {
	switch c.unheld {
	case UnheldNull:
		b.AppendNull()
	case UnheldClamp:
		b.(*array.Date32Builder).Append(limit)
	default:
		return errInfinite
	}
	return nil
}

// cutBC takes the mark of years before 1 off the end.
func cutBC(raw []byte) ([]byte, bool) {
	if n := len(raw) - 3; n > 0 && raw[n] == ' ' && raw[n+1] == 'B' && raw[n+2] == 'C' {
		return raw[:n], true
	}
	return raw, false
}

// parseDate reads a date at the beginning of raw as days since 1970.
func parseDate(raw []byte, bc bool) (days int64, rest []byte, ok bool) {
	n := 0
	for n < len(raw) && isDigit(raw[n]) {
		n++
	}
	if n < 4 || n > 7 || len(raw) < n+6 || raw[n] != '-' || raw[n+3] != '-' {
		return 0, nil, false
	}
	year := int64(0)
	for _, c := range raw[:n] {
		year = year*10 + int64(c-'0')
	}
	month, ok1 := twoDigits(raw[n+1:])
	day, ok2 := twoDigits(raw[n+4:])
	if bc {
		year = 1 - year
	}
	if !ok1 || !ok2 || month < 1 || month > 12 || day < 1 || day > monthDays(year, month) || (!bc && year == 0) {
		return 0, nil, false
	}
	return daysOf(year, month, day), raw[n+6:], true
}

func twoDigits(raw []byte) (int64, bool) {
	if len(raw) < 2 || !isDigit(raw[0]) || !isDigit(raw[1]) {
		return 0, false
	}
	return int64(raw[0]-'0')*10 + int64(raw[1]-'0'), true
}

func monthDays(year, month int64) int64 {
	switch {
	case month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0):
		return 29
	case month == 2:
		return 28
	case month == 4 || month == 6 || month == 9 || month == 11:
		return 30
	}
	return 31
}

// daysOf counts days since 1970 in the proleptic Gregorian calendar: http://howardhinnant.github.io/date_algorithms.html#days_from_civil.
func daysOf(year, month, day int64) int64 {
	if month <= 2 {
		year--
	}
	era := year / 400
	if year < 0 {
		era = (year - 399) / 400
	}
	ofEra := year - era*400
	ofYear := (153*((month+9)%12)+2)/5 + day - 1
	return era*146_097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719_468
}
