package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

const microsPerDay = 24 * 60 * 60 * 1_000_000

// parseWhole reads a setting as the integer that a column of the type stores: the number itself, microseconds, days, unscaled
// digits of a decimal, or 0 and 1.
func parseWhole(kind string, scale int, raw json.RawMessage) (int64, error) {
	text := unquote(raw)
	switch kind {
	case "timestamp":
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return 0, fmt.Errorf("timestamp %q: expected RFC 3339, such as 2024-01-31T12:00:00Z", text)
		}
		return t.UnixMicro(), nil
	case "date":
		t, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return 0, fmt.Errorf("date %q: expected a day such as 2024-01-31", text)
		}
		return t.Unix() / (microsPerDay / 1_000_000), nil
	case "bool":
		switch text {
		case "true":
			return 1, nil
		case "false":
			return 0, nil
		}
		return 0, fmt.Errorf("bool %q: expected true or false", text)
	}
	return parseScaled(text, scale)
}

// parseScaled reads a number as value × 10^scale, which must be whole.
func parseScaled(text string, scale int) (int64, error) {
	if len(text) > maxNumber || strings.ContainsAny(text, "/pPxX_") || !smallExponent(text) {
		return 0, fmt.Errorf("number %q: expected digits", text)
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, fmt.Errorf("number %q: expected digits", text)
	}
	r.Mul(r, new(big.Rat).SetInt64(int64(math.Pow10(scale))))
	if !r.IsInt() {
		return 0, fmt.Errorf("number %q: expected at most %d digits behind the point", text, scale)
	}
	if !r.Num().IsInt64() {
		return 0, fmt.Errorf("number %q: too large", text)
	}
	return r.Num().Int64(), nil
}

// maxNumber is the longest number in characters that is read.
const maxNumber = 64

// smallExponent keeps a few characters such as 1e999999999 from becoming gigabytes.
func smallExponent(text string) bool {
	i := strings.IndexAny(text, "eE")
	if i < 0 {
		return true
	}
	exponent, err := strconv.Atoi(text[i+1:])
	return err == nil && exponent >= -maxNumber && exponent <= maxNumber
}

func parseText(raw json.RawMessage) (string, error) {
	text := unquote(raw)
	if len(text) > maxText {
		return "", fmt.Errorf("a text of %d bytes: expected at most %d", len(text), maxText)
	}
	return text, nil
}

func parseFloat(raw json.RawMessage) (float64, error) {
	text := unquote(raw)
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("number %q: expected digits", text)
	}
	return f, nil
}

// unquote is the text of a JSON string, or the literal of any other value.
func unquote(raw json.RawMessage) string {
	var text string
	if err := json.Unmarshal(raw, &text); err == nil {
		return text
	}
	return string(bytes.TrimSpace(raw))
}
