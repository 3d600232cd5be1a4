package filter_test

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/mask/filter"
)

// Columns that the predicate doesn't read come through whatever their type, as those of change batches do.
func TestApplyKeepsColumnsOfEveryType(t *testing.T) {
	t.Parallel()
	item := arrow.StructOf(arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int32, Nullable: true}, arrow.Field{Name: "b", Type: arrow.BinaryTypes.String, Nullable: true})
	for _, c := range []struct {
		typ  arrow.DataType
		json string
	}{
		{item, `[{"a": 1, "b": "x"}, null, {"a": null, "b": "y"}, {"a": 4, "b": "z"}]`},
		{arrow.ListOf(item), `[[{"a": 1, "b": "x"}], null, [], [{"a": 4, "b": "z"}, null]]`},
		{arrow.ListOf(arrow.BinaryTypes.String), `[["a"], null, [], ["b", null]]`},
		{arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Int64), `[[1, 2], null, [3, null], [5, 6]]`},
		{arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64), `[[{"key": "a", "value": 1}], null, [], [{"key": "b", "value": null}]]`},
		{arrow.BinaryTypes.StringView, `["a", null, "a text that is longer than twelve bytes", "b"]`},
		{arrow.BinaryTypes.Binary, `["YQ==", null, "Yg==", "Yw=="]`},
		{arrow.FixedWidthTypes.Timestamp_us, `["2026-01-01T00:00:00Z", null, "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]`},
		{arrow.FixedWidthTypes.Date32, `["2026-01-01", null, "2026-01-02", "2026-01-03"]`},
		{&arrow.Decimal256Type{Precision: 50, Scale: 2}, `["1.00", null, "2.00", "3.00"]`},
		{arrow.Null, `[null, null, null, null]`},
		{dictionary, `["a", null, "b", "a"]`},
		{extensions.NewUUIDType(), `["00000000-0000-0000-0000-000000000001", null, "00000000-0000-0000-0000-000000000002", "00000000-0000-0000-0000-000000000003"]`},
	} {
		t.Run(c.typ.String(), func(t *testing.T) {
			t.Parallel()
			alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
			defer alloc.AssertSize(t, 0)
			column, _, err := array.FromJSON(alloc, c.typ, strings.NewReader(c.json))
			if err != nil {
				t.Fatal(err)
			}
			defer column.Release()
			keep, _, err := array.FromJSON(alloc, arrow.FixedWidthTypes.Boolean, strings.NewReader(`[false, true, null, true]`))
			if err != nil {
				t.Fatal(err)
			}
			defer keep.Release()
			schema := arrow.NewSchema([]arrow.Field{{Name: "column", Type: c.typ, Nullable: true}, {Name: "keep", Type: keep.DataType(), Nullable: true}}, nil)
			rows := array.NewRecordBatch(schema, []arrow.Array{column, keep}, 4)
			defer rows.Release()
			f, err := filter.Bind(filter.Column{Name: "keep"}, schema)
			if err != nil {
				t.Fatal(err)
			}
			kept, dropped, err := f.Apply(t.Context(), alloc, rows)
			if err != nil {
				t.Fatal(err)
			}
			defer kept.Release()
			got, want := kept.Column(0), column
			if dropped != 2 || got.Len() != 2 || got.ValueStr(0) != want.ValueStr(1) || got.ValueStr(1) != want.ValueStr(3) {
				t.Errorf("%s of %s, %d dropped", got, want, dropped)
			}
			if !kept.Schema().Equal(schema) {
				t.Errorf("%s, want %s", kept.Schema(), schema)
			}
		})
	}
}
