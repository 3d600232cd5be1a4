package quarantine

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/decimal256"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/uuid"
)

// typed are builders of every type that a stage may get, each with values that a careless text would lose.
func typed(t *testing.T, alloc memory.Allocator) []arrow.Array {
	t.Helper()
	var all []arrow.Array
	add := func(b array.Builder, fill func()) {
		fill()
		b.AppendNull()
		all = append(all, b.NewArray())
		b.Release()
	}
	i64 := array.NewInt64Builder(alloc)
	add(i64, func() { i64.AppendValues([]int64{0, math.MaxInt64, math.MinInt64, 1<<53 + 1}, nil) })
	u64 := array.NewUint64Builder(alloc)
	add(u64, func() { u64.AppendValues([]uint64{math.MaxUint64, 1<<53 + 1}, nil) })
	i8 := array.NewInt8Builder(alloc)
	add(i8, func() { i8.AppendValues([]int8{-128, 127}, nil) })
	u8 := array.NewUint8Builder(alloc)
	add(u8, func() { u8.AppendValues([]uint8{0, 255}, nil) })
	u32 := array.NewUint32Builder(alloc)
	add(u32, func() { u32.AppendValues([]uint32{0, math.MaxUint32}, nil) })
	f64 := array.NewFloat64Builder(alloc)
	add(f64, func() {
		f64.AppendValues([]float64{0.1, math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN(), math.Inf(1), math.Inf(-1)}, nil)
	})
	f32 := array.NewFloat32Builder(alloc)
	add(f32, func() {
		f32.AppendValues([]float32{0.1, math.MaxFloat32, math.SmallestNonzeroFloat32, float32(math.NaN()), float32(math.Inf(1))}, nil)
	})
	f16 := array.NewFloat16Builder(alloc)
	add(f16, func() {
		f16.AppendValues([]float16.Num{float16.New(0.1), float16.NaN(), float16.Inf(), float16.Inf().Negate(), float16.MaxNum}, nil)
	})
	flag := array.NewBooleanBuilder(alloc)
	add(flag, func() { flag.AppendValues([]bool{true, false}, nil) })
	text := array.NewStringBuilder(alloc)
	add(text, func() {
		text.AppendValues([]string{"", "null", `"quoted" \ <b>&amp;`, "\x00\u2028 ümlaut 🚰", "123"}, nil)
	})
	large := array.NewLargeStringBuilder(alloc)
	add(large, func() { large.Append("large") })
	view := array.NewStringViewBuilder(alloc)
	add(view, func() { view.Append("a view that is longer than twelve bytes") })
	bin := array.NewBinaryBuilder(alloc, arrow.BinaryTypes.Binary)
	add(bin, func() { bin.Append([]byte{0, 255, 10}); bin.Append([]byte{}) })
	fixed := array.NewFixedSizeBinaryBuilder(alloc, &arrow.FixedSizeBinaryType{ByteWidth: 3})
	add(fixed, func() { fixed.Append([]byte{0, 255, 1}) })
	return append(all, append(decimals(alloc), append(times(alloc), nested(t, alloc)...)...)...)
}

func decimals(alloc memory.Allocator) []arrow.Array {
	d128 := array.NewDecimal128Builder(alloc, &arrow.Decimal128Type{Precision: 38, Scale: 10})
	defer d128.Release()
	for _, s := range []string{"1234567890123456789012345678.0123456789", "-0.0000000001", "0"} {
		v, err := decimal128.FromString(s, 38, 10)
		if err != nil {
			panic(err)
		}
		d128.Append(v)
	}
	d128.Append(decimal128.MaxDecimal128)
	d128.AppendNull()
	d256 := array.NewDecimal256Builder(alloc, &arrow.Decimal256Type{Precision: 76, Scale: 2})
	defer d256.Release()
	d256.Append(decimal256.FromU64(math.MaxUint64))
	d32 := array.NewDecimal32Builder(alloc, &arrow.Decimal32Type{Precision: 9, Scale: 9})
	defer d32.Release()
	d32.Append(decimal.Decimal32(-1))
	d32.Append(decimal.Decimal32(999999999))
	whole := array.NewDecimal128Builder(alloc, &arrow.Decimal128Type{Precision: 20})
	defer whole.Release()
	whole.Append(decimal128.FromU64(math.MaxUint64))
	return []arrow.Array{d128.NewArray(), d256.NewArray(), d32.NewArray(), whole.NewArray()}
}

