package rows

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// valueOf reads a row that is not null as a value of a map.
type valueOf func(row int) any

// mapReader reads rows as maps.
func mapReader(record arrow.RecordBatch) (reader, error) {
	read, err := structValues(record.Schema().Fields(), record.Columns())
	if err != nil {
		return nil, err
	}
	return func(row int, into reflect.Value) error {
		into.Set(reflect.ValueOf(read(row)))
		return nil
	}, nil
}

func structValues(fields []arrow.Field, columns []arrow.Array) (valueOf, error) {
	reads := make([]valueOf, len(fields))
	for i, field := range fields {
		read, err := values(columns[i])
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", field.Name, err)
		}
		reads[i] = read
	}
	return func(row int) any {
		out := make(map[string]any, len(fields))
		for i, field := range fields {
			out[field.Name] = reads[i](row)
		}
		return out
	}, nil
}

// values reads an array; nulls are nil.
func values(a arrow.Array) (valueOf, error) {
	read, err := validValues(a)
	if err != nil || a.NullN() == 0 {
		return read, err
	}
	return func(row int) any {
		if a.IsNull(row) {
			return nil
		}
		return read(row)
	}, nil
}

func validValues(a arrow.Array) (valueOf, error) {
	if value, ok := integers(a); ok {
		return integerValues(a, value), nil
	}
	if value, ok := texts(a); ok {
		return func(row int) any { return strings.Clone(value(row)) }, nil
	}
	switch a := a.(type) {
	case *array.Null:
		return func(int) any { return nil }, nil
	case *array.Boolean:
		return func(row int) any { return a.Value(row) }, nil
	case *array.Float32:
		return func(row int) any { return float64(a.Value(row)) }, nil
	case *array.Float64:
		return func(row int) any { return a.Value(row) }, nil
	case interface{ Value(row int) []byte }:
		return func(row int) any { return bytes.Clone(a.Value(row)) }, nil
	}
	if read, ok := momentValues(a); ok {
		return read, nil
	}
	return nestedValues(a)
}

func integerValues(a arrow.Array, value func(row int) integer) valueOf {
	if a.DataType().ID() == arrow.UINT64 {
		return func(row int) any { return value(row).unsigned }
	}
	return func(row int) any { return value(row).signed }
}

// momentValues reads times and decimals.
func momentValues(a arrow.Array) (valueOf, bool) {
	switch a := a.(type) {
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return func(row int) any { return a.Value(row).ToTime(unit) }, true
	case *array.Duration:
		unit := a.DataType().(*arrow.DurationType).Unit.Multiplier()
		return func(row int) any { return time.Duration(a.Value(row)) * unit }, true
	case *array.Date32:
		return func(row int) any { return dateOf(a.Value(row)) }, true
	case *array.Decimal128:
		scale := a.DataType().(*arrow.Decimal128Type).Scale
		return func(row int) any { return Decimal(a.Value(row).ToString(scale)) }, true
	}
	return nil, false
}

func nestedValues(a arrow.Array) (valueOf, error) {
	switch a := a.(type) {
	case *array.Struct:
		columns := make([]arrow.Array, a.NumField())
		for i := range columns {
			columns[i] = a.Field(i)
		}
		return structValues(a.DataType().(*arrow.StructType).Fields(), columns)
	case *array.Map:
		return pairValues(a)
	case array.ListLike:
		read, err := values(a.ListValues())
		return func(row int) any {
			from, to := a.ValueOffsets(row)
			out := make([]any, 0, to-from)
			for i := from; i < to; i++ {
				out = append(out, read(int(i)))
			}
			return out
		}, err
	}
	return nil, fmt.Errorf("a column of type %s can't be read into a map", a.DataType())
}

func pairValues(a *array.Map) (valueOf, error) {
	key, ok := texts(a.Keys())
	if !ok {
		return nil, fmt.Errorf("a column of type %s, expected texts as keys", a.DataType())
	}
	item, err := values(a.Items())
	return func(row int) any {
		from, to := a.ValueOffsets(row)
		out := make(map[string]any, to-from)
		for i := int(from); i < int(to); i++ {
			out[strings.Clone(key(i))] = item(i)
		}
		return out
	}, err
}
