package main

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// encode appends a value that isn't null, such that two values of a column are equal exactly if their bytes are. Bytes of several
// columns in a row stay unambiguous: each value has a fixed width or says how long it is.
type encode func(buffer []byte, i int) []byte

// encoder encodes integers and floats of all widths alike, so that a column may grow wider within a unit.
func encoder(values arrow.Array) encode {
	switch values := values.(type) {
	case *array.Int8:
		return integers(values.Int8Values())
	case *array.Int16:
		return integers(values.Int16Values())
	case *array.Int32:
		return integers(values.Int32Values())
	case *array.Int64:
		return integers(values.Int64Values())
	case *array.Uint8:
		return integers(values.Uint8Values())
	case *array.Uint16:
		return integers(values.Uint16Values())
	case *array.Uint32:
		return integers(values.Uint32Values())
	case *array.Uint64:
		return integers(values.Uint64Values())
	case *array.Timestamp:
		return integers(values.TimestampValues())
	case *array.Date32:
		return integers(values.Date32Values())
	case *array.Date64:
		return integers(values.Date64Values())
	case *array.Time32:
		return integers(values.Time32Values())
	case *array.Time64:
		return integers(values.Time64Values())
	case *array.Float32, *array.Float64, *array.Float16:
		return floats(values)
	case *array.Decimal128:
		return decimals(values.Values())
	case array.ExtensionArray:
		return encoder(values.Storage())
	case *array.Dictionary:
		words := encoder(values.Dictionary())
		return func(buffer []byte, i int) []byte { return words(buffer, values.GetValueIndex(i)) }
	}
	return lengthy(values)
}

func integers[T ~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64](values []T) encode {
	return func(buffer []byte, i int) []byte {
		return binary.LittleEndian.AppendUint64(buffer, uint64(values[i]))
	}
}

// floats makes one of both zeros, and of all that isn't a number.
func floats(values arrow.Array) encode {
	return func(buffer []byte, i int) []byte {
		n, _ := floatAt(values, i)
		switch {
		case n == 0:
			n = 0
		case math.IsNaN(n):
			n = math.NaN()
		}
		return binary.LittleEndian.AppendUint64(buffer, math.Float64bits(n))
	}
}

func decimals(values []decimal128.Num) encode {
	return func(buffer []byte, i int) []byte {
		buffer = binary.LittleEndian.AppendUint64(buffer, values[i].LowBits())
		return binary.LittleEndian.AppendUint64(buffer, uint64(values[i].HighBits())) //nolint:gosec // the bits are what counts
	}
}

// lengthy encodes text and bytes, and the text of what is neither.
func lengthy(values arrow.Array) encode {
	if values, ok := values.(interface{ Value(i int) string }); ok {
		return func(buffer []byte, i int) []byte {
			text := values.Value(i)
			return append(binary.AppendUvarint(buffer, uint64(len(text))), text...)
		}
	}
	return func(buffer []byte, i int) []byte {
		raw, ok := bytesAt(values, i)
		if !ok {
			raw = []byte(values.ValueStr(i))
		}
		return append(binary.AppendUvarint(buffer, uint64(len(raw))), raw...)
	}
}
