package mask

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/float16"
)

// literal reads an argument as the bytes of a value in a fixed-width array.
type literal func(v any) ([]byte, bool)

// literalOf is how values of a fixed-width type are written, and that in words; nil for types whose values are not.
func literalOf(dt arrow.DataType) (literal, string) {
	width := 0
	if fixed, ok := dt.(arrow.FixedWidthDataType); ok {
		width = fixed.BitWidth() / 8
	}
	switch t := dt.(type) {
	case *arrow.FixedSizeBinaryType:
		return fixedBytes(t.ByteWidth), fmt.Sprintf("a text of %d bytes", t.ByteWidth)
	case arrow.DecimalType:
		return decimalLiteral(t, width), fmt.Sprintf("a number of at most %d digits, %d of them behind the point", t.GetPrecision(), t.GetScale())
	case *arrow.Date32Type, *arrow.Date64Type:
		return dateLiteral(width), "a date such as 2026-01-31"
	case *arrow.TimestampType:
		return timestampLiteral(t), "a time such as 2026-01-31T12:00:00" + zoneHint(t) + ", no finer than the column"
	case *arrow.Time32Type:
		return timeLiteral(t.Unit, width), "a time of day such as 12:30:00, no finer than the column"
	case *arrow.Time64Type:
		return timeLiteral(t.Unit, width), "a time of day such as 12:30:00, no finer than the column"
	case *arrow.DurationType:
		return durationLiteral(t.Unit), "a duration such as 1h30m, no finer than the column"
	}
	switch id := dt.ID(); {
	case arrow.IsSignedInteger(id):
		return wholeLiteral(width, true), fmt.Sprintf("a whole number of %d bits", 8*width)
	case arrow.IsUnsignedInteger(id):
		return wholeLiteral(width, false), fmt.Sprintf("a whole number of %d bits, not negative", 8*width)
	case arrow.IsFloating(id):
		return floatLiteral(width), fmt.Sprintf("a number of a float of %d bits", 8*width)
	}
	return nil, ""
}

func zoneHint(t *arrow.TimestampType) string {
	if t.TimeZone != "" {
		return "Z"
	}
	return ""
}

// littleEndian is the two's complement of a number that fits.
func littleEndian(n *big.Int, width int) []byte {
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*width)))
	}
	out := n.FillBytes(make([]byte, width))
	slices.Reverse(out)
	return out
}

func wholeLiteral(width int, signed bool) literal {
	return func(v any) ([]byte, bool) {
		n, err := exactNumber(v)
		if err != nil || !n.IsInt() {
			return nil, false
		}
		bits, magnitude := 8*width, n.Num()
		if signed {
			bits--
			if n.Sign() < 0 {
				magnitude = new(big.Int).Not(magnitude) // -128 has as many bits as 127
			}
		}
		if magnitude.Sign() < 0 || magnitude.BitLen() > bits {
			return nil, false
		}
		return littleEndian(n.Num(), width), true
	}
}

func floatLiteral(width int) literal {
	return func(v any) ([]byte, bool) {
		n, err := exactNumber(v)
		if err != nil {
			return nil, false
		}
		f, _ := n.Float64()
		switch width {
		case 2:
			half := float16.New(float32(f))
			return binary.LittleEndian.AppendUint16(nil, half.Uint16()), !half.IsInf()
		case 4:
			return binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(f))), !math.IsInf(float64(float32(f)), 0)
		}
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(f)), !math.IsInf(f, 0)
	}
}

func decimalLiteral(t arrow.DecimalType, width int) literal {
	return func(v any) ([]byte, bool) {
		n, err := exactNumber(v)
		if err != nil {
			return nil, false
		}
		unscaled, ok := unscale(n, t.GetScale())
		if !ok || len(new(big.Int).Abs(unscaled).String()) > int(t.GetPrecision()) {
			return nil, false
		}
		return littleEndian(unscaled, width), true
	}
}

// unscale is n·10^scale, if that is whole.
func unscale(n *big.Rat, scale int32) (*big.Int, bool) {
	power := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(scale, -scale))), nil))
	if scale < 0 {
		power.Inv(power)
	}
	n = new(big.Rat).Mul(n, power)
	return n.Num(), n.IsInt()
}

func fixedBytes(width int) literal {
	return func(v any) ([]byte, bool) {
		s, ok := v.(string)
		return []byte(s), ok && len(s) == width
	}
}

func dateLiteral(width int) literal {
	return func(v any) ([]byte, bool) {
		s, _ := v.(string)
		t, err := time.Parse(time.DateOnly, s)
		if err != nil {
			return nil, false
		}
		n := t.Unix() / secondsPerDay
		if width == 8 {
			n = t.UnixMilli()
		}
		return littleEndian(big.NewInt(n), width), true
	}
}

func timestampLiteral(t *arrow.TimestampType) literal {
	layout := time.RFC3339Nano
	if t.TimeZone == "" {
		layout = "2006-01-02T15:04:05"
	}
	return func(v any) ([]byte, bool) {
		s, _ := v.(string)
		at, err := time.Parse(layout, s)
		if err != nil {
			return nil, false
		}
		n := new(big.Int).Mul(big.NewInt(at.Unix()), big.NewInt(int64(time.Second)))
		return inUnit(n.Add(n, big.NewInt(int64(at.Nanosecond()))), t.Unit, 8)
	}
}

func timeLiteral(unit arrow.TimeUnit, width int) literal {
	return func(v any) ([]byte, bool) {
		s, _ := v.(string)
		at, err := time.Parse(time.TimeOnly, s)
		if err != nil {
			return nil, false
		}
		return inUnit(big.NewInt(int64(at.Sub(at.Truncate(24*time.Hour)))), unit, width)
	}
}

func durationLiteral(unit arrow.TimeUnit) literal {
	return func(v any) ([]byte, bool) {
		s, _ := v.(string)
		d, err := time.ParseDuration(s)
		if err != nil {
			return nil, false
		}
		return inUnit(big.NewInt(int64(d)), unit, 8)
	}
}

// inUnit brings nanoseconds to a unit, if nothing is lost.
func inUnit(nanos *big.Int, unit arrow.TimeUnit, width int) ([]byte, bool) {
	n, rest := new(big.Int).QuoRem(nanos, big.NewInt(int64(unit.Multiplier())), new(big.Int))
	if rest.Sign() != 0 || !n.IsInt64() {
		return nil, false
	}
	return littleEndian(n, width), true
}
