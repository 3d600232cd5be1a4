package filter

import (
	"math"
	"math/big"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// verdict says what a comparison comes to when the constant lies outside of what a column can hold.
type verdict uint8

const (
	compares verdict = iota
	always           // for every row that holds a value
	never
)

// integral turns a comparison with any rational into one with an integer between lo and hi.
func integral(op Op, r *big.Rat, lo, hi *big.Int) (Op, *big.Int, verdict) {
	limit := new(big.Int).Div(r.Num(), r.Denom()) // Euclidean: rounds down for a positive divisor
	if !r.IsInt() {
		switch op {
		case Equal:
			return op, nil, never
		case NotEqual:
			return op, nil, always
		case Less, LessOrEqual:
			op = LessOrEqual
		default:
			op = Greater
		}
	}
	above, below := limit.Cmp(hi) > 0, limit.Cmp(lo) < 0
	if !above && !below {
		return op, limit, compares
	}
	switch op {
	case Equal:
		return op, nil, never
	case NotEqual:
		return op, nil, always
	case Less, LessOrEqual:
		return op, nil, either(above)
	}
	return op, nil, either(below)
}

func either(all bool) verdict {
	if all {
		return always
	}
	return never
}

// floating turns a comparison with any rational into one with a float of the given width. Floats stand for their
// shortest decimals, which are ordered as the floats are.
func floating(op Op, r *big.Rat, bits int) (Op, float64, verdict) {
	var at float64
	if bits == 32 {
		f, _ := r.Float32()
		at = float64(f)
	} else {
		at, _ = r.Float64()
	}
	side := 1 // of the float against the constant
	if !math.IsInf(at, 0) {
		shortest, _ := new(big.Rat).SetString(strconv.FormatFloat(at, 'g', -1, bits))
		side = shortest.Cmp(r)
	} else if at < 0 {
		side = -1
	}
	if side == 0 {
		return op, at, compares
	}
	if side > 0 {
		at = before(at, bits)
	}
	switch op {
	case Equal:
		return op, 0, never
	case NotEqual:
		return op, 0, always
	case Less, LessOrEqual:
		return LessOrEqual, at, compares
	}
	return Greater, at, compares
}

func before(f float64, bits int) float64 {
	if bits == 32 {
		return float64(math.Nextafter32(float32(f), float32(math.Inf(-1))))
	}
	return math.Nextafter(f, math.Inf(-1))
}

// span is what a column's type can hold, as integers: of a decimal, in units of its last digit.
func (c column) span() (lo, hi *big.Int) {
	one := big.NewInt(1)
	if d, ok := c.typ.(*arrow.Decimal128Type); ok {
		hi = new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.Precision)), nil)
		hi.Sub(hi, one)
		return new(big.Int).Neg(hi), hi
	}
	width := uint(c.typ.(arrow.FixedWidthDataType).BitWidth())
	if c.kind == uintKind {
		return new(big.Int), hi0(width)
	}
	hi = hi0(width - 1)
	return new(big.Int).Not(hi), hi
}

func hi0(bits uint) *big.Int {
	v := new(big.Int).Lsh(big.NewInt(1), bits)
	return v.Sub(v, big.NewInt(1))
}

// scaled is a rational in units of a decimal column's last digit.
func (c column) scaled(r *big.Rat) *big.Rat {
	d, ok := c.typ.(*arrow.Decimal128Type)
	if !ok || d.Scale == 0 {
		return r
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(d.Scale, -d.Scale))), nil)
	if d.Scale < 0 {
		return new(big.Rat).Quo(r, new(big.Rat).SetInt(unit))
	}
	return new(big.Rat).Mul(r, new(big.Rat).SetInt(unit))
}

// limit is a comparison in terms of a column's own type.
type limit struct {
	op      Op
	integer *big.Int
	float   float64
}

