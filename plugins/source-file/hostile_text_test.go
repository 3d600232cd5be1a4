package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

// utf16Text writes text in UTF-16, with a byte order mark or without one.
func utf16Text(text string, big, mark bool) string {
	units := utf16.Encode([]rune(text))
	if mark {
		units = append([]uint16{0xfeff}, units...)
	}
	var out bytes.Buffer
	for _, u := range units {
		if big {
			out.Write([]byte{byte(u >> 8), byte(u)})
		} else {
			out.Write([]byte{byte(u), byte(u >> 8)})
		}
	}
	return out.String()
}

const (
	setUTF16  = `, "encoding": "utf-16"`
	setLatin1 = `, "encoding": "latin-1"`
)

// textFormats are the same two rows in every text format.
var textFormats = map[string]string{
	"a.csv": "v\né\nb\n", "a.tsv": "v\né\nb\n", "a.jsonl": "{\"v\":\"é\"}\n{\"v\":\"b\"}\n", "a.json": "[{\"v\":\"é\"},\n{\"v\":\"b\"}]",
	"seq.json": "{\"v\":\"é\"}\n{\"v\":\"b\"}\n",
}

// TestEncodingsOfTextFiles has each text format in each encoding, with the setting and without.
func TestEncodingsOfTextFiles(t *testing.T) {
	t.Parallel()
	both := []string{`{"v":"é"}`, `{"v":"b"}`}
	var cases []hostile
	for file, text := range textFormats {
		latin1 := strings.ReplaceAll(text, "é", "\xe9")
		line := ":2"
		if strings.Contains(file, "json") {
			line = ":1"
		}
		cases = append(cases,
			hostile{name: "UTF-8 with a byte order mark", file: file, content: "\ufeff" + text, rows: both},
			hostile{name: "Latin-1, set", file: file, content: latin1, settings: setLatin1, rows: both},
			hostile{
				name: "Latin-1, not set", file: file, content: latin1, rows: both[1:],
				rejects: []string{"encoding " + file + line + ": the record is not UTF-8; if the file is Latin-1, set encoding: latin-1"},
			},
		)
		for _, big := range []bool{false, true} {
			cases = append(cases,
				hostile{name: "UTF-16 with a byte order mark, set", file: file, content: utf16Text(text, big, true), settings: setUTF16, rows: both},
				hostile{
					name: "UTF-16 with a byte order mark, not set", file: file, content: utf16Text(text, big, true),
					rejects: []string{"encoding " + file + ":1: the file is UTF-16; set encoding: utf-16"},
				},
				hostile{
					name: "UTF-16 without a mark, not set", file: file, content: utf16Text(text, big, false),
					rejects: []string{"encoding " + file + ":1: the file holds zero bytes: it is UTF-16 (set encoding: utf-16) or no text"},
				},
			)
		}
		cases = append(cases,
			hostile{name: "UTF-16 without a mark, set", file: file, content: utf16Text(text, false, false), settings: setUTF16, rows: both},
			hostile{
				name: "UTF-8 that is said to be UTF-16", file: file, content: strings.Repeat(text, 3), settings: setUTF16,
				rejects: []string{"*"},
			},
		)
	}
	runHostile(t, cases)
}

func TestHalvesOfUTF16CharactersAreNotReplaced(t *testing.T) {
	t.Parallel()
	half := strings.ReplaceAll(utf16Text("v\nX\nb\n😀\n", false, true), "X\x00", "\x00\xd8")
	odd := utf16Text("v\na\nb", true, true) + "\x00"
	const reason = ": the record is not UTF-16: half of a character is missing"
	runHostile(t, []hostile{
		{name: "a surrogate alone", file: "a.csv", content: half, settings: setUTF16, rows: []string{`{"v":"b"}`, `{"v":"😀"}`}, rejects: []string{"encoding a.csv:2" + reason}},
		{name: "half of a unit", file: "a.csv", content: odd, settings: setUTF16, rows: []string{`{"v":"a"}`}, rejects: []string{"encoding a.csv:3" + reason}},
		{
			name: "a surrogate alone", file: "a.jsonl", settings: setUTF16,
			content: strings.ReplaceAll(utf16Text("{\"v\":\"X\"}\n{\"v\":\"b\"}\n", true, true), "\x00X", "\xdc\x00"),
			rows:    []string{`{"v":"b"}`}, rejects: []string{"encoding a.jsonl:1" + reason},
		},
	})
}

func TestZeroBytesInText(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("1,some text\n", 2000)
	var manyRows []string
	for range 2000 {
		manyRows = append(manyRows, `{"a":1,"b":"some text"}`)
	}
	runHostile(t, []hostile{
		{
			name: "one early", file: "a.csv", content: "a,b\n1,x\x00y\n2,z\n", rows: []string{`{"a":2,"b":"z"}`},
			rejects: []string{"encoding a.csv:2: the record holds a zero byte"}, raw: []string{"1,x\x00y"},
		},
		{
			name: "one late", file: "a.csv", content: "a,b\n" + many + "1,x\x00y\n", rows: manyRows,
			rejects: []string{"encoding a.csv:2002: the record holds a zero byte"},
		},
		{name: "in the header", file: "a.csv", content: "a,b\x00\n1,x\n", rejects: []string{"encoding a.csv:1: the header*"}},
		{name: "nothing else", file: "a.csv", content: strings.Repeat("\x00", 10_000), rejects: []string{"encoding a.csv:1: the file holds zero bytes*"}},
		{
			name: "one", file: "a.jsonl", content: "{\"v\":\"x\x00y\"}\n{\"v\":\"b\"}\n", rows: []string{`{"v":"b"}`},
			rejects: []string{"malformed a.jsonl:1: not JSON: invalid character '\\x00'*"}, raw: []string{"{\"v\":\"x\x00y\"}"},
		},
		{
			name: "one", file: "a.json", content: "[{\"v\":\"x\x00y\"},\n{\"v\":\"b\"}]", rows: []string{`{"v":"b"}`},
			rejects: []string{"malformed a.json:1: not JSON: invalid character '\\x00'*"},
		},
		{name: "nothing else", file: "a.jsonl", content: strings.Repeat("\x00", 10_000), rejects: []string{"encoding a.jsonl:1: the file holds zero bytes*"}},
	})
}

