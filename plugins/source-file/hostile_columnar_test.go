package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// columnar are the files of the formats that are columns already, of the same batch.
func columnar(t testing.TB, record arrow.RecordBatch) map[string][]byte {
	t.Helper()
	n := max(1, record.NumRows()/2)
	return map[string][]byte{
		"a.parquet": parquetFile(t, record, n), "a.arrow": arrowFile(t, record, n, false), "a.arrows": arrowFile(t, record, n, true),
	}
}

// texts is a batch of one column of text.
func texts(values ...string) arrow.RecordBatch {
	return named([]string{"v"}, values...)
}

// named is a batch of columns of text, each of which has the values.
func named(names []string, values ...string) arrow.RecordBatch {
	fields := make([]arrow.Field, len(names))
	for i, name := range names {
		fields[i] = arrow.Field{Name: name, Type: arrow.BinaryTypes.String, Nullable: true}
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer b.Release()
	for i := range names {
		b.Field(i).(*array.StringBuilder).AppendValues(values, nil)
	}
	return b.NewRecordBatch()
}

func TestColumnarFilesWithColumnsThatNoStreamCanHave(t *testing.T) {
	t.Parallel()
	long, many := strings.Repeat("k", 513), make([]string, 10_001)
	for i := range many {
		many[i] = fmt.Sprintf("c%d", i)
	}
	var cases []hostile
	for name, c := range map[string]struct {
		columns []string
		reason  string
	}{
		"a name twice":     {[]string{"id", "v", "id"}, `column "id" occurs twice`},
		"an empty name":    {[]string{"id", ""}, "column 2 has no name"},
		"a name of 513":    {[]string{long}, "the name of column 1 has 513 bytes, at most 512 are allowed"},
		"too many columns": {many, "10001 columns, at most 10000 are allowed"},
	} {
		record := named(c.columns, "x")
		for file, content := range columnar(t, record) {
			format, _, _ := strings.Cut(strings.TrimPrefix(file, "a."), "s")
			cases = append(cases, hostile{name: name, file: file, content: string(content), rejects: []string{
				"malformed " + file + ":1: from row 1 on: the rest of the file can't be read: " + format + ": " + c.reason,
			}})
		}
		record.Release()
	}
	runHostile(t, cases)
}

func TestTextThatIsNotUTF8InColumnarFilesCostsItsRow(t *testing.T) {
	t.Parallel()
	record := texts("a", "caf\xe9", "b")
	defer record.Release()
	var cases []hostile
	for file, content := range columnar(t, record) {
		cases = append(cases, hostile{
			name: "Latin-1", file: file, content: string(content), rows: []string{`{"v":"a"}`, `{"v":"b"}`},
			rejects: []string{"encoding " + file + `:2: column "v": its text is not UTF-8`}, raw: []string{"[{\"v\":\"caf\\ufffd\"}\n]"},
		})
	}
	runHostile(t, cases)
}

// TestColumnarFilesThatAreCutGiveTheRowsBeforeTheCut cuts at every seventh byte.
func TestColumnarFilesThatAreCutGiveTheRowsBeforeTheCut(t *testing.T) {
	t.Parallel()
	record := people(10)
	defer record.Release()
	want := recordLines(t, record)
	for file, content := range columnar(t, record) {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			for n := 1; n < len(content); n += 7 {
				path := write(t, filepath.Join(t.TempDir(), file), content[:n])
				rec := readHostile(t, fmt.Sprintf(`{"path": %q, "stream": "a"}`, path))
				got := lines(t, rec, "a")
				if strings.Join(got, "\n") != strings.Join(want[:min(len(got), 10)], "\n") {
					t.Fatalf("%d of %d bytes: rows %v", n, len(content), got)
				}
				if len(rec.Rejections) == 0 && len(got) < 10 && file != "a.arrows" {
					t.Fatalf("%d of %d bytes: %d rows and no rejection", n, len(content), len(got))
				}
			}
		})
	}
}

// TestNoSingleWrongByteOfAColumnarFileIsFatal sets each byte to values that turn lengths, offsets and types into lies.
func TestNoSingleWrongByteOfAColumnarFileIsFatal(t *testing.T) {
	t.Parallel()
	record := people(6)
	defer record.Release()
	files := columnar(t, record)
	files["zstd.arrow"] = arrowFile(t, record, 3, false)
	for file, content := range files {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), file)
			settings := fmt.Sprintf(`{"path": %q, "stream": "a"}`, path)
			for at := range content {
				changed := bytes.Clone(content)
				changed[at] = []byte{0x00, 0x7f, 0xff}[at%3]
				write(t, path, changed)
				readUnchecked(t, settings, nil)
			}
		})
	}
}

// TestLengthsThatAreLies has numbers for what is not there, up to the largest that fit.
func TestLengthsThatAreLies(t *testing.T) {
	t.Parallel()
	record := people(10)
	defer record.Release()
	files := columnar(t, record)
	footer := func(file string, length uint32) string {
		content := bytes.Clone(files[file])
		at := len(content) - 8
		if file == "a.arrow" {
			at = len(content) - 10
		}
		binary.LittleEndian.PutUint32(content[at:], length)
		return string(content)
	}
	var cases []hostile
	for _, length := range []uint32{0, 1, 1 << 20, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		for _, file := range []string{"a.parquet", "a.arrow"} {
			cases = append(cases, hostile{
				name: fmt.Sprintf("a footer of %d bytes", length), file: file, content: footer(file, length),
				rejects: []string{"malformed " + file + ":1: from row 1 on: the rest of the file can't be read: *"},
			})
		}
		if length > 4 {
			message := binary.LittleEndian.AppendUint32([]byte{0xff, 0xff, 0xff, 0xff}, length)
			cases = append(cases, hostile{
				name: fmt.Sprintf("a schema of %d bytes", length), file: "a.arrows", content: string(message) + strings.Repeat("x", 100),
				rejects: []string{"malformed a.arrows:1: from row 1 on: the rest of the file can't be read: *"},
			})
		}
	}
	runHostile(t, cases)
}

// swollen is an Arrow stream whose compressed buffers claim to hold a number of bytes.
func swollen(t *testing.T, claimed uint64) []byte {
	t.Helper()
	record := texts(strings.Repeat("x", 10_000), strings.Repeat("y", 10_000))
	defer record.Release()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(record.Schema()), ipc.WithZstd())
	if err := w.Write(record); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	content := out.Bytes()
	at := bytes.LastIndex(content, binary.LittleEndian.AppendUint64(nil, 20_000))
	if at < 0 {
		t.Fatal("the length of the values is not in the stream")
	}
	binary.LittleEndian.PutUint64(content[at:], claimed)
	return content
}

func TestCompressedBuffersThatClaimTooMuch(t *testing.T) {
	t.Parallel()
	var cases []hostile
	for _, claimed := range []uint64{30_000, 1 << 30, 1 << 40, 1 << 62, 1 << 63} {
		cases = append(cases, hostile{
			name: fmt.Sprint(claimed), file: "a.arrows", content: string(swollen(t, claimed)), rejects: []string{"*"},
		})
	}
	runHostile(t, cases)
}
