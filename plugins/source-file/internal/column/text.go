package column

import (
	"encoding/base64"
	"errors"
	"math"
	"strconv"
	"strings"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Appender appends the value that a text stands for. On an error nothing is appended.
type Appender func(text []byte) error

var (
	errInt     = errors.New("expected an integer")
	errRange   = errors.New("the number is out of the type's range")
	errFloat   = errors.New("expected a number")
	errInexact = errors.New("the integer has more digits than the type can hold")
	errZeros   = errors.New("leading zeros would be lost; declare the column as string to keep them or as a number to drop them")
	errPlus    = errors.New("a plus sign would be lost; declare the column as string to keep it or as a number to drop it")
	errBool    = errors.New("expected true or false")
	errBase64  = errors.New("expected base64")
	errType    = errors.New("the column's type can't be read from text")
)

// NewAppender reads text into a builder. A strict appender refuses text that would not come back as it was, such as 00501 for an
// integer: it is for columns whose type was inferred. Where the operator has declared the type, that is what they want.
func NewAppender(builder array.Builder, strict bool) Appender {
	switch b := builder.(type) {
	case *array.StringBuilder:
		return func(text []byte) error { b.BinaryBuilder.Append(text); return nil }
	case *array.Int64Builder:
		return intAppender(64, strict, func(v int64) { b.Append(v) })
	case *array.Int32Builder:
		return intAppender(32, strict, func(v int64) { b.Append(int32(v)) }) //nolint:gosec // the range is checked
	case *array.Float64Builder:
		return floatAppender(64, strict, func(v float64) { b.Append(v) })
	case *array.Float32Builder:
		return floatAppender(32, strict, func(v float64) { b.Append(float32(v)) })
	case *array.BooleanBuilder:
		return boolAppender(b, strict)
	}
	return otherAppender(builder)
}

func otherAppender(builder array.Builder) Appender {
	switch b := builder.(type) {
	case *array.Date32Builder:
		return spaceless(func(text []byte) error {
			v, err := parseDate(text)
			if err == nil {
				b.Append(arrow.Date32(v))
			}
			return err
		})
	case *array.TimestampBuilder:
		t, ok := b.Type().(*arrow.TimestampType)
		if !ok || t.Unit != arrow.Microsecond {
			break
		}
		utc := t.TimeZone != ""
		return spaceless(func(text []byte) error {
			v, err := parseTimestamp(text, utc)
			if err == nil {
				b.Append(arrow.Timestamp(v))
			}
			return err
		})
	case *array.Decimal128Builder:
		return decimalAppender(b)
	case *array.BinaryBuilder:
		return func(text []byte) error {
			v, err := base64.StdEncoding.AppendDecode(nil, text)
			if err != nil {
				return errBase64
			}
			b.Append(v)
			return nil
		}
	}
	return func([]byte) error { return errType }
}

func spaceless(parse func([]byte) error) Appender {
	return func(text []byte) error { return parse(trim(text)) }
}

func intAppender(bits int, strict bool, add func(int64)) Appender {
	limit := int64(1)<<(bits-1) - 1
	return func(text []byte) error {
		v, err := parseInt(text, strict)
		if err != nil {
			return err
		}
		if v > limit || v < -limit-1 {
			return errRange
		}
		add(v)
		return nil
	}
}

func parseInt(text []byte, strict bool) (int64, error) {
	text = trim(text)
	if strict && len(text) > 0 && text[0] == '+' {
		return 0, errPlus
	}
	unsigned := text
	negative := len(text) > 0 && text[0] == '-'
	if negative || (len(text) > 0 && text[0] == '+') {
		unsigned = text[1:]
	}
	if len(unsigned) == 0 {
		return 0, errInt
	}
	if strict && len(unsigned) > 1 && unsigned[0] == '0' {
		return 0, errZeros
	}
	if len(unsigned) > 18 {
		return parseLongInt(text)
	}
	var v int64
	for _, c := range unsigned {
		if c < '0' || c > '9' {
			return 0, errInt
		}
		v = v*10 + int64(c-'0')
	}
	if negative {
		return -v, nil
	}
	return v, nil
}

func parseLongInt(text []byte) (int64, error) {
	v, err := strconv.ParseInt(view(text), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errRange
	case err != nil:
		return 0, errInt
	}
	return v, nil
}

func floatAppender(bits int, strict bool, add func(float64)) Appender {
	return func(text []byte) error {
		text = trim(text)
		n := scanNumber(text)
		if !n.ok && !n.special {
			return errFloat
		}
		if strict && n.zeros {
			return errZeros
		}
		v, err := strconv.ParseFloat(view(text), bits)
		if err != nil {
			return errRange
		}
		if strict && n.integer && !exact(text, v, bits) {
			return errInexact
		}
		add(v)
		return nil
	}
}

// exact says whether the integer in text is what the float holds.
func exact(text []byte, v float64, bits int) bool {
	limit := float64(1 << 53)
	if bits == 32 {
		limit = 1 << 24
	}
	if math.Abs(v) < limit {
		return true
	}
	i, err := strconv.ParseInt(view(text), 10, 64)
	return err == nil && math.Abs(v) < math.MaxInt64 && int64(v) == i
}

func boolAppender(b *array.BooleanBuilder, strict bool) Appender {
	return func(text []byte) error {
		v, ok := parseBool(trim(text), strict)
		if !ok {
			return errBool
		}
		b.Append(v)
		return nil
	}
}

func parseBool(text []byte, strict bool) (value, ok bool) {
	switch view(text) {
	case "true", "True", "TRUE":
		return true, true
	case "false", "False", "FALSE":
		return false, true
	}
	if strict {
		return false, false
	}
	switch strings.ToLower(string(text)) {
	case "1", "t", "yes", "y":
		return true, true
	case "0", "f", "no", "n":
		return false, true
	}
	return false, false
}

// trim takes blanks off both ends.
func trim(text []byte) []byte {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\t') {
		text = text[1:]
	}
	for len(text) > 0 && (text[len(text)-1] == ' ' || text[len(text)-1] == '\t') {
		text = text[:len(text)-1]
	}
	return text
}

// view is the text as a string that must not outlive it.
func view(text []byte) string {
	return unsafe.String(unsafe.SliceData(text), len(text)) //nolint:gosec // strconv keeps no reference, except in errors that are dropped
}
