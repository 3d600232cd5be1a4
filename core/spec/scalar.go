package spec

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// valueError is what is wrong with a scalar, with advice.
type valueError struct{ message, hint string }

func (e *valueError) Error() string { return e.message }

// Hint says what to write instead.
func (e *valueError) Hint() string { return e.hint }

// Duration is a span of time written as 500ms, 5s, 1h30m or 7d.
type Duration time.Duration

// Std is the duration as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String is the duration as people write it.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the duration as people write it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

const day = 24 * time.Hour

// UnmarshalText reads a duration; it must be above zero.
func (d *Duration) UnmarshalText(text []byte) error {
	written := string(text)
	if _, err := strconv.ParseFloat(written, 64); err == nil {
		return &valueError{fmt.Sprintf("duration %q has no unit", written), fmt.Sprintf("write %ss, %sm or %sh", written, written, written)}
	}
	value, err := parseDuration(written)
	switch {
	case err != nil:
		return &valueError{fmt.Sprintf("%q is not a duration", written), "write a number and a unit: 500ms, 5s, 10m, 1h30m, 7d"}
	case value <= 0:
		return &valueError{fmt.Sprintf("duration %q must be above zero", written), ""}
	}
	*d = Duration(value)
	return nil
}

// parseDuration adds days to the units of the standard library.
func parseDuration(text string) (time.Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, err
	}
	if rest == "" {
		return time.Duration(n) * day, nil
	}
	part, err := time.ParseDuration(rest)
	return time.Duration(n)*day + part, err
}

// Size is a number of bytes written as 256MiB, 1GB or a plain number.
type Size int64

// Bytes is the size as a plain number.
func (s Size) Bytes() int64 { return int64(s) }

// String is the size with the largest binary unit that keeps it whole.
func (s Size) String() string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	n, unit := int64(s), 0
	for n != 0 && n%1024 == 0 && unit < len(units)-1 {
		n, unit = n/1024, unit+1
	}
	return strconv.FormatInt(n, 10) + units[unit]
}

// MarshalText writes the size as people write it.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

var sizeForm = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)$`)

// UnmarshalText reads a size; it must be above zero.
func (s *Size) UnmarshalText(text []byte) error {
	units := map[string]float64{
		"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	}
	parts := sizeForm.FindStringSubmatch(string(text))
	bad := &valueError{fmt.Sprintf("%q is not a size", text), "write a number of bytes, or one with a unit: 64KiB, 256MiB, 1GB"}
	if parts == nil {
		return bad
	}
	number, err := strconv.ParseFloat(parts[1], 64)
	unit, known := units[strings.ToLower(parts[2])]
	value := number * unit
	switch {
	case err != nil || !known:
		return bad
	case value < 1:
		return &valueError{fmt.Sprintf("size %q must be above zero", text), ""}
	case value >= math.MaxInt64:
		return &valueError{fmt.Sprintf("size %q is too large", text), ""}
	}
	*s = Size(value)
	return nil
}

// Secret is text that printing hides: only a conversion to string gives it away.
type Secret string

const hidden = "[secret]"

// Format prints a mark in place of the text, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) {
	if s != "" {
		_, _ = io.WriteString(f, hidden)
	}
}

// MarshalJSON writes a mark in place of the text.
func (s Secret) MarshalJSON() ([]byte, error) {
	if s == "" {
		return []byte(`""`), nil
	}
	return json.Marshal(hidden)
}

// Reveal is the text itself.
func (s Secret) Reveal() string { return string(s) }
