package encode

import (
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
)

// asJSON encodes any value as JSON, as the server's to_jsonb would word it; text that is meant to be JSON is sent as it is.
func asJSON(dt arrow.DataType, t Type) (binder, bool) {
	var prefix []byte
	if t.Name == "jsonb" {
		prefix = []byte{1} // the version of its binary form
	}
	if isString(dt) {
		return fromString(dt, prefix)
	}
	return func(a arrow.Array) Cells {
		cells := plain(a, func(to []byte, row int) ([]byte, error) { return appendJSON(append(to, prefix...), a, row) })
		if u, ok := a.(array.Union); ok {
			cells.Null = func(row int) bool { return u.Field(u.ChildID(row)).IsNull(unionRow(u, row)) }
		}
		return cells
	}, true
}

// appendJSON writes a value of any type.
func appendJSON(to []byte, a arrow.Array, row int) ([]byte, error) {
	if a.IsNull(row) || a.DataType().ID() == arrow.NULL {
		return append(to, "null"...), nil
	}
	switch a := a.(type) {
	case *array.Struct:
		return appendStruct(to, a, row)
	case *array.Map:
		return appendMap(to, a, row)
	case array.ListLike:
		return appendList(to, a, row)
	case array.Union:
		return appendJSON(to, a.Field(a.ChildID(row)), unionRow(a, row))
	case *array.Dictionary:
		return appendJSON(to, a.Dictionary(), a.GetValueIndex(row))
	case *array.RunEndEncoded:
		return appendJSON(to, a.Values(), a.GetPhysicalIndex(row))
	case *extensions.UUIDArray:
		return append(append(append(to, '"'), a.Value(row).String()...), '"'), nil
	case *extensions.Bool8Array:
		return strconv.AppendBool(to, a.Value(row)), nil
	case array.ExtensionArray:
		return appendJSON(to, a.Storage(), row)
	}
	return appendSingle(to, a, row)
}

func unionRow(a array.Union, row int) int {
	if dense, ok := a.(*array.DenseUnion); ok {
		return int(dense.ValueOffset(row))
	}
	return row
}

func appendStruct(to []byte, a *array.Struct, row int) ([]byte, error) {
	to = append(to, '{')
	var err error
	for i, f := range a.DataType().(*arrow.StructType).Fields() {
		if i > 0 {
			to = append(to, ',')
		}
		if to, err = appendString(to, []byte(f.Name)); err != nil {
			return to, err
		}
		if to, err = appendJSON(append(to, ':'), a.Field(i), row); err != nil {
			return to, err
		}
	}
	return append(to, '}'), nil
}

// appendMap writes an object; keys that are not text are written as the text of their JSON.
func appendMap(to []byte, a *array.Map, row int) ([]byte, error) {
	from, end := a.ValueOffsets(row)
	to = append(to, '{')
	for k := int(from); k < int(end); k++ {
		if k > int(from) {
			to = append(to, ',')
		}
		start := len(to)
		var err error
		if to, err = appendJSON(to, a.Keys(), k); err != nil {
			return to, err
		}
		if to[start] != '"' {
			word := slices.Clone(to[start:])
			if to, err = appendString(to[:start], word); err != nil {
				return to, err
			}
		}
		if to, err = appendJSON(append(to, ':'), a.Items(), k); err != nil {
			return to, err
		}
	}
	return append(to, '}'), nil
}

func appendList(to []byte, a array.ListLike, row int) ([]byte, error) {
	from, end := a.ValueOffsets(row)
	to = append(to, '[')
	var err error
	for k := int(from); k < int(end); k++ {
		if k > int(from) {
			to = append(to, ',')
		}
		if to, err = appendJSON(to, a.ListValues(), k); err != nil {
			return to, err
		}
	}
	return append(to, ']'), nil
}

