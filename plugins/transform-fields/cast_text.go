package main

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// bytesOf reads binary columns, and text as its UTF-8.
func bytesOf(in arrow.Array) reader[[]byte] {
	switch a := in.(type) {
	case array.StringLike:
		return func(row int) ([]byte, error) { return []byte(a.Value(row)), nil }
	case *array.FixedSizeBinary:
		return func(row int) ([]byte, error) { return a.Value(row), nil }
	case *array.Binary:
		return func(row int) ([]byte, error) { return a.Value(row), nil }
	case *array.LargeBinary:
		return func(row int) ([]byte, error) { return a.Value(row), nil }
	case *array.BinaryView:
		return func(row int) ([]byte, error) { return a.Value(row), nil }
	}
	return nil
}

// texts reads any column as text: binary as UTF-8, lists, structs and maps as JSON.
func texts(in arrow.Array) reader[string] {
	if a, ok := in.(array.StringLike); ok {
		return func(row int) (string, error) { return a.Value(row), nil }
	}
	if read := bytesOf(in); read != nil {
		return func(row int) (string, error) {
			b, _ := read(row)
			if !utf8.Valid(b) {
				return "", errors.New("expected UTF-8")
			}
			return string(b), nil
		}
	}
	if read := bareTexts(in); read != nil {
		return read
	}
	if read := momentTexts(in); read != nil {
		return read
	}
	return arrowJSON(in)
}

// bareTexts reads the columns whose text is JSON as it is.
func bareTexts(in arrow.Array) reader[string] {
	if a, ok := in.(*array.Boolean); ok {
		return func(row int) (string, error) { return strconv.FormatBool(a.Value(row)), nil }
	}
	if read := plainWholes(in); read != nil {
		return func(row int) (string, error) {
			v, err := read(row)
			return strconv.FormatInt(v, 10), err
		}
	}
	if read := plainFractions(in); read != nil {
		bits := min(64, max(32, in.DataType().(arrow.FixedWidthDataType).BitWidth()))
		return func(row int) (string, error) {
			f, err := read(row)
			return floatText(f, bits), err
		}
	}
	if !isText(in) {
		return figures(in)
	}
	return nil
}

// floatText has as many digits as are needed to read the same number back.
func floatText(f float64, bits int) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	format := byte('f')
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		format = 'e'
	}
	return strconv.FormatFloat(f, format, -1, bits)
}

func momentTexts(in arrow.Array) reader[string] {
	var at func(row int) time.Time
	layout := "15:04:05.999999999"
	switch a := in.(type) {
	case *array.Date32:
		layout, at = time.DateOnly, func(row int) time.Time { return a.Value(row).ToTime() }
	case *array.Date64:
		layout, at = time.DateOnly, func(row int) time.Time { return a.Value(row).ToTime() }
	case *array.Time32:
		at = func(row int) time.Time { return a.Value(row).ToTime(a.DataType().(*arrow.Time32Type).Unit) }
	case *array.Time64:
		at = func(row int) time.Time { return a.Value(row).ToTime(a.DataType().(*arrow.Time64Type).Unit) }
	case *array.Timestamp:
		kind := a.DataType().(*arrow.TimestampType)
		layout = wallClock + ".999999999"
		if kind.TimeZone != "" {
			layout += "Z07:00"
		}
		at = func(row int) time.Time { return a.Value(row).ToTime(kind.Unit) }
	default:
		return nil
	}
	return func(row int) (string, error) { return at(row).Format(layout), nil }
}

// arrowJSON reads nested and rare columns as Arrow writes them.
func arrowJSON(in arrow.Array) reader[string] {
	if in.DataType().ID() == arrow.DICTIONARY {
		return nil
	}
	return func(row int) (string, error) {
		raw, err := json.Marshal(in.GetOneForMarshal(row))
		return string(raw), err
	}
}

// documents reads any column as JSON; text must be JSON already.
func documents(in arrow.Array) reader[string] {
	switch {
	case isText(in):
		a := in.(array.StringLike)
		return func(row int) (string, error) {
			if text := a.Value(row); json.Valid([]byte(text)) {
				return text, nil
			}
			return "", errors.New("expected JSON")
		}
	case plainFractions(in) != nil:
		read, text := plainFractions(in), texts(in)
		return func(row int) (string, error) {
			if f, _ := read(row); math.IsNaN(f) || math.IsInf(f, 0) {
				return "", errFinite
			}
			return text(row)
		}
	case bareTexts(in) != nil:
		return bareTexts(in)
	case momentTexts(in) != nil:
		read := momentTexts(in)
		return func(row int) (string, error) {
			text, err := read(row)
			return `"` + text + `"`, err
		}
	}
	return arrowJSON(in)
}
