package value

import (
	"encoding/binary"
	"math"
	"strconv"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/array"
)

var (
	errBool  = malformed("a bool")
	errInt   = malformed("an integer of the column's size")
	errFloat = malformed("a floating-point number")
)

type boolCodec struct{}

func (boolCodec) binary(_ *work, b array.Builder, raw []byte) error {
	if len(raw) != 1 || raw[0] > 1 {
		return errBool
	}
	b.(*array.BooleanBuilder).Append(raw[0] == 1)
	return nil
}

func (boolCodec) text(_ *work, b array.Builder, raw []byte) error {
	if len(raw) != 1 || (raw[0] != 't' && raw[0] != 'f') {
		return errBool
	}
	b.(*array.BooleanBuilder).Append(raw[0] == 't')
	return nil
}

// int2Codec widens: zones hold no int16.
type int2Codec struct{}

func (int2Codec) binary(_ *work, b array.Builder, raw []byte) error {
	if len(raw) != 2 {
		return errInt
	}
	b.(*array.Int32Builder).Append(int32(int16(binary.BigEndian.Uint16(raw)))) //nolint:gosec // the bits are an int16
	return nil
}

func (int2Codec) text(_ *work, b array.Builder, raw []byte) error {
	v, ok := parseInt(raw)
	if !ok || v < math.MinInt16 || v > math.MaxInt16 {
		return errInt
	}
	b.(*array.Int32Builder).Append(int32(v))
	return nil
}

type int4Codec struct{}

func (int4Codec) binary(_ *work, b array.Builder, raw []byte) error {
	if len(raw) != 4 {
		return errInt
	}
	b.(*array.Int32Builder).Append(int32(binary.BigEndian.Uint32(raw))) //nolint:gosec // the bits are an int32
	return nil
}

func (int4Codec) text(_ *work, b array.Builder, raw []byte) error {
	v, ok := parseInt(raw)
	if !ok || v < math.MinInt32 || v > math.MaxInt32 {
		return errInt
	}
	b.(*array.Int32Builder).Append(int32(v))
	return nil
}

type int8Codec struct{}

func (int8Codec) binary(_ *work, b array.Builder, raw []byte) error {
	if len(raw) != 8 {
		return errInt
	}
	b.(*array.Int64Builder).Append(int64(binary.BigEndian.Uint64(raw))) //nolint:gosec // the bits are an int64
	return nil
}

func (int8Codec) text(_ *work, b array.Builder, raw []byte) error {
	v, ok := parseInt(raw)
	if !ok {
		return errInt
	}
	b.(*array.Int64Builder).Append(v)
	return nil
}

// oidCodec reads unsigned integers of four bytes.
type oidCodec struct{}

func (oidCodec) binary(_ *work, b array.Builder, raw []byte) error {
	if len(raw) != 4 {
		return errInt
	}
	b.(*array.Int64Builder).Append(int64(binary.BigEndian.Uint32(raw)))
	return nil
}

func (oidCodec) text(_ *work, b array.Builder, raw []byte) error {
	v, ok := parseInt(raw)
	if !ok || v < 0 || v > math.MaxUint32 {
		return errInt
	}
	b.(*array.Int64Builder).Append(v)
	return nil
}

type float4Codec struct{}

func (float4Codec) binary(_ *work, b array.Builder, raw []byte) error {
	if len(raw) != 4 {
		return errFloat
	}
	b.(*array.Float32Builder).Append(math.Float32frombits(binary.BigEndian.Uint32(raw)))
	return nil
}

func (float4Codec) text(_ *work, b array.Builder, raw []byte) error {
	v, err := parseFloat(raw, 32)
	if err != nil {
		return err
	}
	b.(*array.Float32Builder).Append(float32(v))
	return nil
}

type float8Codec struct{}

func (float8Codec) binary(_ *work, b array.Builder, raw []byte) error {
	if len(raw) != 8 {
		return errFloat
	}
	b.(*array.Float64Builder).Append(math.Float64frombits(binary.BigEndian.Uint64(raw)))
	return nil
}

func (float8Codec) text(_ *work, b array.Builder, raw []byte) error {
	v, err := parseFloat(raw, 64)
	if err != nil {
		return err
	}
	b.(*array.Float64Builder).Append(v)
	return nil
}

func parseFloat(raw []byte, bits int) (float64, error) {
	if len(raw) > 0 && (isDigit(raw[0]) || raw[0] == '-') {
		for _, c := range raw[1:] {
			if c == 'x' || c == '_' { // Go reads more than PostgreSQL prints
				return 0, errFloat
			}
		}
	} else if s := view(raw); s != "NaN" && s != "Infinity" {
		return 0, errFloat
	}
	v, err := strconv.ParseFloat(view(raw), bits)
	if err != nil {
		return 0, errFloat
	}
	return v, nil
}

// parseInt reads what PostgreSQL prints: digits that may have a minus before them.
func parseInt(raw []byte) (int64, bool) {
	digits := raw
	negative := len(raw) > 0 && raw[0] == '-'
	if negative {
		digits = raw[1:]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	var v uint64
	for _, c := range digits {
		if !isDigit(c) {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	switch {
	case negative && v <= 1<<63:
		return -int64(v), true // -(1<<63) is its own negative
	case !negative && v < 1<<63:
		return int64(v), true
	}
	return 0, false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// view is the text as a string that must not outlive it.
func view(text []byte) string {
	return unsafe.String(unsafe.SliceData(text), len(text)) //nolint:gosec // strconv keeps no reference, except in errors that are dropped
}
