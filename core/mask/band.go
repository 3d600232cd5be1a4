package mask

import (
	"context"
	"math"
	"math/big"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/decimal256"
)

// bands replaces a number by the lowest number of its band; a band starts at each multiple of the width. The results have the widest type
// of their kind, so that they don't depend on the width of the column: int64, uint64, float64, decimal128(38, …), decimal256(76, …). A
// start that this can't hold becomes its lowest number.
type bands struct{ width *big.Rat }

func (m *bands) bind(in arrow.DataType) (bound, *ArgError) {
	id := in.ID()
	switch t := in.(type) {
	case arrow.DecimalType:
		return m.bindDecimal(t)
	default:
		if arrow.IsFloating(id) {
			return m.bindFloat()
		}
		if arrow.IsInteger(id) {
			return m.bindInt(id)
		}
	}
	return bound{}, &ArgError{Arg: "band", Problem: "it is no number", Allowed: "numbers; to for dates and timestamps, prefix for IP addresses in text"}
}

func (m *bands) fault(allowed string) *ArgError {
	return &ArgError{Arg: "band", Problem: "is " + m.width.RatString(), Allowed: allowed}
}

func (m *bands) bindInt(id arrow.Type) (bound, *ArgError) {
	if !m.width.IsInt() || !m.width.Num().IsInt64() || m.width.Num().Int64() < 2 {
		return bound{}, m.fault("a whole number from 2 to 2^63-1")
	}
	width := m.width.Num().Int64()
	if id == arrow.UINT64 {
		out, width := arrow.PrimitiveTypes.Uint64, m.width.Num().Uint64()
		return bound{out: out, flat: true, run: func(_ context.Context, c *call, in arrow.Array) (arrow.Array, error) {
			return eachCell(c, in.(*array.Uint64).Values(), nullsOf(in), out, func(v uint64) uint64 { return v - v%width }), nil
		}}, nil
	}
	out := arrow.PrimitiveTypes.Int64
	return bound{out: out, flat: true, run: func(_ context.Context, c *call, in arrow.Array) (arrow.Array, error) {
		return eachCell(c, int64s(in), nullsOf(in), out, func(v int64) int64 { return lowestOfBand(v, width) }), nil
	}}, nil
}

func lowestOfBand(v, width int64) int64 {
	start := floorDiv(v, width) * width
	if start > v {
		return math.MinInt64
	}
	return start
}

// eachCell masks the values that are not null.
func eachCell[F, T arrow.FixedWidthType](c *call, values []F, n nulls, dt arrow.DataType, f func(F) T) arrow.Array {
	out := newCells[T](c.alloc, len(values))
	for i, v := range values {
		if n.at(i) {
			var none T
			out.values[i] = none
			continue
		}
		out.values[i] = f(v)
	}
	return out.finish(dt, n)
}

// bindFloat calculates with a fraction, so that bands of a tenth start at 0.3 and not at 0.30000000000000004.
func (m *bands) bindFloat() (bound, *ArgError) {
	num, exactNum := new(big.Float).SetInt(m.width.Num()).Float64()
	den, exactDen := new(big.Float).SetInt(m.width.Denom()).Float64()
	if exactNum != big.Exact || exactDen != big.Exact {
		return bound{}, m.fault("a number of at most 15 digits")
	}
	start := func(v float64) float64 {
		if low := math.Floor(v*den/num) * num / den; !math.IsNaN(low) && !math.IsInf(low, 0) {
			return low
		}
		return v // an infinity, no number, or so large that the bands are narrower than the distance of floats
	}
	out := arrow.PrimitiveTypes.Float64
	return bound{out: out, flat: true, run: func(_ context.Context, c *call, in arrow.Array) (arrow.Array, error) {
		values := make([]float64, in.Len())
		switch a := in.(type) {
		case *array.Float64:
			values = a.Values()
		case *array.Float32:
			for i, v := range a.Values() {
				values[i] = float64(v)
			}
		case *array.Float16:
			for i, v := range a.Values() {
				values[i] = float64(v.Float32())
			}
		}
		return eachCell(c, values, nullsOf(in), out, start), nil
	}}, nil
}

func (m *bands) bindDecimal(t arrow.DecimalType) (bound, *ArgError) {
	const digits128, digits256 = 38, 76
	digits := digits128
	if t.ID() == arrow.DECIMAL256 {
		digits = digits256
	}
	width, whole := unscale(m.width, t.GetScale())
	highest := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)-1), nil)
	if !whole || width.Cmp(big.NewInt(2)) < 0 || width.Cmp(highest) > 0 {
		return bound{}, m.fault("a multiple of the column's last digit, more than one and fewer than all the numbers")
	}
	b := decimalBands{width: width, lowest: highest.Mul(highest, big.NewInt(-10))}
	b.lowest.Add(b.lowest, big.NewInt(1))
	b.narrow = width.IsInt64()
	if t.ID() == arrow.DECIMAL256 {
		return bound{out: &arrow.Decimal256Type{Precision: digits256, Scale: t.GetScale()}, flat: true, run: b.run256}, nil
	}
	return bound{out: &arrow.Decimal128Type{Precision: digits128, Scale: t.GetScale()}, flat: true, run: b.run128}, nil
}

// decimalBands are bands of unscaled decimals.
type decimalBands struct {
	width, lowest *big.Int
	narrow        bool // width fits an int64
}

func (b *decimalBands) start(v *big.Int) *big.Int {
	q := new(big.Int).Div(v, b.width) // Euclid's: it rounds down
	if q.Mul(q, b.width).Cmp(b.lowest) < 0 {
		return b.lowest
	}
	return q
}

func (b *decimalBands) start128(v decimal128.Num) decimal128.Num {
	if low, fits := narrow(v); fits && b.narrow {
		if start := lowestOfBand(low, b.width.Int64()); start != math.MinInt64 {
			return decimal128.FromI64(start)
		}
	}
	return decimal128.FromBigInt(b.start(v.BigInt()))
}

func (b *decimalBands) run128(_ context.Context, c *call, in arrow.Array) (arrow.Array, error) {
	dt := &arrow.Decimal128Type{Precision: 38, Scale: in.DataType().(arrow.DecimalType).GetScale()}
	n := nullsOf(in)
	switch a := in.(type) {
	case *array.Decimal32:
		return eachCell(c, a.Values(), n, dt, func(v decimal.Decimal32) decimal128.Num { return b.start128(decimal128.FromI64(int64(v))) }), nil
	case *array.Decimal64:
		return eachCell(c, a.Values(), n, dt, func(v decimal.Decimal64) decimal128.Num { return b.start128(decimal128.FromI64(int64(v))) }), nil
	}
	return eachCell(c, in.(*array.Decimal128).Values(), n, dt, b.start128), nil
}

func (b *decimalBands) run256(_ context.Context, c *call, in arrow.Array) (arrow.Array, error) {
	dt := &arrow.Decimal256Type{Precision: 76, Scale: in.DataType().(arrow.DecimalType).GetScale()}
	return eachCell(c, in.(*array.Decimal256).Values(), nullsOf(in), dt, func(v decimal256.Num) decimal256.Num {
		return decimal256.FromBigInt(b.start(v.BigInt()))
	}), nil
}
