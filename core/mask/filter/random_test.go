package filter_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/mask/filter"
)

// The columns that random trees are made over.
var (
	dictionary = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}
	every      = arrow.NewSchema([]arrow.Field{
		{Name: "b", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "b 2", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "i8", Type: arrow.PrimitiveTypes.Int8, Nullable: true},
		{Name: "i32", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "i64", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "u16", Type: arrow.PrimitiveTypes.Uint16, Nullable: true},
		{Name: "u64", Type: arrow.PrimitiveTypes.Uint64, Nullable: true},
		{Name: "f32", Type: arrow.PrimitiveTypes.Float32, Nullable: true},
		{Name: "f64", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "d", Type: &arrow.Decimal128Type{Precision: 38, Scale: 4}, Nullable: true},
		{Name: "d2", Type: &arrow.Decimal128Type{Precision: 12, Scale: 2}, Nullable: true},
		{Name: "d3", Type: &arrow.Decimal128Type{Precision: 18, Scale: 6}, Nullable: true},
		{Name: "t", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: `we"ird`, Type: arrow.BinaryTypes.LargeString, Nullable: true},
		{Name: "dict", Type: dictionary, Nullable: true},
		{Name: "view", Type: arrow.BinaryTypes.StringView, Nullable: true},
	}, nil)
)

var (
	texts   = []string{"", "a", "ab", "a_b", "a%b", `\`, "%", "b", "äö", "A", "ab\x00c", "z\U0001F600", "eu", "uk"}
	numbers = []string{"0", "-0.0", "1", "2", "-1", "2.5", "-2.5", "0.1", "0.3", "127", "128", "-129", "65535", "65536", "9007199254740992",
		"9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "-9223372036854775808",
		"1e300", "-1e300", "1e400", "-1e400", "3.4028235e38", "1e23", "0.00001", "12345678901234567890123456789012.3456", "100.25"}
	integers = []int64{0, 1, 2, -1, 127, -128, 9007199254740992, 9007199254740993, -9007199254740993, math.MaxInt64, math.MinInt64}
	naturals = []uint64{0, 1, 2, 127, 9007199254740993, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64}
	floats   = []float64{0, math.Copysign(0, -1), 1, 2, -1, 2.5, 0.1, 0.3, 9007199254740992, 1e300, 1e23, math.MaxInt64, math.MaxUint64, 127, 65535,
		-9223372036854775808, math.Inf(1), math.Inf(-1), math.NaN(), math.SmallestNonzeroFloat64, math.MaxFloat64}
	decimals = []string{"0", "10000", "-10000", "25000", "1", "123456789012345678901234567890123456", "92233720368547758070000", "1270000", "1000000"}
)

func one[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

// batch makes rows with nulls; it is a slice of a longer one, so that offsets matter.
func batch(r *rand.Rand, alloc memory.Allocator, s *arrow.Schema, rows int) arrow.RecordBatch {
	before := r.IntN(70)
	b := array.NewRecordBuilder(alloc, s)
	defer b.Release()
	for _, field := range b.Fields() {
		for range before + rows + 3 {
			if r.IntN(6) == 0 {
				field.AppendNull()
			} else {
				appendAny(r, field)
			}
		}
	}
	whole := b.NewRecordBatch()
	defer whole.Release()
	return whole.NewSlice(int64(before), int64(before+rows))
}

func appendAny(r *rand.Rand, field array.Builder) {
	switch f := field.(type) {
	case *array.BooleanBuilder:
		f.Append(r.IntN(2) == 0)
	case *array.Int8Builder:
		f.Append(int8(one(r, integers)))
	case *array.Int32Builder:
		f.Append(int32(one(r, integers)))
	case *array.Int64Builder:
		f.Append(one(r, integers))
	case *array.Uint16Builder:
		f.Append(uint16(one(r, naturals)))
	case *array.Uint64Builder:
		f.Append(one(r, naturals))
	case *array.Float32Builder:
		f.Append(float32(one(r, floats)))
	case *array.Float64Builder:
		f.Append(one(r, floats))
	case *array.Decimal128Builder:
		n, _ := new(big.Int).SetString(one(r, decimals), 10)
		f.Append(decimal128.FromBigInt(new(big.Int).Rem(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(f.Type().(*arrow.Decimal128Type).Precision)), nil))))
	case *array.StringBuilder:
		f.Append(one(r, texts))
	case *array.LargeStringBuilder:
		f.Append(one(r, texts))
	case *array.StringViewBuilder:
		f.Append(one(r, texts))
	case *array.BinaryDictionaryBuilder:
		_ = f.AppendString(one(r, texts))
	default:
		panic(fmt.Sprintf("no values for %T", field))
	}
}

var ops = []filter.Op{filter.Equal, filter.NotEqual, filter.Less, filter.LessOrEqual, filter.Greater, filter.GreaterOrEqual}

// tree makes a random predicate that mostly binds.
func tree(r *rand.Rand, s *arrow.Schema, depth int) filter.Predicate {
	if depth > 0 {
		switch r.IntN(5) {
		case 0, 1:
			parts := make([]filter.Predicate, r.IntN(4))
			for i := range parts {
				parts[i] = tree(r, s, depth-1)
			}
			if r.IntN(2) == 0 {
				return filter.And(parts)
			}
			return filter.Or(parts)
		case 2:
			return filter.NotTrue{Of: tree(r, s, depth-1)}
		}
	}
	return atom(r, s)
}

func atom(r *rand.Rand, s *arrow.Schema) filter.Predicate {
	field := one(r, s.Fields())
	value := func() filter.Value { return valueFor(r, field.Type) }
	switch r.IntN(8) {
	case 0:
		return filter.IsNull{Column: field.Name, Not: r.IntN(2) == 0}
	case 1:
		values := make([]filter.Value, r.IntN(14))
		for i := range values {
			values[i] = value()
		}
		return filter.In{Column: field.Name, Values: values}
	case 2:
		return filter.Text{Column: one(r, []string{"t", `we"ird`, "dict", "view"}), Op: one(r, []filter.TextOp{filter.Starts, filter.Ends, filter.Contains}), Value: one(r, texts)}
	case 3:
		return filter.Column{Name: one(r, []string{"b", "b 2"})}
	case 4:
		return filter.CompareColumns{Left: field.Name, Op: one(r, ops), Right: one(r, s.Fields()).Name}
	case 5:
		return filter.Constant(r.IntN(2) == 0)
	}
	return filter.Compare{Column: field.Name, Op: one(r, ops), Value: value()}
}

