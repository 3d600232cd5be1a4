package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/google/go-cmp/cmp"
)

// What a process may take at most to read one file: for text, whose records are bounded, and for columns.
const (
	textBound   = 320 << 20
	columnBound = 1 << 30
)

// gigabyte packs text, a gigabyte of one character and more text, as archives that follow one another.
func gigabyte(t *testing.T, pack func(testing.TB, []byte) []byte, before, after string) string {
	t.Helper()
	const part = 4 << 20
	block := pack(t, bytes.Repeat([]byte("0"), part))
	return string(pack(t, []byte(before))) + strings.Repeat(string(block), (1<<30)/part) + string(pack(t, []byte(after)))
}

func TestMemoryStaysBoundedWhateverIsInAFile(t *testing.T) {
	t.Parallel()
	field := strings.Repeat("x", 50<<20)
	const tooLarge, tooLong = "a record of more bytes than are allowed (16 MiB)", "a line of more bytes than are allowed (16 MiB)"
	const tooMuch = ": from row 1 on: the rest of the file is not read: a part of it takes more memory than is allowed (512 MiB)"
	record := texts("a", field, "b")
	defer record.Release()
	columns := columnar(t, record)
	for _, c := range []struct {
		name, file, content string
		rows                int64
		rejects             []string
	}{
		{"a field of 50 MB", "a.csv", "v\na\n" + field + "\nb\n", 2, []string{"row_too_large a.csv:3: " + tooLong}},
		{"a field of 50 MB in quotes", "q.csv", "v\na\n\"" + field + "\"\nb\n", 2, []string{"row_too_large q.csv:3: " + tooLong}},
		{"a field of 50 MB", "a.jsonl", "{\"v\":\"a\"}\n{\"v\":\"" + field + "\"}\n{\"v\":\"b\"}\n", 2, []string{"row_too_large a.jsonl:2: " + tooLarge}},
		{"a field of 50 MB", "a.json", "[{\"v\":\"a\"},\n{\"v\":\"" + field + "\"},\n{\"v\":\"b\"}]", 2, []string{"row_too_large a.json:2: " + tooLarge}},
		{"a key of 50 MB", "k.jsonl", "{\"v\":\"a\"}\n{\"" + field + "\":1}\n{\"v\":\"b\"}\n", 2, []string{"row_too_large k.jsonl:2: " + tooLarge}},
		{"a field of 50 MB", "a.parquet", string(columns["a.parquet"]), 3, nil}, // the SDK rejects the row
		{"a field of 50 MB", "a.arrow", string(columns["a.arrow"]), 3, nil},
		{"a field of 50 MB", "a.arrows", string(columns["a.arrows"]), 3, nil},
		{"a gigabyte in a line", "a.csv.gz", gigabyte(t, gzipped, "v\na\n", "\nb\n"), 2, []string{"row_too_large a.csv.gz:3: " + tooLong}},
		{"a gigabyte in a line", "a.jsonl.zst", gigabyte(t, zstandard, "{\"v\":1}\n", "\n{\"v\":2}\n"), 2, []string{"row_too_large a.jsonl.zst:2: " + tooLarge}},
		{
			"a gigabyte in an element", "a.json.zst", gigabyte(t, zstandard, "[{\"v\":1},\n\"", "\",\n{\"v\":2}]"), 2,
			[]string{"row_too_large a.json.zst:2: " + tooLarge},
		},
		{
			"an element of a gigabyte that does not end", "b.json.zst", gigabyte(t, zstandard, "[{\"v\":1},\n\"", ""), 1,
			[]string{"malformed b.json.zst:2: the rest of the file can't be read: the file ends in the middle of a value"},
		},
		{"a long value in every row of a dictionary", "d.parquet", string(dictionaryBomb(t, true)), 0, []string{"row_too_large d.parquet:1" + tooMuch}},
		{"a long value in every row of a dictionary", "d.arrow", string(dictionaryBomb(t, false)), 0, []string{"row_too_large d.arrow:1: *"}},
		{"a million empty objects", "o.jsonl", emptyObjects(), 8192, []string{"row_too_large o.jsonl:8193: *"}},
	} {
		t.Run(c.name+" "+c.file, func(t *testing.T) {
			got := readInChild(t, c.file, []byte(c.content), "")
			if diff := cmp.Diff(c.rejects, starred(c.rejects, got.Rejects)); diff != "" || got.Rows != c.rows || got.Error != "" {
				t.Errorf("%d rows, want %d; error %q; rejections (-want +got):\n%s", got.Rows, c.rows, got.Error, diff)
			}
			bound := int64(textBound)
			if strings.Contains(c.name, "dictionary") || strings.Contains(c.name, "objects") {
				bound = columnBound
			}
			if got.Peak > bound {
				t.Errorf("the process took %d MiB, want at most %d", got.Peak>>20, bound>>20)
			}
		})
	}
}

// dictionaryBomb is a small file whose 100,000 rows have one value of a megabyte.
func dictionaryBomb(t *testing.T, asParquet bool) []byte {
	t.Helper()
	b := array.NewBuilder(memory.DefaultAllocator, &arrow.DictionaryType{
		IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String,
	}).(*array.BinaryDictionaryBuilder)
	defer b.Release()
	value := strings.Repeat("x", 1<<20)
	const rows = 100_000
	if err := b.AppendString(value); err != nil {
		t.Fatal(err)
	}
	indices := make([]int, rows-1)
	b.AppendIndices(indices, nil)
	column := b.NewArray()
	defer column.Release()
	schema := arrow.NewSchema([]arrow.Field{{Name: "v", Type: column.DataType(), Nullable: true}}, nil)
	record := array.NewRecordBatch(schema, []arrow.Array{column}, rows)
	defer record.Release()
	if !asParquet {
		return arrowFile(t, record, rows, false)
	}
	var out bytes.Buffer
	properties := parquet.NewWriterProperties(parquet.WithDictionaryPageSizeLimit(8 << 20))
	w, err := pqarrow.NewFileWriter(schema, &out, properties, pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(record); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// emptyObjects is a record that says what is in the objects of a list, and one with many of them in which it is not.
func emptyObjects() string {
	var fields strings.Builder
	for i := range 500 {
		fmt.Fprintf(&fields, `,"k%d":1`, i)
	}
	return `{"l":[{` + fields.String()[1:] + "}]}\n" + strings.Repeat("{\"l\":[{}]}\n", 9000) + `{"l":[{}` + strings.Repeat(",{}", 1_000_000) + "]}\n"
}
