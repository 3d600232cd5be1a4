package value

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// What timestamps may be, in microseconds since 1970. PostgreSQL's begin at 4714-11-24 BC and end before 294277-01-01. An int64 ends
// in 294247, and its last value is an infinity to some readers.
const (
	epochMicros    = epochDays * dayMicros
	firstTimestamp = firstDate * dayMicros
	lastTimestamp  = math.MaxInt64 - 1
	endTimestamp   = 9_223_371_331_200_000_000 // since 2000
)

var (
	errTimestamp = malformed("a timestamp such as 2024-02-29 13:45:00.5")
	errTime      = malformed("a time such as 13:45:00.5")
	errFarFuture = &flaw{CodeRange, "a timestamp after 294247-01-10 04:00:54.775806 can't be held"}
	errMidnight  = &flaw{CodeRange, "the time 24:00:00 can't be held"}
)

// timestampCodec reads both kinds: with a zone the instant is counted in UTC, without one the wall clock.
type timestampCodec struct {
	zone   bool
	unheld Unheld
}

func (c timestampCodec) binary(_ *work, b array.Builder, raw []byte) error {
	if len(raw) != 8 {
		return errTimestamp
	}
	v := int64(binary.BigEndian.Uint64(raw)) //nolint:gosec // the bits are an int64
	switch v {
	case math.MaxInt64:
		return c.decide(b, lastTimestamp, errInfinite)
	case math.MinInt64:
		return c.decide(b, firstTimestamp, errInfinite)
	}
	return c.add(b, v)
}

func (c timestampCodec) text(_ *work, b array.Builder, raw []byte) error {
	switch view(raw) {
	case "infinity":
		return c.decide(b, lastTimestamp, errInfinite)
	case "-infinity":
		return c.decide(b, firstTimestamp, errInfinite)
	}
	raw, bc := cutBC(raw)
	days, rest, ok := parseDate(raw, bc)
	if !ok || len(rest) == 0 || rest[0] != ' ' || days > endTimestamp/dayMicros+epochDays {
		return errTimestamp
	}
	micros, rest, ok := parseTime(rest[1:])
	if !ok {
		return errTimestamp
	}
	offset := int64(0)
	if c.zone {
		if offset, rest, ok = parseOffset(rest); !ok {
			return errTimestamp
		}
	}
	if len(rest) > 0 {
		return errTimestamp
	}
	return c.add(b, (days-epochDays)*dayMicros+micros-offset)
}

// add takes microseconds since 2000.
func (c timestampCodec) add(b array.Builder, v int64) error {
	switch {
	case v < firstTimestamp-epochMicros || v >= endTimestamp:
		return errTimestamp
	case v > lastTimestamp-epochMicros:
		return c.decide(b, lastTimestamp, errFarFuture)
	}
	b.(*array.TimestampBuilder).Append(arrow.Timestamp(v + epochMicros))
	return nil
}

func (c timestampCodec) decide(b array.Builder, limit arrow.Timestamp, why error) error {
	switch c.unheld {
	case UnheldNull:
		b.AppendNull()
	case UnheldClamp:
		b.(*array.TimestampBuilder).Append(limit)
	default:
		return why
	}
	return nil
}

type timeCodec struct{ unheld Unheld }

func (c timeCodec) binary(_ *work, b array.Builder, raw []byte) error {
	if len(raw) != 8 {
		return errTime
	}
	return c.add(b, int64(binary.BigEndian.Uint64(raw))) //nolint:gosec // the bits are an int64
}

func (c timeCodec) text(_ *work, b array.Builder, raw []byte) error {
	micros, rest, ok := parseTime(raw)
	if !ok || len(rest) > 0 {
		return errTime
	}
	return c.add(b, micros)
}

func (c timeCodec) add(b array.Builder, micros int64) error {
	switch {
	case micros < 0 || micros > dayMicros:
		return errTime
	case micros < dayMicros || c.unheld == UnheldClamp:
		b.(*array.Time64Builder).Append(arrow.Time64(min(micros, dayMicros-1)))
	case c.unheld == UnheldNull:
		b.AppendNull()
	default:
		return errMidnight
	}
	return nil
}

// parseTime reads HH:MM:SS[.ffffff] at the beginning of raw.
func parseTime(raw []byte) (micros int64, rest []byte, ok bool) {
	if len(raw) < 8 || raw[2] != ':' || raw[5] != ':' {
		return 0, nil, false
	}
	hours, ok1 := twoDigits(raw)
	minutes, ok2 := twoDigits(raw[3:])
	seconds, ok3 := twoDigits(raw[6:])
	if !ok1 || !ok2 || !ok3 || hours > 24 || minutes > 59 || seconds > 59 {
		return 0, nil, false
	}
	micros, rest = ((hours*60+minutes)*60+seconds)*1e6, raw[8:]
	if len(rest) == 0 || rest[0] != '.' {
		return micros, rest, true
	}
	rest = rest[1:]
	n, unit := 0, int64(1e5)
	for ; n < len(rest) && isDigit(rest[n]); n++ {
		micros += int64(rest[n]-'0') * unit
		unit /= 10
	}
	return micros, rest[n:], n >= 1 && n <= 6
}

// parseOffset reads ±HH[:MM[:SS]] as microseconds.
func parseOffset(raw []byte) (micros int64, rest []byte, ok bool) {
	if len(raw) < 3 || (raw[0] != '+' && raw[0] != '-') {
		return 0, nil, false
	}
	sign := int64(1e6)
	if raw[0] == '-' {
		sign = -sign
	}
	seconds, ok := twoDigits(raw[1:])
	rest, seconds = raw[3:], seconds*3600
	for unit := int64(60); ok && unit > 0 && len(rest) > 0 && rest[0] == ':'; unit /= 60 {
		var v int64
		if v, ok = twoDigits(rest[1:]); ok {
			seconds, rest = seconds+v*unit, rest[3:]
		}
	}
	return seconds * sign, rest, ok
}
