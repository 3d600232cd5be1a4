package encode

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
)

var (
	errRange   = &flaw{CodeRange, "the number is beyond what the column's type holds"}
	errInexact = &flaw{CodePrecision, "the column's type can't hold the number exactly"}
)

func asBool(dt arrow.DataType) (binder, bool) {
	var of func(arrow.Array) func(int) bool
	switch dt.(type) {
	case *arrow.BooleanType:
		of = func(a arrow.Array) func(int) bool { return a.(*array.Boolean).Value }
	case *extensions.Bool8Type:
		of = func(a arrow.Array) func(int) bool { return a.(*extensions.Bool8Array).Value }
	default:
		return nil, false
	}
	return func(a arrow.Array) Cells {
		value := of(a)
		return plain(a, func(to []byte, row int) ([]byte, error) {
			if value(row) {
				return append(to, 1), nil
			}
			return append(to, 0), nil
		})
	}, true
}

type integer interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

func widened[T integer](values []T) func(int) int64 {
	return func(row int) int64 { return int64(values[row]) }
}

// signed reads integers that an int64 holds.
func signed(a arrow.Array) func(int) int64 {
	switch a := a.(type) {
	case *array.Int8:
		return widened(a.Int8Values())
	case *array.Int16:
		return widened(a.Int16Values())
	case *array.Int32:
		return widened(a.Int32Values())
	case *array.Int64:
		return widened(a.Int64Values())
	case *array.Uint8:
		return widened(a.Uint8Values())
	case *array.Uint16:
		return widened(a.Uint16Values())
	case *array.Uint32:
		return widened(a.Uint32Values())
	}
	return nil
}

func isSigned(dt arrow.DataType) bool { return arrow.IsInteger(dt.ID()) && dt.ID() != arrow.UINT64 }

// integers reads integers of any kind, as long as an int64 holds them.
func integers(dt arrow.DataType) func(arrow.Array) func(int) (int64, error) {
	switch {
	case isSigned(dt):
		return func(a arrow.Array) func(int) (int64, error) {
			value := signed(a)
			return func(row int) (int64, error) { return value(row), nil }
		}
	case dt.ID() == arrow.UINT64:
		return func(a arrow.Array) func(int) (int64, error) {
			held := a.(*array.Uint64).Uint64Values()
			return func(row int) (int64, error) {
				if held[row] > math.MaxInt64 {
					return 0, errRange
				}
				return int64(held[row]), nil
			}
		}
	case arrow.IsDecimal(dt.ID()):
		return decimalIntegers(dt.(arrow.DecimalType))
	}
	return nil
}

// asInteger encodes for int2, int4, int8, oid, xid and cid.
func asInteger(dt arrow.DataType, name string) (binder, bool) {
	read := integers(dt)
	if read == nil {
		return nil, false
	}
	if dt.ID() == arrow.INT64 && name == "int8" {
		return func(a arrow.Array) Cells {
			held := a.(*array.Int64).Int64Values()
			return plain(a, func(to []byte, row int) ([]byte, error) {
				return binary.BigEndian.AppendUint64(to, uint64(held[row])), nil //nolint:gosec // the bits
			})
		}, true
	}
	low, high, put := integerForm(name)
	return func(a arrow.Array) Cells {
		value := read(a)
		return plain(a, func(to []byte, row int) ([]byte, error) {
			v, err := value(row)
			if err == nil && (v < low || v > high) {
				err = errRange
			}
			if err != nil {
				return to, err
			}
			return put(to, v), nil
		})
	}, true
}

func integerForm(name string) (low, high int64, put func([]byte, int64) []byte) {
	put4 := func(to []byte, v int64) []byte { return binary.BigEndian.AppendUint32(to, uint32(v)) } //nolint:gosec // the range is checked
	switch name {
	case "int2":
		return math.MinInt16, math.MaxInt16, func(to []byte, v int64) []byte {
			return binary.BigEndian.AppendUint16(to, uint16(v)) //nolint:gosec // the range is checked
		}
	case "int4":
		return math.MinInt32, math.MaxInt32, put4
	case "oid", "xid", "cid":
		return 0, math.MaxUint32, put4
	}
	return math.MinInt64, math.MaxInt64, func(to []byte, v int64) []byte {
		return binary.BigEndian.AppendUint64(to, uint64(v)) //nolint:gosec // the bits
	}
}

// floats reads floating-point numbers.
func floats(dt arrow.DataType) func(arrow.Array) func(int) float64 {
	switch dt.ID() {
	case arrow.FLOAT16:
		return func(a arrow.Array) func(int) float64 {
			held := a.(*array.Float16)
			return func(row int) float64 { return float64(held.Value(row).Float32()) }
		}
	case arrow.FLOAT32:
		return func(a arrow.Array) func(int) float64 {
			held := a.(*array.Float32).Float32Values()
			return func(row int) float64 { return float64(held[row]) }
		}
	case arrow.FLOAT64:
		return func(a arrow.Array) func(int) float64 {
			held := a.(*array.Float64).Float64Values()
			return func(row int) float64 { return held[row] }
		}
	}
	return nil
}

// asFloat encodes for float4 and float8 what they hold exactly.
func asFloat(dt arrow.DataType, name string) (binder, bool) {
	read := func(a arrow.Array) func(int) (float64, error) {
		value := floats(dt)(a)
		return func(row int) (float64, error) { return value(row), nil }
	}
	if floats(dt) == nil {
		if !isSigned(dt) {
			return nil, false
		}
		read = func(a arrow.Array) func(int) (float64, error) {
			value := signed(a)
			return func(row int) (float64, error) { return exactFloat(value(row)) }
		}
	}
	return func(a arrow.Array) Cells {
		value := read(a)
		return plain(a, func(to []byte, row int) ([]byte, error) {
			v, err := value(row)
			if err != nil {
				return to, err
			}
			if name == "float8" {
				return binary.BigEndian.AppendUint64(to, math.Float64bits(v)), nil
			}
			short := float32(v)
			if float64(short) != v && !math.IsNaN(v) {
				return to, errInexact
			}
			return binary.BigEndian.AppendUint32(to, math.Float32bits(short)), nil
		})
	}, true
}

func exactFloat(v int64) (float64, error) {
	const exact = 1 << 53
	if v > exact || v < -exact {
		return 0, errInexact
	}
	return float64(v), nil
}
