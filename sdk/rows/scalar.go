package rows

import (
	"fmt"
	"reflect"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// scalarKind is the kind of Go's own types.
func scalarKind(t reflect.Type) (kind, bool) {
	switch t.Kind() {
	case reflect.Bool:
		return infallible[bool, *array.BooleanBuilder, *array.Boolean](
			arrow.FixedWidthTypes.Boolean, reflect.Value.Bool, reflect.Value.SetBool), true
	case reflect.Int8:
		return signed[int8, *array.Int8Builder](arrow.PrimitiveTypes.Int8), true
	case reflect.Int16:
		return signed[int16, *array.Int16Builder](arrow.PrimitiveTypes.Int16), true
	case reflect.Int32:
		return signed[int32, *array.Int32Builder](arrow.PrimitiveTypes.Int32), true
	case reflect.Int, reflect.Int64:
		return signed[int64, *array.Int64Builder](arrow.PrimitiveTypes.Int64), true
	case reflect.Uint8:
		return unsigned[uint8, *array.Uint8Builder](arrow.PrimitiveTypes.Uint8), true
	case reflect.Uint16:
		return unsigned[uint16, *array.Uint16Builder](arrow.PrimitiveTypes.Uint16), true
	case reflect.Uint32:
		return unsigned[uint32, *array.Uint32Builder](arrow.PrimitiveTypes.Uint32), true
	case reflect.Uint, reflect.Uint64:
		return unsigned[uint64, *array.Uint64Builder](arrow.PrimitiveTypes.Uint64), true
	case reflect.Float32:
		return float[float32, *array.Float32Builder](arrow.PrimitiveTypes.Float32), true
	case reflect.Float64:
		return float[float64, *array.Float64Builder](arrow.PrimitiveTypes.Float64), true
	case reflect.String:
		return textKind(), true
	}
	return kind{}, false
}

// signed reads integers of any width, as long as they fit.
func signed[V int8 | int16 | int32 | int64, B valueBuilder[V]](t arrow.DataType) kind {
	k := infallible[V, B, valueArray[V]](t, func(v reflect.Value) V { return V(v.Int()) }, nil)
	k.read = func(a arrow.Array) (reader, error) {
		value, ok := integers(a)
		if !ok {
			return nil, mismatch(a, t)
		}
		return func(row int, into reflect.Value) error {
			n := value(row)
			if n.negative != (n.signed < 0) || into.OverflowInt(n.signed) {
				return fmt.Errorf("number %s, expected %s", n, t)
			}
			into.SetInt(n.signed)
			return nil
		}, nil
	}
	return k
}

func unsigned[V uint8 | uint16 | uint32 | uint64, B valueBuilder[V]](t arrow.DataType) kind {
	k := infallible[V, B, valueArray[V]](t, func(v reflect.Value) V { return V(v.Uint()) }, nil)
	k.read = func(a arrow.Array) (reader, error) {
		value, ok := integers(a)
		if !ok {
			return nil, mismatch(a, t)
		}
		return func(row int, into reflect.Value) error {
			n := value(row)
			if n.negative || into.OverflowUint(n.unsigned) {
				return fmt.Errorf("number %s, expected %s", n, t)
			}
			into.SetUint(n.unsigned)
			return nil
		}, nil
	}
	return k
}

// integer is a number of 64 bits with or without a sign.
type integer struct {
	signed   int64
	unsigned uint64
	negative bool
}

func (n integer) String() string {
	if n.negative {
		return fmt.Sprint(n.signed)
	}
	return fmt.Sprint(n.unsigned)
}

func integerOf[V int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64](v V) integer {
	return integer{signed: int64(v), unsigned: uint64(v), negative: v < 0}
}

// integers reads the array types that hold integers.
func integers(a arrow.Array) (func(row int) integer, bool) {
	switch a := a.(type) {
	case *array.Int8:
		return func(row int) integer { return integerOf(a.Value(row)) }, true
	case *array.Int16:
		return func(row int) integer { return integerOf(a.Value(row)) }, true
	case *array.Int32:
		return func(row int) integer { return integerOf(a.Value(row)) }, true
	case *array.Int64:
		return func(row int) integer { return integerOf(a.Value(row)) }, true
	case *array.Uint8:
		return func(row int) integer { return integerOf(a.Value(row)) }, true
	case *array.Uint16:
		return func(row int) integer { return integerOf(a.Value(row)) }, true
	case *array.Uint32:
		return func(row int) integer { return integerOf(a.Value(row)) }, true
	case *array.Uint64:
		return func(row int) integer { return integerOf(a.Value(row)) }, true
	}
	return nil, false
}

// float reads its own width, and float64 also reads float32.
func float[V float32 | float64, B valueBuilder[V]](t arrow.DataType) kind {
	k := infallible[V, B, valueArray[V]](t, func(v reflect.Value) V { return V(v.Float()) }, nil)
	k.read = func(a arrow.Array) (reader, error) {
		switch a := a.(type) {
		case *array.Float32:
			return func(row int, into reflect.Value) error {
				into.SetFloat(float64(a.Value(row)))
				return nil
			}, nil
		case *array.Float64:
			if t.ID() == arrow.FLOAT64 {
				return func(row int, into reflect.Value) error {
					into.SetFloat(a.Value(row))
					return nil
				}, nil
			}
		}
		return nil, mismatch(a, t)
	}
	return k
}

// bytesKind is the kind of []byte.
func bytesKind() kind {
	k := infallible[[]byte, *array.BinaryBuilder, *array.Binary](
		arrow.BinaryTypes.Binary, reflect.Value.Bytes,
		func(v reflect.Value, b []byte) { v.SetBytes(append([]byte{}, b...)) }, // empty is not nil, which is null
	)
	k.nullable = true
	inner := k.bind
	k.bind = func(b array.Builder) appender {
		appendBytes := inner(b)
		return func(v reflect.Value) error {
			if v.IsNil() {
				b.AppendNull()
				return nil
			}
			return appendBytes(v)
		}
	}
	return k
}

// byteArrayKind is the kind of [N]byte.
func byteArrayKind(t reflect.Type) kind {
	holder := make([]byte, t.Len())
	return infallible[[]byte, *array.FixedSizeBinaryBuilder, *array.FixedSizeBinary](
		&arrow.FixedSizeBinaryType{ByteWidth: t.Len()},
		func(v reflect.Value) []byte {
			reflect.Copy(reflect.ValueOf(holder), v)
			return holder // the builder copies it
		},
		func(v reflect.Value, b []byte) { reflect.Copy(v, reflect.ValueOf(b)) },
	)
}
