package rows

import (
	"database/sql"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// Optional is a value that may be null: Optional[int]{V: 7, Valid: true}. Pointers do as well.
type Optional[T any] = sql.Null[T]

// Some is an Optional that has a value.
func Some[T any](v T) Optional[T] { return Optional[T]{V: v, Valid: true} }

// Date is a day of the civil calendar, without a time zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf is the day of t in t's own location.
func DateOf(t time.Time) Date {
	year, month, day := t.Date()
	return Date{Year: year, Month: month, Day: day}
}

// ParseDate reads 2006-01-02.
func ParseDate(text string) (Date, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return Date{}, fmt.Errorf("date %q, expected one such as 2006-01-02", text)
	}
	return DateOf(t), nil
}

// Time is the beginning of the day in UTC.
func (d Date) Time() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// String is the day as 2006-01-02.
func (d Date) String() string { return d.Time().Format(time.DateOnly) }

// MarshalText implements encoding.TextMarshaler.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Date) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDate(string(text))
	return err
}

// arrow is the number of the day; a day that the calendar does not have (30 February, the zero Date) is an error.
func (d Date) arrow() (arrow.Date32, error) {
	t := d.Time()
	if DateOf(t) != d {
		return 0, fmt.Errorf("%d-%02d-%02d is no day of the calendar", d.Year, d.Month, d.Day)
	}
	const secondsPerDay = 24 * 60 * 60
	days := t.Unix() / secondsPerDay
	if int64(arrow.Date32(days)) != days { //nolint:gosec // that is what is being checked
		return 0, fmt.Errorf("the year %d is out of range", d.Year)
	}
	return arrow.Date32(days), nil //nolint:gosec // checked
}

func dateOf(d arrow.Date32) Date { return DateOf(d.ToTime()) }

// Decimal is an exact decimal number as text, such as -12.50. Its column has a fixed number of digits behind the point: fewer are
// filled up, more are an error, because numbers are not rounded unasked.
type Decimal string

// unscaled is the number without its point.
func (d Decimal) unscaled(t *arrow.Decimal128Type) (decimal128.Num, error) {
	whole, fraction, _ := strings.Cut(string(d), ".")
	given := strings.TrimLeft(whole, "+-") + fraction
	if given == "" || strings.Trim(given, "0123456789") != "" {
		return decimal128.Num{}, fmt.Errorf("decimal %q, expected a number such as -12.50", string(d))
	}
	if pad := int(t.Scale) - len(fraction); pad >= 0 {
		fraction += strings.Repeat("0", pad)
	} else if more := fraction[t.Scale:]; strings.Trim(more, "0") == "" {
		fraction = fraction[:t.Scale]
	} else {
		return decimal128.Num{}, fmt.Errorf("decimal %q, expected at most %d digits behind the point", string(d), t.Scale)
	}
	digits := strings.TrimLeft(whole, "+-") + fraction
	n, ok := new(big.Int).SetString(whole+fraction, 10)
	if !ok {
		return decimal128.Num{}, fmt.Errorf("decimal %q, expected a number such as -12.50", string(d))
	}
	if len(strings.TrimLeft(digits, "0")) > int(t.Precision) {
		return decimal128.Num{}, fmt.Errorf("decimal %q, expected at most %d digits before the point", string(d), t.Precision-t.Scale)
	}
	return decimal128.FromBigInt(n), nil
}
