package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// among finds values that aren't in a list or, if banned, those that are. A nil in a list of banned values stands for null.
func among(have arrow.DataType, listed []any, banned bool) finder {
	var find finder
	switch have.ID() {
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW:
		words := map[string]struct{}{}
		for _, value := range listed {
			if value != nil {
				words[fmt.Sprint(value)] = struct{}{}
			}
		}
		find = texts(func(s string) bool {
			_, in := words[s]
			return in != banned
		})
	case arrow.INT8:
		find = numbersAmong[int8](listed, banned)
	case arrow.INT16:
		find = numbersAmong[int16](listed, banned)
	case arrow.INT32:
		find = numbersAmong[int32](listed, banned)
	case arrow.INT64:
		find = numbersAmong[int64](listed, banned)
	case arrow.UINT8:
		find = numbersAmong[uint8](listed, banned)
	case arrow.UINT16:
		find = numbersAmong[uint16](listed, banned)
	case arrow.UINT32:
		find = numbersAmong[uint32](listed, banned)
	case arrow.UINT64:
		find = numbersAmong[uint64](listed, banned)
	case arrow.FLOAT32:
		find = numbersAmong[float32](listed, banned)
	case arrow.FLOAT64:
		find = numbersAmong[float64](listed, banned)
	default:
		find = wordsAmong(have, listed, banned)
	}
	if banned && slices.Contains(listed, nil) {
		return both(nulls, find)
	}
	return find
}

// both runs two finders.
func both(a, b finder) finder {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	return func(values arrow.Array, fail func(int)) {
		a(values, fail)
		b(values, fail)
	}
}

type numeric interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

func numbersAmong[T numeric](listed []any, banned bool) finder {
	set := map[T]struct{}{}
	for _, value := range listed {
		if n, ok := as[T](value); ok {
			set[n] = struct{}{}
		}
	}
	return func(values arrow.Array, fail func(int)) {
		for i, value := range arrow.GetValues[T](values.Data(), 1) {
			if _, in := set[value]; in == banned && values.IsValid(i) {
				fail(i)
			}
		}
	}
}

// as gives a listed value as a number of the type, if it is one.
func as[T numeric](value any) (T, bool) {
	switch value := value.(type) {
	case int64:
		n := T(value)
		return n, int64(n) == value && (n < 0) == (value < 0)
	case uint64:
		n := T(value)
		return n, uint64(n) == value && n >= 0
	case float64:
		n := T(value)
		_, narrow := any(n).(float32)
		return n, narrow || float64(n) == value
	case string:
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return as[T](n)
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil && !math.IsNaN(n) {
			return as[T](n)
		}
	}
	return 0, false
}

// wordsAmong compares values of other types as text.
func wordsAmong(have arrow.DataType, listed []any, banned bool) finder {
	decimal := arrow.IsDecimal(have.ID())
	words := map[string]struct{}{}
	for _, value := range listed {
		words[word(fmt.Sprint(value), decimal)] = struct{}{}
	}
	return func(values arrow.Array, fail func(int)) {
		for i := range values.Len() {
			if values.IsNull(i) {
				continue
			}
			if _, in := words[word(values.ValueStr(i), decimal)]; in == banned {
				fail(i)
			}
		}
	}
}

// word leaves off the zeros that say nothing, so that 1.50 is 1.5.
func word(text string, decimal bool) string {
	if decimal && strings.Contains(text, ".") {
		return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	return text
}
