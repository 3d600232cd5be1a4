package filter

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Value is a constant: a text, a number of any size and precision, or a boolean. The zero Value is none of them and
// doesn't bind.
type Value struct {
	kind  valueKind
	text  string // the text, or the number as it was written
	truth bool
}

type valueKind uint8

const (
	noValue valueKind = iota
	textValue
	numberValue
	boolValue
)

// String makes a text constant. Text that isn't valid UTF-8 doesn't bind.
func String(s string) Value { return Value{kind: textValue, text: s} }

// Bool makes a boolean constant.
func Bool(b bool) Value { return Value{kind: boolValue, truth: b} }

// Int makes a number.
func Int(i int64) Value { return Value{kind: numberValue, text: strconv.FormatInt(i, 10)} }

// maxDigits bounds a number's digits and its exponent, so that 1e999999999 in a policy doesn't fill the memory.
const maxDigits = 800

// Number makes a number from a JSON number. It keeps every digit.
func Number(text string) (Value, error) {
	if _, err := rational(text); err != nil {
		return Value{}, err
	}
	return Value{kind: numberValue, text: text}, nil
}

// rational reads a JSON number exactly.
func rational(text string) (*big.Rat, error) {
	bad := func(why string) (*big.Rat, error) { return nil, fmt.Errorf("number %.40q: %s", text, why) }
	if len(text) > maxDigits {
		return bad("it is longer than " + strconv.Itoa(maxDigits) + " characters")
	}
	mantissa, exponent, found := strings.Cut(strings.ToLower(text), "e")
	if found {
		if e, err := strconv.Atoi(exponent); err != nil || e > maxDigits || e < -maxDigits {
			return bad("its exponent must lie between -" + strconv.Itoa(maxDigits) + " and " + strconv.Itoa(maxDigits))
		}
	}
	if strings.Trim(mantissa, "-0123456789.") != "" || strings.LastIndexByte(mantissa, '-') > 0 || !strings.ContainsAny(mantissa, "0123456789") {
		return bad("it isn't a JSON number")
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return bad("it isn't a JSON number")
	}
	return r, nil
}

// String shows a value as JSON would.
func (v Value) String() string {
	switch v.kind {
	case textValue:
		return strconv.Quote(v.text)
	case numberValue:
		return v.text
	case boolValue:
		return strconv.FormatBool(v.truth)
	}
	return "none"
}

// what names the kind for errors.
func (v Value) what() string {
	switch v.kind {
	case textValue:
		return "a text"
	case numberValue:
		return "a number"
	case boolValue:
		return "a boolean"
	}
	return "no value"
}

func (v Value) valid() bool { return v.kind != textValue || utf8.ValidString(v.text) }
