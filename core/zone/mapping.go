package zone

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// cast makes an array of the storable type; the caller releases it. A nil cast
// keeps the array.
type cast func(ctx context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error)

func (c cast) apply(ctx context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
	if c == nil {
		in.Retain()
		return in, nil
	}
	return c(ctx, alloc, in)
}

// mapping says how one type is kept.
type mapping struct {
	to       arrow.DataType
	cast     cast
	lossy    string // what is lost, if anything
	nullable bool   // the kept column must be optional
}

func (m mapping) remark() string {
	if m.lossy == "" {
		return ""
	}
	return " (" + m.lossy + ")"
}

const maxDecimalDigits = 38

// mapType covers every Arrow type, also nested ones.
func mapType(dt arrow.DataType) (mapping, error) {
	switch t := dt.(type) {
	case arrow.ExtensionType:
		return mapExtension(t)
	case *arrow.DictionaryType:
		return mapEncoded(t.ValueType, decodeDictionary)
	case *arrow.RunEndEncodedType:
		return mapEncoded(t.Encoded(), decodeRunEnds)
	case arrow.UnionType:
		return mapping{to: arrow.BinaryTypes.String, cast: textCast(jsonText), nullable: true}, nil
	case arrow.DecimalType:
		return mapDecimal(t)
	case *arrow.StructType, *arrow.MapType, arrow.ListLikeType:
		return mapNested(t)
	case *arrow.TimestampType:
		return mapTimestamp(t)
	}
	return mapPlain(dt)
}

func mapPlain(dt arrow.DataType) (mapping, error) {
	to := func(t arrow.DataType) (mapping, error) { return mapping{to: t, cast: computeCast(t)}, nil }
	switch dt.ID() {
	case arrow.BOOL, arrow.INT32, arrow.INT64, arrow.FLOAT32, arrow.FLOAT64, arrow.STRING, arrow.BINARY,
		arrow.DATE32, arrow.FIXED_SIZE_BINARY:
		return mapping{to: dt}, nil
	case arrow.INT8, arrow.INT16, arrow.UINT8, arrow.UINT16:
		return to(arrow.PrimitiveTypes.Int32)
	case arrow.UINT32:
		return to(arrow.PrimitiveTypes.Int64)
	case arrow.UINT64:
		return mapping{to: &arrow.Decimal128Type{Precision: 20}, cast: uint64Decimal}, nil
	case arrow.FLOAT16:
		return mapping{to: arrow.PrimitiveTypes.Float32, cast: float16Float}, nil
	case arrow.LARGE_STRING:
		return to(arrow.BinaryTypes.String)
	case arrow.LARGE_BINARY:
		return to(arrow.BinaryTypes.Binary)
	case arrow.STRING_VIEW:
		return mapping{to: arrow.BinaryTypes.String, cast: viewString}, nil
	case arrow.BINARY_VIEW:
		return mapping{to: arrow.BinaryTypes.Binary, cast: viewBinary}, nil
	case arrow.NULL:
		return mapping{to: arrow.BinaryTypes.String, cast: nullString, nullable: true}, nil
	}
	return mapTime(dt)
}

func mapTime(dt arrow.DataType) (mapping, error) {
	switch dt.ID() {
	case arrow.DATE64:
		return mapping{to: arrow.FixedWidthTypes.Date32, cast: truncatingCast(arrow.FixedWidthTypes.Date32)}, nil
	case arrow.TIME32:
		return mapping{to: arrow.FixedWidthTypes.Time64us, cast: computeCast(arrow.FixedWidthTypes.Time64us)}, nil
	case arrow.TIME64:
		if arrow.TypeEqual(dt, arrow.FixedWidthTypes.Time64us) {
			return mapping{to: dt}, nil
		}
		return mapping{to: arrow.FixedWidthTypes.Time64us, cast: truncatingCast(arrow.FixedWidthTypes.Time64us), lossy: nanosecondsCut}, nil
	case arrow.DURATION:
		m := mapping{to: arrow.PrimitiveTypes.Int64, cast: durationMicros, lossy: "as microseconds"}
		if dt.(*arrow.DurationType).Unit == arrow.Nanosecond {
			m.lossy = "as microseconds, " + nanosecondsCut
		}
		return m, nil
	case arrow.INTERVAL_MONTHS, arrow.INTERVAL_DAY_TIME, arrow.INTERVAL_MONTH_DAY_NANO:
		return mapping{to: arrow.BinaryTypes.String, cast: textCast(intervalText), lossy: "as an ISO 8601 duration"}, nil
	}
	return mapping{}, fmt.Errorf("type %s can't be stored", dt)
}

