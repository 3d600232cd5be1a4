package rows_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk/rows"
)

// shop has a column of each type that maps can fill.
func shop() *arrow.Schema {
	inner := arrow.StructOf(arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int32}, arrow.Field{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true})
	var fields []arrow.Field
	for name, kind := range map[string]arrow.DataType{
		"bool": arrow.FixedWidthTypes.Boolean, "i8": arrow.PrimitiveTypes.Int8, "i64": arrow.PrimitiveTypes.Int64,
		"u16": arrow.PrimitiveTypes.Uint16, "u64": arrow.PrimitiveTypes.Uint64, "f32": arrow.PrimitiveTypes.Float32, "f64": arrow.PrimitiveTypes.Float64,
		"text": arrow.BinaryTypes.String, "bytes": arrow.BinaryTypes.Binary, "fixed": &arrow.FixedSizeBinaryType{ByteWidth: 2},
		"day": arrow.FixedWidthTypes.Date32, "at": arrow.FixedWidthTypes.Timestamp_us, "took": arrow.FixedWidthTypes.Duration_ms,
		"amount": &arrow.Decimal128Type{Precision: 6, Scale: 2}, "inner": inner, "list": arrow.ListOf(inner),
		"map": arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64),
	} {
		fields = append(fields, arrow.Field{Name: name, Type: kind, Nullable: true})
	}
	return arrow.NewSchema(fields, nil)
}

func ofMaps(t *testing.T, schema *arrow.Schema) *rows.Builder[map[string]any] {
	t.Helper()
	b, err := rows.OfMaps(checked(t), schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Release)
	return b
}

func TestMapsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 5, 6, 7, 8, 9, 1000, time.UTC)
	full := map[string]any{
		"bool": true, "i8": int64(-8), "i64": int64(1) << 60, "u16": int64(7), "u64": uint64(1) << 63, "f32": 1.5, "f64": 2.5,
		"text": "ü", "bytes": []byte{1}, "fixed": []byte{1, 2}, "day": rows.DateOf(at), "at": at, "took": 5 * time.Millisecond,
		"amount": rows.Decimal("12.50"), "inner": map[string]any{"x": int64(1), "s": nil},
		"list": []any{map[string]any{"x": int64(2), "s": "a"}, nil}, "map": map[string]any{"a": int64(1), "b": nil},
	}
	none := map[string]any{}
	for name := range full {
		none[name] = nil
	}
	b := ofMaps(t, shop())
	for _, row := range []map[string]any{full, none, {}, full} {
		if err := b.Append(row); err != nil {
			t.Fatal(err)
		}
	}
	batch := b.Batch()
	defer batch.Release()
	want := []map[string]any{full, none, none, full}
	if diff := cmp.Diff(want, read[map[string]any](t, batch)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodedJSONFillsEveryColumn(t *testing.T) {
	t.Parallel()
	const text = `{"bool": true, "i8": -8, "i64": 5, "u16": 7, "u64": 9007199254740991, "f32": 1.5, "f64": 2, "text": "ü", "bytes": "ab",
		"day": "2024-05-06", "at": "2024-05-06T07:08:09.000001+01:00", "amount": "12.5", "inner": {"x": 1},
		"list": [{"x": 2, "s": "a"}], "map": {"a": 1}}`
	at := time.Date(2024, 5, 6, 6, 8, 9, 1000, time.UTC)
	want := map[string]any{
		"bool": true, "i8": int64(-8), "i64": int64(5), "u16": int64(7), "u64": uint64(9007199254740991), "f32": 1.5, "f64": 2.0, "text": "ü",
		"bytes": []byte("ab"), "fixed": nil, "day": rows.DateOf(at), "at": at, "took": nil, "amount": rows.Decimal("12.50"),
		"inner": map[string]any{"x": int64(1), "s": nil}, "list": []any{map[string]any{"x": int64(2), "s": "a"}},
		"map": map[string]any{"a": int64(1)},
	}
	for _, useNumber := range []bool{false, true} {
		decoder := json.NewDecoder(strings.NewReader(text))
		if useNumber {
			decoder.UseNumber()
		}
		var row map[string]any
		if err := decoder.Decode(&row); err != nil {
			t.Fatal(err)
		}
		b := ofMaps(t, shop())
		if err := b.Append(row); err != nil {
			t.Fatal(err)
		}
		batch := b.Batch()
		if diff := cmp.Diff([]map[string]any{want}, read[map[string]any](t, batch)); diff != "" {
			t.Errorf("numbers as text %t (-want +got):\n%s", useNumber, diff)
		}
		batch.Release()
	}
}

func TestBadValuesInMapsAreNamedAndTheRowIsLeftOut(t *testing.T) {
	t.Parallel()
	b := ofMaps(t, shop())
	for _, test := range []struct {
		name  string
		value any
		says  string
	}{
		{"i8", 128, "int8"}, {"i8", 1.5, "1.5"}, {"i8", "1", "string"}, {"i8", uint64(1) << 63, "int8"}, {"i64", uint64(1) << 63, "int64"},
		{"u16", -1, "uint16"}, {"u64", -1, "uint64"}, {"u64", json.Number("1e3"), "1e3"}, {"i64", json.Number("x"), "x"},
		{"i64", time.Second, "Duration"}, {"f64", "1", "float64"}, {"f64", true, "bool"}, {"f64", json.Number("x"), "x"},
		{"bool", 1, "bool"}, {"text", 1, "utf8"}, {"text", "\xff", "UTF-8"}, {"bytes", 1, "binary"}, {"fixed", []byte{1}, "fixed_size_binary"},
		{"day", "06.05.2024", "2006-01-02"}, {"day", 5, "date32"}, {"at", "yesterday", "2006-01-02T15:04:05Z"}, {"at", 5, "timestamp"},
		{"took", 5, "duration"}, {"amount", "12.345", "2 digits"}, {"amount", 1.5, "decimal"}, {"amount", "a", "number"},
		{"inner", 5, "struct"}, {"inner", map[string]any{}, `"x": null`}, {"inner", map[string]any{"x": 1, "y": 2}, `"y": unknown`},
		{"inner", map[string]any{"x": "a"}, `"x"`}, {"list", 5, "list"}, {"list", []any{nil, 5}, "element 1"}, {"list", []byte{1}, "list"},
		{"map", 5, "map"}, {"map", map[string]any{"k": "a"}, `key "k"`}, {"map", map[string]any{"\xff": 1}, "UTF-8"}, {"nothing", 1, "unknown"},
	} {
		contains(t, b.Append(map[string]any{test.name: test.value}), `field "`+test.name+`"`, test.says)
		if err := b.Append(map[string]any{"text": test.name}); err != nil {
			t.Fatal(err)
		}
	}
	n := b.Len()
	batch := b.Batch()
	defer batch.Release()
	if got := read[map[string]any](t, batch); len(got) != n || got[0]["text"] != "i8" || got[n-1]["text"] != "nothing" {
		t.Errorf("%d rows remain of %d", len(got), n)
	}
}

func TestRequiredColumnsNeedAValue(t *testing.T) {
	t.Parallel()
	b := ofMaps(t, arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil))
	contains(t, b.Append(map[string]any{}), `"id"`, "null", "int64")
	if b.Len() != 0 {
		t.Errorf("Len is %d", b.Len())
	}
	batch := b.Batch()
	defer batch.Release()
	if batch.NumRows() != 0 {
		t.Errorf("the batch has %d rows", batch.NumRows())
	}
}