// appendSingle writes numbers as numbers, and all else as text.
func appendSingle(to []byte, a arrow.Array, row int) ([]byte, error) {
	dt := a.DataType()
	switch {
	case dt.ID() == arrow.BOOL:
		return strconv.AppendBool(to, a.(*array.Boolean).Value(row)), nil
	case dt.ID() == arrow.UINT64:
		return strconv.AppendUint(to, a.(*array.Uint64).Value(row), 10), nil
	case isSigned(dt):
		return strconv.AppendInt(to, signed(a)(row), 10), nil
	case arrow.IsDecimal(dt.ID()):
		d, err := unscaled(dt.(arrow.DecimalType))(a)(row)
		return d.print(to), err
	case floats(dt) != nil:
		return appendFloat(to, floats(dt)(a)(row), dt), nil
	case isString(dt):
		return appendString(to, stringsOf(a)(row))
	case isBytes(dt):
		to = append(to, `"\\x`...)
		return append(hex.AppendEncode(to, stringsOf(a)(row)), '"'), nil
	}
	return appendTime(to, a, row)
}

func appendFloat(to []byte, v float64, dt arrow.DataType) []byte {
	switch {
	case math.IsNaN(v):
		return append(to, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(to, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(to, `"-Infinity"`...)
	case dt.ID() == arrow.FLOAT64:
		return strconv.AppendFloat(to, v, 'g', -1, 64)
	}
	return strconv.AppendFloat(to, v, 'g', -1, 32)
}

// print writes the number with all of its digits.
func (d *decimal) print(to []byte) []byte {
	if d.negative {
		to = append(to, '-')
	}
	whole := len(d.digits) - d.scale
	if whole <= 0 {
		to = append(to, '0')
	}
	for i := min(whole, 0); i < max(len(d.digits), whole); i++ {
		if i == max(whole, 0) && i > 0 || i == whole && i <= 0 {
			to = append(to, '.')
		}
		if i >= 0 && i < len(d.digits) {
			to = append(to, d.digits[i])
		} else {
			to = append(to, '0')
		}
	}
	return to
}

// appendString writes text in quotes.
func appendString(to, text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return to, errEncoding
	}
	const figures = "0123456789abcdef"
	to = append(to, '"')
	for _, c := range text {
		switch {
		case c == 0:
			return to, errZero
		case c == '"' || c == '\\':
			to = append(to, '\\', c)
		case c < ' ':
			to = append(to, `\u00`...)
			to = append(to, figures[c>>4], figures[c&15])
		default:
			to = append(to, c)
		}
	}
	return append(to, '"'), nil
}

// appendTime writes times in ISO 8601, as far as PostgreSQL has them.
func appendTime(to []byte, a arrow.Array, row int) ([]byte, error) {
	dt := a.DataType()
	switch {
	case dates(dt) != nil:
		days, err := dates(dt)(a)(row)
		at := time.Unix((days+epochDays)*dayMicros/1e6, 0).UTC()
		if err == nil && (at.Year() < 1 || at.Year() > 9999) {
			err = errTimeRange
		}
		return at.AppendFormat(to, `"2006-01-02"`), err
	case clock(dt) != nil:
		v, err := clock(dt)(a)(row)
		return time.UnixMicro(v).UTC().AppendFormat(to, `"15:04:05.999999"`), err
	case spans(dt) != nil:
		v, err := spans(dt)(a)(row)
		return v.print(to), err
	}
	ts, ok := dt.(*arrow.TimestampType)
	if !ok {
		return append(to, "null"...), errNoForm
	}
	v, err := micros(int64(a.(*array.Timestamp).Value(row)), ts.Unit)
	at := time.UnixMicro(v).UTC()
	if err == nil && (at.Year() < 1 || at.Year() > 9999) {
		err = errTimeRange
	}
	if ts.TimeZone != "" {
		return at.AppendFormat(to, `"2006-01-02T15:04:05.999999+00:00"`), err
	}
	return at.AppendFormat(to, `"2006-01-02T15:04:05.999999"`), err
}

var errNoForm = &flaw{CodeMalformed, "the value has no form in JSON"}

// print writes an interval as PostgreSQL reads it.
func (v span) print(to []byte) []byte {
	to = strconv.AppendInt(append(to, '"'), int64(v.months), 10)
	to = strconv.AppendInt(append(to, " mons "...), int64(v.days), 10)
	to = append(to, " days "...)
	m := v.micros
	if m < 0 {
		to = append(to, '-')
	}
	size := uint64(max(m, -m)) //nolint:gosec // its own negative has the same bits
	to = strconv.AppendUint(to, size/1e6, 10)
	fraction := strconv.FormatUint(1e6+size%1e6, 10)[1:]
	return append(append(append(to, '.'), fraction...), ` secs"`...)
}
