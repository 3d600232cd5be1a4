package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

func TestTypesAreInferredWithoutLosingText(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ content, settings, want string }{
		"csv": {
			"zip,n,big,huge,f,e,gene,b,d,ts,tz,mix,s,empty,ip,plus,mixed\n" +
				"00501,1,1234567890123456789,12345678901234567890,1.5,1e-5,1E5,true,2024-01-31,2024-01-31 10:00:00,2024-01-31T10:00:00Z,1,x,,1.2.3.4,+49,1\n" +
				"10001,-2,2,2,2,2.5,2E6,FALSE,2024-02-29,2024-01-31T10:00,2024-01-31T10:00:00+02:00,2.5,1,,1.2.3.4,5,x\n",
			``,
			"zip string, n int64, big int64, huge string, f float64, e float64, gene string, b bool, d date, ts timestamp_ntz, " +
				"tz timestamp, mix float64, s string, empty string, ip string, plus string, mixed string",
		},
		"csv with exact integers among fractions": {"a\n9007199254740993\n1.5\n", ``, "a string"},
		"csv with nanoseconds":                    {"a\n2024-01-31T10:00:00.123456789Z\n", ``, "a string"},
		"csv with NA":                             {"a,b\nNA,NA\n1,x\n", `, "csv": {"null_values": ["NA"]}`, "a int64, b string"},
		"csv as strings":                          {"a,b\n1,2\n", `, "infer": {"all_strings": true}`, "a string, b string"},
		"csv with declared types": {
			"a,b\n1,2\n", `, "columns": {"b": "decimal(12,2)", "c": "list<struct<x: int64, y: string>>"}`,
			"a int64, b decimal(12,2), c list<struct<x: int64, y: string>>",
		},
		"csv with odd names": {"a, A ,,a,column_3\n1,2,3,4,5\n", ``, "a int64, A_2 int64, column_3 int64, a_3 int64, column_3_2 int64"},
		"csv without names":  {"1,x\n", `, "csv": {"header": false}`, "column_1 int64, column_2 string"},
		"csv with names":     {"1,x\n", `, "csv": {"header": false, "names": ["id", "v"]}`, "id int64, v string"},
		"csv with other names": {
			"# made by\nold,names\n1,x\n", `, "csv": {"names": ["id", "v"], "skip_rows": 1}`, "id int64, v string",
		},
		"jsonl": {
			`{"i":1,"f":1.0,"g":12E4,"s":"x","d":"2024-01-31","t":"2024-01-31T10:00:00Z","z":"00501","n":null,"b":true}` + "\n" +
				`{"o":{"x":1,"y":{"z":"q"}},"l":[1,2.5],"e":[],"h":{},"m":5,"big":123456789012345678901,"u":{"x":1}}` + "\n" +
				`{"m":"five","l":[null],"u":"one","ll":[[{"k":true}]]}`,
			``,
			"i int64, f float64, g float64, s string, d date, t timestamp, z string, b bool, o struct<x: int64, y: struct<z: string>>, " +
				"l list<float64>, e json, h json, m string, big string, u json, ll list<list<struct<k: bool>>>",
		},
		"jsonl as strings": {`{"a":1,"b":{"c":2},"d":[3]}`, `, "infer": {"all_strings": true}`, "a string, b json, d json"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ending, _, _ := strings.Cut(name, " ")
			path := write(t, filepath.Join(t.TempDir(), "a."+ending), []byte(c.content))
			s := newSource(t, fmt.Sprintf(`{"path": %q%s}`, path, c.settings))
			streams, err := s.Streams(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, schemaText(streams[0].Schema)); diff != "" {
				t.Errorf("schema (-want +got):\n%s", diff)
			}
			rec := read(t, s, nil)
			if len(rec.Rejections) > 0 || rec.Rows("a") == 0 {
				t.Errorf("%d rows, rejections %v", rec.Rows("a"), rejects(rec))
			}
		})
	}
}

func TestEmptyFieldsAreNullExceptInStrings(t *testing.T) {
	t.Parallel()
	path := write(t, filepath.Join(t.TempDir(), "a.csv"), []byte("n,s,q\n1,x,\"NA\"\n,,NA\n"))
	for settings, want := range map[string][]string{
		``:                                    {`{"n":1,"q":"NA","s":"x"}`, `{"q":"NA","s":""}`},
		`, "csv": {"null_values": ["NA",""]}`: {`{"n":1,"q":"NA","s":"x"}`, `{}`},
	} {
		rec := read(t, newSource(t, fmt.Sprintf(`{"path": %q%s}`, path, settings)), nil)
		if diff := cmp.Diff(want, lines(t, rec, "a")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", settings, diff)
		}
	}
}

