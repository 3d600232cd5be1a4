package live

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

var columnTypes = []arrow.DataType{
	arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Float64, arrow.FixedWidthTypes.Boolean,
	arrow.BinaryTypes.String, arrow.BinaryTypes.Binary, arrow.FixedWidthTypes.Date32, arrow.FixedWidthTypes.Timestamp_us,
	&arrow.FixedSizeBinaryType{ByteWidth: 3}, &arrow.Decimal128Type{Precision: 20, Scale: 2}, extensions.NewUUIDType(),
	arrow.ListOf(arrow.BinaryTypes.String), arrow.StructOf(arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int64, Nullable: true}),
	&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String},
}

func appendValue(b array.Builder, n int) {
	text := fmt.Sprint("v", n)
	switch b := b.(type) {
	case *array.FixedSizeBinaryBuilder:
		b.Append([]byte{byte(n), byte(n >> 8), 1})
	case *array.BinaryBuilder:
		b.Append([]byte(text)[:n%len(text)])
	case *array.StringBuilder:
		b.Append(text[:n%len(text)]) // empty ones, too
	case *array.Decimal128Builder:
		b.Append(decimal128.FromI64(int64(n)))
	case *extensions.UUIDBuilder:
		b.AppendBytes([16]byte{byte(n), byte(n >> 8)})
	case *array.Date32Builder:
		b.Append(arrow.Date32(n))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(n))
	case *array.BooleanBuilder:
		b.Append(n%3 == 0)
	case *array.Int64Builder:
		b.Append(int64(n))
	case *array.Int32Builder:
		b.Append(int32(n))
	case *array.Float64Builder:
		b.Append(float64(n))
	case *array.ListBuilder:
		b.Append(true)
		for range n % 3 {
			appendValue(b.ValueBuilder(), n)
		}
	case *array.StructBuilder:
		b.Append(true)
		appendValue(b.FieldBuilder(0), n)
	case *array.BinaryDictionaryBuilder:
		if err := b.AppendString(text); err != nil {
			panic(err)
		}
	default:
		panic(fmt.Sprintf("%T", b))
	}
}

// What is kept of a column is what Arrow's own filter keeps, with and without nulls, also in a part of a longer column.
func TestCompactIsArrowsFilter(t *testing.T) {
	t.Parallel()
	const rows = 300
	rng := rand.New(rand.NewPCG(1, 1))
	for _, dt := range columnTypes {
		for _, nulls := range []int{0, 1, 5} {
			for _, kept := range []int{0, 1, 50, 99, 100} {
				t.Run(fmt.Sprintf("%s, %d nulls of 10, %d%% kept", dt, nulls, kept), func(t *testing.T) {
					alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
					defer alloc.AssertSize(t, 0)
					ctx := compute.WithAllocator(t.Context(), alloc)
					b := array.NewBuilder(alloc, dt)
					for n := range rows + 20 {
						if rng.IntN(10) < nulls {
							b.AppendNull()
						} else {
							appendValue(b, n)
						}
					}
					whole := b.NewArray()
					b.Release()
					column := array.NewSlice(whole, 13, 13+rows)
					whole.Release()
					bits := make([]byte, bitutil.BytesForBits(rows))
					for i := range rows {
						bitutil.SetBitTo(bits, i, rng.IntN(100) < kept)
					}
					batch := array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "c", Type: dt, Nullable: true}}, nil), []arrow.Array{column}, rows)
					defer batch.Release()
					got, err := compact(ctx, batch, bits)
					if err != nil {
						t.Fatal(err)
					}
					defer got.Release()
					want, err := filtered(ctx, column, bits)
					column.Release()
					if err != nil {
						t.Fatal(err)
					}
					defer want.Release()
					if !array.Equal(want, got.Column(0)) || got.Column(0).NullN() != want.NullN() || int64(want.Len()) != got.NumRows() {
						t.Errorf("kept %s, want %s", got.Column(0), want)
					}
				})
			}
		}
	}
}