func TestSchemasThatMapsCannotFillAreRefused(t *testing.T) {
	t.Parallel()
	for _, kind := range []arrow.DataType{
		arrow.FixedWidthTypes.Float16, arrow.ListOf(arrow.Null), arrow.MapOf(arrow.PrimitiveTypes.Int8, arrow.BinaryTypes.String),
		arrow.StructOf(arrow.Field{Name: "f", Type: arrow.FixedWidthTypes.Time32s}),
	} {
		_, err := rows.OfMaps(checked(t), arrow.NewSchema([]arrow.Field{{Name: "c", Type: kind}}, nil))
		contains(t, err, `"c"`, "type")
	}
}

func TestMapsReadEncodedTexts(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	kind := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}
	encoded, _, err := array.FromJSON(alloc, kind, strings.NewReader(`["a", null, "b"]`))
	if err != nil {
		t.Fatal(err)
	}
	defer encoded.Release()
	none := array.NewNull(3)
	defer none.Release()
	schema := arrow.NewSchema([]arrow.Field{{Name: "d", Type: kind, Nullable: true}, {Name: "n", Type: arrow.Null, Nullable: true}}, nil)
	batch := array.NewRecordBatch(schema, []arrow.Array{encoded, none}, 3)
	defer batch.Release()
	want := []map[string]any{{"d": "a", "n": nil}, {"d": nil, "n": nil}, {"d": "b", "n": nil}}
	if diff := cmp.Diff(want, read[map[string]any](t, batch)); diff != "" {
		t.Error(diff)
	}
	if got := read[struct {
		D *string `arrow:"d"`
	}](t, batch); *got[2].D != "b" || got[1].D != nil {
		t.Errorf("as a struct: %v", got)
	}
}
