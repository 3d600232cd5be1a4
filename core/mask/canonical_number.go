package mask

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// Numbers are encoded by their exact value: integers, floats and decimals that are equal agree.
const (
	tagInt     = 'i' // whole and in 64 bits: two's complement, 8 bytes
	tagBigInt  = 'n' // whole and larger: decimal digits
	tagFloat   = 'f' // not whole, and a float64: its bits, 8 bytes; also infinities and the one NaN
	tagDecimal = 'd' // any other: decimal digits without zeros at the end, "e-", and how many of them are behind the point
)

func appendInt(dst []byte, v int64) []byte { return append64(append(dst, tagInt), v) }

func appendUint(dst []byte, v uint64) []byte {
	if v > math.MaxInt64 {
		return strconv.AppendUint(append(dst, tagBigInt), v, 10)
	}
	return appendInt(dst, int64(v))
}

func appendFloat(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		v = math.NaN()
	case math.IsInf(v, 0) || v != math.Trunc(v):
	case v >= -1<<63 && v < 1<<63:
		return appendInt(dst, int64(v))
	default:
		whole, _ := big.NewFloat(v).Int(nil)
		return whole.Append(append(dst, tagBigInt), 10)
	}
	return binary.BigEndian.AppendUint64(append(dst, tagFloat), math.Float64bits(v))
}

// powersOf5 are all that 64 bits hold.
var powersOf5 = func() (p [28]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = 5 * p[i-1]
	}
	return p
}()

// appendDecimal encodes unscaled·10^-scale.
func appendDecimal(dst []byte, unscaled int64, scale int32) []byte {
	for scale > 0 && unscaled%10 == 0 {
		unscaled /= 10
		scale--
	}
	switch {
	case scale == 0:
		return appendInt(dst, unscaled)
	case scale < 0:
		return appendBigDecimal(dst, big.NewInt(unscaled), scale)
	case int(scale) < len(powersOf5) && unscaled%powersOf5[scale] == 0:
		// A fraction of a power of two: a float, if 53 bits hold its numerator.
		numerator := unscaled / powersOf5[scale]
		magnitude := uint64(max(numerator, -numerator)) //nolint:gosec // divided by 5 at least: never the lowest int64
		if bits.Len64(magnitude)-bits.TrailingZeros64(magnitude) <= 53 {
			return appendFloat(dst, math.Ldexp(float64(numerator), -int(scale)))
		}
	}
	dst = strconv.AppendInt(append(dst, tagDecimal), unscaled, 10)
	return strconv.AppendInt(append(dst, "e-"...), int64(scale), 10)
}

// appendBigDecimal is appendDecimal for any number. It may change unscaled.
func appendBigDecimal(dst []byte, unscaled *big.Int, scale int32) []byte {
	ten := big.NewInt(10)
	if scale < 0 {
		unscaled.Mul(unscaled, new(big.Int).Exp(ten, big.NewInt(-int64(scale)), nil))
		scale = 0
	}
	for quotient, rest := new(big.Int), new(big.Int); scale > 0; scale-- {
		if quotient.QuoRem(unscaled, ten, rest); rest.Sign() != 0 {
			break
		}
		unscaled.Set(quotient)
	}
	if unscaled.IsInt64() {
		return appendDecimal(dst, unscaled.Int64(), scale)
	}
	if scale == 0 {
		return unscaled.Append(append(dst, tagBigInt), 10)
	}
	exact := new(big.Rat).SetFrac(unscaled, new(big.Int).Exp(ten, big.NewInt(int64(scale)), nil))
	if f, same := exact.Float64(); same {
		return appendFloat(dst, f)
	}
	dst = unscaled.Append(append(dst, tagDecimal), 10)
	return strconv.AppendInt(append(dst, "e-"...), int64(scale), 10)
}

// numberAppender returns nil for what is no number.
func numberAppender(in arrow.Array) appendValue {
	switch a := in.(type) {
	case *array.Int8:
		return func(dst []byte, i int) []byte { return appendInt(dst, int64(a.Value(i))) }
	case *array.Int16:
		return func(dst []byte, i int) []byte { return appendInt(dst, int64(a.Value(i))) }
	case *array.Int32:
		return func(dst []byte, i int) []byte { return appendInt(dst, int64(a.Value(i))) }
	case *array.Int64:
		return func(dst []byte, i int) []byte { return appendInt(dst, a.Value(i)) }
	case *array.Uint8:
		return func(dst []byte, i int) []byte { return appendInt(dst, int64(a.Value(i))) }
	case *array.Uint16:
		return func(dst []byte, i int) []byte { return appendInt(dst, int64(a.Value(i))) }
	case *array.Uint32:
		return func(dst []byte, i int) []byte { return appendInt(dst, int64(a.Value(i))) }
	case *array.Uint64:
		return func(dst []byte, i int) []byte { return appendUint(dst, a.Value(i)) }
	case *array.Float16:
		return func(dst []byte, i int) []byte { return appendFloat(dst, float64(a.Value(i).Float32())) }
	case *array.Float32:
		return func(dst []byte, i int) []byte { return appendFloat(dst, float64(a.Value(i))) }
	case *array.Float64:
		return func(dst []byte, i int) []byte { return appendFloat(dst, a.Value(i)) }
	}
	return decimalAppender(in)
}

func decimalAppender(in arrow.Array) appendValue {
	t, ok := in.DataType().(arrow.DecimalType)
	if !ok {
		return nil
	}
	scale := t.GetScale()
	switch a := in.(type) {
	case *array.Decimal32:
		return func(dst []byte, i int) []byte { return appendDecimal(dst, int64(a.Value(i)), scale) }
	case *array.Decimal64:
		return func(dst []byte, i int) []byte { return appendDecimal(dst, int64(a.Value(i)), scale) }
	case *array.Decimal128:
		return func(dst []byte, i int) []byte {
			v := a.Value(i)
			if low, fits := narrow(v); fits {
				return appendDecimal(dst, low, scale)
			}
			return appendBigDecimal(dst, v.BigInt(), scale)
		}
	case *array.Decimal256:
		return func(dst []byte, i int) []byte { return appendBigDecimal(dst, a.Value(i).BigInt(), scale) }
	}
	return nil
}

// narrow is a decimal128's unscaled value, if 64 bits hold it.
func narrow(v decimal128.Num) (int64, bool) {
	low := int64(v.LowBits()) //nolint:gosec // the bits are meant
	return low, v.HighBits() == low>>63
}
