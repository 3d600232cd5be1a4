package csvfile

import (
	"bytes"
	"encoding/csv"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// records scans all of data and returns the records, and whether every one of them was well formed.
func records(s *scanner, data []byte) (out [][]string, good bool) {
	good = true
	pos := 0
	for pos < len(data) {
		next, skip, _ := s.skipped(data, pos, true)
		if skip {
			pos = next
			continue
		}
		fields, next, state := s.record(data, pos, true, nil)
		if state == unclosed {
			next, _ = lineEnd(data, pos, true)
		}
		if next <= pos {
			panic("no progress")
		}
		if state != complete {
			good = false
		}
		var record []string
		var scratch []byte
		for _, f := range fields {
			var text []byte
			text, scratch = s.content(data, f, scratch)
			record = append(record, string(text))
		}
		out = append(out, record)
		pos = next
	}
	return out, good
}

// reference reads with encoding/csv.
func reference(d Dialect, data []byte) ([][]string, error) {
	r := csv.NewReader(bytes.NewReader(data))
	r.Comma, r.Comment, r.LazyQuotes, r.FieldsPerRecord = rune(d.Delimiter), rune(d.Comment), d.Lazy, -1
	return r.ReadAll()
}

// normal takes out what encoding/csv changes: it turns \r\n in quoted fields into \n.
func normal(records [][]string) [][]string {
	for _, record := range records {
		for i, field := range record {
			record[i] = strings.ReplaceAll(field, "\r\n", "\n")
		}
	}
	return records
}

var dialects = []Dialect{
	{Delimiter: ',', Quote: '"'}, {Delimiter: ',', Quote: '"', Lazy: true}, {Delimiter: '\t', Quote: '"', Comment: '#'},
}

// FuzzScannerAgreesWithEncodingCSV compares what is read of well-formed text, and that the same comes of it in pieces.
func FuzzScannerAgreesWithEncodingCSV(f *testing.F) {
	for _, seed := range []string{
		"a,b\n1,2\n", "a,\"b\"\r\n\"1\"\"2\",\r\n", "\"a\nb\",c", "\r\n\n,\n", "a\"b,c\n", "\"a\"b\n", "\"open", "a\tb\n#c\nd", "\"a\"\r", "\r", "a\r\rb\r\n",
		"\"\"\"\"\n", "\"a\r\nb\"\r\n", ",\"\",", "\"x\"\ry\n",
	} {
		f.Add([]byte(seed), uint8(0), uint16(3))
	}
	f.Fuzz(func(t *testing.T, data []byte, dialect uint8, cut uint16) {
		d := dialects[int(dialect)%len(dialects)]
		s := newScanner(d)
		got, good := records(s, data)
		want, err := reference(d, data)
		if errors.Is(err, csv.ErrQuote) || errors.Is(err, csv.ErrBareQuote) {
			if good && !d.Lazy {
				t.Fatalf("%q: encoding/csv says %v", data, err)
			}
			return
		}
		if err != nil || !good {
			return
		}
		if diff := cmp.Diff(want, normal(got)); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", data, diff)
		}
		checkPrefix(t, s, data, int(cut)%(len(data)+1))
	})
}

// checkPrefix says whether what can be read of the beginning of a text is what the whole text gives.
func checkPrefix(t *testing.T, s *scanner, data []byte, cut int) {
	t.Helper()
	pos := 0
	for pos < cut {
		next, skip, known := s.skipped(data[:cut], pos, false)
		if !known {
			return
		}
		if skip {
			pos = next
			continue
		}
		part, partNext, state := s.record(data[:cut], pos, false, nil)
		if state == unfinished {
			return
		}
		whole, wholeNext, wholeState := s.record(data, pos, true, nil)
		if partNext != wholeNext || state != wholeState || !cmp.Equal(part, whole, cmp.AllowUnexported(span{})) {
			t.Fatalf("%q cut at %d: %v up to %d, the whole gives %v up to %d", data, cut, part, partNext, whole, wholeNext)
		}
		pos = partNext
	}
}

func TestNamesAreMadeUnique(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ names, want []string }{
		{[]string{"a", "b"}, []string{"a", "b"}},
		{[]string{"a", "A", "a"}, []string{"a", "A_2", "a_3"}},
		{[]string{"", " ", "x"}, []string{"column_1", "column_2", "x"}},
		{[]string{"a", "a", "a_2"}, []string{"a", "a_3", "a_2"}},
		{[]string{"column_2", ""}, []string{"column_2", "column_2_2"}},
	} {
		if diff := cmp.Diff(c.want, uniqueNames(c.names)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.names, diff)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	data := bytes.Repeat([]byte("12345,some text,3.14159,\"quoted, text\",2024-01-31\n"), 20_000)
	s := newScanner(dialects[0])
	var fields []span
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		for pos := 0; pos < len(data); {
			var state status
			fields, pos, state = s.record(data, pos, true, fields[:0])
			if state != complete {
				b.Fatal(state)
			}
		}
	}
}
