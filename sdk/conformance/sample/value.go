package sample

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/float16"
)

// nullShare is how many of a nullable column's values are null, one in so many.
const nullShare = 6

// append adds a made-up value, or a null where the field may have one.
func (f field) append(b array.Builder, r *rand.Rand) error {
	if f.nullable && r.IntN(nullShare) == 0 {
		b.AppendNull()
		return nil
	}
	return appendValue(b, r)
}

type field struct{ nullable bool }

// appendValue adds a value of the builder's type. Ends of the range come often.
func appendValue(b array.Builder, r *rand.Rand) error {
	if appendNumber(b, r) || appendTime(b, r) || appendText(b, r) {
		return nil
	}
	switch b := b.(type) {
	case *array.NullBuilder:
		b.AppendNull()
		return nil
	case *array.Decimal32Builder, *array.Decimal64Builder, *array.Decimal128Builder, *array.Decimal256Builder:
		return b.AppendValueFromString(decimalText(b.Type().(arrow.DecimalType), r))
	case *extensions.UUIDBuilder:
		var id [16]byte
		fill(id[:], r)
		b.AppendBytes(id)
		return nil
	case *extensions.Bool8Builder:
		b.Append(r.IntN(2) == 0)
		return nil
	case *array.ExtensionBuilder:
		if b.Type().(arrow.ExtensionType).ExtensionName() == "arrow.json" {
			return b.StorageBuilder().AppendValueFromString(fmt.Sprintf(`{"n": %d}`, r.IntN(1000)))
		}
		return appendValue(b.StorageBuilder(), r)
	}
	return appendNested(b, r)
}

func appendNumber(b array.Builder, r *rand.Rand) bool {
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(r.IntN(2) == 0)
	case *array.Int8Builder:
		b.Append(whole[int8](r, math.MinInt8, math.MaxInt8))
	case *array.Int16Builder:
		b.Append(whole[int16](r, math.MinInt16, math.MaxInt16))
	case *array.Int32Builder:
		b.Append(whole[int32](r, math.MinInt32, math.MaxInt32))
	case *array.Int64Builder:
		b.Append(whole[int64](r, math.MinInt64, math.MaxInt64))
	case *array.Uint8Builder:
		b.Append(whole[uint8](r, 0, math.MaxUint8))
	case *array.Uint16Builder:
		b.Append(whole[uint16](r, 0, math.MaxUint16))
	case *array.Uint32Builder:
		b.Append(whole[uint32](r, 0, math.MaxUint32))
	case *array.Uint64Builder:
		b.Append(whole[uint64](r, 0, -1)) // -1 is the greatest
	case *array.Float16Builder:
		b.Append(float16.New(float32(r.IntN(2000)-1000) / 4))
	case *array.Float32Builder:
		b.Append(float32(fraction(r)))
	case *array.Float64Builder:
		b.Append(fraction(r))
	default:
		return false
	}
	return true
}

// whole is a small number mostly, sometimes an end of the range.
func whole[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64](r *rand.Rand, low, high int64) T {
	switch r.IntN(24) {
	case 0:
		return T(low)
	case 1:
		return T(high)
	}
	small := int64(r.IntN(2001)) - 1000
	if low == 0 {
		small += 1000
	}
	if high > 0 {
		small = max(low, min(high, small))
	}
	return T(small)
}

func fraction(r *rand.Rand) float64 {
	switch r.IntN(40) {
	case 0:
		return math.NaN()
	case 1:
		return math.Inf(1)
	case 2:
		return math.Copysign(0, -1)
	case 3:
		return math.MaxFloat32
	}
	return math.Round(r.NormFloat64()*1e6) / 1024
}

// The times lie between 1900 and 2100.
const (
	firstDay = -25567
	days     = 73049
	daySecs  = 86400
)

