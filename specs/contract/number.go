package contract

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// maxExponent bounds decimal exponents: exact arithmetic on 1e999999999 would take gigabytes.
const maxExponent = 400

// Number is a number as the contract writes it, so that 0.1 stays 0.1. The zero value is 0.
type Number string

// Rat gives the exact value.
func (n Number) Rat() *big.Rat {
	if r, ok := exact(string(n)); ok {
		return r
	}
	return new(big.Rat)
}

// Float gives the nearest float64.
func (n Number) Float() float64 {
	f, _ := n.Rat().Float64()
	return f
}

// Int64 gives the value if it is a whole number of 64 bits.
func (n Number) Int64() (int64, bool) {
	r := n.Rat()
	if !r.IsInt() || !r.Num().IsInt64() {
		return 0, false
	}
	return r.Num().Int64(), true
}

func exact(text string) (*big.Rat, bool) {
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		exponent, err := strconv.Atoi(text[i+1:])
		if err != nil || exponent > maxExponent || exponent < -maxExponent {
			return nil, false
		}
	}
	if len(text) > 2*maxExponent || strings.ContainsRune(text, '/') {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

// floatText prefers what the file says over what float64 keeps of it.
func floatText(written string, value float64) (string, bool) {
	if _, ok := exact(written); ok {
		return written, true
	}
	if math.IsInf(value, 0) || math.IsNaN(value) {
		return written, false
	}
	short := strconv.FormatFloat(value, 'g', -1, 64)
	_, ok := exact(short)
	return short, ok
}
