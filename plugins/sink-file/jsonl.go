package main

import (
	"encoding/json"
	"math"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// jsonRow appends rows as JSON objects with the columns in order; nulls are written as null.
func jsonRow(batch arrow.RecordBatch) (appender, error) {
	values, err := appenders(batch)
	if err != nil {
		return nil, err
	}
	names := make([][]byte, len(values))
	for i := range values {
		names[i] = append(appendQuoted(nil, batch.ColumnName(i)), ':')
	}
	return object(names, values), nil
}

// object appends JSON objects of fixed names.
func object(names [][]byte, values []value) appender {
	return func(dst []byte, row int) []byte {
		dst = append(dst, '{')
		for i, v := range values {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = v.json(append(dst, names[i]...), row)
		}
		return append(dst, '}')
	}
}

// json appends a value as JSON.
func (v value) json(dst []byte, row int) []byte {
	switch {
	case v.column.IsNull(row):
		return append(dst, "null"...)
	case v.kind == quoted, v.kind == number && !v.finite(row):
		dst = append(dst, '"')
		return append(v.text(dst, row), '"')
	case v.kind == escaped:
		begin := len(dst)
		dst = v.text(dst, row)
		return appendQuoted(dst[:begin], string(dst[begin:]))
	}
	return v.text(dst, row)
}

// finite is false for the floats that JSON has no numbers for.
func (v value) finite(row int) bool {
	f := v.floats(row)
	return !math.IsNaN(f) && !math.IsInf(f, 0)
}

const hexDigits = "0123456789abcdef"

// appendQuoted appends a JSON string (RFC 8259, section 7). Bytes that are no UTF-8 become U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		b := s[i]
		if b >= 0x20 && b < utf8.RuneSelf && b != '"' && b != '\\' {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if b >= utf8.RuneSelf && (r != utf8.RuneError || size > 1) {
			i += size
			continue
		}
		dst = appendEscape(append(dst, s[from:i]...), b)
		i += size
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

func appendEscape(dst []byte, b byte) []byte {
	switch b {
	case '"', '\\':
		return append(dst, '\\', b)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	if b >= utf8.RuneSelf {
		return append(dst, `\ufffd`...)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
}

// nested appends lists, structs and maps as JSON; ok is false for other types.
func nested(a arrow.Array) (v value, ok bool, err error) {
	switch a := a.(type) {
	case *array.Struct:
		v, err = structs(a)
	case *array.Map:
		v, err = mappings(a)
	case array.ListLike:
		v, err = lists(a)
	default:
		return value{}, false, nil
	}
	return v, true, err
}

func structs(a *array.Struct) (value, error) {
	fields := a.DataType().(*arrow.StructType).Fields()
	names, values := make([][]byte, len(fields)), make([]value, len(fields))
	for i, f := range fields {
		var err error
		if values[i], err = appenderOf(a.Field(i)); err != nil {
			return value{}, err
		}
		names[i] = append(appendQuoted(nil, f.Name), ':')
	}
	return value{column: a, kind: bare, text: object(names, values)}, nil
}

func lists(a array.ListLike) (value, error) {
	items, err := appenderOf(a.ListValues())
	return value{column: a, kind: bare, text: func(dst []byte, row int) []byte {
		begin, end := a.ValueOffsets(row)
		dst = append(dst, '[')
		for i := begin; i < end; i++ {
			if i > begin {
				dst = append(dst, ',')
			}
			dst = items.json(dst, int(i))
		}
		return append(dst, ']')
	}}, err
}

// mappings are objects; a key that is no text is written as the text that it would be in CSV.
func mappings(a *array.Map) (value, error) {
	keys, err := appenderOf(a.Keys())
	if err != nil {
		return value{}, err
	}
	items, err := appenderOf(a.Items())
	return value{column: a, kind: bare, text: func(dst []byte, row int) []byte {
		begin, end := a.ValueOffsets(row)
		dst = append(dst, '{')
		for i := begin; i < end; i++ {
			if i > begin {
				dst = append(dst, ',')
			}
			dst = append(appendQuoted(dst, string(keys.text(nil, int(i)))), ':')
			dst = items.json(dst, int(i))
		}
		return append(dst, '}')
	}}, err
}

// other appends values of the rare types as Arrow's own JSON has them.
func other(a arrow.Array) value {
	return value{column: a, kind: bare, text: func(dst []byte, row int) []byte {
		raw, err := json.Marshal(a.GetOneForMarshal(row))
		if err != nil {
			return appendQuoted(dst, a.ValueStr(row))
		}
		return append(dst, raw...)
	}}
}
