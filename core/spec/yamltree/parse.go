package yamltree

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// ReadFile parses a file; name is what faults call it.
func ReadFile(path, name string) ([]*Node, []Fault) {
	broken := func(message string) ([]*Node, []Fault) {
		return nil, []Fault{{Severity: Error, Code: "unreadable", File: name, Message: message}}
	}
	info, err := os.Stat(path)
	if err != nil {
		return broken("can't read the file: " + reason(err))
	}
	if !info.Mode().IsRegular() {
		return broken("not a regular file")
	}
	f, err := os.Open(path) //nolint:gosec // reading the files that the operator names is the purpose
	if err != nil {
		return broken("can't read the file: " + reason(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return broken("can't read the file: " + reason(err))
	}
	return Parse(data, name)
}

// reason is an error of the file system without the path, which the fault has already.
func reason(err error) string {
	if pathErr, ok := errors.AsType[*os.PathError](err); ok {
		return pathErr.Err.Error()
	}
	return err.Error()
}

// Parse reads the documents of a file; empty documents are left out. A document with a syntax fault
// doesn't hide the faults of the others.
func Parse(data []byte, name string) ([]*Node, []Fault) {
	if len(data) > MaxBytes {
		message := fmt.Sprintf("the file is larger than %d KiB", MaxBytes>>10)
		return nil, []Fault{{Severity: Error, Code: "too-large", File: name, Message: message}}
	}
	text := strings.TrimPrefix(string(data), "\uFEFF")
	src := newSource(name, text)
	if f, bad := src.badText(text); bad {
		return nil, []Fault{f}
	}
	if f, bad := src.blankRun(); bad {
		return nil, []Fault{f}
	}
	var docs []*Node
	var faults []Fault
	tokens := MaxTokens
	for i, c := range split(src) {
		if i == MaxDocuments {
			message := fmt.Sprintf("the file has more than %d documents", MaxDocuments)
			return docs, append(faults, src.fault("too-large", message, c.first+1, 1, 3))
		}
		doc, found := parseDocument(src, c, &tokens)
		faults = append(faults, found...)
		if doc != nil {
			docs = append(docs, doc)
		}
	}
	return docs, faults
}

// badText finds bytes that no YAML file may have.
func (s *source) badText(text string) (Fault, bool) {
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		return s.fault("encoding", "the file is UTF-16", 1, 1, 1).WithHint("save it as UTF-8"), true
	}
	line, column := 1, 1
	for i, r := range text {
		invalid := false
		if r == utf8.RuneError {
			_, size := utf8.DecodeRuneInString(text[i:])
			invalid = size == 1
		}
		switch {
		case invalid:
			return s.fault("encoding", fmt.Sprintf("byte 0x%02x is not UTF-8", text[i]), line, column, 1).
				WithHint("save the file as UTF-8"), true
		case r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f:
			return s.fault("encoding", fmt.Sprintf("control character U+%04X", r), line, column, 1).
				WithHint("remove it, or write it as an escape in double quotes"), true
		}
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	return Fault{}, false
}

// blankRun finds a hostile run of blank lines: the scanner's time grows with its square inside a block
// of text.
func (s *source) blankRun() (Fault, bool) {
	run := 0
	for i, line := range s.lines {
		run++
		if strings.TrimSpace(line) != "" {
			run = 0
		}
		if run > MaxBlankLines {
			message := fmt.Sprintf("more than %d blank lines in a row", MaxBlankLines)
			return s.fault("too-large", message, i+1, 1, 1), true
		}
	}
	return Fault{}, false
}

// chunk is one document's lines, counted from 0, the last one excluded.
type chunk struct{ first, end int }

// split cuts a file at its document markers. They stand at the start of a line and may not occur there
// inside any text, so no parsing is needed; and cutting first keeps one document's syntax fault from
// hiding the others.
func split(s *source) []chunk {
	var chunks []chunk
	first := 0
	for i, line := range s.lines {
		if marker(line, "---") && i > first {
			chunks = append(chunks, chunk{first, i})
			first = i
		}
	}
	return append(chunks, chunk{first, len(s.lines)})
}

func marker(line, mark string) bool {
	rest, ok := strings.CutPrefix(line, mark)
	return ok && (rest == "" || strings.ContainsRune(" \t\r", rune(rest[0])))
}

// parseDocument takes its tokens from what is left for the file.
func parseDocument(src *source, c chunk, left *int) (doc *Node, faults []Fault) {
	b := &builder{src: src, shift: c.first, anchors: map[string]*Node{}, budget: MaxValues}
	tokens := tokenize(src.lines[c.first:c.end])
	if b.refuse(tokens, left) {
		return nil, b.faults
	}
	// The parser is a third party's: what it has never met must not end the process.
	defer func() {
		if r := recover(); r != nil {
			doc, faults = nil, []Fault{src.fault("syntax", "this document can't be parsed", c.first+1, 1, 1)}
		}
	}()
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		b.syntax(err)
		return nil, b.faults
	}
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if doc != nil {
			return doc, append(b.faults, b.build(d.Body).Fault("", "syntax", "a new document starts here without a --- line"))
		}
		doc = b.build(d.Body)
	}
	return doc, b.faults
}

