package main

import (
	"fmt"
	"math"
	"math/big"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/specs/contract"
)

// multiple finds numbers that aren't whole multiples of a step, exactly: 0.3 is a multiple of 0.1.
func multiple(have arrow.DataType, step contract.Number) (finder, error) {
	by := step.Rat()
	if by.Sign() <= 0 {
		return nil, fmt.Errorf("the step %s isn't above zero", step)
	}
	switch {
	case isText(have):
		return texts(func(s string) bool { return divides(by, contract.Number(s).Rat()) }), nil // what is no number counts as zero
	case arrow.IsInteger(have.ID()) && by.IsInt() && by.Num().IsInt64():
		return wholeMultiples(have, by.Num().Int64()), nil
	case arrow.IsInteger(have.ID()):
		return counted(by, func(values arrow.Array, i int) (*big.Rat, bool) {
			return new(big.Rat).SetString(values.ValueStr(i))
		}), nil
	case arrow.IsFloating(have.ID()) && by.IsInt() && by.Num().IsInt64():
		return floatMultiples(float64(by.Num().Int64())), nil
	case arrow.IsFloating(have.ID()):
		return counted(by, floatExactly), nil
	case arrow.IsDecimal(have.ID()):
		return counted(by, decimalExactly), nil
	}
	return nil, fmt.Errorf("a step needs numbers, found %s", have)
}

func divides(by, n *big.Rat) bool { return new(big.Rat).Quo(n, by).IsInt() }

func wholeMultiples(have arrow.DataType, step int64) finder {
	switch have.ID() {
	case arrow.INT8:
		return signedMultiples[int8](step)
	case arrow.INT16:
		return signedMultiples[int16](step)
	case arrow.INT32:
		return signedMultiples[int32](step)
	case arrow.UINT8:
		return unsignedMultiples[uint8](step)
	case arrow.UINT16:
		return unsignedMultiples[uint16](step)
	case arrow.UINT32:
		return unsignedMultiples[uint32](step)
	case arrow.UINT64:
		return unsignedMultiples[uint64](step)
	}
	return signedMultiples[int64](step)
}

func signedMultiples[T int8 | int16 | int32 | int64](step int64) finder {
	return func(values arrow.Array, fail func(int)) {
		for i, value := range arrow.GetValues[T](values.Data(), 1) {
			if int64(value)%step != 0 && values.IsValid(i) {
				fail(i)
			}
		}
	}
}

func unsignedMultiples[T uint8 | uint16 | uint32 | uint64](step int64) finder {
	by := uint64(step) //nolint:gosec // steps are above zero
	return func(values arrow.Array, fail func(int)) {
		for i, value := range arrow.GetValues[T](values.Data(), 1) {
			if uint64(value)%by != 0 && values.IsValid(i) {
				fail(i)
			}
		}
	}
}

func floatMultiples(step float64) finder {
	return func(values arrow.Array, fail func(int)) {
		for i := range values.Len() {
			if n, ok := floatAt(values, i); ok && math.Mod(n, step) != 0 {
				fail(i)
			}
		}
	}
}

// floatAt gives a float value; false for a null.
func floatAt(values arrow.Array, i int) (float64, bool) {
	if values.IsNull(i) {
		return 0, false
	}
	switch values := values.(type) {
	case *array.Float64:
		return values.Value(i), true
	case *array.Float32:
		return float64(values.Value(i)), true
	case *array.Float16:
		return float64(values.Value(i).Float32()), true
	}
	return 0, false
}

// counted compares exact values; numbers that have none, such as NaN, are no multiples.
func counted(by *big.Rat, exactly func(values arrow.Array, i int) (*big.Rat, bool)) finder {
	return func(values arrow.Array, fail func(int)) {
		for i := range values.Len() {
			if values.IsNull(i) {
				continue
			}
			if n, ok := exactly(values, i); !ok || !divides(by, n) {
				fail(i)
			}
		}
	}
}

// floatExactly takes the shortest decimal that gives the float for what was meant.
func floatExactly(values arrow.Array, i int) (*big.Rat, bool) {
	n, _ := floatAt(values, i)
	width := 64
	if values.DataType().ID() == arrow.FLOAT32 {
		width = 32
	}
	return new(big.Rat).SetString(strconv.FormatFloat(n, 'g', -1, width))
}

func decimalExactly(values arrow.Array, i int) (*big.Rat, bool) {
	unit, _, ok := wholeUnit(values.DataType())
	if !ok {
		return nil, false
	}
	var units *big.Int
	switch values := values.(type) {
	case *array.Decimal128:
		units = values.Value(i).BigInt()
	case *array.Decimal256:
		units = values.Value(i).BigInt()
	default:
		return nil, false
	}
	return new(big.Rat).Quo(new(big.Rat).SetInt(units), unit), true
}
