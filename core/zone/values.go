package zone

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func decodeDictionary(ctx context.Context, _ memory.Allocator, in arrow.Array) (arrow.Array, error) {
	d := in.(*array.Dictionary)
	return compute.TakeArray(ctx, d.Dictionary(), d.Indices())
}

func decodeRunEnds(ctx context.Context, _ memory.Allocator, in arrow.Array) (arrow.Array, error) {
	return compute.RunEndDecodeArray(ctx, in)
}

// relabel gives an array another type of the same layout.
func relabel(in arrow.Array, to arrow.DataType) arrow.Array {
	d := in.Data()
	data := array.NewData(to, d.Len(), d.Buffers(), d.Children(), d.NullN(), d.Offset())
	defer data.Release()
	return array.MakeFromData(data)
}

func timestampMicros(to *arrow.TimestampType) cast {
	return func(ctx context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
		unit := in.DataType().(*arrow.TimestampType).Unit
		if unit == arrow.Microsecond {
			return relabel(in, to), nil
		}
		// An instant doesn't depend on the zone it is shown in: label it first.
		same := relabel(in, &arrow.TimestampType{Unit: unit, TimeZone: to.TimeZone})
		defer same.Release()
		return truncatingCast(to)(ctx, alloc, same)
	}
}

func durationMicros(ctx context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
	// Durations have the layout and units of timestamps, which compute can rescale.
	unit := in.DataType().(*arrow.DurationType).Unit
	timestamps := relabel(in, &arrow.TimestampType{Unit: unit})
	defer timestamps.Release()
	scaled, err := timestampMicros(&arrow.TimestampType{Unit: arrow.Microsecond})(ctx, alloc, timestamps)
	if err != nil {
		return nil, err
	}
	defer scaled.Release()
	return relabel(scaled, arrow.PrimitiveTypes.Int64), nil
}

func uint64Decimal(_ context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
	values := in.(*array.Uint64)
	b := array.NewDecimal128Builder(alloc, &arrow.Decimal128Type{Precision: 20})
	defer b.Release()
	b.Reserve(values.Len())
	for i := range values.Len() {
		if values.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(decimal128.New(0, values.Value(i)))
	}
	return b.NewArray(), nil
}

func float16Float(_ context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
	values := in.(*array.Float16)
	b := array.NewFloat32Builder(alloc)
	defer b.Release()
	b.Reserve(values.Len())
	for i := range values.Len() {
		if values.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(values.Value(i).Float32())
	}
	return b.NewArray(), nil
}

func viewString(_ context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
	values := in.(*array.StringView)
	b := array.NewStringBuilder(alloc)
	defer b.Release()
	for i := range values.Len() {
		if values.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(values.Value(i))
	}
	return b.NewArray(), nil
}

func viewBinary(_ context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
	values := in.(*array.BinaryView)
	b := array.NewBinaryBuilder(alloc, arrow.BinaryTypes.Binary)
	defer b.Release()
	for i := range values.Len() {
		if values.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(values.Value(i))
	}
	return b.NewArray(), nil
}

func nullString(_ context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
	return array.MakeArrayOfNull(alloc, arrow.BinaryTypes.String, in.Len()), nil
}

// textCast renders each value; a null stays null.
func textCast(text func(arrow.Array, int) (string, error)) cast {
	return func(_ context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
		b := array.NewStringBuilder(alloc)
		defer b.Release()
		for i := range in.Len() {
			if in.IsNull(i) {
				b.AppendNull()
				continue
			}
			s, err := text(in, i)
			if err != nil {
				return nil, fmt.Errorf("row %d: %w", i, err)
			}
			b.Append(s)
		}
		return b.NewArray(), nil
	}
}

func jsonText(in arrow.Array, i int) (string, error) {
	text, err := json.Marshal(in.GetOneForMarshal(i))
	return string(text), err
}

// unscaled reads a decimal of any width as an integer.
func unscaled(in arrow.Array, i int) (*big.Int, int32, error) {
	switch a := in.(type) {
	case *array.Decimal32:
		return big.NewInt(int64(a.Value(i))), scaleOf(a), nil
	case *array.Decimal64:
		return big.NewInt(int64(a.Value(i))), scaleOf(a), nil
	case *array.Decimal128:
		return a.Value(i).BigInt(), scaleOf(a), nil
	case *array.Decimal256:
		return a.Value(i).BigInt(), scaleOf(a), nil
	}
	return nil, 0, fmt.Errorf("%s is no decimal", in.DataType())
}

func scaleOf(a arrow.Array) int32 {
	return a.DataType().(arrow.DecimalType).GetScale()
}

func shift(v *big.Int, digits int32) *big.Int {
	return v.Mul(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil))
}

func decimalCast(to *arrow.Decimal128Type) cast {
	return func(_ context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
		b := array.NewDecimal128Builder(alloc, to)
		defer b.Release()
		b.Reserve(in.Len())
		for i := range in.Len() {
			if in.IsNull(i) {
				b.AppendNull()
				continue
			}
			v, scale, err := unscaled(in, i)
			if err != nil {
				return nil, err
			}
			if scale < 0 {
				v = shift(v, -scale)
			}
			if len(new(big.Int).Abs(v).String()) > int(to.Precision) {
				return nil, fmt.Errorf("row %d: %s has more than %d digits", i, v, to.Precision)
			}
			b.Append(decimal128.FromBigInt(v))
		}
		return b.NewArray(), nil
	}
}

func decimalText(in arrow.Array, i int) (string, error) {
	v, scale, err := unscaled(in, i)
	if err != nil {
		return "", err
	}
	if scale <= 0 {
		return shift(v, -scale).String(), nil
	}
	sign := ""
	if v.Sign() < 0 {
		sign, v = "-", v.Neg(v)
	}
	digits := v.String()
	if missing := int(scale) + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) - int(scale)
	return sign + digits[:point] + "." + digits[point:], nil
}

// intervalText writes an interval as an ISO 8601 duration. Months, days and time
// keep their own signs, as their lengths don't convert.
func intervalText(in arrow.Array, i int) (string, error) {
	switch a := in.(type) {
	case *array.MonthInterval:
		return fmt.Sprintf("P%dM", a.Value(i)), nil
	case *array.DayTimeInterval:
		v := a.Value(i)
		return fmt.Sprintf("P%dDT%sS", v.Days, seconds(int64(v.Milliseconds), 1e3)), nil
	case *array.MonthDayNanoInterval:
		v := a.Value(i)
		return fmt.Sprintf("P%dM%dDT%sS", v.Months, v.Days, seconds(v.Nanoseconds, 1e9)), nil
	}
	return "", fmt.Errorf("%s is no interval", in.DataType())
}

func seconds(n, perSecond int64) string {
	s := new(big.Rat).SetFrac64(n, perSecond).FloatString(9)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}
