package main

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// archived is 5,000 rows in a text format, and what comes of them.
func archived(t *testing.T, format string) (content []byte) {
	t.Helper()
	switch format {
	case "csv":
		return peopleCSV(5000, ",")
	case "jsonl":
		return peopleJSON(5000, "", "\n", "\n")
	}
	return peopleJSON(5000, "[", ",\n", "]")
}

// TestDamagedArchivesGiveTheRowsBeforeTheDamage cuts archives, changes their bytes and adds some: what can be unpacked becomes rows,
// in their order, and the rest one rejection. A wrong byte is known only by the checksum at the end, when the rows have gone on.
func TestDamagedArchivesGiveTheRowsBeforeTheDamage(t *testing.T) {
	t.Parallel()
	record := people(5000)
	defer record.Release()
	want := recordLines(t, record)
	for _, format := range []string{"csv", "jsonl", "json"} {
		for ending, pack := range map[string]func(testing.TB, []byte) []byte{"gz": gzipped, "zst": zstandard} {
			whole := pack(t, archived(t, format))
			damaged := map[string][]byte{
				"cut in the middle":      whole[:len(whole)/2],
				"cut before the end":     whole[:len(whole)-3],
				"followed by garbage":    append(bytes.Clone(whole), "not an archive at all"...),
				"a byte is wrong":        wrongAt(whole, len(whole)/2),
				"the checksum is wrong":  wrongAt(whole, len(whole)-5),
				"the last byte is wrong": wrongAt(whole, len(whole)-1),
			}
			for name, content := range damaged {
				file := "a." + format + "." + ending
				t.Run(file+" "+name, func(t *testing.T) {
					t.Parallel()
					path := write(t, filepath.Join(t.TempDir(), file), content)
					rec := readHostile(t, fmt.Sprintf(`{"path": %q, "stream": "a"}`, path))
					got := lines(t, rec, "a")
					unseen := name == "a byte is wrong"
					if !unseen && (len(got) > len(want) || strings.Join(got, "\n") != strings.Join(want[:len(got)], "\n")) {
						t.Errorf("%d rows that are not the first ones", len(got))
					}
					last := rec.Rejections[max(0, len(rec.Rejections)-1):]
					if len(last) != 1 || last[0].Code != "malformed" || !strings.Contains(last[0].Reason, "the rest of the file") {
						t.Errorf("%d rows, rejections %v", len(got), rejects(rec))
					}
				})
			}
		}
	}
}

func wrongAt(content []byte, at int) []byte {
	wrong := bytes.Clone(content)
	wrong[at] ^= 0x55
	return wrong
}

func TestRowsBeforeACutAreNotLost(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	for _, part := range []string{"v\na\nb\n", "c\nd\nhalf of a re"} {
		if _, err := io.WriteString(w, part); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	runHostile(t, []hostile{{
		name: "cut in a record", file: "a.csv.gz", content: out.String(), rows: []string{`{"v":"a"}`, `{"v":"b"}`, `{"v":"c"}`, `{"v":"d"}`},
		rejects: []string{"malformed a.csv.gz:6: the rest of the file can't be read: unexpected EOF"}, raw: []string{"half of a re"},
	}})
}

func TestHostileArchives(t *testing.T) {
	t.Parallel()
	const csv = "v\na\nb\n"
	rows := []string{`{"v":"a"}`, `{"v":"b"}`}
	member := string(gzipped(t, []byte(csv)))
	wide := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0, 0x01, 0x00, 0x00} // a window of 1 GiB, then an empty block
	runHostile(t, []hostile{
		{name: "several members", file: "a.csv.gz", content: member + string(gzipped(t, []byte("c\n"))), rows: append(rows[:2:2], `{"v":"c"}`)},
		{
			name: "packed twice", file: "a.csv.gz", content: string(gzipped(t, []byte(member))),
			rejects: []string{"malformed a.csv.gz:1: the file is compressed with gzip; *"},
		},
		{
			name: "the other kind", file: "a.csv.zst", content: member,
			rejects: []string{"malformed a.csv.zst:1: the rest of the file can't be read: *"},
		},
		{
			name: "a header alone", file: "a.csv.gz", content: member[:10],
			rejects: []string{"malformed a.csv.gz:1: the rest of the file can't be read: unexpected EOF"},
		},
		{
			name: "a window of a gigabyte", file: "a.csv.zst", content: string(wide),
			rejects: []string{"malformed a.csv.zst:1: the rest of the file can't be read: window size exceeded"},
		},
		{name: "not said to be one", file: "a.csv", content: member, rejects: []string{"malformed a.csv:1: the file is compressed with gzip; *"}},
		{name: "UTF-16 inside", file: "a.csv.gz", content: string(gzipped(t, []byte(utf16Text(csv, true, true)))), settings: setUTF16, rows: rows},
	})
}
