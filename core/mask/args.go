package mask

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// argReader takes the arguments of a rule one by one and keeps the faults.
type argReader struct {
	rule   Rule
	known  []string
	faults []*ArgError
}

func (r *argReader) fault(arg, problem, allowed string) {
	r.faults = append(r.faults, &ArgError{Method: r.rule.Method, Arg: arg, Problem: problem, Allowed: allowed})
}

// value returns an argument; a null is as good as none.
func (r *argReader) value(name string) (any, bool) {
	r.known = append(r.known, name)
	v, ok := r.rule.Args[name]
	return v, ok && v != nil
}

func (r *argReader) has(name string) bool { return r.rule.Args[name] != nil }

const maxText = 1024

// text reads a text of at most maxText bytes.
func (r *argReader) text(name, fallback string) string {
	v, ok := r.value(name)
	if !ok {
		return fallback
	}
	s, isText := v.(string)
	if !isText || len(s) > maxText || !utf8.ValidString(s) {
		r.fault(name, "is "+shown(v), fmt.Sprintf("a text in UTF-8 of at most %d bytes", maxText))
		return fallback
	}
	return s
}

// needed reads a text that must be there and not empty.
func (r *argReader) needed(name, what string) string {
	if !r.has(name) {
		r.known = append(r.known, name)
		r.fault(name, "is missing", what)
		return ""
	}
	before := len(r.faults)
	s := r.text(name, "")
	if s == "" && len(r.faults) == before {
		r.fault(name, "is empty", what)
	}
	return s
}

// whole reads a whole number of a range.
func (r *argReader) whole(name string, low, high, fallback int) int {
	v, ok := r.value(name)
	if !ok {
		return fallback
	}
	n, err := exactNumber(v)
	if err != nil || !n.IsInt() || !n.Num().IsInt64() || n.Num().Int64() < int64(low) || n.Num().Int64() > int64(high) {
		r.fault(name, "is "+shown(v), fmt.Sprintf("a whole number from %d to %d", low, high))
		return fallback
	}
	return int(n.Num().Int64())
}

// done adds a fault for each argument that nobody read.
func (r *argReader) done() []*ArgError {
	allowed := "none"
	if len(r.known) > 0 {
		allowed = strings.Join(r.known, ", ")
	}
	for _, name := range slices.Sorted(maps.Keys(r.rule.Args)) {
		if !slices.Contains(r.known, name) {
			r.fault(name, "is not known", allowed)
		}
	}
	return r.faults
}

// shown is an argument in a message, cut where it is long.
func shown(v any) string {
	const longest = 40
	s := fmt.Sprintf("%v", v)
	if text, ok := v.(string); ok {
		s = strconv.Quote(text)
	}
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}

// maxExponent keeps a number of a few bytes from growing to gigabytes.
const maxExponent = 400

// exactNumber reads a number as JSON and YAML decoders and callers in Go give it, or in a text, without rounding.
func exactNumber(v any) (*big.Rat, error) {
	switch n := v.(type) {
	case int:
		return new(big.Rat).SetInt64(int64(n)), nil
	case int32:
		return new(big.Rat).SetInt64(int64(n)), nil
	case int64:
		return new(big.Rat).SetInt64(n), nil
	case uint64:
		return new(big.Rat).SetUint64(n), nil
	case float64:
		return floatNumber(n)
	case json.Number:
		return textNumber(string(n))
	case string:
		return textNumber(n)
	}
	return nil, fmt.Errorf("%s is no number", shown(v))
}

// floatNumber takes a float for the shortest decimal that reads as it, which is what somebody wrote: 0.1 is a tenth.
func floatNumber(f float64) (*big.Rat, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("%v is no finite number", f)
	}
	return textNumber(strconv.FormatFloat(f, 'g', -1, 64))
}

func textNumber(s string) (*big.Rat, error) {
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(s), "e")
	if len(s) > maxExponent || mantissa == "" || strings.Trim(mantissa, "+-.0123456789") != "" {
		return nil, fmt.Errorf("%s is no number", shown(s))
	}
	if scientific {
		if e, err := strconv.Atoi(exponent); err != nil || max(e, -e) > maxExponent {
			return nil, fmt.Errorf("%s is no number, or its exponent is above %d", shown(s), maxExponent)
		}
	}
	n, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, fmt.Errorf("%s is no number", shown(s))
	}
	return n, nil
}
