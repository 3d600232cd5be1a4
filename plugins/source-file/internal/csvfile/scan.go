package csvfile

import "bytes"

// span is a field in the text of a block: its content, without the quotes around it.
type span struct {
	start, end uint32
	kind       kind
}

type kind uint8

const (
	bare    kind = iota
	quoted       // it was in quotes
	doubled      // it was in quotes and holds quotes, which are written twice
)

// Dialect is how a CSV file is written.
type Dialect struct {
	Delimiter byte
	Quote     byte // 0 for none
	Comment   byte // begins a line that is no record; 0 for none
	Lazy      bool // a quote may stand anywhere in a field
}

// status is how the scan of a record ended.
type status uint8

const (
	complete   status = iota
	unfinished        // the record goes on behind the data
	unclosed          // a quoted field goes on behind the end of the file
	badQuote          // a quote stands where none may be
)

// scanner cuts text into records. It follows RFC 4180; with Lazy it takes stray quotes as encoding/csv does.
type scanner struct {
	Dialect
	stop [256]bool // the bytes that end the quick scan of a bare field
}

func newScanner(d Dialect) *scanner {
	s := &scanner{Dialect: d}
	s.stop[d.Delimiter], s.stop['\n'] = true, true
	if d.Quote != 0 && !d.Lazy {
		s.stop[d.Quote] = true
	}
	return s
}

// record appends the fields of the record that begins at pos, and returns where the next one begins. After badQuote that is the
// next line; with the other faults it means nothing.
func (s *scanner) record(data []byte, pos int, eof bool, fields []span) ([]span, int, status) {
	for {
		var end int
		var state status
		var f span
		if s.Quote != 0 && pos < len(data) && data[pos] == s.Quote {
			f, end, state = s.quotedField(data, pos, eof)
		} else {
			f, end, state = s.bareField(data, pos, eof)
		}
		if state == badQuote {
			next, found := lineEnd(data, end, eof)
			if !found {
				state = unfinished
			}
			return fields, next, state
		}
		if state != complete {
			return fields, 0, state
		}
		fields = append(fields, f)
		if end >= len(data) {
			return fields, end, complete
		}
		pos = end + 1
		if data[end] == '\n' {
			return fields, pos, complete
		}
	}
}

// bareField returns the field and the place of the delimiter or line end behind it.
func (s *scanner) bareField(data []byte, pos int, eof bool) (span, int, status) {
	end := pos
	for end < len(data) && !s.stop[data[end]] {
		end++
	}
	switch {
	case end == len(data) && !eof:
		return span{}, 0, unfinished
	case end < len(data) && data[end] != s.Delimiter && data[end] != '\n':
		return span{}, end, badQuote
	}
	return span{start: uint32(pos), end: uint32(contentEnd(data, pos, end, s.Delimiter))}, end, complete //nolint:gosec // a block is far below 4 GiB
}

// contentEnd leaves out the carriage return of a line end.
func contentEnd(data []byte, pos, end int, delimiter byte) int {
	atLineEnd := end == len(data) || data[end] == '\n' && delimiter != '\n'
	if atLineEnd && end > pos && data[end-1] == '\r' {
		return end - 1
	}
	return end
}

func (s *scanner) quotedField(data []byte, pos int, eof bool) (span, int, status) {
	f := span{start: uint32(pos + 1), kind: quoted} //nolint:gosec // a block is far below 4 GiB
	i := pos + 1
	for {
		at := bytes.IndexByte(data[i:], s.Quote)
		if at < 0 {
			return f, 0, missing(eof)
		}
		i += at
		f.end = uint32(i) //nolint:gosec // a block is far below 4 GiB
		i++
		if i < len(data) && data[i] == s.Quote {
			f.kind = doubled
			i++
			continue
		}
		end, state := s.afterQuote(data, i, eof)
		if state == badQuote && s.Lazy {
			f.kind = doubled
			continue
		}
		return f, end, state
	}
}

func missing(eof bool) status {
	if eof {
		return unclosed
	}
	return unfinished
}

// afterQuote finds the delimiter or line end that must follow a closing quote.
func (s *scanner) afterQuote(data []byte, i int, eof bool) (int, status) {
	switch {
	case i == len(data):
		if eof {
			return i, complete
		}
		return 0, unfinished
	case data[i] == s.Delimiter || data[i] == '\n':
		return i, complete
	case data[i] != '\r':
		return i, badQuote
	case i+1 == len(data) && !eof:
		return 0, unfinished
	case i+1 == len(data) || data[i+1] == '\n':
		return i + 1, complete
	}
	return i, badQuote
}

// lineEnd is the place behind the line that goes on at pos.
func lineEnd(data []byte, pos int, eof bool) (int, bool) {
	at := bytes.IndexByte(data[pos:], '\n')
	if at < 0 {
		return len(data), eof
	}
	return pos + at + 1, true
}

// skipped says whether a line that begins at pos is no record: empty, or a comment. It returns the place behind it.
func (s *scanner) skipped(data []byte, pos int, eof bool) (next int, skip, known bool) {
	rest := data[pos:]
	switch {
	case len(rest) == 0:
		return pos, false, eof
	case rest[0] == '\n':
		return pos + 1, true, true
	case rest[0] == '\r' && len(rest) == 1:
		return len(data), true, eof
	case rest[0] == '\r' && rest[1] == '\n':
		return pos + 2, true, true
	case s.Comment != 0 && rest[0] == s.Comment:
		next, known := lineEnd(data, pos, eof)
		return next, true, known
	}
	return pos, false, true
}

// content is the text of a field; scratch is used for fields with quotes in them.
func (s *scanner) content(data []byte, f span, scratch []byte) (text, newScratch []byte) {
	text = data[f.start:f.end]
	if f.kind != doubled {
		return text, scratch
	}
	scratch = scratch[:0]
	for {
		at := bytes.IndexByte(text, s.Quote)
		if at < 0 {
			return append(scratch, text...), scratch
		}
		scratch = append(scratch, text[:at+1]...)
		text = text[at+1:]
		if len(text) > 0 && text[0] == s.Quote {
			text = text[1:]
		}
	}
}
