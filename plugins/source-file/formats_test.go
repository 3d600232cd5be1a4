package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/google/go-cmp/cmp"
)

// people is the same rows in every format.
func people(n int) arrow.RecordBatch {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "score", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "ok", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range n {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("name %d, \"the\" one", i))
		if i%7 == 3 {
			b.Field(2).AppendNull()
		} else {
			b.Field(2).(*array.Float64Builder).Append(float64(i) + 0.5)
		}
		b.Field(3).(*array.BooleanBuilder).Append(i%2 == 0)
	}
	return b.NewRecordBatch()
}

func peopleCSV(n int, delimiter string) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "id%[1]sname%[1]sscore%[1]sok\n", delimiter)
	for i := range n {
		score := fmt.Sprintf("%d.5", i)
		if i%7 == 3 {
			score = ""
		}
		fmt.Fprintf(&out, "%[2]d%[1]s\"name %[2]d, \"\"the\"\" one\"%[1]s%[3]s%[1]s%[4]t\n", delimiter, i, score, i%2 == 0)
	}
	return out.Bytes()
}

func peopleJSON(n int, before, between, after string) []byte {
	var out bytes.Buffer
	out.WriteString(before)
	for i := range n {
		if i > 0 {
			out.WriteString(between)
		}
		score := fmt.Sprintf("%d.5", i)
		if i%7 == 3 {
			score = "null"
		}
		fmt.Fprintf(&out, `{"id": %d, "name": "name %d, \"the\" one", "score": %s, "ok": %t}`, i, i, score, i%2 == 0)
	}
	out.WriteString(after)
	return out.Bytes()
}

func parquetFile(t testing.TB, record arrow.RecordBatch, rowGroup int64) []byte {
	t.Helper()
	var out bytes.Buffer
	properties := parquet.NewWriterProperties(parquet.WithMaxRowGroupLength(rowGroup), parquet.WithCompression(compress.Codecs.Snappy))
	w, err := pqarrow.NewFileWriter(record.Schema(), &out, properties, pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	for from := int64(0); from < record.NumRows(); from += rowGroup {
		part := record.NewSlice(from, min(from+rowGroup, record.NumRows()))
		err := w.Write(part)
		part.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func arrowFile(t testing.TB, record arrow.RecordBatch, batch int64, stream bool) []byte {
	t.Helper()
	var out bytes.Buffer
	var w interface {
		Write(rec arrow.RecordBatch) error
		Close() error
	}
	if stream {
		w = ipc.NewWriter(&out, ipc.WithSchema(record.Schema()))
	} else {
		var err error
		if w, err = ipc.NewFileWriter(&out, ipc.WithSchema(record.Schema()), ipc.WithZstd()); err != nil {
			t.Fatal(err)
		}
	}
	for from := int64(0); from < record.NumRows(); from += batch {
		part := record.NewSlice(from, min(from+batch, record.NumRows()))
		err := w.Write(part)
		part.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// formats are people in all formats, by file name.
func formats(t testing.TB, n int) map[string][]byte {
	t.Helper()
	record := people(n)
	defer record.Release()
	csv, jsonl := peopleCSV(n, ","), peopleJSON(n, "", "\n", "\n")
	object := peopleJSON(n, "[\n", ",\n", "\n]\n")
	return map[string][]byte{
		"a.csv": csv, "a.csv.gz": gzipped(t, csv), "a.csv.zst": zstandard(t, csv), "bom.csv": append([]byte("\xef\xbb\xbf"), csv...),
		"crlf.csv": bytes.ReplaceAll(csv, []byte("\n"), []byte("\r\n")), "a.tsv": peopleCSV(n, "\t"), "a.tsv.gz": gzipped(t, peopleCSV(n, "\t")),
		"a.jsonl": jsonl, "a.jsonl.gz": gzipped(t, jsonl), "a.ndjson.zst": zstandard(t, jsonl),
		"a.json": object, "a.json.gz": gzipped(t, object), "seq.json": peopleJSON(n, "", "", ""), "lines.json": jsonl,
		"a.json.zst": zstandard(t, object),
		"a.parquet":  parquetFile(t, record, int64(n/3)), "a.arrow": arrowFile(t, record, int64(n/4), false),
		"a.arrows": arrowFile(t, record, int64(n/4), true),
	}
}

func TestEveryFormatGivesTheSameRows(t *testing.T) {
	t.Parallel()
	record := people(3000)
	defer record.Release()
	want := recordLines(t, record)
	for name, content := range formats(t, 3000) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, filepath.Join(t.TempDir(), name), content)
			s := newSource(t, fmt.Sprintf(`{"path": %q, "batch_rows": 256}`, path))
			streams, err := s.Streams(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			rec := read(t, s, nil)
			if diff := cmp.Diff(want, lines(t, rec, streams[0].Name)); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if got, want := schemaText(rec.Schemas[0].Schema), "id int64, name string, score float64, ok bool"; got != want {
				t.Errorf("schema %s, want %s", got, want)
			}
			if got := schemaText(streams[0].Schema); got != schemaText(rec.Schemas[0].Schema) {
				t.Errorf("Streams says %s", got)
			}
			if len(rec.Rejections) > 0 {
				t.Errorf("rejections: %v", rejects(rec))
			}
			again := read(t, s, lastPosition(t, rec))
			if n := again.Rows(streams[0].Name); n != 0 {
				t.Errorf("a second read gives %d rows", n)
			}
		})
	}
}
