package main

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

var (
	errNotWhole = errors.New("expected a whole number")
	errDigits   = errors.New("expected digits")
	errRange    = errors.New("out of range")
	errInexact  = errors.New("the value would change")
	errFinite   = errors.New("expected a finite number")
)

// plainWholes reads boolean and integer columns.
func plainWholes(in arrow.Array) reader[int64] {
	switch a := in.(type) {
	case *array.Boolean:
		return func(row int) (int64, error) {
			if a.Value(row) {
				return 1, nil
			}
			return 0, nil
		}
	case *array.Int8:
		return integers(a.Int8Values())
	case *array.Int16:
		return integers(a.Int16Values())
	case *array.Int32:
		return integers(a.Int32Values())
	case *array.Int64:
		return integers(a.Int64Values())
	case *array.Uint8:
		return integers(a.Uint8Values())
	case *array.Uint16:
		return integers(a.Uint16Values())
	case *array.Uint32:
		return integers(a.Uint32Values())
	}
	return nil
}

func integers[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32](values []T) reader[int64] {
	return func(row int) (int64, error) { return int64(values[row]), nil }
}

// plainFractions reads float columns.
func plainFractions(in arrow.Array) reader[float64] {
	switch a := in.(type) {
	case *array.Float16:
		return func(row int) (float64, error) { return float64(a.Value(row).Float32()), nil }
	case *array.Float32:
		return func(row int) (float64, error) { return float64(a.Value(row)), nil }
	case *array.Float64:
		return func(row int) (float64, error) { return a.Value(row), nil }
	}
	return nil
}

// figures reads the columns whose text is a number: decimals, text, and unsigned integers that int64 may not hold.
func figures(in arrow.Array) reader[string] {
	switch a := in.(type) {
	case *array.Uint64:
		return func(row int) (string, error) { return strconv.FormatUint(a.Value(row), 10), nil }
	case *array.Decimal128:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		return func(row int) (string, error) { return a.Value(row).ToString(scale), nil }
	case *array.Decimal256:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		return func(row int) (string, error) { return a.Value(row).ToString(scale), nil }
	case array.StringLike:
		return func(row int) (string, error) { return strings.TrimSpace(a.Value(row)), nil }
	}
	return nil
}

// wholes reads a column as int64: no fraction is cut off.
func wholes(in arrow.Array) reader[int64] {
	if read := plainWholes(in); read != nil {
		return read
	}
	if read := plainFractions(in); read != nil {
		return func(row int) (int64, error) {
			f, _ := read(row)
			switch {
			case f != math.Trunc(f) || math.IsInf(f, 0):
				return 0, errNotWhole
			case f < -0x1p63 || f >= 0x1p63:
				return 0, errRange
			}
			return int64(f), nil
		}
	}
	read, isText := figures(in), isText(in)
	if read == nil {
		return nil
	}
	return func(row int) (int64, error) {
		text, _ := read(row)
		if whole, fraction, found := strings.Cut(text, "."); found && !isText && strings.Trim(fraction, "0") == "" {
			text = whole
		}
		return parseWhole(text)
	}
}

func isText(in arrow.Array) bool {
	_, ok := in.(array.StringLike)
	return ok
}

func parseWhole(text string) (int64, error) {
	v, err := strconv.ParseInt(text, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errRange
	case err != nil:
		return 0, errNotWhole
	}
	return v, nil
}

func narrowed(read reader[int64]) reader[int32] {
	if read == nil {
		return nil
	}
	return func(row int) (int32, error) {
		v, err := read(row)
		if err == nil && v != int64(int32(v)) { //nolint:gosec // the comparison finds what does not fit
			return 0, errRange
		}
		return int32(v), err //nolint:gosec // checked above
	}
}

// fractions reads a column as floats of the given size: integers only where they stay the same, decimals and text as the
// nearest float.
func fractions(in arrow.Array, bits int) reader[float64] {
	if read := plainFractions(in); read != nil {
		return read
	}
	if read := plainWholes(in); read != nil {
		return func(row int) (float64, error) {
			v, _ := read(row)
			return exactFloat(v, bits)
		}
	}
	read := figures(in)
	if read == nil {
		return nil
	}
	unsigned := in.DataType().ID() == arrow.UINT64
	return func(row int) (float64, error) {
		text, _ := read(row)
		f, err := parseFloat(text, bits)
		if err == nil && unsigned && strconv.FormatFloat(f, 'f', 0, 64) != text {
			return 0, errInexact
		}
		return f, err
	}
}

func exactFloat(v int64, bits int) (float64, error) {
	f := float64(v)
	if bits == 32 {
		f = float64(float32(v))
	}
	if f >= 0x1p63 || int64(f) != v {
		return 0, errInexact
	}
	return f, nil
}

func parseFloat(text string, bits int) (float64, error) {
	switch strings.ToLower(strings.TrimLeft(text, "+-")) {
	case "nan", "inf", "infinity":
	default:
		if strings.Trim(text, "0123456789+-.eE") != "" {
			return 0, errDigits
		}
	}
	f, err := strconv.ParseFloat(text, bits)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errRange
	case err != nil:
		return 0, errDigits
	}
	return f, nil
}