// TestLaterFilesAddColumns reads one file after the other; the first schema is found before that in all of them, so the new columns
// lie behind what is sampled.
func TestLaterFilesAddColumns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1.csv"), []byte("a,b\n1,x\n"))
	s := newSource(t, fmt.Sprintf(`{"path": %q, "stream": "s", "columns": {"z": "int64"}, "key": ["a"], "parallel": 1}`, filepath.Join(dir, "*")))
	first := read(t, s, nil)
	write(t, filepath.Join(dir, "2.csv"), []byte("c,a\n2.5,2\n"))
	write(t, filepath.Join(dir, "3.jsonl"), []byte(`{"a": 3, "d": {"e": 1}}`))
	write(t, filepath.Join(dir, "4.csv"), []byte("b,a\ny,1.5\nz,4\n"))
	second := read(t, s, lastPosition(t, first))
	got := append(lines(t, first, "s"), lines(t, second, "s")...)
	want := []string{`{"a":1,"b":"x"}`, `{"a":2,"c":2.5}`, `{"a":3,"d":{"e":1}}`, `{"a":4,"b":"z"}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{`wrong_type 4.csv:2: column "a": "1.5" is no int64: expected an integer`}, rejects(second)); diff != "" {
		t.Errorf("rejections (-want +got):\n%s", diff)
	}
	var schemas []string
	for _, c := range second.Schemas {
		schemas = append(schemas, fmt.Sprintf("%d: %s by %s", c.Version, schemaText(c.Schema), c.Key))
	}
	wantSchemas := []string{
		"1: a int64, b string, z int64 by [a]",
		"2: a int64, b string, z int64, c float64 by [a]",
		"3: a int64, b string, z int64, c float64, d struct<e: int64> by [a]",
	}
	if diff := cmp.Diff(wantSchemas, schemas); diff != "" {
		t.Errorf("schemas (-want +got):\n%s", diff)
	}
}

func TestWidenLetsIntegersBecomeFloats(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1.csv"), []byte("a\n1\n"))
	s := newSource(t, fmt.Sprintf(`{"path": %q, "stream": "s", "infer": {"widen": true}, "parallel": 1}`, filepath.Join(dir, "*")))
	first := read(t, s, nil)
	write(t, filepath.Join(dir, "2.csv"), []byte("a\n1.5\n"))
	write(t, filepath.Join(dir, "3.csv"), []byte("a\n7\n9007199254740993\n"))
	second := read(t, s, lastPosition(t, first))
	if diff := cmp.Diff([]string{`{"a":1.5}`, `{"a":7}`}, lines(t, second, "s")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if got := rejects(second); len(got) != 1 || !strings.Contains(got[0], "more digits than the type can hold") {
		t.Errorf("rejections %v", got)
	}
	if n := len(second.Schemas); n != 2 || schemaText(second.Schemas[1].Schema) != "a float64" {
		t.Errorf("schemas %v", second.Schemas)
	}
}

func TestNewKeysInTheMiddleOfAFileBecomeColumns(t *testing.T) {
	t.Parallel()
	content := `{"a":1,"o":{"x":1},"l":[{"p":1}]}
{"a":2,"o":{"y":"q"},"l":[{"q":2},null],"n":null}
{"a":3,"c":"2024-01-31","o":null}
`
	path := write(t, filepath.Join(t.TempDir(), "a.jsonl"), []byte(content))
	rec := read(t, newSource(t, fmt.Sprintf(`{"path": %q, "batch_rows": 1, "infer": {"rows": 1}}`, path)), nil)
	want := []string{
		`{"a":1,"l":[{"p":1}],"o":{"x":1}}`, `{"a":2,"l":[{"p":null,"q":2},null],"o":{"y":"q"}}`, `{"a":3,"c":"2024-01-31"}`,
	}
	if diff := cmp.Diff(want, lines(t, rec, "a")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	last := rec.Schemas[len(rec.Schemas)-1]
	if got, want := schemaText(last.Schema), "a int64, o struct<x: int64, y: string>, l list<struct<p: int64, q: int64>>, c date"; got != want {
		t.Errorf("schema %s, want %s", got, want)
	}
	if len(rec.Rejections) > 0 {
		t.Errorf("rejections %v", rejects(rec))
	}
}

func TestDeclaredStructRefusesOtherFields(t *testing.T) {
	t.Parallel()
	path := write(t, filepath.Join(t.TempDir(), "a.jsonl"), []byte("{\"o\":{\"x\":1}}\n{\"o\":{\"y\":1}}\n{\"o\":{\"y\":null}}\n"))
	rec := read(t, newSource(t, fmt.Sprintf(`{"path": %q, "columns": {"o": "struct<x: int64>"}}`, path)), nil)
	if diff := cmp.Diff([]string{`{"o":{"x":1}}`, `{"o":{}}`}, lines(t, rec, "a")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{`wrong_type a.jsonl:2: column "o": the declared type has no field "y"`}, rejects(rec)); diff != "" {
		t.Errorf("rejections (-want +got):\n%s", diff)
	}
}

func TestObjectsWithoutValuesNeedAColumn(t *testing.T) {
	t.Parallel()
	path := write(t, filepath.Join(t.TempDir(), "a.jsonl"), []byte("{}\n{\"a\":null}\n{\"a\":\n"))
	rec := read(t, newSource(t, fmt.Sprintf(`{"path": %q}`, path)), nil)
	if len(rec.Schemas) != 0 || len(rec.Rejections) != 3 {
		t.Errorf("schemas %v, rejections %v", rec.Schemas, rejects(rec))
	}
	path = write(t, filepath.Join(t.TempDir(), "b.jsonl"), []byte("{}\n{\"a\":1}\n"))
	rec = read(t, newSource(t, fmt.Sprintf(`{"path": %q}`, path)), nil)
	if diff := cmp.Diff([]string{`{}`, `{"a":1}`}, lines(t, rec, "b")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// mixed has types that the stream's differ from.
func mixed(t *testing.T) arrow.RecordBatch {
	t.Helper()
	item := arrow.StructOf(arrow.Field{Name: "k", Type: arrow.PrimitiveTypes.Int32, Nullable: true})
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "d", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}},
		{Name: "ls", Type: arrow.BinaryTypes.LargeString}, {Name: "ns", Type: arrow.FixedWidthTypes.Timestamp_ns},
		{Name: "o", Type: item, Nullable: true}, {Name: "l", Type: arrow.ListOf(item), Nullable: true},
	}, nil)
	record, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(`[
		{"id": 1, "d": "x", "ls": "big", "ns": "2024-01-31T10:00:00.000001Z", "o": {"k": 1}, "l": [{"k": 2}]},
		{"id": 9007199254740993, "d": "y", "ls": "", "ns": "2024-01-31T10:00:00.000000001Z", "o": null, "l": []},
		{"id": 3, "d": "x", "ls": "z", "ns": "2024-01-31T10:00:00Z", "o": {"k": 3}, "l": null}]`))
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func TestColumnarFilesAreCastWhereTheStreamDiffers(t *testing.T) {
	t.Parallel()
	record := mixed(t)
	defer record.Release()
	for name, content := range map[string][]byte{"a.parquet": parquetFile(t, record, 2), "a.arrow": arrowFile(t, record, 3, true)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, filepath.Join(t.TempDir(), name), content)
			rec := read(t, newSource(t, fmt.Sprintf(`{"path": %q}`, path)), nil)
			if rec.Rows("a") != 3 || len(rec.Rejections) > 0 {
				t.Errorf("%d rows, rejections %v", rec.Rows("a"), rejects(rec))
			}
			s := newSource(t, fmt.Sprintf(`{"path": %q, "columns": {"ns": "timestamp", "id": "string", "l": "list<struct<k: int64, m: string>>",
				"o": "struct<m: bool, k: float64>"}}`, path))
			rec = read(t, s, nil)
			want := []string{
				`{"d":"x","id":"1","l":[{"k":2,"m":null}],"ls":"big","ns":"2024-01-31T10:00:00.000001Z","o":{"k":1}}`,
				`{"d":"x","id":"3","ls":"z","ns":"2024-01-31T10:00:00Z","o":{"k":3}}`,
			}
			if diff := cmp.Diff(want, lines(t, rec, "a")); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if len(rec.Rejections) != 1 || !strings.HasSuffix(rec.Rejections[0].Origin, ":2") || rec.Rejections[0].Code != "wrong_type" {
				t.Errorf("rejections %v", rejects(rec))
			}
		})
	}
}

func TestEvolutionReachesFilesThatAreBeingRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 8 {
		var out strings.Builder
		for n := range 400 {
			fmt.Fprintf(&out, "{\"id\":%d,\"k%d_%d\":%d}\n", n, i, n/100, n)
		}
		write(t, filepath.Join(dir, fmt.Sprintf("%d.jsonl", i)), []byte(out.String()))
	}
	s := newSource(t, fmt.Sprintf(`{"path": %q, "stream": "s", "batch_rows": 20, "parallel": 8, "infer": {"rows": 5}}`, filepath.Join(dir, "*")))
	rec := read(t, s, nil)
	if n := rec.Rows("s"); n != 3200 || len(rec.Rejections) > 0 {
		t.Errorf("%d rows, %d rejections", n, len(rec.Rejections))
	}
	last := rec.Schemas[len(rec.Schemas)-1]
	if n := last.Schema.NumFields(); n != 33 {
		t.Errorf("%d columns at the end, want 33", n)
	}
	checkVersions(t, rec)
}

// checkVersions says whether every batch has the schema of its version.
func checkVersions(t *testing.T, rec *plugintest.Recorder) {
	t.Helper()
	versions := map[int]sdk.SchemaChange{}
	for _, c := range rec.Schemas {
		versions[c.Version] = c
	}
	for _, b := range rec.Batches {
		if !versions[b.Version].Schema.Equal(b.Record.Schema()) {
			t.Fatalf("a batch of version %d has another schema", b.Version)
		}
	}
}
