package main

import (
	"errors"
	"math"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

const (
	wallClock    = "2006-01-02T15:04:05"
	microsPerDay = 24 * 60 * 60 * 1_000_000
)

var (
	errDate   = errors.New("expected a day such as 2024-01-31")
	errWall   = errors.New("expected a time without offset such as 2024-01-31T12:00:00.5")
	errZoned  = errors.New("expected a time with offset such as 2024-01-31T12:00:00.5Z or 2024-01-31 12:00:00+01:00")
	errMicros = errors.New("finer than a microsecond")
)

// days reads date columns.
func days(in arrow.Array) reader[int64] {
	switch a := in.(type) {
	case *array.Date32:
		return func(row int) (int64, error) { return int64(a.Value(row)), nil }
	case *array.Date64:
		return func(row int) (int64, error) { return floorDiv(int64(a.Value(row)), microsPerDay/1000), nil }
	}
	return nil
}

// micros reads timestamp columns as microseconds since 1970.
func micros(in arrow.Array) reader[int64] {
	a, ok := in.(*array.Timestamp)
	if !ok {
		return nil
	}
	unit := a.DataType().(*arrow.TimestampType).Unit
	factor := map[arrow.TimeUnit]int64{arrow.Second: 1_000_000, arrow.Millisecond: 1000, arrow.Microsecond: 1}[unit]
	return func(row int) (int64, error) {
		v := int64(a.Value(row))
		switch {
		case unit == arrow.Nanosecond && v%1000 != 0:
			return 0, errMicros
		case unit == arrow.Nanosecond:
			return v / 1000, nil
		case v > math.MaxInt64/factor || v < math.MinInt64/factor:
			return 0, errRange
		}
		return v * factor, nil
	}
}

// dates reads days, the UTC days of timestamps, and text.
func dates(in arrow.Array) reader[arrow.Date32] {
	if read := days(in); read != nil {
		return dated(read)
	}
	if read := micros(in); read != nil {
		return dated(func(row int) (int64, error) {
			v, err := read(row)
			return floorDiv(v, microsPerDay), err
		})
	}
	a, ok := in.(array.StringLike)
	if !ok {
		return nil
	}
	return func(row int) (arrow.Date32, error) {
		t, err := time.Parse(time.DateOnly, strings.TrimSpace(a.Value(row)))
		if err != nil {
			return 0, errDate
		}
		return arrow.Date32FromTime(t), nil
	}
}

func dated(read reader[int64]) reader[arrow.Date32] {
	days := narrowed(read)
	return func(row int) (arrow.Date32, error) {
		v, err := days(row)
		return arrow.Date32(v), err
	}
}

// timestamps reads timestamps, midnights of dates, and text, which must have an offset just if the target has a zone. Between
// columns with and without zone, a wall clock is taken to show UTC.
func timestamps(in arrow.Array, zoned bool) reader[arrow.Timestamp] {
	read := micros(in)
	if day := days(in); day != nil {
		read = func(row int) (int64, error) {
			v, err := day(row)
			if v > math.MaxInt64/microsPerDay || v < math.MinInt64/microsPerDay {
				return 0, errRange
			}
			return v * microsPerDay, err
		}
	}
	if a, ok := in.(array.StringLike); ok {
		parse := parseWall
		if zoned {
			parse = parseZoned
		}
		read = func(row int) (int64, error) { return parse(strings.TrimSpace(a.Value(row))) }
	}
	if read == nil {
		return nil
	}
	return func(row int) (arrow.Timestamp, error) {
		v, err := read(row)
		return arrow.Timestamp(v), err
	}
}

func parseWall(text string) (int64, error) {
	t, err := time.Parse(wallClock, withT(text))
	if err != nil {
		return 0, errWall
	}
	return microsOf(t)
}

func parseZoned(text string) (int64, error) {
	text = withT(text)
	for _, offset := range []string{"Z07:00", "Z0700", "Z07"} {
		if t, err := time.Parse(wallClock+offset, text); err == nil {
			return microsOf(t)
		}
	}
	return 0, errZoned
}

// withT puts a T between day and time, where SQL has a space.
func withT(text string) string {
	const at = len(time.DateOnly)
	if len(text) > at && text[at] == ' ' {
		return text[:at] + "T" + text[at+1:]
	}
	return text
}

func microsOf(t time.Time) (int64, error) {
	if t.Nanosecond()%1000 != 0 {
		return 0, errMicros
	}
	return t.UnixMicro(), nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