const nanosecondsCut = "nanoseconds are cut"

func mapTimestamp(t *arrow.TimestampType) (mapping, error) {
	to := &arrow.TimestampType{Unit: arrow.Microsecond}
	if t.TimeZone != "" {
		to.TimeZone = "UTC"
	}
	if t.Unit == to.Unit && t.TimeZone == to.TimeZone { // field by field: a type that was used carries what it has worked out
		return mapping{to: t}, nil
	}
	m := mapping{to: to, cast: timestampMicros(to)}
	if t.Unit == arrow.Nanosecond {
		m.lossy = nanosecondsCut
	}
	return m, nil
}

// mapDecimal keeps up to 38 digits as decimal128, and more as text.
func mapDecimal(t arrow.DecimalType) (mapping, error) {
	precision, scale := t.GetPrecision(), t.GetScale()
	if scale < 0 {
		precision, scale = precision-scale, 0
	}
	precision = max(precision, scale)
	if precision > maxDecimalDigits {
		return mapping{to: arrow.BinaryTypes.String, cast: textCast(decimalText)}, nil
	}
	to := &arrow.Decimal128Type{Precision: precision, Scale: scale}
	if arrow.TypeEqual(t, to) {
		return mapping{to: to}, nil
	}
	return mapping{to: to, cast: decimalCast(to)}, nil
}

// mapEncoded decodes dictionaries and runs, then converts the values.
func mapEncoded(values arrow.DataType, decode cast) (mapping, error) {
	m, err := mapType(values)
	if err != nil {
		return mapping{}, err
	}
	m.cast = chain(decode, m.cast)
	return m, nil
}

func mapExtension(t arrow.ExtensionType) (mapping, error) {
	switch t.(type) {
	case *extensions.UUIDType:
		return mapping{to: t}, nil
	case *extensions.VariantType:
		return mapping{}, errors.New("variants can't be stored; convert to JSON text")
	case *extensions.Bool8Type:
		return mapping{to: arrow.FixedWidthTypes.Boolean, cast: chain(storageOf, computeCast(arrow.FixedWidthTypes.Boolean))}, nil
	}
	m, err := mapType(t.StorageType())
	if err != nil {
		return mapping{}, err
	}
	m.cast = chain(storageOf, m.cast)
	return m, nil
}

func chain(first, second cast) cast {
	if second == nil {
		return first
	}
	return func(ctx context.Context, alloc memory.Allocator, in arrow.Array) (arrow.Array, error) {
		middle, err := first(ctx, alloc, in)
		if err != nil {
			return nil, err
		}
		defer middle.Release()
		return second(ctx, alloc, middle)
	}
}

func storageOf(_ context.Context, _ memory.Allocator, in arrow.Array) (arrow.Array, error) {
	storage := in.(array.ExtensionArray).Storage()
	storage.Retain()
	return storage, nil
}

func computeCast(to arrow.DataType) cast {
	return func(ctx context.Context, _ memory.Allocator, in arrow.Array) (arrow.Array, error) {
		return compute.CastArray(ctx, in, compute.SafeCastOptions(to))
	}
}

// truncatingCast drops what the coarser unit can't hold.
func truncatingCast(to arrow.DataType) cast {
	return func(ctx context.Context, _ memory.Allocator, in arrow.Array) (arrow.Array, error) {
		opts := compute.SafeCastOptions(to)
		opts.AllowTimeTruncate = true
		return compute.CastArray(ctx, in, opts)
	}
}
