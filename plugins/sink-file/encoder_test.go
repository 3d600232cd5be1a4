package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/qanat-data/qanat/sdk"
)

// every has a column of each type that the sink knows how to write, two rows of values and one of nulls.
func every(t *testing.T, alloc memory.Allocator) arrow.RecordBatch {
	t.Helper()
	fields := []arrow.Field{
		{Name: "yes", Type: arrow.FixedWidthTypes.Boolean},
		{Name: "i8", Type: arrow.PrimitiveTypes.Int8},
		{Name: "i16", Type: arrow.PrimitiveTypes.Int16},
		{Name: "i32", Type: arrow.PrimitiveTypes.Int32},
		{Name: "i64", Type: arrow.PrimitiveTypes.Int64},
		{Name: "u8", Type: arrow.PrimitiveTypes.Uint8},
		{Name: "u16", Type: arrow.PrimitiveTypes.Uint16},
		{Name: "u32", Type: arrow.PrimitiveTypes.Uint32},
		{Name: "u64", Type: arrow.PrimitiveTypes.Uint64},
		{Name: "f32", Type: arrow.PrimitiveTypes.Float32},
		{Name: "f64", Type: arrow.PrimitiveTypes.Float64},
		{Name: "dec", Type: &arrow.Decimal128Type{Precision: 12, Scale: 2}},
		{Name: "wide", Type: &arrow.Decimal256Type{Precision: 50, Scale: 3}},
		{Name: "text", Type: arrow.BinaryTypes.String},
		{Name: "big", Type: arrow.BinaryTypes.LargeString},
		{Name: "raw", Type: arrow.BinaryTypes.Binary},
		{Name: "fix", Type: &arrow.FixedSizeBinaryType{ByteWidth: 2}},
		{Name: "day", Type: arrow.FixedWidthTypes.Date32},
		{Name: "clock", Type: arrow.FixedWidthTypes.Time64us},
		{Name: "wall", Type: &arrow.TimestampType{Unit: arrow.Microsecond}},
		{Name: "at", Type: arrow.FixedWidthTypes.Timestamp_ms},
		{Name: "list", Type: arrow.ListOfField(arrow.Field{Name: "element", Type: arrow.PrimitiveTypes.Int64, Nullable: true})},
		{Name: "nest", Type: arrow.StructOf(
			arrow.Field{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true},
			arrow.Field{Name: "t", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true})},
		{Name: "map", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Float64)},
	}
	for i := range fields {
		fields[i].Nullable = true
	}
	rows := `[
{"yes":true,"i8":-8,"i16":-16,"i32":-32,"i64":9007199254740993,"u8":8,"u16":16,"u32":32,"u64":18446744073709551615,
 "f32":0.1,"f64":1e-7,"dec":"-12.30","wide":"12345678901234567890123456789012345.678","text":"a,\"b\"\n\u0001ü","big":"","raw":"AP8=","fix":"YWI=",
 "day":"2024-02-29","clock":"12:34:56.7","wall":"2024-02-29 12:34:56.789","at":"2024-02-29 12:34:56.789Z",
 "list":[1,null,3],"nest":{"a":"x","t":"2024-02-29 12:34:56Z"},"map":[{"key":"k","value":1.5}]},
{"yes":false,"i8":0,"i16":0,"i32":0,"i64":0,"u8":0,"u16":0,"u32":0,"u64":0,
 "f32":0,"f64":1234567,"dec":"0.00","wide":"0.000","text":"plain","big":"big","raw":"","fix":"AAA=",
 "day":"1969-12-31","clock":"00:00:00","wall":"1969-12-31 23:59:59","at":"1970-01-01 00:00:00Z",
 "list":[],"nest":{"a":null,"t":null},"map":[]},
{}]`
	record, _, err := array.RecordFromJSON(alloc, arrow.NewSchema(fields, nil), strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// onDisk commits one batch and returns the bytes of the file.
func onDisk(t *testing.T, change func(*Config), record func(memory.Allocator) arrow.RecordBatch) []byte {
	t.Helper()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	t.Cleanup(func() { alloc.AssertSize(t, 0) })
	g := newTarget(t, sdk.Append, func(c *Config) { change(c); c.Name = "unit-{seq}" })
	g.alloc = alloc
	s, _ := g.begin(1)
	g.write(s, "orders", 1, record(alloc))
	g.commit(s, mark(1, 1))
	raw, err := os.ReadFile(filepath.Join(g.config.Path, "unit-000000000001"+g.config.ending()))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func decompress(t *testing.T, compression string, raw []byte) string {
	t.Helper()
	var in io.Reader = bytes.NewReader(raw)
	var err error
	switch compression {
	case "gzip":
		in, err = gzip.NewReader(in)
	case "zstd":
		var d *zstd.Decoder
		d, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
		defer d.Close()
		in = d
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestParquetReadsBackAsItWas(t *testing.T) {
	t.Parallel()
	for _, compression := range []string{"", "none", "gzip", "zstd"} {
		t.Run(compression, func(t *testing.T) {
			t.Parallel()
			want := every(t, memory.DefaultAllocator)
			raw := onDisk(t, func(c *Config) { c.Format, c.Compression = "parquet", compression },
				func(a memory.Allocator) arrow.RecordBatch { return every(t, a) })
			in, err := pqfile.NewParquetReader(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			reader, err := pqarrow.NewFileReader(in, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
			if err != nil {
				t.Fatal(err)
			}
			table, err := reader.ReadTable(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got, err := array.NewTableReader(table, 0), error(nil)
			if err != nil || !got.Next() {
				t.Fatal("no rows", err)
			}
			for i, column := range want.Columns() {
				if !array.Equal(column, got.RecordBatch().Column(i)) {
					t.Errorf("%s: wrote %v, read %v", want.ColumnName(i), column, got.RecordBatch().Column(i))
				}
			}
		})
	}
}

func TestParquetGoesOnInAnotherRowGroup(t *testing.T) {
	t.Parallel()
	raw := onDisk(t, func(c *Config) { c.Format = "parquet" }, func(memory.Allocator) arrow.RecordBatch { return rows(1, groupRows+1) })
	in, err := pqfile.NewParquetReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if in.NumRows() != groupRows+1 || in.NumRowGroups() != 2 {
		t.Errorf("%d rows in %d groups", in.NumRows(), in.NumRowGroups())
	}
}

func TestJSONLinesReadBackAsTheyWere(t *testing.T) {
	t.Parallel()
	want := strings.Join([]string{
		`{"yes":true,"i8":-8,"i16":-16,"i32":-32,"i64":9007199254740993,"u8":8,"u16":16,"u32":32,"u64":18446744073709551615,` +
			`"f32":0.1,"f64":1e-07,"dec":-12.30,"wide":12345678901234567890123456789012345.678,"text":"a,\"b\"\n\u0001ü","big":"",` +
			`"raw":"AP8=","fix":"YWI=","day":"2024-02-29","clock":"12:34:56.7","wall":"2024-02-29T12:34:56.789",` +
			`"at":"2024-02-29T12:34:56.789Z","list":[1,null,3],"nest":{"a":"x","t":"2024-02-29T12:34:56Z"},"map":{"k":1.5}}`,
		`{"yes":false,"i8":0,"i16":0,"i32":0,"i64":0,"u8":0,"u16":0,"u32":0,"u64":0,"f32":0,"f64":1234567,"dec":0.00,"wide":0.000,` +
			`"text":"plain","big":"big","raw":"","fix":"AAA=","day":"1969-12-31","clock":"00:00:00","wall":"1969-12-31T23:59:59",` +
			`"at":"1970-01-01T00:00:00Z","list":[],"nest":{"a":null,"t":null},"map":{}}`,
		`{"yes":null,"i8":null,"i16":null,"i32":null,"i64":null,"u8":null,"u16":null,"u32":null,"u64":null,"f32":null,"f64":null,` +
			`"dec":null,"wide":null,"text":null,"big":null,"raw":null,"fix":null,"day":null,"clock":null,"wall":null,"at":null,` +
			`"list":null,"nest":null,"map":null}`, "",
	}, "\n")
	for _, compression := range []string{"", "gzip", "zstd"} {
		raw := onDisk(t, func(c *Config) { c.Compression = compression }, func(a memory.Allocator) arrow.RecordBatch { return every(t, a) })
		got := decompress(t, compression, raw)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q:\n%s", compression, diff)
		}
		for line := range strings.Lines(got) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%q is no JSON", line)
			}
		}
	}
}

func TestTextOfASliceIsThatOfItsRows(t *testing.T) {
	t.Parallel()
	text := func(slice func(arrow.RecordBatch) arrow.RecordBatch) []string {
		raw := onDisk(t, func(*Config) {}, func(a memory.Allocator) arrow.RecordBatch {
			whole := every(t, a)
			defer whole.Release()
			return slice(whole)
		})
		return strings.SplitAfter(string(raw), "\n")
	}
	whole := text(func(r arrow.RecordBatch) arrow.RecordBatch { return r.NewSlice(0, 3) })
	for from := range int64(3) {
		for to := from + 1; to <= 3; to++ {
			got := text(func(r arrow.RecordBatch) arrow.RecordBatch { return r.NewSlice(from, to) })
			if diff := cmp.Diff(append(whole[from:to:to], ""), got); diff != "" {
				t.Errorf("rows %d to %d:\n%s", from, to, diff)
			}
		}
	}
}

func TestCSVReadsBackAsItWas(t *testing.T) {
	t.Parallel()
	no := false
	for name, c := range map[string]CSV{
		"default": {}, "tabs": {Delimiter: "\t"}, "semicolons, nulls": {Delimiter: ";", Null: `\N`}, "no header": {Header: &no},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := onDisk(t, func(config *Config) { config.Format, config.Compression, config.CSV = "csv", "gzip", c },
				func(a memory.Allocator) arrow.RecordBatch { return every(t, a) })
			in := csv.NewReader(strings.NewReader(decompress(t, "gzip", raw)))
			in.Comma = rune(c.delimiter()[0])
			got, err := in.ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			if c.header() {
				record := every(t, memory.DefaultAllocator)
				if diff := cmp.Diff("yes,i8,i16", strings.Join(got[0][:3], ",")); diff != "" || len(got[0]) != int(record.NumCols()) {
					t.Error(diff, got[0])
				}
				got = got[1:]
			}
			nulls := make([]string, 24)
			for i := range nulls {
				nulls[i] = c.Null
			}
			want := [][]string{
				{
					"true", "-8", "-16", "-32", "9007199254740993", "8", "16", "32", "18446744073709551615", "0.1", "1e-07", "-12.30",
					"12345678901234567890123456789012345.678", "a,\"b\"\n\x01ü", "", "AP8=", "YWI=", "2024-02-29", "12:34:56.7",
					"2024-02-29T12:34:56.789", "2024-02-29T12:34:56.789Z", "[1,null,3]", `{"a":"x","t":"2024-02-29T12:34:56Z"}`, `{"k":1.5}`,
				},
				{
					"false", "0", "0", "0", "0", "0", "0", "0", "0", "0", "1234567", "0.00", "0.000", "plain", "big", "", "AAA=",
					"1969-12-31", "00:00:00", "1969-12-31T23:59:59", "1970-01-01T00:00:00Z", "[]", `{"a":null,"t":null}`, "{}",
				},
				nulls,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCSVTellsNullsFromEmptyTexts(t *testing.T) {
	t.Parallel()
	record := func(alloc memory.Allocator) arrow.RecordBatch {
		got, _, err := array.RecordFromJSON(alloc, orders, strings.NewReader(`[{"id":1,"note":""},{"id":2,"note":null},{"id":3,"note":"NULL"}]`))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for null, want := range map[string]string{
		"":     "id,note\n1,\"\"\n2,\n3,NULL\n",
		"NULL": "id,note\n1,\n2,NULL\n3,\"NULL\"\n",
	} {
		raw := onDisk(t, func(c *Config) { c.Format, c.CSV.Null = "csv", null }, record)
		if diff := cmp.Diff(want, string(raw)); diff != "" {
			t.Errorf("null %q:\n%s", null, diff)
		}
	}
}

func TestRareTypesAsText(t *testing.T) {
	t.Parallel()
	kinds := []arrow.DataType{
		&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String},
		arrow.FixedWidthTypes.Duration_ms, arrow.FixedWidthTypes.Float16, arrow.Null,
		arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Int8), arrow.FixedWidthTypes.Time32s, arrow.FixedWidthTypes.Date64,
		arrow.BinaryTypes.StringView, arrow.MapOf(arrow.PrimitiveTypes.Int8, arrow.BinaryTypes.String),
		&arrow.Decimal64Type{Precision: 9, Scale: 1},
	}
	fields := make([]arrow.Field, len(kinds))
	for i, kind := range kinds {
		fields[i] = arrow.Field{Name: string(rune('a' + i)), Type: kind, Nullable: true}
	}
	raw := onDisk(t, func(*Config) {}, func(alloc memory.Allocator) arrow.RecordBatch {
		record, _, err := array.RecordFromJSON(alloc, arrow.NewSchema(fields, nil), strings.NewReader(
			`[{"a":"x","b":"1500ms","c":1.5,"d":null,"e":[1,2],"f":"01:02:03","g":"2024-02-29","h":"view","i":[{"key":1,"value":"v"}],"j":"0.5"},{}]`))
		if err != nil {
			t.Fatal(err)
		}
		return record
	})
	want := `{"a":"x","b":"1500ms","c":1.5,"d":null,"e":[1,2],"f":"01:02:03","g":"2024-02-29","h":"view","i":{"1":"v"},"j":0.5}` + "\n" +
		`{"a":null,"b":null,"c":null,"d":null,"e":null,"f":null,"g":null,"h":null,"i":null,"j":null}` + "\n"
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Error(diff)
	}
}

func TestNumbersThatJSONLacksAreTexts(t *testing.T) {
	t.Parallel()
	schema := arrow.NewSchema([]arrow.Field{{Name: "f", Type: arrow.PrimitiveTypes.Float64}}, nil)
	raw := onDisk(t, func(*Config) {}, func(alloc memory.Allocator) arrow.RecordBatch {
		record, _, err := array.RecordFromJSON(alloc, schema, strings.NewReader(`[{"f":"NaN"},{"f":"Inf"},{"f":"-Inf"},{"f":0.5}]`))
		if err != nil {
			t.Fatal(err)
		}
		return record
	})
	want := `{"f":"NaN"}` + "\n" + `{"f":"Infinity"}` + "\n" + `{"f":"-Infinity"}` + "\n" + `{"f":0.5}` + "\n"
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Error(diff)
	}
}

func FuzzAppendQuoted(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\n\r\t\x00\x1f", "ü€😀", "\xff\xc3", " "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(appendQuoted(nil, s), &got); err != nil {
			t.Fatalf("%q: %v", appendQuoted(nil, s), err)
		}
		if want := strings.ToValidUTF8(s, ""); strings.ReplaceAll(got, "\ufffd", "") != strings.ReplaceAll(want, "\ufffd", "") {
			t.Errorf("%q became %q", s, got)
		}
	})
}