func times(alloc memory.Allocator) []arrow.Array {
	var all []arrow.Array
	for _, zone := range []string{"", "UTC", "America/New_York", "+05:30"} {
		for _, unit := range []arrow.TimeUnit{arrow.Second, arrow.Millisecond, arrow.Microsecond, arrow.Nanosecond} {
			b := array.NewTimestampBuilder(alloc, &arrow.TimestampType{Unit: unit, TimeZone: zone})
			b.AppendValues([]arrow.Timestamp{0, -1, 1, 1_700_000_000_123_457, -1_700_000_000_123_457}, nil)
			all = append(all, b.NewArray())
			b.Release()
		}
	}
	days := array.NewDate32Builder(alloc)
	days.AppendValues([]arrow.Date32{0, -719_162, 19_000, 2_932_896}, nil)
	millis := array.NewDate64Builder(alloc)
	millis.AppendValues([]arrow.Date64{0, 86_400_000, -86_400_000}, nil)
	time64 := array.NewTime64Builder(alloc, &arrow.Time64Type{Unit: arrow.Microsecond})
	time64.AppendValues([]arrow.Time64{0, 1, 86_399_999_999}, nil)
	time32 := array.NewTime32Builder(alloc, &arrow.Time32Type{Unit: arrow.Millisecond})
	time32.AppendValues([]arrow.Time32{0, 1, 86_399_999}, nil)
	duration := array.NewDurationBuilder(alloc, &arrow.DurationType{Unit: arrow.Microsecond})
	duration.AppendValues([]arrow.Duration{0, -1, math.MaxInt64}, nil)
	for _, b := range []array.Builder{days, millis, time64, time32, duration} {
		all = append(all, b.NewArray())
		b.Release()
	}
	return all
}

func nested(t *testing.T, alloc memory.Allocator) []arrow.Array {
	t.Helper()
	list := array.NewListBuilder(alloc, &arrow.Decimal128Type{Precision: 20, Scale: 2})
	defer list.Release()
	list.Append(true)
	list.ValueBuilder().(*array.Decimal128Builder).Append(decimal128.FromU64(math.MaxUint64))
	list.ValueBuilder().AppendNull()
	list.Append(true)
	list.AppendNull()

	pairs := array.NewMapBuilder(alloc, arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64, false)
	defer pairs.Release()
	pairs.Append(true)
	pairs.KeyBuilder().(*array.StringBuilder).Append("a")
	pairs.ItemBuilder().(*array.Int64Builder).Append(1<<53 + 1)
	pairs.KeyBuilder().(*array.StringBuilder).Append("b")
	pairs.ItemBuilder().AppendNull()
	pairs.AppendNull()

	object := array.NewStructBuilder(alloc, arrow.StructOf(
		arrow.Field{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, Nullable: true},
		arrow.Field{Name: "raw", Type: arrow.BinaryTypes.Binary, Nullable: true}))
	defer object.Release()
	object.Append(true)
	object.FieldBuilder(0).(*array.TimestampBuilder).Append(1_700_000_000_123_457)
	object.FieldBuilder(1).(*array.BinaryBuilder).Append([]byte{1, 2})
	object.AppendNull()

	dictionary := array.NewDictionaryBuilder(alloc, &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String})
	defer dictionary.Release()
	for _, s := range []string{"x", "y", "x"} {
		if err := dictionary.(*array.BinaryDictionaryBuilder).AppendString(s); err != nil {
			t.Fatal(err)
		}
	}
	id := extensions.NewUUIDBuilder(alloc)
	defer id.Release()
	id.Append(uuid.MustParse("018f4c6e-0000-7000-8000-0123456789ab"))
	id.AppendNull()
	return []arrow.Array{list.NewArray(), pairs.NewArray(), object.NewArray(), dictionary.NewArray(), id.NewArray()}
}

func TestRowsComeBackFromJSONAsTheyWere(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	for i, column := range typed(t, alloc) {
		t.Run(fmt.Sprintf("%d %s", i, column.DataType()), func(t *testing.T) {
			defer column.Release()
			schema := arrow.NewSchema([]arrow.Field{{Name: "c", Type: column.DataType(), Nullable: true}}, nil)
			batch := array.NewRecordBatch(schema, []arrow.Array{column}, int64(column.Len()))
			defer batch.Release()
			var rows [][]byte
			for row := range column.Len() {
				raw, err := rowJSON(batch, row)
				if err != nil {
					t.Fatal(err)
				}
				rows = append(rows, raw)
			}
			back, misfits := Fit(schema, rows, alloc)
			for _, misfit := range misfits {
				t.Errorf("%s: %s", misfit.Row, misfit.Reason)
			}
			for _, b := range back {
				defer b.Release()
			}
			if len(misfits) > 0 || len(back) != 1 {
				return
			}
			if !equalBits(batch, back[0]) {
				t.Errorf("%s\ncame back as\n%v\nfrom %s", batch.Column(0), back[0].Column(0), bytes.Join(rows, []byte("\n")))
			}
		})
	}
}

