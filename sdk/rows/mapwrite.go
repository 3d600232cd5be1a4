package rows

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// supported says whether columns of a type can be written from values of a map.
func supported(t arrow.DataType) error {
	switch t := t.(type) {
	case *arrow.BooleanType, *arrow.StringType, *arrow.BinaryType, *arrow.FixedSizeBinaryType, *arrow.Date32Type,
		*arrow.TimestampType, *arrow.DurationType, *arrow.Decimal128Type, *arrow.Float32Type, *arrow.Float64Type,
		*arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type, *arrow.Int64Type,
		*arrow.Uint8Type, *arrow.Uint16Type, *arrow.Uint32Type, *arrow.Uint64Type:
		return nil
	case *arrow.MapType:
		if t.KeyType().ID() != arrow.STRING {
			return fmt.Errorf("type %s, expected texts as keys", t)
		}
		return supported(t.ItemType())
	case *arrow.StructType, *arrow.ListType:
		for _, field := range t.(arrow.NestedType).Fields() {
			if err := supported(field.Type); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("type %s can't be built from values of a map", t)
}

// appendMap appends a value to each column. A name that is no column is an error, because the value would be lost.
func appendMap(fields []arrow.Field, builders []array.Builder, row map[string]any) error {
	var fault error
	found := 0
	for i, field := range fields {
		v, ok := row[field.Name]
		if ok {
			found++
		}
		if err := appendAny(field, builders[i], v); err != nil && fault == nil {
			fault = fmt.Errorf("field %q: %w", field.Name, err)
		}
	}
	if fault == nil && found < len(row) {
		return unknownNames(fields, row)
	}
	return fault
}

func unknownNames(fields []arrow.Field, row map[string]any) error {
	known := make([]string, len(fields))
	for i, field := range fields {
		known[i] = field.Name
	}
	for _, name := range slices.Sorted(maps.Keys(row)) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("field %q: unknown, there are %q", name, known)
		}
	}
	return nil
}

// appendAny appends one value, an empty one if it fails.
func appendAny(field arrow.Field, b array.Builder, v any) error {
	if v == nil {
		if field.Nullable {
			b.AppendNull()
			return nil
		}
		b.AppendEmptyValue()
		return fmt.Errorf("null, expected %s", field.Type)
	}
	switch b := b.(type) {
	case *array.StructBuilder:
		return appendStruct(field.Type, b, v)
	case *array.MapBuilder: // before lists, because it is one
		return appendPairs(b, v)
	case *array.ListBuilder:
		return appendList(field.Type, b, v)
	}
	if err := appendScalar(field.Type, b, v); err != nil {
		b.AppendEmptyValue()
		return err
	}
	return nil
}

func unexpected(v any, t arrow.DataType) error {
	return fmt.Errorf("value %.80q of type %T, expected %s", fmt.Sprint(v), v, t)
}

func appendStruct(t arrow.DataType, b *array.StructBuilder, v any) error {
	row, ok := v.(map[string]any)
	if !ok {
		b.AppendEmptyValue()
		return unexpected(v, t)
	}
	b.Append(true)
	children := make([]array.Builder, b.NumField())
	for i := range children {
		children[i] = b.FieldBuilder(i)
	}
	return appendMap(t.(*arrow.StructType).Fields(), children, row)
}

func appendPairs(b *array.MapBuilder, v any) error {
	t := b.Type().(*arrow.MapType)
	pairs, ok := v.(map[string]any)
	if !ok {
		b.AppendEmptyValue()
		return unexpected(v, t)
	}
	b.Append(true)
	var fault error
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		if err := appendAny(t.KeyField(), b.KeyBuilder(), key); err != nil && fault == nil {
			fault = fmt.Errorf("key: %w", err)
		}
		if err := appendAny(t.ItemField(), b.ItemBuilder(), pairs[key]); err != nil && fault == nil {
			fault = fmt.Errorf("key %q: %w", key, err)
		}
	}
	return fault
}

// appendList takes slices of any type.
func appendList(t arrow.DataType, b *array.ListBuilder, v any) error {
	list := reflect.ValueOf(v)
	if list.Kind() != reflect.Slice || list.Type().Elem().Kind() == reflect.Uint8 {
		b.AppendEmptyValue()
		return unexpected(v, t)
	}
	b.Append(true)
	element := t.(*arrow.ListType).ElemField()
	var fault error
	for i := range list.Len() {
		if err := appendAny(element, b.ValueBuilder(), list.Index(i).Interface()); err != nil && fault == nil {
			fault = fmt.Errorf("element %d: %w", i, err)
		}
	}
	return fault
}

func appendScalar(t arrow.DataType, b array.Builder, v any) error {
	switch b := b.(type) {
	case *array.BooleanBuilder:
		return appendAs(b, v, t)
	case *array.StringBuilder:
		return appendText(b, v, t)
	case *array.BinaryBuilder:
		return appendBytes(b, v, t)
	case *array.FixedSizeBinaryBuilder:
		return appendFixedBytes(b, v, t)
	case *array.Float32Builder:
		f, err := floatOf(v, t)
		if err == nil {
			b.Append(float32(f))
		}
		return err
	case *array.Float64Builder:
		f, err := floatOf(v, t)
		if err == nil {
			b.Append(f)
		}
		return err
	}
	if ok, err := appendInteger(t, b, v); ok {
		return err
	}
	return appendMoment(t, b, v)
}

// appendAs takes values of the builder's own type.
func appendAs[V any](b valueBuilder[V], v any, t arrow.DataType) error {
	value, ok := v.(V)
	if !ok {
		return unexpected(v, t)
	}
	b.Append(value)
	return nil
}

