package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBadRecordsAreRejectedWithTheirPlaceAndTheRestIsRead has a file in, settings beside the path, rows and rejections out.
func TestBadRecordsAreRejectedWithTheirPlaceAndTheRestIsRead(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		file, content, settings string
		rows, rejects           []string
	}{
		"more and fewer fields": {
			"a.csv", "a,b\n1,2\n3\n4,5,6\n7,8\n", ``,
			[]string{`{"a":1,"b":2}`, `{"a":7,"b":8}`},
			[]string{"ragged_row a.csv:3: 1 fields, expected 2", "ragged_row a.csv:4: 3 fields, expected 2"},
		},
		"a value that does not fit what was inferred": {
			"a.csv", "id,v\n1,x\n2,y\nthree,z\n4,w\n", `, "infer": {"rows": 2}`,
			[]string{`{"id":1,"v":"x"}`, `{"id":2,"v":"y"}`, `{"id":4,"v":"w"}`},
			[]string{`wrong_type a.csv:4: column "id": "three" is no int64: expected an integer`},
		},
		"leading zeros in a column that was inferred to be numbers": {
			"a.csv", "id\n1\n2\n007\n", `, "infer": {"rows": 2}`,
			[]string{`{"id":1}`, `{"id":2}`},
			[]string{`wrong_type a.csv:4: column "id": "007" is no int64: leading zeros would be lost; declare the column as string to keep them or as a number to drop them`},
		},
		"leading zeros in a column that is declared to be numbers": {
			"a.csv", "id\n007\n", `, "columns": {"id": "int64"}`, []string{`{"id":7}`}, nil,
		},
		"values that do not fit what is declared": {
			"a.csv", "d,t,m,b,n\n2024-02-29,2024-02-29T12:00:00Z,1.25,aGk=,1\n2023-02-29,noon,1.255,?,300000000000\n",
			`, "columns": {"d": "date", "t": "timestamp", "m": "decimal(5,2)", "b": "binary", "n": "int32"}`,
			[]string{`{"b":"aGk=","d":"2024-02-29","m":"1.25","n":1,"t":"2024-02-29T12:00:00Z"}`},
			[]string{`wrong_type a.csv:3: column "d": "2023-02-29" is no date: expected a date such as 2024-02-29`},
		},
		"a quote in the middle of a field": {
			"a.csv", "a,b\n1,x\n2,5\" pipe\n3,\"y\" z\n4,w\n", ``,
			[]string{`{"a":1,"b":"x"}`, `{"a":4,"b":"w"}`},
			[]string{
				"malformed a.csv:3: a quote stands where none may be; quotes in a quoted field are written twice",
				"malformed a.csv:4: a quote stands where none may be; quotes in a quoted field are written twice",
			},
		},
		"a quote in the middle of a field of a lazy file": {
			"a.csv", "a,b\n2,5\" pipe\n3,\"y\" z\"\n", `, "csv": {"lazy": true}`,
			[]string{`{"a":2,"b":"5\" pipe"}`, `{"a":3,"b":"y\" z"}`}, nil,
		},
		"a quote that is never closed costs one line": {
			"a.csv", "a,b\n1,x\n2,\"y\n3,z\n4,w\n", ``,
			[]string{`{"a":1,"b":"x"}`, `{"a":3,"b":"z"}`, `{"a":4,"b":"w"}`},
			[]string{"malformed a.csv:3: a quote that opens in this line is not closed in the rest of the file"},
		},
		"lines are counted through quoted line ends, blank lines and comments": {
			"a.csv", "# title\na,b\n1,\"x\ny\n\nz\"\n\n# more\n2\n", `, "csv": {"comment": "#"}`,
			[]string{`{"a":1,"b":"x\ny\n\nz"}`},
			[]string{"ragged_row a.csv:9: 1 fields, expected 2"},
		},
		"Latin-1 in a file that should be UTF-8": {
			"a.csv", "a,b\n1,caf\xe9\n2,tea\n", ``,
			[]string{`{"a":2,"b":"tea"}`},
			[]string{"encoding a.csv:2: the record is not UTF-8; if the file is Latin-1, set encoding: latin-1"},
		},
		"Latin-1 that is declared": {
			"a.csv", "a,b\n1,caf\xe9 \x80\n", `, "encoding": "latin-1"`, []string{`{"a":1,"b":"café €"}`}, nil,
		},
		"UTF-16": {
			"a.csv", "\xff\xfea\x00\n\x001\x00\n\x00", ``, nil,
			[]string{"encoding a.csv:1: the file is UTF-16; set encoding: utf-16"},
		},
		"UTF-16 that is declared": {
			"a.csv", "\xff\xfea\x00\n\x001\x00\n\x00", `, "encoding": "utf-16"`, []string{`{"a":1}`}, nil,
		},
		"compressed without saying so": {
			"a.csv", "\x1f\x8b\x08\x00garbage", ``, nil,
			[]string{"malformed a.csv:1: the file is compressed with gzip; set compression: gzip, or end its name in .gz"},
		},
		"a damaged archive": {
			"a.jsonl.gz", string(gzipped(t, []byte(`{"a":1}`))[:20]), ``, nil,
			[]string{"malformed a.jsonl.gz:1: the rest of the file can't be read: unexpected EOF"},
		},
		"no archive": {
			"a.csv.zst", "a,b\n1,2\n", ``, nil,
			[]string{"malformed a.csv.zst:1: the rest of the file can't be read: invalid input: magic number mismatch"},
		},
		"lines that are not JSON": {
			"a.jsonl", "{\"a\":1}\n{\"a\":2\nnull\n[3]\n{\"a\":4} {}\n{\"a\":5,\"a\":6}\n{\"a\":tru}\n\n{\"a\":7}\n", ``,
			[]string{`{"a":1}`, `{"a":6}`, `{"a":7}`},
			[]string{
				`malformed a.jsonl:2: not JSON: unexpected EOF after offset 7`,
				"malformed a.jsonl:3: a record must be an object, not null",
				"malformed a.jsonl:4: a record must be an object, not an array",
				"malformed a.jsonl:5: not JSON: something follows the object",
				`malformed a.jsonl:7: not JSON: invalid character '}' in literal true (expecting 'e') within "/a" after offset 8`,
			},
		},
		"keys that occur twice, where they are refused": {
			"a.jsonl", "{\"a\":1}\n{\"a\":5,\"a\":6}\n", `, "json": {"repeated_keys": "reject"}`,
			[]string{`{"a":1}`},
			[]string{`malformed a.jsonl:2: not JSON: duplicate object member name "a"`},
		},
		"JSON values of other types": {
			"a.jsonl", "{\"a\":1,\"s\":\"x\",\"o\":{\"n\":1}}\n{\"a\":\"x\"}\n{\"a\":1.5}\n{\"a\":2.0,\"s\":5}\n{\"o\":[1]}\n{\"o\":{\"n\":\"?\"}}\n",
			`, "infer": {"rows": 1}`,
			[]string{`{"a":1,"o":{"n":1},"s":"x"}`, `{"a":2,"s":"5"}`},
			[]string{
				`wrong_type a.jsonl:2: column "a": "x" is no int64: expected an integer`,
				`wrong_type a.jsonl:3: column "a": 1.5 is no int64: expected an integer`,
				`wrong_type a.jsonl:5: column "o": [1] is no struct<n: int64>: the column is nested`,
				`wrong_type a.jsonl:6: column "o.n": "?" is no int64: expected an integer`,
			},
		},
		"an array that breaks": {
			"a.json", "[{\"a\":1},\n{\"a\":2},\n{\"a\":tru},\n{\"a\":3}\n{\"a\":4}]\n", ``,
			[]string{`{"a":1}`, `{"a":2}`, `{"a":3}`},
			[]string{
				`malformed a.json:3: not JSON: invalid character '}' in literal true (expecting 'e') within "/a" after offset 8`,
				`malformed a.json:5: the rest of the file is not read: at byte 38: '{' where a comma or the end of the array should be`,
			},
		},
		"an array that does not end": {
			"a.json", "[{\"a\":1},\n{\"a\":2", ``,
			[]string{`{"a":1}`},
			[]string{`malformed a.json:2: the rest of the file is not read: at byte 10: the file ends in the middle of a value`},
		},
		"something behind an array": {
			"a.json", "[{\"a\":1}]]", ``,
			[]string{`{"a":1}`},
			[]string{`malformed a.json:1: the rest of the file is not read: at byte 9: ']' behind the end of the array`},
		},
		"no Parquet": {
			"a.parquet", "PAR1 but not really PAR1", ``, nil,
			[]string{"malformed a.parquet:1: *"},
		},
		"no Arrow": {
			"a.arrow", "ARROW1 but not really, not at all", ``, nil,
			[]string{"malformed a.arrow:1: *"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, filepath.Join(t.TempDir(), c.file), []byte(c.content))
			rec := read(t, newSource(t, fmt.Sprintf(`{"path": %q%s}`, path, c.settings)), nil)
			if diff := cmp.Diff(c.rows, lines(t, rec, "a")); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			got := rejects(rec)
			for i, want := range c.rejects {
				if head, ok := strings.CutSuffix(want, "*"); ok && i < len(got) && strings.HasPrefix(got[i], head) {
					got[i] = want
				}
			}
			if diff := cmp.Diff(c.rejects, got); diff != "" {
				t.Errorf("rejections (-want +got):\n%s", diff)
			}
			for _, r := range rec.Rejections {
				if r.Stream != "a" || r.Row != -1 {
					t.Errorf("rejection %+v", r)
				}
			}
		})
	}
}

