package encode

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

var errNumber = &flaw{CodeMalformed, "expected a number"}

// Signs of a numeric's binary form, from PostgreSQL's numeric.c.
const (
	signNegative = 0x4000
	signNaN      = 0xC000
	signInfinity = 0xD000
	signMinusInf = 0xF000
)

// decimal is a number as its digits and where the point is: digits × 10^-scale.
type decimal struct {
	negative bool
	digits   []byte // ASCII
	scale    int
	special  uint16 // a sign, for NaN and infinities
}

// decimals reads numbers of a type as decimals; the digits are good until the next call.
func decimals(dt arrow.DataType) func(arrow.Array) func(int) (decimal, error) {
	switch {
	case isSigned(dt):
		return func(a arrow.Array) func(int) (decimal, error) {
			value := signed(a)
			var scratch [24]byte
			return func(row int) (decimal, error) { return ofInteger(scratch[:0], value(row), 0), nil }
		}
	case dt.ID() == arrow.UINT64:
		return func(a arrow.Array) func(int) (decimal, error) {
			held := a.(*array.Uint64).Uint64Values()
			var scratch [24]byte
			return func(row int) (decimal, error) {
				return decimal{digits: strconv.AppendUint(scratch[:0], held[row], 10)}, nil
			}
		}
	case arrow.IsDecimal(dt.ID()):
		return unscaled(dt.(arrow.DecimalType))
	case floats(dt) != nil:
		return shortest(dt)
	case isString(dt):
		return func(a arrow.Array) func(int) (decimal, error) {
			value := stringsOf(a)
			return func(row int) (decimal, error) { return parseDecimal(value(row)) }
		}
	}
	return nil
}

func ofInteger(scratch []byte, v int64, scale int) decimal {
	digits := strconv.AppendInt(scratch, v, 10)
	return decimal{negative: v < 0, digits: bytes.TrimPrefix(digits, []byte("-")), scale: scale}
}

func ofBig(scratch []byte, v *big.Int, scale int) decimal {
	digits := v.Append(scratch, 10)
	return decimal{negative: v.Sign() < 0, digits: bytes.TrimPrefix(digits, []byte("-")), scale: scale}
}

// unscaled reads Arrow's decimals.
func unscaled(dt arrow.DecimalType) func(arrow.Array) func(int) (decimal, error) {
	scale := int(dt.GetScale())
	return func(a arrow.Array) func(int) (decimal, error) {
		var scratch [96]byte
		switch a := a.(type) {
		case *array.Decimal32:
			return func(row int) (decimal, error) { return ofInteger(scratch[:0], int64(a.Value(row)), scale), nil }
		case *array.Decimal64:
			return func(row int) (decimal, error) { return ofInteger(scratch[:0], int64(a.Value(row)), scale), nil }
		case *array.Decimal128:
			return func(row int) (decimal, error) {
				v := a.Value(row)
				if low := int64(v.LowBits()); v.HighBits() == low>>63 { //nolint:gosec // the bits
					return ofInteger(scratch[:0], low, scale), nil
				}
				return ofBig(scratch[:0], v.BigInt(), scale), nil
			}
		}
		held := a.(*array.Decimal256)
		return func(row int) (decimal, error) { return ofBig(scratch[:0], held.Value(row).BigInt(), scale), nil }
	}
}

// shortest reads floating-point numbers as the shortest decimals that stand for them.
func shortest(dt arrow.DataType) func(arrow.Array) func(int) (decimal, error) {
	size := 64
	if dt.ID() != arrow.FLOAT64 {
		size = 32
	}
	return func(a arrow.Array) func(int) (decimal, error) {
		value := floats(dt)(a)
		return func(row int) (decimal, error) {
			v := value(row)
			switch {
			case math.IsNaN(v):
				return decimal{special: signNaN}, nil
			case math.IsInf(v, 1):
				return decimal{special: signInfinity}, nil
			case math.IsInf(v, -1):
				return decimal{special: signMinusInf}, nil
			}
			var scratch [32]byte
			return parseDecimal(strconv.AppendFloat(scratch[:0], v, 'e', -1, size))
		}
	}
}

// maxExponent is about as far as a numeric goes.
const maxExponent = 140_000

// parseDecimal reads what PostgreSQL prints, and exponents.
func parseDecimal(text []byte) (decimal, error) {
	text = bytes.TrimSpace(text)
	var d decimal
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		d.negative, text = text[0] == '-', text[1:]
	}
	switch string(bytes.ToLower(text[:min(len(text), 9)])) {
	case "nan":
		d.special = signNaN
		return d, nil
	case "infinity", "inf":
		if d.special = signInfinity; d.negative {
			d.special = signMinusInf
		}
		return d, nil
	}
	mantissa, exponent := text, 0
	if at := bytes.IndexAny(text, "eE"); at >= 0 {
		var err error
		mantissa = text[:at]
		if exponent, err = strconv.Atoi(string(text[at+1:])); err != nil {
			return d, errNumber
		}
		if exponent > maxExponent || exponent < -maxExponent {
			return d, errRange
		}
	}
	whole, fraction, _ := bytes.Cut(mantissa, []byte("."))
	d.digits = append(append(make([]byte, 0, len(mantissa)), whole...), fraction...)
	d.scale = len(fraction) - exponent
	for _, c := range d.digits {
		if c < '0' || c > '9' {
			return d, errNumber
		}
	}
	if len(d.digits) == 0 {
		return d, errNumber
	}
	return d, nil
}

