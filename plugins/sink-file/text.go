package main

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// appender appends the text of a row.
type appender func(dst []byte, row int) []byte

// value is a column as text. The text is for rows that are not null.
type value struct {
	column arrow.Array
	kind   kind
	text   appender
	floats func(row int) float64 // only of numbers that may be infinite
}

// kind is what JSON makes of the text.
type kind int

const (
	bare    kind = iota // as it is
	number              // as it is, but NaN and infinities in quotes
	quoted              // in quotes, nothing to escape
	escaped             // in quotes, with escapes
)

func appenders(batch arrow.RecordBatch) ([]value, error) {
	values := make([]value, batch.NumCols())
	for i, column := range batch.Columns() {
		var err error
		if values[i], err = appenderOf(column); err != nil {
			return nil, fmt.Errorf("column %q: %w", batch.ColumnName(i), err)
		}
	}
	return values, nil
}

func appenderOf(a arrow.Array) (value, error) {
	for _, family := range []func(arrow.Array) (value, bool){wholes, fractions, texts, moments} {
		if v, ok := family(a); ok {
			v.column = a
			return v, nil
		}
	}
	if v, ok, err := nested(a); ok {
		return v, err
	}
	switch a := a.(type) {
	case *array.Dictionary:
		v, err := appenderOf(a.Dictionary())
		return through(a, v, a.GetValueIndex), err
	case array.ExtensionArray:
		v, err := appenderOf(a.Storage())
		return through(a, v, func(row int) int { return row }), err
	}
	return other(a), nil
}

// through is a column whose values lie in another array.
func through(a arrow.Array, v value, index func(row int) int) value {
	inner := v
	v.column = a
	v.text = func(dst []byte, row int) []byte { return inner.text(dst, index(row)) }
	if inner.floats != nil {
		v.floats = func(row int) float64 { return inner.floats(index(row)) }
	}
	return v
}

type signed interface {
	~int8 | ~int16 | ~int32 | ~int64
}
type unsigned interface {
	~uint8 | ~uint16 | ~uint32 | ~uint64
}

func ints[T signed](values []T) (value, bool) {
	return value{text: func(dst []byte, row int) []byte { return strconv.AppendInt(dst, int64(values[row]), 10) }}, true
}

func uints[T unsigned](values []T) (value, bool) {
	return value{text: func(dst []byte, row int) []byte { return strconv.AppendUint(dst, uint64(values[row]), 10) }}, true
}

func wholes(a arrow.Array) (value, bool) {
	switch a := a.(type) {
	case *array.Boolean:
		return value{text: func(dst []byte, row int) []byte { return strconv.AppendBool(dst, a.Value(row)) }}, true
	case *array.Int8:
		return ints(a.Int8Values())
	case *array.Int16:
		return ints(a.Int16Values())
	case *array.Int32:
		return ints(a.Int32Values())
	case *array.Int64:
		return ints(a.Int64Values())
	case *array.Uint8:
		return uints(a.Uint8Values())
	case *array.Uint16:
		return uints(a.Uint16Values())
	case *array.Uint32:
		return uints(a.Uint32Values())
	case *array.Uint64:
		return uints(a.Uint64Values())
	}
	return value{}, false
}

func fractions(a arrow.Array) (value, bool) {
	switch a := a.(type) {
	case *array.Float16:
		return floats(32, func(row int) float64 { return float64(a.Value(row).Float32()) }), true
	case *array.Float32:
		return floats(32, func(row int) float64 { return float64(a.Value(row)) }), true
	case *array.Float64:
		return floats(64, a.Value), true
	case *array.Decimal32:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		return value{text: func(dst []byte, row int) []byte { return append(dst, a.Value(row).ToString(scale)...) }}, true
	case *array.Decimal64:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		return value{text: func(dst []byte, row int) []byte { return append(dst, a.Value(row).ToString(scale)...) }}, true
	case *array.Decimal128:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		return value{text: func(dst []byte, row int) []byte { return append(dst, a.Value(row).ToString(scale)...) }}, true
	case *array.Decimal256:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		return value{text: func(dst []byte, row int) []byte { return append(dst, a.Value(row).ToString(scale)...) }}, true
	}
	return value{}, false
}

// floats are written with as many digits as are needed to read the same number back.
func floats(bits int, at func(row int) float64) value {
	return value{kind: number, floats: at, text: func(dst []byte, row int) []byte {
		f := at(row)
		switch {
		case math.IsNaN(f):
			return append(dst, "NaN"...)
		case math.IsInf(f, 1):
			return append(dst, "Infinity"...)
		case math.IsInf(f, -1):
			return append(dst, "-Infinity"...)
		}
		format := byte('f')
		if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
			format = 'e'
		}
		return strconv.AppendFloat(dst, f, format, -1, bits)
	}}
}

func texts(a arrow.Array) (value, bool) {
	switch a := a.(type) {
	case array.StringLike:
		return value{kind: escaped, text: func(dst []byte, row int) []byte { return append(dst, a.Value(row)...) }}, true
	case *array.FixedSizeBinary:
		return bytes64(a.Value), true
	case *array.Binary:
		return bytes64(a.Value), true
	case *array.LargeBinary:
		return bytes64(a.Value), true
	case *array.BinaryView:
		return bytes64(a.Value), true
	}
	return value{}, false
}

func bytes64(at func(row int) []byte) value {
	return value{kind: quoted, text: func(dst []byte, row int) []byte { return base64.StdEncoding.AppendEncode(dst, at(row)) }}
}

func moments(a arrow.Array) (value, bool) {
	switch a := a.(type) {
	case *array.Date32:
		return formatted(time.DateOnly, func(row int) time.Time { return a.Value(row).ToTime() }), true
	case *array.Date64:
		return formatted(time.DateOnly, func(row int) time.Time { return a.Value(row).ToTime() }), true
	case *array.Time32:
		unit := a.DataType().(*arrow.Time32Type).Unit
		return formatted(clock, func(row int) time.Time { return a.Value(row).ToTime(unit) }), true
	case *array.Time64:
		unit := a.DataType().(*arrow.Time64Type).Unit
		return formatted(clock, func(row int) time.Time { return a.Value(row).ToTime(unit) }), true
	case *array.Timestamp:
		kind := a.DataType().(*arrow.TimestampType)
		layout := wallClock
		if kind.TimeZone != "" {
			layout = wallClock + "Z07:00"
		}
		return formatted(layout, func(row int) time.Time { return a.Value(row).ToTime(kind.Unit) }), true
	}
	return value{}, false
}

const (
	clock     = "15:04:05.999999999"
	wallClock = "2006-01-02T" + clock
)

func formatted(layout string, at func(row int) time.Time) value {
	return value{kind: quoted, text: func(dst []byte, row int) []byte { return at(row).AppendFormat(dst, layout) }}
}
