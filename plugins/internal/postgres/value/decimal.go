package value

import (
	"encoding/binary"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// maxPrecision is how many digits a decimal128 holds.
const maxPrecision = 38

var (
	errNumeric = malformed("a numeric")
	errNaN     = &flaw{CodeNotFinite, "a decimal can be neither NaN nor infinite"}
	errDigits  = &flaw{CodeRange, "the number has more digits than the column's type"}
)

// decimalCodec keeps numeric(p,s) as decimal128(p,s).
type decimalCodec struct {
	precision int32
	scale     int
}

func (c decimalCodec) binary(_ *work, b array.Builder, raw []byte) error {
	n, err := readNumeric(raw)
	if err != nil {
		return err
	}
	if n.special() {
		return errNaN
	}
	v, ok := n.scaled(c.scale)
	if !ok {
		return errDigits
	}
	return c.add(b, v, n.sign == signNegative)
}

func (c decimalCodec) text(_ *work, b array.Builder, raw []byte) error {
	switch view(raw) {
	case "NaN", "Infinity", "-Infinity":
		return errNaN
	}
	negative := len(raw) > 0 && raw[0] == '-'
	if negative {
		raw = raw[1:]
	}
	v, err := parseDecimal(raw, c.scale)
	if err != nil {
		return err
	}
	return c.add(b, v, negative)
}

func (c decimalCodec) add(b array.Builder, v wide, negative bool) error {
	n := decimal128.New(int64(v.hi), v.lo) //nolint:gosec // the precision is checked on the next line
	if v.hi>>63 != 0 || !n.FitsInPrecision(c.precision) {
		return errDigits
	}
	if negative {
		n = n.Negate()
	}
	b.(*array.Decimal128Builder).Append(n)
	return nil
}

// wide is an unsigned integer of 128 bits.
type wide struct{ hi, lo uint64 }

// grow makes w*factor+add, unless that does not fit.
func (w *wide) grow(factor, add uint64) bool {
	over, hi := bits.Mul64(w.hi, factor)
	carry, lo := bits.Mul64(w.lo, factor)
	lo, c := bits.Add64(lo, add, 0)
	hi, c2 := bits.Add64(hi, carry, c)
	w.hi, w.lo = hi, lo
	return over == 0 && c2 == 0
}

var powers = [20]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// shift appends n decimal zeros.
func (w *wide) shift(n int) bool {
	if *w == (wide{}) {
		return true
	}
	if n > maxPrecision {
		return false
	}
	for ; n > 0; n -= 19 {
		if !w.grow(powers[min(n, 19)], 0) {
			return false
		}
	}
	return true
}

// parseDecimal reads digits with at most one point among them as an integer of 10^-scale.
func parseDecimal(raw []byte, scale int) (wide, error) {
	var v wide
	var chunk uint64
	inChunk, fraction, digits, point := 0, 0, 0, false
	for _, c := range raw {
		if c == '.' && !point {
			point = true
			continue
		}
		if !isDigit(c) {
			return wide{}, errNumeric
		}
		digits++
		if point {
			if fraction++; fraction > scale {
				if c != '0' {
					return wide{}, errDigits
				}
				continue
			}
		}
		chunk = chunk*10 + uint64(c-'0')
		if inChunk++; inChunk == 19 {
			if !v.grow(powers[19], chunk) {
				return wide{}, errDigits
			}
			chunk, inChunk = 0, 0
		}
	}
	if digits == 0 {
		return wide{}, errNumeric
	}
	if !v.grow(powers[inChunk], chunk) || !v.shift(scale-min(fraction, scale)) {
		return wide{}, errDigits
	}
	return v, nil
}

// Signs of a numeric's binary form, from PostgreSQL's numeric.c.
const (
	signPositive = 0x0000
	signNegative = 0x4000
	signNaN      = 0xC000
	signInfinity = 0xD000
	signMinusInf = 0xF000
	maxDisplay   = 0x3FFF
)

// numeric is a numeric's binary form: digits of base 10,000, the first of which counts 10,000^weight.
type numeric struct {
	digits  []byte
	weight  int
	sign    uint16
	display int // digits after the point when printed
}

func readNumeric(raw []byte) (numeric, error) {
	if len(raw) < 8 {
		return numeric{}, errNumeric
	}
	n := numeric{
		digits: raw[8:], weight: int(int16(binary.BigEndian.Uint16(raw[2:]))), //nolint:gosec // the bits are an int16
		sign: binary.BigEndian.Uint16(raw[4:]), display: int(binary.BigEndian.Uint16(raw[6:])),
	}
	if len(n.digits) != 2*int(binary.BigEndian.Uint16(raw)) || n.display > maxDisplay {
		return numeric{}, errNumeric
	}
	switch n.sign {
	case signPositive, signNegative, signNaN, signInfinity, signMinusInf:
	default:
		return numeric{}, errNumeric
	}
	for i := range n.count() {
		if n.digit(i) > 9999 {
			return numeric{}, errNumeric
		}
	}
	return n, nil
}

func (n numeric) special() bool { return n.sign != signPositive && n.sign != signNegative }

func (n numeric) count() int { return len(n.digits) / 2 }

// digit is the i-th one, 0 past the end.
func (n numeric) digit(i int) uint64 {
	if i >= n.count() {
		return 0
	}
	return uint64(binary.BigEndian.Uint16(n.digits[2*i:]))
}

// scaled is the number as an integer of 10^-scale, unless that takes more than 128 bits or is no integer.
func (n numeric) scaled(scale int) (wide, bool) {
	var v wide
	for i := range n.count() {
		// keep is how many of the digit's four places are left of where the scale ends.
		keep := min(4, (n.weight-i+1)*4+scale)
		d, drop := n.digit(i), uint64(1e4)
		if keep > 0 {
			drop = powers[4-keep]
		}
		if d%drop != 0 {
			return wide{}, false
		}
		if keep > 0 && !v.grow(powers[keep], d/drop) {
			return wide{}, false
		}
	}
	return v, v.shift((n.weight-n.count()+1)*4 + scale)
}
