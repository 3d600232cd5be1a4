package jsonfile

import (
	"bytes"
	"fmt"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
)

// The parts of a JSON file, as marks have them.
const (
	atStart    = iota
	inArray    // between the elements of the array that the file is
	afterArray // nothing but blanks may follow
	inSequence // between values that follow one another
)

// splitter finds the ends of JSON values by their brackets and strings. Whether a value is right is for the binder to say.
type splitter struct {
	depth    int
	inString bool
	escaped  bool
	begun    bool
}

// feed goes on with a value. It returns how many bytes belong to it, and whether it ends with them.
func (s *splitter) feed(data []byte) (int, bool) {
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case s.inString:
			i += s.plain(data[i:])
			if i == len(data) {
				return i, false
			}
			s.text(data[i])
			if !s.inString && s.depth == 0 {
				return i + 1, true
			}
		case c == '"':
			s.inString, s.begun = true, true
		case c == '{' || c == '[':
			s.depth++
			s.begun = true
		case c == '}' || c == ']':
			s.depth--
			if s.depth < 0 {
				return i, true
			}
			if s.depth == 0 {
				return i + 1, true
			}
		case s.depth == 0 && (c == ',' || isBlank(c)) && s.begun:
			return i, true
		default:
			s.begun = true
		}
	}
	return len(data), false
}

// plain is how many bytes of a string come before one that may end it.
func (s *splitter) plain(data []byte) int {
	if s.escaped {
		return 0
	}
	end := bytes.IndexByte(data, '"')
	if end < 0 {
		end = len(data)
	}
	if escape := bytes.IndexByte(data[:end], '\\'); escape >= 0 {
		return escape
	}
	return end
}

func (s *splitter) text(c byte) {
	switch {
	case s.escaped:
		s.escaped = false
	case c == '\\':
		s.escaped = true
	case c == '"':
		s.inString = false
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

func blanks(data []byte) int {
	n := 0
	for n < len(data) && isBlank(data[n]) {
		n++
	}
	return n
}

// nextValue goes to the beginning of the next value of a JSON file. It returns false if there is none, or not yet enough text.
func (r *Reader) nextValue(eof bool) (bool, error) {
	p := &r.pending
	for {
		p.skip(blanks(p.data[p.pos:]))
		if p.pos == len(p.data) {
			return false, r.checkEnd(eof)
		}
		c := p.data[p.pos]
		switch p.phase {
		case atStart:
			p.phase = inSequence
			if c == '[' {
				p.phase = inArray
				p.skip(1)
			}
		case inSequence:
			if c == ',' || c == ']' || c == '}' {
				return false, r.fault("%q where a value should begin", c)
			}
			return true, nil
		case inArray:
			found, err := r.nextElement(c, eof)
			if found || err != nil || p.phase == inArray {
				return found, err
			}
		default:
			return false, r.fault("%q behind the end of the array", c)
		}
	}
}

// nextElement skips the comma before an element, or the end of the array.
func (r *Reader) nextElement(c byte, eof bool) (bool, error) {
	p := &r.pending
	if c == ']' {
		p.skip(1)
		p.phase = afterArray
		return false, nil
	}
	if p.count == 0 {
		if c == ',' || c == '}' {
			return false, r.fault("%q where a value should begin", c)
		}
		return true, nil
	}
	if c != ',' {
		return false, r.fault("%q where a comma or the end of the array should be", c)
	}
	rest := p.data[p.pos+1:]
	n := blanks(rest)
	if n == len(rest) {
		if eof {
			return false, r.fault("the file ends in the middle of the array")
		}
		return false, nil
	}
	if d := rest[n]; d == ',' || d == ']' || d == '}' {
		return false, r.fault("%q where a value should begin", d)
	}
	p.skip(1 + n)
	return true, nil
}

func (r *Reader) checkEnd(eof bool) error {
	switch {
	case eof && r.pending.phase == inArray:
		return r.fault("the file ends in the middle of the array")
	case eof && r.pending.phase == atStart:
		return r.fault("there is no JSON in it; a file of JSON Lines, which may be empty, has format: jsonl")
	}
	return nil
}

// fault ends the file: behind a fault in its structure nobody can tell where the next value begins.
func (r *Reader) fault(format string, args ...any) error {
	p := &r.pending
	rest := p.data[p.pos:]
	return &block.Fault{Reject: block.Reject{
		Line: p.line + 1, Code: block.Malformed, Raw: block.Raw(rest),
		Reason: fmt.Sprintf("the rest of the file is not read: at byte %d: %s",
			r.window.Mark().Offset+int64(p.pos), fmt.Sprintf(format, args...)),
	}}
}

// pending is a block in the making. Places are relative to the window's mark.
type pending struct {
	data  []byte
	pos   int
	line  int64 // lines before pos
	count int64 // values before pos
	phase int
}

func (p *pending) skip(n int) {
	p.line += int64(bytes.Count(p.data[p.pos:p.pos+n], newline))
	p.pos += n
}

var newline = []byte("\n")
