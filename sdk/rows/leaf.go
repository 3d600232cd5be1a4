package rows

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

var (
	typeTime     = reflect.TypeFor[time.Time]()
	typeDuration = reflect.TypeFor[time.Duration]()
	typeDate     = reflect.TypeFor[Date]()
	typeDecimal  = reflect.TypeFor[Decimal]()
	typeNum      = reflect.TypeFor[decimal128.Num]()
	typeRawJSON  = reflect.TypeFor[json.RawMessage]()
	packageSQL   = reflect.TypeFor[sql.NullString]().PkgPath()
)

// isNull reports a type of database/sql that has a value and says whether it is valid.
func isNull(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.PkgPath() == packageSQL && strings.HasPrefix(t.Name(), "Null")
}

// special reports struct types that are one value.
func special(t reflect.Type) bool {
	return t == typeTime || t == typeDate || t == typeNum || isNull(t)
}

// kindOf finds how a Go type is kept.
func (p *parser) kindOf(t reflect.Type, tag tag) (kind, error) {
	switch {
	case t.Kind() == reflect.Pointer:
		return p.pointer(t, tag)
	case isNull(t):
		return p.null(t, tag)
	case t == typeDecimal || t == typeNum:
		return decimalKind(t, tag)
	}
	if k, ok, err := p.nested(t, tag); ok {
		return k, err
	}
	if err := tag.noOptions(); err != nil {
		return kind{}, err
	}
	switch t {
	case typeTime:
		return timeKind(), nil
	case typeDuration:
		return durationKind(), nil
	case typeDate:
		return dateKind(), nil
	case typeRawJSON:
		return rawJSONKind(), nil
	}
	if k, ok := scalarKind(t); ok {
		return k, nil
	}
	return kind{}, fmt.Errorf("type %s has no column type", t)
}

// valueBuilder and valueArray are what the builders and arrays of Arrow have in common.
type valueBuilder[V any] interface {
	array.Builder
	Append(v V)
}

type valueArray[V any] interface {
	arrow.Array
	Value(row int) V
}

// infallible is the kind of a type whose every value can be appended.
func infallible[V any, B valueBuilder[V], A valueArray[V]](
	t arrow.DataType, get func(reflect.Value) V, set func(reflect.Value, V),
) kind {
	return kind{
		typ: t,
		bind: func(b array.Builder) appender {
			builder := b.(B)
			return func(v reflect.Value) error {
				builder.Append(get(v))
				return nil
			}
		},
		read: func(a arrow.Array) (reader, error) {
			typed, ok := a.(A)
			if !ok || !arrow.TypeEqual(a.DataType(), t) {
				return nil, mismatch(a, t)
			}
			return func(row int, into reflect.Value) error {
				set(into, typed.Value(row))
				return nil
			}, nil
		},
	}
}

// fallible is the kind of a type with values that have no place in the column.
func fallible[V any, B valueBuilder[V], A valueArray[V]](
	t arrow.DataType, get func(reflect.Value) (V, error), set func(reflect.Value, V),
) kind {
	k := infallible[V, B, A](t, nil, set)
	k.bind = func(b array.Builder) appender {
		builder := b.(B)
		return func(v reflect.Value) error {
			value, err := get(v)
			if err != nil {
				builder.AppendEmptyValue()
				return err
			}
			builder.Append(value)
			return nil
		}
	}
	return k
}

func mismatch(a arrow.Array, want arrow.DataType) error {
	return fmt.Errorf("a column of type %s, expected %s", a.DataType(), want)
}

// as takes the value out without copying it to the heap, except for values of a map.
func as[T any](v reflect.Value) T {
	if v.CanAddr() {
		return *v.Addr().Interface().(*T)
	}
	return v.Interface().(T)
}

func timeKind() kind {
	k := fallible[arrow.Timestamp, *array.TimestampBuilder, *array.Timestamp](
		arrow.FixedWidthTypes.Timestamp_us,
		func(v reflect.Value) (arrow.Timestamp, error) { return timestamp(as[time.Time](v)) },
		nil,
	)
	k.read = readTime
	return k
}

// timestamp is the number of microseconds, which have room for 290,000 years.
func timestamp(t time.Time) (arrow.Timestamp, error) {
	const years, secondsPerYear = 290_000, 365 * 24 * 60 * 60
	if s := t.Unix(); s > years*secondsPerYear || s < -years*secondsPerYear {
		return 0, fmt.Errorf("time %s, expected one within %d years of 1970", t, years)
	}
	return arrow.Timestamp(t.UnixMicro()), nil
}

