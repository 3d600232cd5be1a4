package mask

import (
	"context"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// intRange is a range of magnitudes, of which each is tokenised to one of the same range: as a string of so many digits, encrypted until
// it is in the range again. Sign and range are the format of an integer. Its number of digits is not: tokens of small numbers would have
// too few alternatives.
type intRange struct {
	low, high uint64
	digits    int
	tweak     byte
}

const (
	small = 1e18       // from here, numbers have 19 digits
	large = 1<<63 - 1  // the highest int64
	huge  = ^uint64(0) // the highest uint64
)

func rangeOf(magnitude uint64, negative bool) intRange {
	switch {
	case negative && magnitude < small:
		return intRange{1, small - 1, 18, tweakNegative} // there is no -0
	case negative:
		return intRange{small, large + 1, 19, tweakNegative}
	case magnitude < small:
		return intRange{0, small - 1, 18, tweakPositive}
	case magnitude <= large:
		return intRange{small, large, 19, tweakPositive}
	}
	return intRange{large + 1, huge, 20, tweakPositive}
}

var powersOf10 = [...]uint64{9: 1e9, 10: 1e10}

// magnitude is the token of one.
func (s *tokenState) magnitude(v uint64, negative bool) uint64 {
	r := rangeOf(v, negative)
	l := s.cipher(10, r.tweak).length(r.digits)
	power := powersOf10[l.v]
	a, b := v/power, v%power
	for {
		a, b = s.halves(l, a, b)
		over, token := bits.Mul64(a, power)
		token, carry := bits.Add64(token, b, 0)
		if over+carry == 0 && token >= r.low && token <= r.high {
			return token
		}
	}
}

func (m *tokenise) runInt(_ context.Context, c *call, in arrow.Array) (arrow.Array, error) {
	return tokenInts(m, c, int64s(in), nullsOf(in), arrow.PrimitiveTypes.Int64), nil
}

func (m *tokenise) runUint(_ context.Context, c *call, in arrow.Array) (arrow.Array, error) {
	return tokenInts(m, c, in.(*array.Uint64).Values(), nullsOf(in), arrow.PrimitiveTypes.Uint64), nil
}

func tokenInts[T int64 | uint64](m *tokenise, c *call, values []T, n nulls, dt arrow.DataType) arrow.Array {
	s := m.pool.Get().(*tokenState)
	defer m.pool.Put(s)
	clear(s.rows)
	out := newCells[T](c.alloc, len(values))
	for i, v := range values {
		if n.at(i) {
			out.values[i] = 0
			continue
		}
		slot := &s.rows[intSlot(uint64(v))]
		if row := int(*slot) - 1; row >= 0 && values[row] == v {
			out.values[i] = out.values[row]
			continue
		}
		*slot = int32(i) + 1
		if v < 0 {
			out.values[i] = T(-s.magnitude(uint64(-v), true)) // two's complement: also for the lowest int64, which is its own negative
		} else {
			out.values[i] = T(s.magnitude(uint64(v), false))
		}
	}
	return out.finish(dt, n)
}

// intSlot spreads integers that follow each other (Fibonacci hashing).
func intSlot(v uint64) uint64 { return v * 0x9e3779b97f4a7c15 >> 32 % slots }
