package column

import "github.com/apache/arrow-go/v18/arrow"

// Guess is the set of types that all texts seen so far fit. The zero value has seen none.
type Guess uint16

const (
	seen Guess = 1 << iota
	fitsBool
	fitsInt
	fitsFloat
	fitsDate
	fitsLocal
	fitsInstant
	fitsAll = fitsBool | fitsInt | fitsFloat | fitsDate | fitsLocal | fitsInstant
)

// maxDigits is how many significant digits a float64 always gives back.
const maxDigits = 17

// maxExact is how many digits an integer may have to be exact as float64, whatever its digits.
const maxExact = 15

// See takes a text into account.
func (g *Guess) See(text []byte) {
	if *g != seen {
		g.see(fits(trim(text)))
	}
}

// SeeNumber takes a JSON number into account, which is one however it is written.
func (g *Guess) SeeNumber(text []byte) { g.see(fitsJSONNumber(text)) }

// SeeTime takes a text into account that is no number or truth value, but may be a date or a timestamp.
func (g *Guess) SeeTime(text []byte) { g.see(fitsStamp(text)) }

func (g *Guess) see(fitting Guess) {
	if *g&seen == 0 {
		*g = seen | fitsAll
	}
	*g &= seen | fitting
}

// Type is the type that all texts fit: string if there is no other, and nil if there were no texts.
func (g Guess) Type() arrow.DataType {
	switch {
	case g == 0:
		return nil
	case g&fitsBool != 0:
		return arrow.FixedWidthTypes.Boolean
	case g&fitsInt != 0:
		return arrow.PrimitiveTypes.Int64
	case g&fitsFloat != 0:
		return arrow.PrimitiveTypes.Float64
	case g&fitsDate != 0:
		return arrow.FixedWidthTypes.Date32
	case g&fitsLocal != 0:
		return timestampLocal
	case g&fitsInstant != 0:
		return timestampUTC
	}
	return arrow.BinaryTypes.String
}

func fits(text []byte) Guess {
	if len(text) == 0 {
		return 0
	}
	if c := text[0]; isDigit(c) || c == '-' || c == '+' || c == '.' || c == 'N' || c == 'n' || c == 'I' || c == 'i' {
		return fitsNumber(text) | fitsStamp(text)
	}
	if _, ok := parseBool(text, true); ok {
		return fitsBool
	}
	return 0
}

// fitsNumber leaves text to be a string that would not come back from a number as it was: postal codes with leading zeros, long
// identifiers, codes such as 12E4, numbers with a plus.
func fitsNumber(text []byte) Guess {
	n := scanNumber(text)
	switch {
	case n.special:
		return fitsFloat
	case !n.ok || n.zeros || n.exponent || text[0] == '+' || n.digits > maxDigits+2:
		return 0
	case !n.integer:
		if n.digits > maxDigits {
			return 0
		}
		return fitsFloat
	case n.digits <= maxExact:
		return fitsInt | fitsFloat
	}
	if _, err := parseInt(text, true); err != nil {
		return 0
	}
	return fitsInt
}

func fitsJSONNumber(text []byte) Guess {
	n := scanNumber(text)
	switch {
	case !n.integer && n.digits <= maxDigits:
		return fitsFloat
	case !n.integer:
		return 0
	}
	return fitsNumber(text)
}

func fitsStamp(text []byte) Guess {
	s, err := parseStamp(text)
	switch {
	case err != nil || s.finer:
		return 0
	case !s.hasTime:
		return fitsDate | fitsLocal
	case s.hasZone:
		return fitsInstant
	}
	return fitsLocal
}