func (c column) limit(op Op, r *big.Rat) (limit, verdict) {
	if c.kind == floatKind {
		op, f, v := floating(op, r, c.typ.(arrow.FixedWidthDataType).BitWidth())
		return limit{op: op, float: f}, v
	}
	lo, hi := c.span()
	op, i, v := integral(op, c.scaled(r), lo, hi)
	return limit{op: op, integer: i}, v
}

func numberLeaf(c column, op Op, r *big.Rat) node {
	l, v := c.limit(op, r)
	switch v {
	case always:
		return leaf{c, anyTest{}}
	case never:
		return constNode(false)
	}
	return leaf{c, c.numbers([]limit{l})}
}

// numbers binds a set of numbers: those that the column can't hold fall away.
func (b *binder) numbers(c column, values []Value) node {
	var limits []limit
	for _, v := range values {
		r, err := rational(v.text)
		if err != nil {
			return b.fault(c.name, "%v", err)
		}
		if l, v := c.limit(Equal, r); v == compares {
			limits = append(limits, l)
		}
	}
	if len(limits) == 0 {
		return constNode(false)
	}
	return leaf{c, c.numbers(limits)}
}

// numbers is the test of a column against one comparison, or against a set of equalities.
func (c column) numbers(l []limit) test {
	switch c.typ.ID() {
	case arrow.INT8:
		return signed(l, func(a arrow.Array) []int8 { return a.(*array.Int8).Int8Values() })
	case arrow.INT16:
		return signed(l, func(a arrow.Array) []int16 { return a.(*array.Int16).Int16Values() })
	case arrow.INT32:
		return signed(l, func(a arrow.Array) []int32 { return a.(*array.Int32).Int32Values() })
	case arrow.INT64:
		return signed(l, func(a arrow.Array) []int64 { return a.(*array.Int64).Int64Values() })
	case arrow.UINT8:
		return unsigned(l, func(a arrow.Array) []uint8 { return a.(*array.Uint8).Uint8Values() })
	case arrow.UINT16:
		return unsigned(l, func(a arrow.Array) []uint16 { return a.(*array.Uint16).Uint16Values() })
	case arrow.UINT32:
		return unsigned(l, func(a arrow.Array) []uint32 { return a.(*array.Uint32).Uint32Values() })
	case arrow.UINT64:
		return unsigned(l, func(a arrow.Array) []uint64 { return a.(*array.Uint64).Uint64Values() })
	case arrow.FLOAT32:
		return numbersOf(l, func(l limit) float32 { return float32(l.float) }, func(a arrow.Array) []float32 { return a.(*array.Float32).Float32Values() })
	case arrow.FLOAT64:
		return numbersOf(l, func(l limit) float64 { return l.float }, func(a arrow.Array) []float64 { return a.(*array.Float64).Float64Values() })
	}
	return newDecimalTest(l)
}

func signed[T int8 | int16 | int32 | int64](l []limit, values func(arrow.Array) []T) test {
	return numbersOf(l, func(l limit) T { return T(l.integer.Int64()) }, values)
}

func unsigned[T uint8 | uint16 | uint32 | uint64](l []limit, values func(arrow.Array) []T) test {
	return numbersOf(l, func(l limit) T { return T(l.integer.Uint64()) }, values)
}

func numbersOf[T number](l []limit, of func(limit) T, values func(arrow.Array) []T) test {
	if len(l) == 1 {
		return numberTest[T]{op: l[0].op, value: of(l[0]), values: values}
	}
	set := numberSet[T]{set: make(map[T]struct{}, len(l)), values: values}
	for _, one := range l {
		v := of(one)
		if _, seen := set.set[v]; !seen {
			set.set[v] = struct{}{}
			set.list = append(set.list, v)
		}
	}
	return set
}

func newDecimalTest(l []limit) test {
	t := decimalTest{op: l[0].op, set: make(map[decimal128.Num]struct{}, len(l))}
	for _, one := range l {
		v := decimal128.FromBigInt(one.integer)
		if _, seen := t.set[v]; !seen {
			t.set[v] = struct{}{}
			t.list = append(t.list, v)
		}
	}
	return t
}