// shortened rounds to float32, as a narrower column does, but makes no infinity of a number.
func shortened(read reader[float64]) reader[float32] {
	if read == nil {
		return nil
	}
	return func(row int) (float32, error) {
		f, err := read(row)
		if err == nil && math.Abs(f) > math.MaxFloat32 && !math.IsInf(f, 0) {
			return 0, errRange
		}
		return float32(f), err
	}
}

// booleans reads 0 and 1, and the usual words.
func booleans(in arrow.Array) reader[bool] {
	if read := plainWholes(in); read != nil {
		return func(row int) (bool, error) {
			v, _ := read(row)
			if v != 0 && v != 1 {
				return false, errors.New("expected 0 or 1")
			}
			return v == 1, nil
		}
	}
	if !isText(in) {
		return nil
	}
	read := figures(in)
	return func(row int) (bool, error) {
		text, _ := read(row)
		switch strings.ToLower(text) {
		case "true", "t", "yes", "y", "on", "1":
			return true, nil
		case "false", "f", "no", "n", "off", "0":
			return false, nil
		}
		return false, errors.New("expected true, t, yes, y, on, 1, false, f, no, n, off or 0")
	}
}

// decimals reads a column as decimals. Floats are rounded to the scale, because few of them are what they were meant to be;
// digits of everything else are kept or the row is given up.
func decimals(in arrow.Array, kind *arrow.Decimal128Type) reader[decimal128.Num] {
	read := digits(in, int(kind.Scale))
	if read == nil {
		return nil
	}
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(kind.Precision)), nil)
	short := int64(math.Pow10(int(min(kind.Precision, shortDigits))))
	return func(row int) (decimal128.Num, error) {
		text, err := read(row)
		if err != nil {
			return decimal128.Num{}, err
		}
		if v, ok := unscaledShort(text, int(kind.Scale)); ok && v < short && v > -short {
			return decimal128.FromI64(v), nil
		}
		v, err := unscaled(text, int(kind.Scale))
		if err != nil {
			return decimal128.Num{}, err
		}
		if v.CmpAbs(limit) >= 0 {
			return decimal128.Num{}, fmt.Errorf("more than %d digits before the point", kind.Precision-kind.Scale)
		}
		return decimal128.FromBigInt(v), nil
	}
}

// digits reads a column of numbers as text.
func digits(in arrow.Array, scale int) reader[string] {
	if read := plainFractions(in); read != nil {
		return func(row int) (string, error) {
			f, _ := read(row)
			if math.IsNaN(f) || math.IsInf(f, 0) {
				return "", errFinite
			}
			return strconv.FormatFloat(f, 'f', scale, 64), nil
		}
	}
	if read := plainWholes(in); read != nil && in.DataType().ID() != arrow.BOOL {
		return func(row int) (string, error) {
			v, _ := read(row)
			return strconv.FormatInt(v, 10), nil
		}
	}
	return figures(in)
}

// maxDigits bounds the text of a decimal; 38 digits and some zeros fit well.
const maxDigits = 128

// shortDigits is how many digits an int64 holds in any case.
const shortDigits = 18

// unscaledShort is unscaled for what most numbers are: at most shortDigits digits, none of them too many behind the point. What
// it does not take says nothing about the text.
func unscaledShort(text string, scale int) (int64, bool) {
	number, negative := strings.CutPrefix(text, "-")
	if len(number) == 0 || len(number) > shortDigits {
		return 0, false
	}
	v, point := int64(0), -1
	for i := range len(number) {
		switch b := number[i]; {
		case b >= '0' && b <= '9':
			v = v*10 + int64(b-'0')
		case b == '.' && point < 0:
			point = i
		default:
			return 0, false
		}
	}
	fraction := 0
	if point >= 0 {
		fraction = len(number) - point - 1
	}
	if len(number) == 1 && point == 0 || fraction > scale || len(number)+scale-fraction > shortDigits {
		return 0, false
	}
	for range scale - fraction {
		v *= 10
	}
	if negative {
		v = -v
	}
	return v, true
}

// unscaled reads a plain decimal (no exponent) as value × 10^scale, which must be whole.
func unscaled(text string, scale int) (*big.Int, error) {
	number, negative := strings.CutPrefix(text, "-")
	if !negative {
		number = strings.TrimPrefix(text, "+")
	}
	if len(text) > maxDigits {
		return nil, errDigits
	}
	whole, fraction, _ := strings.Cut(number, ".")
	if whole+fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return nil, errDigits
	}
	if len(fraction) > scale {
		if strings.Trim(fraction[scale:], "0") != "" {
			return nil, fmt.Errorf("more than %d digits behind the point", scale)
		}
		fraction = fraction[:scale]
	}
	v, ok := new(big.Int).SetString(whole+fraction+strings.Repeat("0", scale-len(fraction)), 10)
	if !ok {
		return nil, errDigits
	}
	if negative {
		v.Neg(v)
	}
	return v, nil
}
