package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk/plugintest"
)

// jsonTestSuite is https://github.com/nst/JSONTestSuite as the module proxy has it. It stays in the module cache.
const jsonTestSuite = "github.com/nst/JSONTestSuite@v0.0.0-20241122125541-1ef36fa01286"

// jsonSuite is the texts of the suite by name: those of y_ are JSON, those of n_ are not, of i_ a parser may think what it likes.
func jsonSuite(t *testing.T) map[string][]byte {
	t.Helper()
	download := exec.Command("go", "mod", "download", "-json", jsonTestSuite)
	download.Dir = t.TempDir() // outside of any module
	out, err := download.Output()
	var module struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &module); jsonErr != nil || module.Dir == "" {
		t.Fatalf("this test reads %s, which \"go mod download\" did not give: %v, %v, %s", jsonTestSuite, err, jsonErr, module.Error)
	}
	paths, err := filepath.Glob(filepath.Join(module.Dir, "test_parsing", "*.json"))
	if err != nil || len(paths) < 300 {
		t.Fatalf("%d files in %s, expected 300 or more: %v", len(paths), module.Dir, err)
	}
	texts := map[string][]byte{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[strings.TrimSuffix(filepath.Base(path), ".json")] = text
	}
	return texts
}

// wrapped makes a text the value of a record, since a record is an object and most of the suite's texts are none.
func wrapped(text []byte, before, after string) []byte {
	return append(append([]byte(before+`{"v":`), text...), "}"+after...)
}

// readText reads a file in which column v, if it is there, is kept as JSON.
func readText(t *testing.T, name string, content []byte) *plugintest.Recorder {
	t.Helper()
	path := write(t, filepath.Join(t.TempDir(), name), content)
	return read(t, newSource(t, fmt.Sprintf(`{"path": %q, "stream": "a", "columns": {"v": "json"}}`, path)), nil)
}

// TestTheJSONTestSuitesRule holds the reader of JSON to the suite's rule: accept what is named y_, refuse what is named n_. Each text
// is a document of its own, a line of a JSON Lines file, and the value of a record in both.
func TestTheJSONTestSuitesRule(t *testing.T) {
	t.Parallel()
	for name, text := range jsonSuite(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			switch name[0] {
			case 'y':
				accepts(t, text)
			case 'n':
				refuses(t, text)
			default:
				decides(t, name, text)
			}
		})
	}
}

func accepts(t *testing.T, text []byte) {
	t.Helper()
	for form, content := range map[string][]byte{"a.json": wrapped(text, "[", "]"), "b.json": wrapped(text, "", ""), "a.jsonl": wrapped(oneLine(t, text), "", "\n")} {
		rec := readText(t, form, content)
		if rec.Rows("a") != 1 || len(rec.Rejections) > 0 {
			t.Fatalf("%s: %d rows, rejections %v", form, rec.Rows("a"), rejects(rec))
		}
		got := rec.Records("a")[0].Column(0).(*array.String)
		want := decoded(t, text)
		if want == nil && got.IsNull(0) {
			continue
		}
		if diff := cmp.Diff(want, decoded(t, []byte(got.Value(0)))); diff != "" {
			t.Errorf("%s: (-encoding/json +got):\n%s", form, diff)
		}
	}
	acceptsDocument(t, text)
}

// acceptsDocument reads the text as it is. Objects are rows; other values are records of the wrong kind, but not of wrong JSON.
func acceptsDocument(t *testing.T, text []byte) {
	t.Helper()
	rec := readText(t, "a.json", text)
	records := []any{decoded(t, text)}
	if list, ok := records[0].([]any); ok {
		records = list
	}
	var rows int64
	for _, record := range records {
		if object, ok := record.(map[string]any); ok && len(object) > 0 {
			rows++
		}
	}
	if got := rec.Rows("a"); got < rows || got+int64(len(rec.Rejections)) != int64(len(records)) {
		t.Errorf("%d rows and %d rejections of %d records, %d of which are objects", got, len(rec.Rejections), len(records), rows)
	}
	for _, reason := range rejects(rec) {
		if !strings.Contains(reason, "must be an object") {
			t.Errorf("as a document: %s", reason)
		}
	}
}