func TestDialects(t *testing.T) {
	t.Parallel()
	for settings, content := range map[string]string{
		`{"delimiter": ";"}`:                                       "a;b\n1;\"x,\"\n",
		`{"delimiter": "|", "quote": "'"}`:                         "a|b\n1|'x,'\n",
		`{"delimiter": "\t", "quote": "none"}`:                     "a\tb\n1\tx,\n",
		`{"delimiter": ";", "skip_rows": 2}`:                       "title\n\na;b\n1;x,",
		`{"delimiter": ";", "comment": "%"}`:                       "%c\n\na;b\r\n%;;;\r\n1;x,\r\n%end",
		`{"delimiter": ";", "header": false, "names": ["a", "b"]}`: "1;x,\n",
	} {
		path := write(t, filepath.Join(t.TempDir(), "a.csv"), []byte(content))
		rec := read(t, newSource(t, fmt.Sprintf(`{"path": %q, "csv": %s}`, path, settings)), nil)
		if diff := cmp.Diff([]string{`{"a":1,"b":"x,"}`}, lines(t, rec, "a")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", settings, diff)
		}
	}
}

func TestRejectionKeepsTheRecord(t *testing.T) {
	t.Parallel()
	path := write(t, filepath.Join(t.TempDir(), "a.csv"), []byte("a,b\r\n1,2\r\n3,\"x\r\ny\",z\r\n"))
	rec := read(t, newSource(t, fmt.Sprintf(`{"path": %q}`, path)), nil)
	if len(rec.Rejections) != 1 || string(rec.Rejections[0].Raw) != "3,\"x\r\ny\",z" {
		t.Errorf("rejections %+v", rec.Rejections)
	}
}