// asNumeric encodes for numeric, of a precision and scale if the modifier has one.
func asNumeric(dt arrow.DataType, mod int32) (binder, bool) {
	read := decimals(dt)
	if read == nil {
		return nil, false
	}
	return func(a arrow.Array) Cells {
		value := read(a)
		return plain(a, func(to []byte, row int) ([]byte, error) {
			d, err := value(row)
			if err == nil {
				err = d.fits(mod)
			}
			if err != nil {
				return to, err
			}
			return d.append(to), nil
		})
	}, true
}

// fits says whether a numeric of a modifier holds the number as it is. The modifier is as in PostgreSQL's numeric.c: the scale is signed
// and has 11 bits.
func (d *decimal) fits(mod int32) error {
	const header = 4
	digits := bytes.TrimLeft(d.digits, "0")
	kept := bytes.TrimRight(digits, "0")
	if d.special != 0 || len(kept) == 0 {
		return nil // the server knows which specials it has
	}
	precision, scale := maxWhole+maxDisplay, maxDisplay
	if mod >= header {
		precision, scale = int((mod-header)>>16&0xffff), int((mod-header)&0x7ff^1024-1024)
	}
	if d.scale-(len(digits)-len(kept)) > scale {
		return errInexact
	}
	if len(digits)-d.scale > precision-scale {
		return errRange
	}
	return nil
}

// append writes the binary form: groups of four digits to both sides of the point.
func (d *decimal) append(to []byte) []byte {
	sign, display := d.special, max(d.scale, 0)
	if sign != 0 {
		return appendShorts(to, 0, 0, sign, 0)
	}
	if d.negative {
		sign = signNegative
	}
	digits := d.digits
	whole := len(digits) - d.scale // places left of the point; not more than there are below 0
	groups := (whole + 3) / 4
	if whole < 0 {
		groups = whole / 4
	}
	start := len(to)
	to = appendShorts(to, 0, 0, sign, uint16(min(display, maxDisplay)))
	first, count, weight := true, 0, groups-1
	for at := whole - 4*groups; at < len(digits); at += 4 {
		group := uint16(0)
		for k := at; k < at+4; k++ {
			group *= 10
			if k >= 0 && k < len(digits) {
				group += uint16(digits[k] - '0')
			}
		}
		if first && group == 0 {
			weight--
			continue
		}
		first = false
		to = binary.BigEndian.AppendUint16(to, group)
		count++
	}
	for count > 0 && to[len(to)-1] == 0 && to[len(to)-2] == 0 {
		to, count = to[:len(to)-2], count-1
	}
	if count == 0 {
		weight = 0
		binary.BigEndian.PutUint16(to[start+4:], 0) // there is no -0
	}
	binary.BigEndian.PutUint16(to[start:], uint16(count)) //nolint:gosec // parseDecimal bounds it
	binary.BigEndian.PutUint16(to[start+2:], uint16(weight))
	return to
}

// How many digits a numeric has at most before and behind the point.
const (
	maxWhole   = 131_072
	maxDisplay = 0x3FFF
)

func appendShorts(to []byte, values ...uint16) []byte {
	for _, v := range values {
		to = binary.BigEndian.AppendUint16(to, v)
	}
	return to
}

// decimalIntegers reads decimals that are whole numbers.
func decimalIntegers(dt arrow.DecimalType) func(arrow.Array) func(int) (int64, error) {
	read := unscaled(dt)
	return func(a arrow.Array) func(int) (int64, error) {
		value := read(a)
		return func(row int) (int64, error) {
			d, err := value(row)
			if err != nil {
				return 0, err
			}
			return d.integer()
		}
	}
}

func (d *decimal) integer() (int64, error) {
	digits := d.digits
	if d.scale > 0 {
		cut := max(0, len(digits)-d.scale)
		if len(bytes.Trim(digits[cut:], "0")) > 0 {
			return 0, errInexact
		}
		digits = digits[:cut]
	}
	text := append(make([]byte, 0, len(digits)+8), '-')
	text = append(append(text, '0'), digits...)
	for range -d.scale {
		text = append(text, '0')
	}
	if !d.negative {
		text = text[1:]
	}
	v, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, errRange
	}
	return v, nil
}
