package mask

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// The canonical encoding of a value is a tag and what tells it from others of its kind, so that equal values have equal encodings
// whatever type holds them, and other values have others. Numbers are in canonical_number.go.
const (
	tagText      = 't' // the bytes
	tagBytes     = 'x' // the bytes
	tagBool      = 'b' // 0 or 1
	tagDate      = 'D' // days since 1970, 8 bytes
	tagInstant   = 'T' // seconds since 1970 UTC, 8 bytes, and nanoseconds, 4 bytes
	tagLocal     = 'L' // the same without a time zone
	tagTimeOfDay = 'o' // nanoseconds, 8 bytes
	tagDuration  = 'p' // seconds, 8 bytes, and nanoseconds, 4 bytes
	tagInterval  = 'v' // months, days, nanoseconds: 4, 4 and 8 bytes
	tagList      = '[' // elements: 0 for null, or 1, the length of its encoding in 4 bytes, and the encoding
	tagMap       = 'm' // keys and values in turn, as elements
	tagStruct    = '{' // names and values in turn, as elements
)

const secondsPerDay = 24 * 60 * 60

// encodings are those of a column, one after the other.
type encodings struct {
	bytes []byte
	ends  []int
}

func (e *encodings) at(i int) []byte {
	if i == 0 {
		return e.bytes[:e.ends[0]]
	}
	return e.bytes[e.ends[i-1]:e.ends[i]]
}

// encode appends the values of a column; those that are null are empty.
func (e *encodings) encode(in arrow.Array, n *nulls) {
	e.bytes, e.ends = e.bytes[:0], e.ends[:0]
	switch a := in.(type) {
	case *array.String, *array.LargeString, *array.StringView:
		e.texts(in, n)
	case *array.Int32:
		encodeInts(e, a.Values(), n)
	case *array.Int64:
		encodeInts(e, a.Values(), n)
	default:
		value := appender(in)
		for i := range in.Len() {
			if !n.at(i) {
				e.bytes = value(e.bytes, i)
			}
			e.ends = append(e.ends, len(e.bytes))
		}
	}
}

func (e *encodings) texts(in arrow.Array, n *nulls) {
	values := textsOf(in, n)
	for i := range in.Len() {
		if !n.at(i) {
			e.bytes = append(append(e.bytes, tagText), values.at(i)...)
		}
		e.ends = append(e.ends, len(e.bytes))
	}
}

func encodeInts[T int32 | int64](e *encodings, values []T, n *nulls) {
	for i, v := range values {
		if !n.at(i) {
			e.bytes = appendInt(e.bytes, int64(v))
		}
		e.ends = append(e.ends, len(e.bytes))
	}
}

// appendValue appends the encoding of the value in row i, which is not null.
type appendValue func(dst []byte, i int) []byte

// encodable says whether appender knows a type and all in it.
func encodable(dt arrow.DataType) bool {
	if dt.ID() > arrow.LARGE_LIST_VIEW && dt.ID() != arrow.DECIMAL32 && dt.ID() != arrow.DECIMAL64 {
		return false
	}
	if values, wrapped := valueType(dt); wrapped {
		return encodable(values)
	}
	nested, ok := dt.(arrow.NestedType)
	return !ok || !slices.ContainsFunc(nested.Fields(), func(f arrow.Field) bool { return !encodable(f.Type) })
}

// appender covers every type that is encodable.
func appender(in arrow.Array) appendValue {
	if number := numberAppender(in); number != nil {
		return number
	}
	if nested := nestedAppender(in); nested != nil {
		return nested
	}
	if of := timeAppender(in); of != nil {
		return of
	}
	switch a := in.(type) {
	case *array.Null:
		return func(dst []byte, _ int) []byte { return dst }
	case *array.String:
		return func(dst []byte, i int) []byte { return append(append(dst, tagText), a.Value(i)...) }
	case *array.LargeString:
		return func(dst []byte, i int) []byte { return append(append(dst, tagText), a.Value(i)...) }
	case *array.StringView:
		return func(dst []byte, i int) []byte { return append(append(dst, tagText), a.Value(i)...) }
	case *array.Boolean:
		return func(dst []byte, i int) []byte {
			if a.Value(i) {
				return append(dst, tagBool, 1)
			}
			return append(dst, tagBool, 0)
		}
	case interface{ Value(int) []byte }: // binary of every kind
		return func(dst []byte, i int) []byte { return append(append(dst, tagBytes), a.Value(i)...) }
	}
	panic(fmt.Sprintf("mask: no encoding for %s", in.DataType()))
}

func timeAppender(in arrow.Array) appendValue {
	switch a := in.(type) {
	case *array.Date32:
		return func(dst []byte, i int) []byte { return append64(append(dst, tagDate), int64(a.Value(i))) }
	case *array.Date64:
		return func(dst []byte, i int) []byte {
			return append64(append(dst, tagDate), floorDiv(int64(a.Value(i)), 1000*secondsPerDay))
		}
	case *array.Timestamp:
		t := a.DataType().(*arrow.TimestampType)
		tag := byte(tagInstant)
		if t.TimeZone == "" {
			tag = tagLocal
		}
		return func(dst []byte, i int) []byte { return appendTime(append(dst, tag), int64(a.Value(i)), t.Unit) }
	case *array.Duration:
		unit := a.DataType().(*arrow.DurationType).Unit
		return func(dst []byte, i int) []byte { return appendTime(append(dst, tagDuration), int64(a.Value(i)), unit) }
	case *array.Time32:
		unit := int64(a.DataType().(*arrow.Time32Type).Unit.Multiplier())
		return func(dst []byte, i int) []byte { return append64(append(dst, tagTimeOfDay), int64(a.Value(i))*unit) }
	case *array.Time64:
		unit := int64(a.DataType().(*arrow.Time64Type).Unit.Multiplier())
		return func(dst []byte, i int) []byte { return append64(append(dst, tagTimeOfDay), int64(a.Value(i))*unit) }
	case *array.MonthInterval:
		return func(dst []byte, i int) []byte { return appendInterval(dst, int32(a.Value(i)), 0, 0) }
	case *array.DayTimeInterval:
		return func(dst []byte, i int) []byte {
			v := a.Value(i)
			return appendInterval(dst, 0, v.Days, int64(v.Milliseconds)*1e6)
		}
	case *array.MonthDayNanoInterval:
		return func(dst []byte, i int) []byte {
			v := a.Value(i)
			return appendInterval(dst, v.Months, v.Days, v.Nanoseconds)
		}
	}
	return nil
}

func appendTime(dst []byte, v int64, unit arrow.TimeUnit) []byte {
	perSecond := int64(1e9) / int64(unit.Multiplier())
	seconds := floorDiv(v, perSecond)
	dst = append64(dst, seconds)
	return append32(dst, (v-seconds*perSecond)*int64(unit.Multiplier()))
}

func appendInterval(dst []byte, months, days int32, nanos int64) []byte {
	dst = append32(append(dst, tagInterval), int64(months))
	return append64(append32(dst, int64(days)), nanos)
}

func append64(dst []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(v)) //nolint:gosec // the bits are meant
}

func append32(dst []byte, v int64) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(v)) //nolint:gosec // the lower bits are meant
}

// floorDiv rounds down, also below zero.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}
