package main

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"github.com/qanat-data/qanat/specs/contract"
)

// ranged finds values outside of a range. Bounds are brought to the whole numbers that Arrow keeps, so that nothing is rounded.
func ranged(have arrow.DataType, d demand) (finder, error) {
	of := contract.BoundNumber
	for _, bound := range []*contract.Bound{d.Min, d.Max} {
		if bound != nil {
			of = bound.Of
		}
	}
	if isText(have) {
		return rangedText(d, of), nil
	}
	if arrow.IsFloating(have.ID()) && of == contract.BoundNumber {
		return rangedFloat(have, d)
	}
	unit, kind, ok := wholeUnit(have)
	if !ok || kind != of {
		return nil, fmt.Errorf("a range of bounds of kind %s can't hold for %s", of, have)
	}
	low, high := wholeBound(d.Min, unit, true), wholeBound(d.Max, unit, false)
	switch have.ID() {
	case arrow.INT8:
		return within(low, high, int8(math.MinInt8), math.MaxInt8), nil
	case arrow.INT16:
		return within(low, high, int16(math.MinInt16), math.MaxInt16), nil
	case arrow.INT32, arrow.DATE32, arrow.TIME32:
		return within(low, high, int32(math.MinInt32), math.MaxInt32), nil
	case arrow.UINT8:
		return within(low, high, uint8(0), math.MaxUint8), nil
	case arrow.UINT16:
		return within(low, high, uint16(0), math.MaxUint16), nil
	case arrow.UINT32:
		return within(low, high, uint32(0), math.MaxUint32), nil
	case arrow.UINT64:
		return within(low, high, uint64(0), math.MaxUint64), nil
	case arrow.DECIMAL128:
		return withinDecimal(low, high), nil
	case arrow.DECIMAL256:
		return withinBig(low, high), nil
	default:
		return within(low, high, int64(math.MinInt64), math.MaxInt64), nil
	}
}

var perSecond = map[arrow.TimeUnit]int64{arrow.Second: 1, arrow.Millisecond: 1e3, arrow.Microsecond: 1e6, arrow.Nanosecond: 1e9}

// wholeUnit says how many of the type's whole numbers make up one: a number, a second, and what kind of bound they compare with.
func wholeUnit(have arrow.DataType) (*big.Rat, contract.BoundKind, bool) {
	switch have := have.(type) {
	case *arrow.TimestampType:
		return big.NewRat(perSecond[have.Unit], 1), contract.BoundTime, true
	case *arrow.Time32Type:
		return big.NewRat(perSecond[have.Unit], 1), contract.BoundOfDay, true
	case *arrow.Time64Type:
		return big.NewRat(perSecond[have.Unit], 1), contract.BoundOfDay, true
	case *arrow.Date32Type:
		return big.NewRat(1, int64(24*time.Hour/time.Second)), contract.BoundTime, true
	case *arrow.Date64Type:
		return big.NewRat(1e3, 1), contract.BoundTime, true
	case arrow.DecimalType:
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(have.GetScale())), nil)
		return new(big.Rat).SetInt(scale), contract.BoundNumber, have.GetScale() >= 0 && have.BitWidth() >= 128
	}
	return big.NewRat(1, 1), contract.BoundNumber, arrow.IsInteger(have.ID())
}

// exact is a bound in numbers or seconds.
func exact(b *contract.Bound) *big.Rat {
	const nanos = int64(time.Second)
	switch b.Of {
	case contract.BoundTime:
		seconds := new(big.Rat).SetInt64(b.Time.Unix())
		return seconds.Add(seconds, big.NewRat(int64(b.Time.Nanosecond()), nanos))
	case contract.BoundOfDay:
		return big.NewRat(int64(b.SinceMidnight), nanos)
	}
	return b.Number.Rat()
}

// wholeBound is the least (or the greatest) whole number that a bound allows; nil for an open side.
func wholeBound(b *contract.Bound, unit *big.Rat, least bool) *big.Int {
	if b == nil {
		return nil
	}
	at := new(big.Rat).Mul(exact(b), unit)
	floor := new(big.Int).Div(at.Num(), at.Denom())
	one := big.NewInt(1)
	switch {
	case least && (b.Exclusive || !at.IsInt()):
		return floor.Add(floor, one)
	case !least && b.Exclusive && at.IsInt():
		return floor.Sub(floor, one)
	}
	return floor
}

type whole interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64
}

func within[T whole](low, high *big.Int, least, most T) finder {
	from, above := clamp(low, least, least, most)
	to, below := clamp(high, most, least, most)
	if above > 0 || below < 0 {
		return valid
	}
	return func(values arrow.Array, fail func(int)) {
		for i, value := range arrow.GetValues[T](values.Data(), 1) {
			if (value < from || value > to) && values.IsValid(i) {
				fail(i)
			}
		}
	}
}

// clamp brings a bound into a type; side is -1 or 1 where it lies below or above all of its values.
func clamp[T whole](bound *big.Int, open, least, most T) (at T, side int) {
	if bound == nil {
		return open, 0
	}
	if bound.Cmp(big.NewInt(0).SetUint64(uint64(most))) > 0 {
		return most, 1
	}
	if least == 0 && bound.Sign() < 0 || least != 0 && bound.Cmp(big.NewInt(int64(least))) < 0 {
		return least, -1
	}
	if least == 0 {
		return T(bound.Uint64()), 0
	}
	return T(bound.Int64()), 0
}

