package csvfile

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/plugins/source-file/internal/column"
)

// uniqueNames gives every column a name: blanks around names go, a column without a name is called after its place (column_3), and
// a name that is there before, in whatever case, gets a number (id, id_2).
func uniqueNames(names []string) []string {
	taken := map[string]bool{}
	for _, name := range names {
		taken[strings.ToLower(strings.TrimSpace(name))] = true
	}
	used := map[string]bool{}
	next := map[string]int{} // the number to try for a name
	out := make([]string, len(names))
	for i, name := range names {
		name = strings.TrimSpace(name)
		if name == "" {
			name = "column_" + strconv.Itoa(i+1)
		}
		out[i] = name
		for used[strings.ToLower(out[i])] || (out[i] != name && taken[strings.ToLower(out[i])]) {
			n := max(2, next[strings.ToLower(name)])
			next[strings.ToLower(name)] = n + 1
			out[i] = name + "_" + strconv.Itoa(n)
		}
		used[strings.ToLower(out[i])] = true
	}
	return out
}

// readHeader finds the columns' names and moves the window behind the header.
func (r *Reader) readHeader() error {
	for range r.settings.SkipRows {
		if _, err := r.window.SkipLine(); err != nil {
			return err
		}
	}
	if len(r.settings.Names) > 0 {
		if err := r.headerLine(r.settings.Header); err != nil {
			return err
		}
		r.setNames(r.settings.Names)
		return nil
	}
	return r.headerLine(true)
}

// headerLine takes names from the first record; a header is then skipped, a record of data counted.
func (r *Reader) headerLine(take bool) error {
	if !take {
		return nil
	}
	first, found, err := r.firstRecord()
	if err != nil || !found {
		return err
	}
	if len(first) > column.MaxColumns {
		return headerFault(r, block.TooWide, fmt.Sprintf("the header has %d columns, at most %d are allowed", len(first), column.MaxColumns))
	}
	names := make([]string, len(first))
	data := r.window.Bytes()
	for i, f := range first {
		text, _ := r.scan.content(data, f, nil)
		if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
			return headerFault(r, block.Encoding, "the header: "+r.settings.Layers.Reason())
		}
		if f.kind == bare && bytes.IndexByte(text, '\r') >= 0 {
			return headerFault(r, block.Malformed, "there is a carriage return in the first line: lines must end in line feeds, with or without one before")
		}
		names[i] = string(text)
	}
	if !r.settings.Header {
		clear(names)
		r.setNames(uniqueNames(names))
		return nil
	}
	for i, name := range names {
		if len(name) > column.MaxName {
			return headerFault(r, block.TooWide,
				fmt.Sprintf("the name of column %d has %d bytes, at most %d are allowed", i+1, len(name), column.MaxName))
		}
	}
	r.setNames(uniqueNames(names))
	r.window.MoveTo(r.headerEnd)
	return nil
}

func headerFault(r *Reader, code, reason string) error {
	at := r.window.Mark().Line + 1
	line, _ := r.window.SkipLine()
	return &block.Fault{Reject: block.Reject{Line: at, Code: code, Reason: reason, Raw: block.Raw(line)}}
}

// firstRecord scans the first line that is no comment and not empty.
func (r *Reader) firstRecord() ([]span, bool, error) {
	for {
		data, eof := r.window.Bytes(), r.window.EOF()
		pos, lines, known := r.skipLines(data, 0, eof)
		if known && pos == len(data) {
			return nil, false, nil
		}
		fields, next, state := r.scan.record(data, pos, eof, nil)
		switch {
		case known && state == complete && r.settings.HoldTail && openEnded(data, next):
			return nil, false, nil
		case known && state == complete:
			lines += int64(strings.Count(string(data[pos:next]), "\n"))
			r.headerEnd = r.window.After(next, lines)
			return fields, true, nil
		case known && state != unfinished:
			return nil, false, headerFault(r, block.Malformed, "the header has a quote where none may be, or one that is not closed")
		case len(data) > block.MaxRecord:
			return nil, false, headerFault(r, block.TooLarge, fmt.Sprintf("the header is over %d bytes", block.MaxRecord))
		}
		if err := r.window.Fill(); err != nil {
			return nil, false, err
		}
	}
}

func (r *Reader) skipLines(data []byte, pos int, eof bool) (next int, lines int64, known bool) {
	for {
		after, skip, known := r.scan.skipped(data, pos, eof)
		if !known || !skip {
			return pos, lines, known
		}
		pos = after
		lines++
	}
}

func (r *Reader) setNames(names []string) {
	r.names, r.width = names, len(names)
	r.index = make(map[string]int, len(names))
	for i, name := range names {
		r.index[name] = i
	}
}

// infer finds the columns' types in the block's records; null where there are no values.
func (b *csvBlock) infer() []arrow.Field {
	r := b.reader
	guesses := make([]column.Guess, r.width)
	var scratch, value []byte
	for i := range b.rows {
		for c := range guesses {
			f := b.fields[i*r.width+c]
			value, scratch = r.scan.content(b.data, f, scratch)
			if !isBlank(value) && !r.isNull(f, value) {
				guesses[c].See(value)
			}
		}
	}
	fields := make([]arrow.Field, r.width)
	for c, name := range r.names {
		t := guesses[c].Type()
		if r.settings.AllStrings {
			t = arrow.BinaryTypes.String
		}
		if t == nil {
			t = arrow.Null
		}
		fields[c] = column.Field(name, t)
	}
	return fields
}