// readTime reads timestamps of any unit and zone as times in UTC.
func readTime(a arrow.Array) (reader, error) {
	typed, ok := a.(*array.Timestamp)
	if !ok {
		return nil, mismatch(a, arrow.FixedWidthTypes.Timestamp_us)
	}
	unit := typed.DataType().(*arrow.TimestampType).Unit
	return func(row int, into reflect.Value) error {
		into.Set(reflect.ValueOf(typed.Value(row).ToTime(unit)))
		return nil
	}, nil
}

func durationKind() kind {
	return infallible[arrow.Duration, *array.DurationBuilder, *array.Duration](
		arrow.FixedWidthTypes.Duration_us,
		func(v reflect.Value) arrow.Duration { return arrow.Duration(v.Int() / int64(time.Microsecond)) },
		func(v reflect.Value, d arrow.Duration) { v.SetInt(int64(d) * int64(time.Microsecond)) },
	)
}

func dateKind() kind {
	return fallible[arrow.Date32, *array.Date32Builder, *array.Date32](
		arrow.FixedWidthTypes.Date32,
		func(v reflect.Value) (arrow.Date32, error) { return as[Date](v).arrow() },
		func(v reflect.Value, d arrow.Date32) { v.Set(reflect.ValueOf(dateOf(d))) },
	)
}

func decimalKind(t reflect.Type, tag tag) (kind, error) {
	typ, err := tag.decimalType()
	if err != nil {
		return kind{}, err
	}
	get := func(v reflect.Value) (decimal128.Num, error) { return Decimal(v.String()).unscaled(typ) }
	set := func(v reflect.Value, n decimal128.Num) { v.SetString(n.ToString(typ.Scale)) }
	if t == typeNum {
		get = func(v reflect.Value) (decimal128.Num, error) {
			n := as[decimal128.Num](v)
			if !n.FitsInPrecision(typ.Precision) {
				return n, fmt.Errorf("decimal %s, expected at most %d digits", n.ToString(typ.Scale), typ.Precision)
			}
			return n, nil
		}
		set = func(v reflect.Value, n decimal128.Num) { v.Set(reflect.ValueOf(n)) }
	}
	return fallible[decimal128.Num, *array.Decimal128Builder, *array.Decimal128](typ, get, set), nil
}

func textKind() kind {
	k := fallible[string, *array.StringBuilder, *array.String](
		arrow.BinaryTypes.String, func(v reflect.Value) (string, error) { return text(v.String()) }, nil,
	)
	k.read = func(a arrow.Array) (reader, error) {
		value, ok := texts(a)
		if !ok {
			return nil, mismatch(a, arrow.BinaryTypes.String)
		}
		return func(row int, into reflect.Value) error {
			into.SetString(strings.Clone(value(row)))
			return nil
		}, nil
	}
	return k
}

func text(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("text %.60q, expected UTF-8; other bytes go into []byte", s)
	}
	return s, nil
}

// texts reads the array types that hold text. The strings are valid as long as the array.
func texts(a arrow.Array) (func(row int) string, bool) {
	switch a := a.(type) {
	case *array.String:
		return a.Value, true
	case *array.LargeString:
		return a.Value, true
	case *array.StringView:
		return a.Value, true
	case *array.Dictionary:
		values, ok := texts(a.Dictionary())
		return func(row int) string { return values(a.GetValueIndex(row)) }, ok
	}
	return nil, false
}

func rawJSONKind() kind {
	k := textKind()
	inner := k.bind
	k.nullable = true
	k.bind = func(b array.Builder) appender {
		appendText := inner(b)
		return func(v reflect.Value) error {
			if v.IsNil() {
				b.AppendNull()
				return nil
			}
			return appendText(reflect.ValueOf(string(v.Bytes())))
		}
	}
	read := k.read
	k.read = func(a arrow.Array) (reader, error) {
		readText, err := read(a)
		if err != nil {
			return nil, err
		}
		holder := reflect.New(reflect.TypeFor[string]()).Elem()
		return func(row int, into reflect.Value) error {
			err := readText(row, holder)
			into.SetBytes([]byte(holder.String()))
			return err
		}, nil
	}
	return k
}