// valid finds all values but nulls.
func valid(values arrow.Array, fail func(int)) {
	for i := range values.Len() {
		if values.IsValid(i) {
			fail(i)
		}
	}
}

func withinDecimal(low, high *big.Int) finder {
	most := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 127), big.NewInt(1))
	least := new(big.Int).Neg(most)
	if low != nil && low.Cmp(most) > 0 || high != nil && high.Cmp(least) < 0 {
		return valid
	}
	narrow := func(bound, open *big.Int) decimal128.Num {
		if bound == nil || bound.Cmp(least) < 0 || bound.Cmp(most) > 0 {
			bound = open
		}
		return decimal128.FromBigInt(bound)
	}
	from, to := narrow(low, least), narrow(high, most)
	return func(values arrow.Array, fail func(int)) {
		for i, value := range arrow.GetValues[decimal128.Num](values.Data(), 1) {
			if (value.Less(from) || value.Greater(to)) && values.IsValid(i) {
				fail(i)
			}
		}
	}
}

func withinBig(low, high *big.Int) finder {
	return func(values arrow.Array, fail func(int)) {
		wide, ok := values.(*array.Decimal256)
		if !ok {
			return
		}
		for i := range wide.Len() {
			if wide.IsNull(i) {
				continue
			}
			value := wide.Value(i).BigInt()
			if low != nil && value.Cmp(low) < 0 || high != nil && value.Cmp(high) > 0 {
				fail(i)
			}
		}
	}
}

func rangedFloat(have arrow.DataType, d demand) (finder, error) {
	low, high := floatBounds(d)
	switch have.ID() {
	case arrow.FLOAT32:
		return floatsWithin[float32](low, high), nil
	case arrow.FLOAT64:
		return floatsWithin[float64](low, high), nil
	}
	return nil, fmt.Errorf("the check doesn't know %s", have)
}

// floatBounds are inclusive; NaN is within no range.
func floatBounds(d demand) (low, high float64) {
	low, high = math.Inf(-1), math.Inf(1)
	if d.Min != nil {
		if low = d.Min.Number.Float(); d.Min.Exclusive {
			low = math.Nextafter(low, math.Inf(1))
		}
	}
	if d.Max != nil {
		if high = d.Max.Number.Float(); d.Max.Exclusive {
			high = math.Nextafter(high, math.Inf(-1))
		}
	}
	return low, high
}

func floatsWithin[T float32 | float64](low, high float64) finder {
	return func(values arrow.Array, fail func(int)) {
		for i, value := range arrow.GetValues[T](values.Data(), 1) {
			if n := float64(value); !(n >= low && n <= high) && values.IsValid(i) {
				fail(i)
			}
		}
	}
}

// rangedText reads numbers, dates and times out of text. What can't be read is left to the rule on the type.
func rangedText(d demand, of contract.BoundKind) finder {
	if of == contract.BoundNumber {
		low, high := floatBounds(d)
		return texts(func(s string) bool {
			n, err := strconv.ParseFloat(s, 64)
			return err != nil || n >= low && n <= high
		})
	}
	unit := big.NewRat(int64(time.Second), 1)
	low, high := wholeBound(d.Min, unit, true), wholeBound(d.Max, unit, false)
	return texts(func(s string) bool {
		at, ok := readTime(s, d, of)
		return !ok || (low == nil || at.Cmp(low) >= 0) && (high == nil || at.Cmp(high) <= 0)
	})
}

// readTime gives nanoseconds, since 1970 or since midnight.
func readTime(text string, d demand, of contract.BoundKind) (*big.Int, bool) {
	layouts := dateLayouts
	if of == contract.BoundOfDay {
		layouts = timeLayouts
	}
	at, ok := parseTime(text, d, layouts)
	if !ok {
		return nil, false
	}
	if of == contract.BoundOfDay {
		midnight := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, at.Location())
		return big.NewInt(int64(at.Sub(midnight))), true
	}
	nanos := new(big.Int).Mul(big.NewInt(at.Unix()), big.NewInt(int64(time.Second)))
	return nanos.Add(nanos, big.NewInt(int64(at.Nanosecond()))), true
}

func rangeText(low, high *contract.Bound) string {
	side := func(b *contract.Bound, inclusive, exclusive string) string {
		if b.Exclusive {
			return exclusive + " " + boundText(b)
		}
		return inclusive + " " + boundText(b)
	}
	switch {
	case low == nil && high == nil:
		return "any value"
	case high == nil:
		return side(low, "at least", "more than")
	case low == nil:
		return side(high, "at most", "less than")
	}
	return side(low, "at least", "more than") + " and " + side(high, "at most", "less than")
}

func boundText(b *contract.Bound) string {
	switch b.Of {
	case contract.BoundTime:
		return b.Time.Format(time.RFC3339Nano)
	case contract.BoundOfDay:
		return time.Time{}.Add(b.SinceMidnight).Format("15:04:05.999999999")
	}
	return string(b.Number)
}