// refuses reads what is not JSON. A line of blanks is no record, so it is only refused as a value.
func refuses(t *testing.T, text []byte) {
	t.Helper()
	forms := map[string][]byte{
		"document.json": text, "line.jsonl": append(bytes.Clone(text), '\n'),
		"value.json": wrapped(text, "[", "]"), "value.jsonl": wrapped(text, "", "\n"),
	}
	if len(bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))) == 0 {
		delete(forms, "line.jsonl")
	}
	for form, content := range forms {
		rec := readText(t, form, content)
		if len(rec.Rejections) == 0 {
			t.Errorf("%s: accepted as %d rows", form, rec.Rows("a"))
		}
		if form == "value.jsonl" && rec.Rows("a") > 0 {
			t.Errorf("%s: %d rows", form, rec.Rows("a"))
		}
	}
}

// decisions are what becomes of the texts of which the standard leaves it open: the codes of their rejections. Numbers of any size
// and nesting are kept in columns of JSON text; what is not Unicode is refused. A byte order mark is skipped at the beginning of a file.
var decisions = map[string]string{
	"i_object_key_lone_2nd_surrogate":                "malformed",
	"i_string_1st_surrogate_but_2nd_missing":         "malformed",
	"i_string_1st_valid_surrogate_2nd_invalid":       "malformed",
	"i_string_incomplete_surrogate_and_escape_valid": "malformed",
	"i_string_incomplete_surrogate_pair":             "malformed",
	"i_string_incomplete_surrogates_escape_valid":    "malformed",
	"i_string_invalid_lonely_surrogate":              "malformed",
	"i_string_invalid_surrogate":                     "malformed",
	"i_string_inverted_surrogates_U+1D11E":           "malformed",
	"i_string_lone_second_surrogate":                 "malformed",
	"i_string_UTF-8_invalid_sequence":                "encoding",
	"i_string_UTF8_surrogate_U+D800":                 "encoding",
	"i_string_invalid_utf-8":                         "encoding",
	"i_string_iso_latin_1":                           "encoding",
	"i_string_lone_utf8_continuation_byte":           "encoding",
	"i_string_not_in_unicode_range":                  "encoding",
	"i_string_overlong_sequence_2_bytes":             "encoding",
	"i_string_overlong_sequence_6_bytes":             "encoding",
	"i_string_overlong_sequence_6_bytes_null":        "encoding",
	"i_string_truncated-utf-8":                       "encoding",
	"i_string_UTF-16LE_with_BOM":                     "encoding",
	"i_string_utf16BE_no_BOM":                        "encoding",
	"i_string_utf16LE_no_BOM":                        "encoding",
	"i_structure_UTF-8_BOM_empty_object":             "malformed", // inside a record
	"i_number_double_huge_neg_exp":                   "",
	"i_number_huge_exp":                              "",
	"i_number_neg_int_huge_exp":                      "",
	"i_number_pos_double_huge_exp":                   "",
	"i_number_real_neg_overflow":                     "",
	"i_number_real_pos_overflow":                     "",
	"i_number_real_underflow":                        "",
	"i_number_too_big_neg_int":                       "",
	"i_number_too_big_pos_int":                       "",
	"i_number_very_big_negative_int":                 "",
	"i_structure_500_nested_arrays":                  "",
}

func decides(t *testing.T, name string, text []byte) {
	t.Helper()
	want, known := decisions[name]
	if !known {
		t.Fatalf("nothing is written down of %s", name)
	}
	for form, content := range map[string][]byte{"a.json": wrapped(text, "[", "]"), "a.jsonl": wrapped(text, "", "\n")} {
		rec := readText(t, form, content)
		got := ""
		for _, r := range rec.Rejections {
			got = r.Code
		}
		if got != want || (got == "") != (rec.Rows("a") == 1) {
			t.Errorf("%s: %d rows, rejections %v, want code %q", form, rec.Rows("a"), rejects(rec), want)
		}
	}
	readText(t, "document.json", text) // ends without an error
}

// decoded is what encoding/json makes of a text, with numbers as they are written.
func decoded(t *testing.T, text []byte) any {
	t.Helper()
	var value any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("%q goes on", text)
	}
	return value
}

// oneLine takes line ends between tokens out.
func oneLine(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if bytes.IndexByte(text, '\n') < 0 {
		return text
	}
	if err := json.Compact(&out, text); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