func appendTime(b array.Builder, r *rand.Rand) bool {
	day := int64(firstDay + r.IntN(days))
	switch b := b.(type) {
	case *array.Date32Builder:
		b.Append(arrow.Date32(day)) //nolint:gosec // a day of these centuries
	case *array.Date64Builder:
		b.Append(arrow.Date64(day * daySecs * 1000))
	case *array.Time32Builder:
		b.Append(arrow.Time32(r.Int64N(daySecs) * perSecond(b.Type().(*arrow.Time32Type).Unit))) //nolint:gosec // within a day
	case *array.Time64Builder:
		unit := perSecond(b.Type().(*arrow.Time64Type).Unit)
		b.Append(arrow.Time64(r.Int64N(daySecs * unit)))
	case *array.TimestampBuilder:
		unit := perSecond(b.Type().(*arrow.TimestampType).Unit)
		b.Append(arrow.Timestamp(day*daySecs*unit + r.Int64N(daySecs*unit)))
	case *array.DurationBuilder:
		b.Append(arrow.Duration(r.Int64N(1e12) - 5e11))
	case *array.MonthIntervalBuilder:
		b.Append(arrow.MonthInterval(r.IntN(240) - 120)) //nolint:gosec // small
	case *array.DayTimeIntervalBuilder:
		b.Append(arrow.DayTimeInterval{Days: r.Int32N(100), Milliseconds: r.Int32N(86400000)})
	case *array.MonthDayNanoIntervalBuilder:
		b.Append(arrow.MonthDayNanoInterval{Months: r.Int32N(24), Days: r.Int32N(31), Nanoseconds: r.Int64N(1e12)})
	default:
		return false
	}
	return true
}

func perSecond(unit arrow.TimeUnit) int64 { return int64(1e9) / int64(unit.Multiplier()) }

func appendText(b array.Builder, r *rand.Rand) bool {
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(words(r))
	case *array.LargeStringBuilder:
		b.Append(words(r))
	case *array.StringViewBuilder:
		b.Append(words(r))
	case *array.BinaryBuilder:
		b.Append(blob(r))
	case *array.BinaryViewBuilder:
		b.Append(blob(r))
	case *array.FixedSizeBinaryBuilder:
		raw := make([]byte, b.Type().(*arrow.FixedSizeBinaryType).ByteWidth)
		fill(raw, r)
		b.Append(raw)
	default:
		return false
	}
	return true
}

// words is text that others stumble over: none at all, quotes, line ends, delimiters, signs of several bytes, and more than the
// twelve bytes that views keep inline.
func words(r *rand.Rand) string {
	pieces := []string{"", "a", "Zoë", "it's", `say "hi"`, "two\nlines", "a,b;c\td", "null", "NaN", "0", " blank ", "日本語のテキスト", "🙂", `{"k": 1}`, "-17", "2024-02-29"}
	var text strings.Builder
	for range 1 + r.IntN(3) {
		text.WriteString(pieces[r.IntN(len(pieces))])
	}
	fmt.Fprintf(&text, "%x", r.Uint32()>>(8*r.IntN(4)))
	if r.IntN(20) == 0 {
		return ""
	}
	return text.String()
}

func blob(r *rand.Rand) []byte {
	raw := make([]byte, r.IntN(24))
	fill(raw, r)
	return raw
}

func fill(raw []byte, r *rand.Rand) {
	for i := range raw {
		raw[i] = byte(r.Uint32()) //nolint:gosec // the low bits are wanted
	}
}

// decimalText is a number of up to the digits that the type has.
func decimalText(t arrow.DecimalType, r *rand.Rand) string {
	digits := int(t.GetPrecision())
	if r.IntN(8) != 0 {
		digits = 1 + r.IntN(digits)
	}
	var text strings.Builder
	for range digits {
		text.WriteByte("0123456789"[r.IntN(10)])
	}
	whole := text.String()
	if scale := int(t.GetScale()); scale > 0 {
		whole = strings.Repeat("0", max(0, scale+1-len(whole))) + whole
		whole = whole[:len(whole)-scale] + "." + whole[len(whole)-scale:]
	}
	if r.IntN(3) == 0 {
		return "-" + whole
	}
	return whole
}
