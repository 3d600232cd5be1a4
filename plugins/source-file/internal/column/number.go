package column

import (
	"bytes"
	"errors"
	"math/big"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// number is what can be seen of a number's text without its value.
type number struct {
	ok       bool // digits with at most one point and exponent
	special  bool // NaN or infinite
	integer  bool // neither point nor exponent
	zeros    bool // a leading zero before other digits
	digits   int  // significant ones
	exponent bool // an exponent with neither a sign nor a point, as in the code 12E4
}

func scanNumber(text []byte) number {
	switch string(text) {
	case "NaN", "nan", "inf", "-inf", "Inf", "-Inf", "+Inf", "Infinity", "-Infinity":
		return number{special: true}
	}
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		text = text[1:]
	}
	n := number{integer: true, zeros: len(text) > 1 && text[0] == '0' && isDigit(text[1])}
	seen, point := false, false
	for i, c := range text {
		switch {
		case isDigit(c):
			seen = true
			if n.digits > 0 || c != '0' {
				n.digits++
			}
		case c == '.' && !point:
			point, n.integer = true, false
		case (c == 'e' || c == 'E') && seen:
			n.integer = false
			return n.withExponent(text[i+1:], point)
		default:
			return number{}
		}
	}
	n.ok = seen
	return n
}

func (n number) withExponent(text []byte, point bool) number {
	signed := len(text) > 0 && (text[0] == '-' || text[0] == '+')
	if signed {
		text = text[1:]
	}
	_, n.ok = digits(text)
	n.ok = n.ok && len(text) > 0
	n.exponent = !signed && !point
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

var (
	errDecimal = errors.New("expected a decimal number")
	errScale   = errors.New("it has more decimal places than the type")
)

func decimalAppender(b *array.Decimal128Builder) Appender {
	t, ok := b.Type().(*arrow.Decimal128Type)
	if !ok {
		return func([]byte) error { return errType }
	}
	return func(text []byte) error {
		v, err := parseDecimalText(trim(text), t.Precision, int(t.Scale))
		if err == nil {
			b.Append(v)
		}
		return err
	}
}

// maxDecimalText bounds the work on one value; 38 digits are the most that can be kept.
const maxDecimalText = 128

// parseDecimalText never rounds.
func parseDecimalText(text []byte, precision int32, scale int) (decimal128.Num, error) {
	n := scanNumber(text)
	switch {
	case !n.ok || bytes.ContainsAny(text, "eE"):
		return decimal128.Num{}, errDecimal
	case len(text) > maxDecimalText:
		return decimal128.Num{}, errRange
	}
	whole, fraction, _ := bytes.Cut(text, []byte("."))
	fraction = bytes.TrimRight(fraction, "0")
	if len(fraction) > scale {
		return decimal128.Num{}, errScale
	}
	all := append(append(make([]byte, 0, len(whole)+scale), whole...), fraction...)
	all = append(all, bytes.Repeat([]byte("0"), scale-len(fraction))...)
	value, ok := new(big.Int).SetString(string(all), 10)
	if !ok {
		// The text is a sign and a point's worth of nothing, such as "-.0" at scale 0.
		return decimal128.Num{}, nil
	}
	if value.BitLen() > 127 {
		return decimal128.Num{}, errRange
	}
	v := decimal128.FromBigInt(value)
	if !v.FitsInPrecision(precision) {
		return decimal128.Num{}, errRange
	}
	return v, nil
}