func valueFor(r *rand.Rand, t arrow.DataType) filter.Value {
	switch t.ID() {
	case arrow.BOOL:
		return filter.Bool(r.IntN(2) == 0)
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW, arrow.DICTIONARY:
		return filter.String(one(r, texts))
	}
	v, err := filter.Number(one(r, numbers))
	if err != nil {
		panic(err)
	}
	return v
}

// cell is a value of a row for the oracle: nil, bool, string, *big.Rat, float or an infinite float64.
func cell(a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.Dictionary:
		return cell(a.Dictionary(), a.GetValueIndex(i))
	case *array.Boolean:
		return a.Value(i)
	case *array.String:
		return a.Value(i)
	case *array.LargeString:
		return a.Value(i)
	case *array.StringView:
		return a.Value(i)
	case *array.Float32:
		return floatCell(float64(a.Value(i)), 32)
	case *array.Float64:
		return floatCell(a.Value(i), 64)
	}
	v, ok := new(big.Rat).SetString(a.ValueStr(i))
	if !ok {
		panic("no number: " + a.ValueStr(i))
	}
	return v
}

func floatCell(f float64, bits int) any {
	switch {
	case math.IsNaN(f):
		return nil
	case math.IsInf(f, 0):
		return f
	}
	v, _ := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, bits))
	return float{shortest: v, exact: new(big.Rat).SetFloat64(f)}
}

type float struct{ shortest, exact *big.Rat }
