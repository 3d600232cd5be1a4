package quarantine

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// rowJSON is one row as a JSON object in the order of its columns. Every value comes back as it was from a builder of its type:
// decimals are strings of all their digits, binary is base64, instants and dates are ISO 8601, and floats that JSON has no number for
// are "NaN", "+Inf" and "-Inf".
func rowJSON(batch arrow.RecordBatch, row int) ([]byte, error) {
	out := []byte{'{'}
	for i, field := range batch.Schema().Fields() {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = appendText(out, field.Name); err != nil {
			return nil, err
		}
		if out, err = appendValue(append(out, ':'), batch.Column(i), row); err != nil {
			return nil, fmt.Errorf("column %q: %w", field.Name, err)
		}
	}
	return append(out, '}'), nil
}

func appendText(out []byte, value any) ([]byte, error) {
	text, err := json.Marshal(value)
	return append(out, text...), err
}

func appendValue(out []byte, column arrow.Array, row int) ([]byte, error) {
	if column.IsNull(row) {
		return append(out, "null"...), nil
	}
	switch a := column.(type) {
	case *array.Struct:
		return appendStruct(out, a, row)
	case *array.Map: // before lists, which it is one of
		return appendMap(out, a, row)
	case array.ListLike:
		return appendList(out, a, row)
	case *array.Dictionary:
		return appendValue(out, a.Dictionary(), a.GetValueIndex(row))
	case *array.RunEndEncoded:
		return appendValue(out, a.Values(), a.GetPhysicalIndex(row))
	case *array.Decimal32, *array.Decimal64, *array.Decimal128, *array.Decimal256:
		text, err := decimalText(a, row)
		if err != nil {
			return nil, err
		}
		return appendText(out, text)
	case *array.Float16:
		switch f := float64(a.Value(row).Float32()); {
		case a.Value(row).IsNaN():
			return appendText(out, "NaN")
		case math.IsInf(f, 0):
			return appendText(out, strconv.FormatFloat(f, 'g', -1, 32))
		}
	}
	return appendText(out, column.GetOneForMarshal(row))
}

func appendStruct(out []byte, a *array.Struct, row int) ([]byte, error) {
	out = append(out, '{')
	for i, field := range a.DataType().(*arrow.StructType).Fields() {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = appendText(out, field.Name); err != nil {
			return nil, err
		}
		if out, err = appendValue(append(out, ':'), a.Field(i), row); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

func appendList(out []byte, a array.ListLike, row int) ([]byte, error) {
	from, to := a.ValueOffsets(row)
	out = append(out, '[')
	for i := from; i < to; i++ {
		if i > from {
			out = append(out, ',')
		}
		var err error
		if out, err = appendValue(out, a.ListValues(), int(i)); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

// appendMap writes pairs, as keys may be of any type.
func appendMap(out []byte, a *array.Map, row int) ([]byte, error) {
	from, to := a.ValueOffsets(row)
	out = append(out, '[')
	for i := from; i < to; i++ {
		if i > from {
			out = append(out, ',')
		}
		var err error
		if out, err = appendValue(append(out, `{"key":`...), a.Keys(), int(i)); err != nil {
			return nil, err
		}
		if out, err = appendValue(append(out, `,"value":`...), a.Items(), int(i)); err != nil {
			return nil, err
		}
		out = append(out, '}')
	}
	return append(out, ']'), nil
}

// decimalText writes all digits of a decimal, which arrow-go's own text rounds.
func decimalText(column arrow.Array, row int) (string, error) {
	var unscaled *big.Int
	switch a := column.(type) {
	case *array.Decimal32:
		unscaled = big.NewInt(int64(a.Value(row)))
	case *array.Decimal64:
		unscaled = big.NewInt(int64(a.Value(row)))
	case *array.Decimal128:
		unscaled = a.Value(row).BigInt()
	case *array.Decimal256:
		unscaled = a.Value(row).BigInt()
	default:
		return "", fmt.Errorf("%s is no decimal", column.DataType())
	}
	scale := int(column.DataType().(arrow.DecimalType).GetScale())
	digits := new(big.Int).Abs(unscaled).String()
	switch {
	case scale < 0:
		digits += strings.Repeat("0", -scale)
	case scale > 0:
		digits = strings.Repeat("0", max(0, scale+1-len(digits))) + digits
		digits = string(slices.Insert([]byte(digits), len(digits)-scale, '.'))
	}
	if unscaled.Sign() < 0 {
		digits = "-" + digits
	}
	return digits, nil
}