func tokenize(lines []string) token.Tokens {
	kept := slices.Clone(lines)
	for i, line := range kept {
		if marker(line, "%YAML") {
			kept[i] = ""
		}
	}
	return lexer.Tokenize(strings.Join(kept, "\n"))
}

// refuse keeps from the parser what it would not survive: it descends with nesting, and its time grows
// with the square of the keys of a map.
func (b *builder) refuse(tokens token.Tokens, left *int) bool {
	if len(tokens) > *left {
		b.fault(tokens[*left], "too-large", fmt.Sprintf("the file has more than %d words and marks", MaxTokens), "")
		return true
	}
	*left -= len(tokens)
	var d depth
	for _, t := range tokens {
		if d.after(t) > MaxDepth {
			b.fault(t, "too-deep", fmt.Sprintf("lists and maps are nested more than %d deep", MaxDepth), "")
			return true
		}
	}
	return false
}

// depth estimates nesting from tokens: brackets, columns of block entries, and what nests in a row
// without either: tags and anchors, and dashes and colons inside brackets, which are wrong there but
// make the parser descend before it says so.
type depth struct {
	columns  []int
	brackets int
	row      int
}

func (d *depth) after(t *token.Token) int {
	switch t.Type {
	case token.MappingStartType, token.SequenceStartType:
		d.brackets++
		d.row = 0
	case token.MappingEndType, token.SequenceEndType:
		d.brackets = max(0, d.brackets-1)
		d.row = 0
	case token.TagType, token.AnchorType:
		d.row++
	case token.SequenceEntryType, token.MappingKeyType:
		d.entry(t.Position.Column)
	case token.MappingValueType:
		// A block map's column is that of its keys; explicit entries have none before the colon.
		if t.Prev != nil && t.Prev.Position.Line == t.Position.Line {
			t = t.Prev
		}
		d.entry(t.Position.Column)
	case token.CollectEntryType:
		d.row = 0
	}
	return len(d.columns) + d.brackets + d.row
}

func (d *depth) entry(column int) {
	if d.brackets > 0 {
		d.row++
		return
	}
	d.row = 0
	for len(d.columns) > 0 && d.columns[len(d.columns)-1] > column {
		d.columns = d.columns[:len(d.columns)-1]
	}
	if len(d.columns) == 0 || d.columns[len(d.columns)-1] < column {
		d.columns = append(d.columns, column)
	}
}

// syntax turns the parser's error into a fault in words that say what to do.
func (b *builder) syntax(err error) {
	var bad *yaml.SyntaxError
	if !errors.As(err, &bad) || bad.Token == nil {
		b.faults = append(b.faults, b.src.fault("syntax", "not valid YAML", b.shift+1, 1, 1))
		return
	}
	message, hint := bad.Message, ""
	switch {
	case strings.Contains(message, "character '\t'"):
		message, hint = "a tab can't indent", "indent with spaces"
	case strings.Contains(message, "undefined alias name"):
		message, hint = "* starts an alias, and no name follows", `quote the text: "*"`
	case strings.Contains(message, "reserved character"):
		hint = "quote the text"
	case strings.Contains(message, "end token"):
		message = "the bracket that opens here is never closed"
	case strings.Contains(message, "unexpected scalar value"):
		message = "this can't stand here"
	case strings.Contains(message, "mapping value is not allowed"):
		message, hint = "a second \": \" in one line", "quote the text if the colon belongs to it"
	}
	b.fault(bad.Token, "syntax", message, hint)
}