// TestHugeRecordsAreRejectedAndSkipped has records over the limit in every text format, with small ones around them.
func TestHugeRecordsAreRejectedAndSkipped(t *testing.T) {
	t.Parallel()
	huge := bytes.Repeat([]byte("x"), 17<<20)
	join := func(parts ...string) []byte {
		return bytes.ReplaceAll([]byte(strings.Join(parts, "")), []byte("HUGE"), huge)
	}
	cases := map[string][]byte{
		"a.csv":    join("a,b\n1,x\n2,HUGE\n3,y\n"),
		"q.csv":    join("a,b\n1,x\n2,\"HUGE\"\n3,y\n"),
		"a.jsonl":  join("{\"a\":1,\"b\":\"x\"}\n{\"a\":2,\"b\":\"HUGE\"}\n{\"a\":3,\"b\":\"y\"}\n"),
		"a.json":   join("[{\"a\":1,\"b\":\"x\"},\n{\"a\":2,\"b\":\"HUGE\"},\n{\"a\":3,\"b\":\"y\"}]"),
		"seq.json": join("{\"a\":1,\"b\":\"x\"}\n{\"a\":2,\"b\":\"HUGE\"}{\"a\":3,\"b\":\"y\"}"),
	}
	for name, content := range cases {
		t.Run(name, func(t *testing.T) {
			path := write(t, filepath.Join(t.TempDir(), name), content)
			rec := read(t, newSource(t, fmt.Sprintf(`{"path": %q, "stream": "a"}`, path)), nil)
			if diff := cmp.Diff([]string{`{"a":1,"b":"x"}`, `{"a":3,"b":"y"}`}, lines(t, rec, "a")); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if len(rec.Rejections) != 1 || rec.Rejections[0].Code != "row_too_large" || len(rec.Rejections[0].Raw) != 64<<10 {
				t.Errorf("rejections %v", rejects(rec))
			}
		})
	}
}

func TestAStrayQuoteInALargeFileCostsOneLine(t *testing.T) {
	t.Parallel()
	row := []byte("1,some text that goes on for a while\n")
	content := append([]byte("a,b\n2,\"stray\n"), bytes.Repeat(row, (18<<20)/len(row))...)
	path := write(t, filepath.Join(t.TempDir(), "a.csv"), content)
	rec := read(t, newSource(t, fmt.Sprintf(`{"path": %q}`, path)), nil)
	if got, want := rec.Rows("a"), int64((18<<20)/len(row)); got != want {
		t.Errorf("%d rows, want %d", got, want)
	}
	if len(rec.Rejections) != 1 || rec.Rejections[0].Code != "malformed" || string(rec.Rejections[0].Raw) != "2,\"stray" {
		t.Errorf("rejections %v", rejects(rec))
	}
}