func appendText(b *array.StringBuilder, v any, t arrow.DataType) error {
	value, ok := textOf(v)
	if !ok {
		return unexpected(v, t)
	}
	checked, err := text(value)
	if err == nil {
		b.Append(checked)
	}
	return err
}

func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.RawMessage:
		return string(v), true
	case json.Number:
		return v.String(), true
	case Decimal:
		return string(v), true
	}
	return "", false
}

func appendBytes(b *array.BinaryBuilder, v any, t arrow.DataType) error {
	switch v := v.(type) {
	case []byte:
		b.Append(v)
	case string:
		b.AppendString(v)
	default:
		return unexpected(v, t)
	}
	return nil
}

func appendFixedBytes(b *array.FixedSizeBinaryBuilder, v any, t arrow.DataType) error {
	value, ok := v.([]byte)
	if !ok || len(value) != t.(*arrow.FixedSizeBinaryType).ByteWidth {
		return unexpected(v, t)
	}
	b.Append(value)
	return nil
}

func floatOf(v any, t arrow.DataType) (float64, error) {
	switch n := reflect.ValueOf(v); {
	case n.CanFloat():
		return n.Float(), nil
	case n.CanInt():
		return float64(n.Int()), nil
	case n.CanUint():
		return float64(n.Uint()), nil
	}
	if number, ok := v.(json.Number); ok {
		if f, err := number.Float64(); err == nil {
			return f, nil
		}
	}
	return 0, unexpected(v, t)
}

// appendInteger is ok for the builders of integers.
func appendInteger(t arrow.DataType, b array.Builder, v any) (ok bool, err error) {
	switch b := b.(type) {
	case *array.Int8Builder:
		return true, appendNumber(b, v, t)
	case *array.Int16Builder:
		return true, appendNumber(b, v, t)
	case *array.Int32Builder:
		return true, appendNumber(b, v, t)
	case *array.Int64Builder:
		return true, appendNumber(b, v, t)
	case *array.Uint8Builder:
		return true, appendNumber(b, v, t)
	case *array.Uint16Builder:
		return true, appendNumber(b, v, t)
	case *array.Uint32Builder:
		return true, appendNumber(b, v, t)
	case *array.Uint64Builder:
		return true, appendNumber(b, v, t)
	}
	return false, nil
}

func appendNumber[V int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64](b valueBuilder[V], v any, t arrow.DataType) error {
	n, ok := integerIn(v)
	if value := V(n.unsigned); ok && integerOf(value) == n {
		b.Append(value)
		return nil
	}
	return unexpected(v, t)
}

// integerIn takes numbers of any Go type that are whole.
func integerIn(v any) (integer, bool) {
	if number, ok := v.(json.Number); ok {
		if u, err := strconv.ParseUint(number.String(), 10, 64); err == nil {
			return integerOf(u), true
		}
		i, err := number.Int64()
		return integerOf(i), err == nil
	}
	switch n := reflect.ValueOf(v); {
	case n.CanInt():
		return integerOf(n.Int()), n.Type() != typeDuration
	case n.CanUint():
		return integerOf(n.Uint()), true
	case n.CanFloat():
		f := n.Float()
		whole := f == math.Trunc(f) && f >= math.MinInt64 && f < math.MaxInt64
		return integerOf(int64(f)), whole
	}
	return integer{}, false
}

// appendMoment appends times and decimals.
func appendMoment(t arrow.DataType, b array.Builder, v any) error {
	switch b := b.(type) {
	case *array.TimestampBuilder:
		return appendTime(t.(*arrow.TimestampType), b, v)
	case *array.Date32Builder:
		return appendDate(b, v, t)
	case *array.DurationBuilder:
		d, ok := v.(time.Duration)
		if !ok {
			return unexpected(v, t)
		}
		b.Append(arrow.Duration(int64(d) / int64(t.(*arrow.DurationType).Unit.Multiplier())))
		return nil
	case *array.Decimal128Builder:
		return appendDecimal(t.(*arrow.Decimal128Type), b, v)
	}
	return errors.New("no way to append to " + t.String())
}

func appendTime(t *arrow.TimestampType, b *array.TimestampBuilder, v any) error {
	at, ok := v.(time.Time)
	if s, isText := v.(string); isText {
		parsed, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return fmt.Errorf("time %.60q, expected one such as 2006-01-02T15:04:05Z", s)
		}
		at, ok = parsed, true
	}
	if !ok {
		return unexpected(v, t)
	}
	value, err := arrow.TimestampFromTime(at, t.Unit)
	if err != nil {
		return fmt.Errorf("time %s, expected %s: %w", at, t, err)
	}
	b.Append(value)
	return nil
}

func appendDate(b *array.Date32Builder, v any, t arrow.DataType) error {
	var day Date
	switch v := v.(type) {
	case Date:
		day = v
	case time.Time:
		day = DateOf(v)
	case string:
		parsed, err := ParseDate(v)
		if err != nil {
			return err
		}
		day = parsed
	default:
		return unexpected(v, t)
	}
	value, err := day.arrow()
	if err == nil {
		b.Append(value)
	}
	return err
}

func appendDecimal(t *arrow.Decimal128Type, b *array.Decimal128Builder, v any) error {
	number, ok := textOf(v)
	if n, isInteger := integerIn(v); !ok && isInteger {
		number, ok = n.String(), true
	}
	if !ok {
		return unexpected(v, t)
	}
	value, err := Decimal(number).unscaled(t)
	if err == nil {
		b.Append(value)
	}
	return err
}