func TestEmptyFiles(t *testing.T) {
	t.Parallel()
	var cases []hostile
	for _, file := range []string{"a.csv", "a.tsv", "a.jsonl"} {
		for name, content := range map[string]string{"no bytes": "", "blank lines": "\n\r\n\n", "a byte order mark": "\ufeff"} {
			cases = append(cases, hostile{name: name, file: file, content: content})
		}
		cases = append(cases, hostile{name: "no bytes", file: file + ".gz"}, hostile{name: "no bytes", file: file + ".zst"})
	}
	for name, content := range map[string]string{"no bytes": "", "blank lines": "\n\r\n\n", "a byte order mark": "\ufeff"} {
		cases = append(cases, hostile{name: name, file: "a.json", content: content, rejects: []string{"malformed a.json:*"}})
	}
	cases = append(cases,
		hostile{name: "a header alone", file: "a.csv", content: "a,b\n"},
		hostile{name: "an empty array", file: "a.json", content: "[]"},
		hostile{name: "no bytes", file: "a.parquet", rejects: []string{"malformed a.parquet:1: *"}},
		hostile{name: "no bytes", file: "a.arrow"},
		hostile{name: "the magic alone", file: "a.arrow", content: "ARROW1", rejects: []string{"malformed a.arrow:1: *"}},
	)
	runHostile(t, cases)
}

func TestHostileCSV(t *testing.T) {
	t.Parallel()
	numbers := make([]string, 10_001)
	for i := range numbers {
		numbers[i] = "c" + strconv.Itoa(i)
	}
	runHostile(t, []hostile{
		{
			name: "ragged", file: "a.csv", content: "a,b\n1\n1,2,3\n,\n4,5\n" + strings.Repeat(",", 100_000) + "\n",
			rows: []string{`{}`, `{"a":4,"b":5}`},
			rejects: []string{
				"ragged_row a.csv:2: 1 fields, expected 2", "ragged_row a.csv:3: 3 fields, expected 2", "ragged_row a.csv:6: 100001 fields, expected 2",
			},
		},
		{
			name: "names twice and none", file: "a.csv", content: "id,ID,,id,\n1,2,3,4,5\n",
			rows: []string{`{"ID_2":2,"column_3":3,"column_5":5,"id":1,"id_3":4}`},
		},
		{
			name: "too many columns", file: "a.csv", content: strings.Join(numbers, ",") + "\n",
			rejects: []string{"too_wide a.csv:1: the header has 10001 columns, at most 10000 are allowed"},
		},
		{
			name: "many columns of one name", file: "a.csv", content: strings.Repeat("a,", 9_999) + "a\n1,2\n",
			rejects: []string{"ragged_row a.csv:2: 2 fields, expected 10000"},
		},
		{
			name: "a name of a megabyte", file: "a.csv", content: "a," + strings.Repeat("b", 1<<20) + "\n1,2\n",
			rejects: []string{"too_wide a.csv:1: the name of column 2 has 1048576 bytes, at most 512 are allowed"},
		},
		{
			name: "a header of 40 MiB", file: "a.csv", content: strings.Repeat("b", 40<<20) + "\n1\n",
			rejects: []string{"row_too_large a.csv:1: the header is over 16777216 bytes"},
		},
		{
			name: "lines that end in carriage returns", file: "a.csv", content: "a,b\r1,2\r3,4\r",
			rejects: []string{"malformed a.csv:1: there is a carriage return in the first line*"},
		},
		{
			name: "nothing but quotes", file: "a.csv", content: strings.Repeat("\"", 100_001),
			rejects: []string{"malformed a.csv:*"},
		},
		{
			name: "not UTF-8 in the header", file: "a.csv", content: "a,caf\xe9\n1,2\n",
			rejects: []string{"encoding a.csv:1: the header: the record is not UTF-8; if the file is Latin-1, set encoding: latin-1"},
		},
	})
}

func TestAFileThatWouldMakeAStreamTooWideIsRejected(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	header := func(prefix string, n int) []byte {
		names, row := make([]string, n), make([]string, n)
		for i := range names {
			names[i], row[i] = prefix+strconv.Itoa(i), "1"
		}
		return []byte(strings.Join(names, ",") + "\n" + strings.Join(row, ",") + "\n")
	}
	for name, content := range map[string][]byte{"1.csv": header("a", 6000), "2.csv": header("b", 6000), "3.csv": header("a", 6000)} {
		write(t, filepath.Join(dir, name), content)
	}
	rec := readHostile(t, fmt.Sprintf(`{"path": %q, "stream": "a", "parallel": 1}`, filepath.Join(dir, "*.csv")))
	want := []string{"too_wide 2.csv:1: the rest of the file is not read: with its columns the stream has 12000 columns, at most 10000 are allowed"}
	if diff := cmp.Diff(want, rejects(rec)); diff != "" || rec.Rows("a") != 2 {
		t.Errorf("%d rows, want 2; rejections (-want +got):\n%s", rec.Rows("a"), diff)
	}
}
