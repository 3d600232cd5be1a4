package filter

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

type number interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64
}

// dropNulls clears the bits of nulls.
func dropNulls(values arrow.Array, dst []uint64) {
	if values.NullN() > 0 {
		maskWith(dst, values.NullBitmapBytes(), values.Data().Offset(), values.Len())
	}
}

// maskWith ands dst with n bits of a bitmap that begin at an offset.
func maskWith(dst []uint64, bitmap []byte, offset, n int) {
	for w := range dst {
		dst[w] &= bitsAt(bitmap, offset+w*64, min(64, n-w*64))
	}
}

// bitsAt reads up to 64 bits that begin anywhere in a bitmap.
func bitsAt(bitmap []byte, at, n int) uint64 {
	from, shift := at/8, uint(at%8)
	if from+9 <= len(bitmap) {
		low := binary.LittleEndian.Uint64(bitmap[from:])
		return low>>shift | uint64(bitmap[from+8])<<(64-shift)
	}
	var bits uint64
	for i := range n {
		if bitutil.BitIsSet(bitmap, at+i) {
			bits |= 1 << i
		}
	}
	return bits
}

// compare sets a bit for each value that stands in a relation to a constant. NaN stands in none.
func compare[T number](dst []uint64, values []T, op Op, c T) {
	for w := range dst {
		block := values[w*64 : min(len(values), w*64+64)]
		switch op {
		case Equal:
			dst[w] = equal(block, c)
		case NotEqual:
			dst[w] = unequal(block, c)
		case Less:
			dst[w] = less(block, c)
		case LessOrEqual:
			dst[w] = lessOrEqual(block, c)
		case Greater:
			dst[w] = greater(block, c)
		case GreaterOrEqual:
			dst[w] = greaterOrEqual(block, c)
		}
	}
}

// The loops below have no branch: the compiler turns each condition into a flag.

func equal[T number](block []T, c T) (bits uint64) {
	for i, v := range block {
		var bit uint64
		if v == c {
			bit = 1
		}
		bits |= bit << (i & 63)
	}
	return bits
}

func unequal[T number](block []T, c T) uint64 { return less(block, c) | greater(block, c) }

func less[T number](block []T, c T) (bits uint64) {
	for i, v := range block {
		var bit uint64
		if v < c {
			bit = 1
		}
		bits |= bit << (i & 63)
	}
	return bits
}

func lessOrEqual[T number](block []T, c T) (bits uint64) {
	for i, v := range block {
		var bit uint64
		if v <= c {
			bit = 1
		}
		bits |= bit << (i & 63)
	}
	return bits
}

func greater[T number](block []T, c T) (bits uint64) {
	for i, v := range block {
		var bit uint64
		if v > c {
			bit = 1
		}
		bits |= bit << (i & 63)
	}
	return bits
}

func greaterOrEqual[T number](block []T, c T) (bits uint64) {
	for i, v := range block {
		var bit uint64
		if v >= c {
			bit = 1
		}
		bits |= bit << (i & 63)
	}
	return bits
}

// numberTest compares a column of numbers with a number of its own type.
type numberTest[T number] struct {
	op     Op
	value  T
	values func(arrow.Array) []T
}

func (t numberTest[T]) run(values arrow.Array, dst []uint64) {
	compare(dst, t.values(values), t.op, t.value)
	dropNulls(values, dst)
}

// numberSet looks numbers up in a set.
type numberSet[T number] struct {
	set    map[T]struct{}
	list   []T
	values func(arrow.Array) []T
}

// fewNumbers is how many comparisons cost less than a look-up.
const fewNumbers = 8

func (t numberSet[T]) run(values arrow.Array, dst []uint64) {
	of := t.values(values)
	for w := range dst {
		block := of[w*64 : min(len(of), w*64+64)]
		var bits uint64
		if len(t.list) <= fewNumbers {
			for _, c := range t.list {
				bits |= equal(block, c)
			}
		} else {
			for i, v := range block {
				if _, in := t.set[v]; in {
					bits |= 1 << i
				}
			}
		}
		dst[w] = bits
	}
	dropNulls(values, dst)
}

// decimalTest compares decimals, in units of the last digit; with Equal, to each of a list.
type decimalTest struct {
	op   Op
	list []decimal128.Num
	set  map[decimal128.Num]struct{}
}

func (t decimalTest) run(values arrow.Array, dst []uint64) {
	of := values.(*array.Decimal128).Values()
	for w := range dst {
		var bits uint64
		for i, v := range of[w*64 : min(len(of), w*64+64)] {
			if t.passes(v) {
				bits |= 1 << i
			}
		}
		dst[w] = bits
	}
	dropNulls(values, dst)
}

func (t decimalTest) passes(v decimal128.Num) bool {
	if t.op == Equal && len(t.list) > 1 {
		_, in := t.set[v]
		return in
	}
	return t.op.holds(v.Cmp(t.list[0]))
}

// holds says whether a comparison is true for values that are in this order.
func (o Op) holds(order int) bool {
	switch o {
	case Equal:
		return order == 0
	case NotEqual:
		return order != 0
	case Less:
		return order < 0
	case LessOrEqual:
		return order <= 0
	case Greater:
		return order > 0
	}
	return order >= 0
}

// boolTest is true for one of the two booleans.
type boolTest struct{ want bool }

func (t boolTest) run(values arrow.Array, dst []uint64) {
	bitmap := values.Data().Buffers()[1]
	if bitmap == nil {
		clear(dst)
		return
	}
	for w := range dst {
		dst[w] = bitsAt(bitmap.Bytes(), values.Data().Offset()+w*64, min(64, values.Len()-w*64))
		if !t.want {
			dst[w] = ^dst[w]
		}
	}
	dropNulls(values, dst)
}

// anyTest is true for every row that holds a value; NaN is none.
type anyTest struct{}

func (anyTest) run(values arrow.Array, dst []uint64) {
	switch a := values.(type) {
	case *array.Float32:
		compare(dst, a.Float32Values(), GreaterOrEqual, float32(math.Inf(-1)))
	case *array.Float64:
		compare(dst, a.Float64Values(), GreaterOrEqual, math.Inf(-1))
	case *array.Null:
		clear(dst)
		return
	default:
		for w := range dst {
			dst[w] = ^uint64(0)
		}
	}
	dropNulls(values, dst)
}
