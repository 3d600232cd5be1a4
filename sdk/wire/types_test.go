package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// column is a type with some values of it as JSON.
type column struct {
	kind   arrow.DataType
	values string
}

// columns has every type that Arrow's IPC format can carry; each column has six rows with a null where the type allows one.
func columns() []column {
	text := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}
	point := arrow.StructOf(
		arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		arrow.Field{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
	)
	fields := []arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
	}
	long := strings.Repeat("far too long to be inline ", 3)
	const numbers = `[1, 2, null, 4, 5, 6]`
	const bytes = `["AQ==", "AgM=", null, "", "BAUG", "Bw=="]`
	strs := fmt.Sprintf(`["a", %q, null, "", "é", "zz"]`, long)
	lists := `[[1, 2], [], null, [3, null, 4], [5], [6, 7]]`
	return []column{
		{arrow.Null, `[null, null, null, null, null, null]`},
		{arrow.FixedWidthTypes.Boolean, `[true, false, null, true, true, false]`},
		{arrow.PrimitiveTypes.Int8, numbers}, {arrow.PrimitiveTypes.Int16, numbers},
		{arrow.PrimitiveTypes.Int32, numbers}, {arrow.PrimitiveTypes.Int64, numbers},
		{arrow.PrimitiveTypes.Uint8, numbers}, {arrow.PrimitiveTypes.Uint16, numbers},
		{arrow.PrimitiveTypes.Uint32, numbers}, {arrow.PrimitiveTypes.Uint64, numbers},
		{arrow.FixedWidthTypes.Float16, `[1.5, 2.5, null, 4, 5, 6]`},
		{arrow.PrimitiveTypes.Float32, `[1.5, -2.5, null, 4, 5, 6]`}, {arrow.PrimitiveTypes.Float64, `[1.5, -2.5, null, 4, 5, 6e100]`},
		{&arrow.Decimal32Type{Precision: 9, Scale: 2}, `["1.50", "-2.25", null, "4", "5", "6"]`},
		{&arrow.Decimal64Type{Precision: 18, Scale: 2}, `["1.50", "-2.25", null, "4", "5", "6"]`},
		{&arrow.Decimal128Type{Precision: 38, Scale: 2}, `["1.50", "-2.25", null, "4", "5", "6"]`},
		{&arrow.Decimal256Type{Precision: 76, Scale: 2}, `["1.50", "-2.25", null, "4", "5", "6"]`},
		{arrow.BinaryTypes.String, strs}, {arrow.BinaryTypes.LargeString, strs}, {arrow.BinaryTypes.StringView, strs},
		{arrow.BinaryTypes.Binary, bytes}, {arrow.BinaryTypes.LargeBinary, bytes}, {arrow.BinaryTypes.BinaryView, bytes},
		{&arrow.FixedSizeBinaryType{ByteWidth: 2}, `["AQI=", "AgM=", null, "AAA=", "BAU=", "Bwc="]`},
		{arrow.FixedWidthTypes.Date32, `["2024-02-29", "1969-12-31", null, "1970-01-01", "2000-01-01", "2038-01-19"]`},
		{arrow.FixedWidthTypes.Date64, `["2024-02-29", "1969-12-31", null, "1970-01-01", "2000-01-01", "2038-01-19"]`},
		{arrow.FixedWidthTypes.Time32s, `["01:02:03", "00:00:00", null, "23:59:59", "12:00:00", "12:00:01"]`},
		{arrow.FixedWidthTypes.Time64us, `["01:02:03.000004", "00:00:00", null, "23:59:59", "12:00:00", "12:00:01"]`},
		{arrow.FixedWidthTypes.Timestamp_us, numbers}, {&arrow.TimestampType{Unit: arrow.Nanosecond}, numbers},
		{&arrow.TimestampType{Unit: arrow.Second, TimeZone: "Europe/Berlin"}, numbers},
		{arrow.FixedWidthTypes.Duration_ms, numbers},
		{arrow.FixedWidthTypes.MonthInterval, `[{"months": 1}, {"months": 2}, null, {"months": 3}, {"months": 4}, {"months": 5}]`},
		{arrow.FixedWidthTypes.DayTimeInterval, `[{"days": 1, "milliseconds": 1}, null, null, {"days": 3, "milliseconds": 0}, null, null]`},
		{arrow.FixedWidthTypes.MonthDayNanoInterval, `[{"months": 1, "days": 1, "nanoseconds": 1}, null, null, null, null, null]`},
		{arrow.ListOf(arrow.PrimitiveTypes.Int32), lists}, {arrow.LargeListOf(arrow.PrimitiveTypes.Int32), lists},
		{arrow.ListViewOf(arrow.PrimitiveTypes.Int32), lists}, {arrow.LargeListViewOf(arrow.PrimitiveTypes.Int32), lists},
		{arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Int32), `[[1, 2], [3, 4], null, [5, null], [7, 8], [9, 10]]`},
		{point, `[{"x": 1, "name": "a"}, {"x": null, "name": "b"}, null, {"x": 3, "name": null}, {"x": 4, "name": "d"}, {"x": 5, "name": ""}]`},
		{arrow.ListOf(point), `[[{"x": 1, "name": "a"}], [], null, [null, {"x": 3, "name": null}], [], [{"x": 4, "name": "b"}]]`},
		{
			arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int32),
			`[[{"key": "a", "value": 1}], [], null, [{"key": "b", "value": null}, {"key": "c", "value": 3}], [], [{"key": "d", "value": 4}]]`,
		},
		{text, `["a", "b", null, "a", "c", "b"]`},
		{arrow.ListOf(text), `[["a", "b"], [], null, ["c", null], ["a"], ["b"]]`},
		{
			arrow.StructOf(arrow.Field{Name: "d", Type: text, Nullable: true}),
			`[{"d": "a"}, {"d": "b"}, null, {"d": null}, {"d": "a"}, {"d": "c"}]`,
		},
		{arrow.DenseUnionOf(fields, []int8{5, 9}), `[[5, 1], [9, "a"], [5, null], [9, "b"], [9, null], [5, 2]]`},
		{arrow.SparseUnionOf(fields, []int8{0, 1}), `[[0, 1], [1, "a"], [0, null], [1, "b"], [1, null], [0, 2]]`},
		{arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, arrow.BinaryTypes.String), `["a", "a", null, null, "b", "c"]`},
		{extensions.NewUUIDType(), `["00000000-0000-0000-0000-000000000001", null, null, null, null, null]`},
		{extensions.NewBool8Type(), `[true, false, null, true, true, false]`},
	}
}

// recordOf makes a batch of one column from JSON.
func recordOf(t testing.TB, alloc memory.Allocator, kind arrow.DataType, values string) arrow.RecordBatch {
	t.Helper()
	a, _, err := array.FromJSON(alloc, kind, strings.NewReader(values))
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	defer a.Release()
	schema := arrow.NewSchema([]arrow.Field{{Name: "c", Type: kind, Nullable: true}}, nil)
	return array.NewRecordBatch(schema, []arrow.Array{a}, int64(a.Len()))
}

// everyType is a batch with a column of each type.
func everyType(t testing.TB, alloc memory.Allocator) arrow.RecordBatch {
	t.Helper()
	var fields []arrow.Field
	var arrays []arrow.Array
	for i, c := range columns() {
		one := recordOf(t, alloc, c.kind, c.values)
		defer one.Release()
		fields = append(fields, arrow.Field{Name: fmt.Sprintf("c%d_%s", i, c.kind.Name()), Type: c.kind, Nullable: true})
		arrays = append(arrays, one.Column(0))
	}
	meta := arrow.NewMetadata([]string{"owner"}, []string{"tests"})
	return array.NewRecordBatch(arrow.NewSchema(fields, &meta), arrays, 6)
}