// equalBits compares NaN as equal, too; in columns of half floats it takes their text for it.
func equalBits(a, b arrow.RecordBatch) bool {
	if half, ok := a.Column(0).(*array.Float16); ok {
		return half.String() == b.Column(0).String()
	}
	return array.RecordApproxEqual(a, b, array.WithNaNsEqual(true), array.WithAbsTolerance(0))
}

func TestRowsThatDoNotFitAreNamedWithAReasonAndTheOthersPass(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int32},
		{Name: "amount", Type: &arrow.Decimal128Type{Precision: 5, Scale: 2}, Nullable: true},
		{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, Nullable: true},
		{Name: "o", Type: arrow.StructOf(arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int64, Nullable: true}), Nullable: true},
		{Name: "l", Type: arrow.ListOf(arrow.StructOf(arrow.Field{Name: "y", Type: arrow.PrimitiveTypes.Int8, Nullable: true})), Nullable: true},
	}, nil)
	cases := map[string]string{ // row: a part of the reason, none if it fits
		`{"id":1}`: "",
		`{"id":1,"amount":"1.25","at":"2024-01-02T03:04:05.000006Z","o":{"x":9007199254740993},"l":[{"y":1},null]}`: "",
		`{"id":1,"amount":1.5}`:        "",
		`{"id":null}`:                  `"id" is required`,
		`{}`:                           `"id" is required`,
		`{"id":"x"}`:                   "does not fit",
		`{"id":1.5}`:                   "does not fit",
		`{"id":3000000000}`:            "does not fit",
		`{"id":true}`:                  "does not fit",
		`{"id":1,"amount":"12345.00"}`: "does not fit",
		`{"id":1,"at":"yesterday"}`:    "does not fit",
		`{"id":1,"more":2}`:            `no column "more"`,
		`{"id":1,"o":{"z":1}}`:         `no "z"`,
		`{"id":1,"l":[{"y":1,"z":1}]}`: `no "z"`,
		`{"id":1,"l":[{"y":300}]}`:     "does not fit",
		`{"id":1,"id":2}`:              "does not fit",
		`{"id":1`:                      "not a JSON object",
		`[{"id":1}]`:                   "not a JSON object",
		`{"id":1},{"id":2}`:            "not a JSON object",
		`null`:                         "not a JSON object",
		``:                             "not a JSON object",
	}
	var rows [][]byte
	good := int64(0)
	for row, reason := range cases {
		rows = append(rows, []byte(row))
		if reason == "" {
			good++
		}
	}
	batches, misfits := Fit(schema, rows, alloc)
	var fitting int64
	for _, b := range batches {
		fitting += b.NumRows()
		b.Release()
	}
	if fitting != good || len(misfits) != len(cases)-int(good) {
		t.Errorf("%d rows fit, %d don't; expected %d and %d", fitting, len(misfits), good, len(cases)-int(good))
	}
	for _, m := range misfits {
		want := cases[string(m.Row)]
		if want == "" || !strings.Contains(m.Reason, want) {
			t.Errorf("%s: %s, expected %q", m.Row, m.Reason, want)
		}
	}
}

func FuzzRowsFitOrAreNamed(f *testing.F) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "i", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "d", Type: &arrow.Decimal128Type{Precision: 38, Scale: 3}, Nullable: true},
		{Name: "t", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, Nullable: true},
		{Name: "c", Type: arrow.FixedWidthTypes.Time64us, Nullable: true},
		{Name: "b", Type: &arrow.FixedSizeBinaryType{ByteWidth: 2}, Nullable: true},
		{Name: "m", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Float64), Nullable: true},
		{Name: "u", Type: extensions.NewUUIDType(), Nullable: true},
	}, nil)
	f.Add([]byte(`{"i":1,"d":"1.5","t":"2024-01-02","c":"12:00","b":"AAE=","m":[{"key":"a","value":1}],"u":"018f4c6e-0000-7000-8000-0123456789ab"}`))
	f.Add([]byte(`{"i":"x","d":1e99,"t":-1,"c":{},"b":"A","m":{"a":1},"u":7}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		batches, misfits := Fit(schema, [][]byte{raw}, memory.DefaultAllocator)
		if len(batches)+len(misfits) != 1 {
			t.Fatalf("%d batches and %d misfits of one row", len(batches), len(misfits))
		}
		for _, b := range batches {
			again, err := rowJSON(b, 0)
			if err != nil {
				t.Fatal(err)
			}
			back, bad := Fit(schema, [][]byte{again}, memory.DefaultAllocator)
			if len(bad) > 0 {
				t.Fatalf("%s was read as %s, which is not read: %v", raw, again, bad)
			}
			if third, err := rowJSON(back[0], 0); err != nil || !bytes.Equal(again, third) {
				t.Fatalf("%s was read as %s, and that as %s, %v", raw, again, third, err)
			}
		}
	})
}
