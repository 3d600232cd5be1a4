package filter

import (
	"cmp"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

func (p CompareColumns) bind(b *binder) node {
	l, okLeft := b.column(p.Left)
	r, okRight := b.column(p.Right)
	if !okLeft || !okRight {
		return constNode(false)
	}
	if !p.Op.known() {
		return b.fault(p.Left, "unknown comparison %q; known are ==, !=, <, <=, >, >=", string(p.Op))
	}
	n := pair{left: l, right: r, op: p.Op}
	lwant, what := l.wants()
	rwant, other := r.wants()
	switch {
	case lwant == noValue || rwant == noValue:
		return b.fault(p.Left, "a %s can't be compared with a %s (column %q)", l.typ, r.typ, r.name)
	case lwant != rwant:
		return b.fault(p.Left, "it is %s (%s) and never equals %s (column %q, %s)", what, l.typ, other, r.name, r.typ)
	case lwant == boolValue && p.Op != Equal && p.Op != NotEqual:
		return b.fault(p.Left, "booleans have no order: %q; allowed are == and !=", string(p.Op))
	case lwant == textValue:
		n.order = orderTexts
		return n
	case lwant == boolValue:
		n.order = orderBools
		return n
	}
	return b.numberPair(n)
}

// pair compares two columns. order compares row i of one array with row j of another; ok is false for NaN.
type pair struct {
	left, right column
	op          Op
	order       func(l arrow.Array, i int, r arrow.Array, j int) (order int, ok bool)
	scale       int32 // decimals meet at this scale
}

// maxPrecision is how many digits a decimal holds in DuckDB.
const maxPrecision = 38

func (b *binder) numberPair(n pair) node {
	l, r := n.left, n.right
	floats := 0
	for _, c := range []column{l, r} {
		if c.kind == floatKind {
			floats++
		}
	}
	decimals := l.kind == decimalKind || r.kind == decimalKind
	switch {
	case floats == 2 && l.typ.ID() != r.typ.ID(), floats == 1 && decimals:
		return b.fault(l.name, "a %s and a %s (column %q) can't be compared exactly", l.typ, r.typ, r.name)
	case floats == 2:
		n.order = orderFloats
	case floats == 1:
		n.order = orderMixed
	case decimals:
		n.scale = max(l.scale(), r.scale())
		if l.digits()+n.scale-l.scale() > maxPrecision || r.digits()+n.scale-r.scale() > maxPrecision {
			return b.fault(l.name, "a %s and a %s (column %q) have no common type of %d digits", l.typ, r.typ, r.name, maxPrecision)
		}
		n.order = n.orderDecimals
	default:
		n.order = orderIntegers
	}
	return n
}

func (c column) scale() int32 {
	if d, ok := c.typ.(*arrow.Decimal128Type); ok {
		return d.Scale
	}
	return 0
}

// digits is how many decimal digits a column's numbers have at most.
func (c column) digits() int32 {
	if d, ok := c.typ.(*arrow.Decimal128Type); ok {
		return d.Precision
	}
	_, hi := c.span()
	return int32(len(hi.String())) //nolint:gosec // at most 20
}

func (n pair) eval(f *frame, dst []uint64) {
	clear(dst)
	l, r := f.columns[n.left.index], f.columns[n.right.index]
	for i := range f.rows {
		left, at, ok := entry(l, i)
		right, to, fine := entry(r, i)
		if !ok || !fine {
			continue
		}
		if order, ok := n.order(left, at, right, to); ok && n.op.holds(order) {
			dst[i/64] |= 1 << (i % 64)
		}
	}
}

// entry finds the value of a row: in a dictionary, or where it is. It is not ok for nulls.
func entry(a arrow.Array, i int) (arrow.Array, int, bool) {
	if a.IsNull(i) {
		return nil, 0, false
	}
	if d, encoded := a.(*array.Dictionary); encoded {
		return entry(d.Dictionary(), d.GetValueIndex(i))
	}
	return a, i, true
}

func orderTexts(l arrow.Array, i int, r arrow.Array, j int) (int, bool) {
	return strings.Compare(l.(texts).Value(i), r.(texts).Value(j)), true
}

func orderBools(l arrow.Array, i int, r arrow.Array, j int) (int, bool) {
	if l.(*array.Boolean).Value(i) == r.(*array.Boolean).Value(j) {
		return 0, true
	}
	return 1, true
}

func orderFloats(l arrow.Array, i int, r arrow.Array, j int) (int, bool) {
	a, b := floatAt(l, i), floatAt(r, j)
	return cmp.Compare(a, b), !math.IsNaN(a) && !math.IsNaN(b)
}

func orderIntegers(l arrow.Array, i int, r arrow.Array, j int) (int, bool) {
	return compareIntegers(integerAt(l, i), integerAt(r, j)), true
}

// orderMixed compares an integer with a float.
func orderMixed(l arrow.Array, i int, r arrow.Array, j int) (int, bool) {
	if kindOf(l.DataType()) == floatKind {
		order, ok := orderMixed(r, j, l, i)
		return -order, ok
	}
	return compareWithFloat(integerAt(l, i), floatAt(r, j))
}

func (n pair) orderDecimals(l arrow.Array, i int, r arrow.Array, j int) (int, bool) {
	a, b := decimalAt(l, i).IncreaseScaleBy(n.scale-n.left.scale()), decimalAt(r, j).IncreaseScaleBy(n.scale-n.right.scale())
	return a.Cmp(b), true
}

// integer is any value of the eight integer types.
type integer struct {
	bits     uint64
	negative bool // bits hold a negative int64
}

func compareIntegers(a, b integer) int {
	switch {
	case a.negative != b.negative && a.negative:
		return -1
	case a.negative != b.negative:
		return 1
	}
	return cmp.Compare(a.bits, b.bits) // two's complement keeps the order among negatives
}

// compareWithFloat compares an integer with a float exactly; not ok for NaN.
func compareWithFloat(i integer, f float64) (int, bool) {
	const top = 1 << 63
	switch {
	case math.IsNaN(f):
		return 0, false
	case f < -top:
		return 1, true
	case f >= 2*top:
		return -1, true
	}
	whole := math.Trunc(f)
	var of integer
	if whole < 0 {
		of = fromInt(int64(whole))
	} else {
		of = integer{bits: uint64(whole)}
	}
	if order := compareIntegers(i, of); order != 0 {
		return order, true
	}
	return cmp.Compare(0, f-whole), true
}

func fromInt(i int64) integer {
	return integer{bits: uint64(i), negative: i < 0} //nolint:gosec // the sign is kept beside
}

func integerAt(a arrow.Array, i int) integer {
	switch a := a.(type) {
	case *array.Int8:
		return fromInt(int64(a.Value(i)))
	case *array.Int16:
		return fromInt(int64(a.Value(i)))
	case *array.Int32:
		return fromInt(int64(a.Value(i)))
	case *array.Int64:
		return fromInt(a.Value(i))
	case *array.Uint8:
		return integer{bits: uint64(a.Value(i))}
	case *array.Uint16:
		return integer{bits: uint64(a.Value(i))}
	case *array.Uint32:
		return integer{bits: uint64(a.Value(i))}
	}
	return integer{bits: a.(*array.Uint64).Value(i)}
}

func floatAt(a arrow.Array, i int) float64 {
	if narrow, ok := a.(*array.Float32); ok {
		return float64(narrow.Value(i))
	}
	return a.(*array.Float64).Value(i)
}

func decimalAt(a arrow.Array, i int) decimal128.Num {
	if d, ok := a.(*array.Decimal128); ok {
		return d.Value(i)
	}
	n := integerAt(a, i)
	if n.negative {
		return decimal128.FromI64(int64(n.bits)) //nolint:gosec // it was an int64
	}
	return decimal128.FromU64(n.bits)
}
