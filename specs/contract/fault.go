package contract

import (
	"fmt"
	"strings"
)

// Place is where something stands in a contract file.
type Place struct {
	File string
	// Line and Column count from 1; 0 means unknown.
	Line, Column int
	// Path leads there from the top, as in schema[0].properties[2].unique; empty at the top.
	Path string
}

// String gives file:line:column, leaving out what is unknown.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Fault is one thing that is wrong in a contract.
type Fault struct {
	Place
	// Message says what was found and what was expected.
	Message string
	// Hint says how to mend it; often empty.
	Hint string
}

// Error gives file:line:column, the path, the message and the hint on one line.
func (f Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.String())
	b.WriteString(": ")
	if f.Path != "" {
		b.WriteString(f.Path)
		b.WriteString(": ")
	}
	b.WriteString(f.Message)
	if f.Hint != "" {
		b.WriteString(" (" + f.Hint + ")")
	}
	return b.String()
}

// Faults is all that is wrong in a contract, in the order of the file. Parse and Load return it as their error;
// reach it with errors.As.
type Faults []Fault

// Error gives one fault per line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// located remembers where a typed piece of a contract and its keys stand.
type located struct {
	// Place is where the piece starts.
	Place Place
	keys  map[string]Place
}

func (l *located) locate(at Place, keys map[string]Place) { l.Place, l.keys = at, keys }

// at gives the place of a key, or of the whole piece where the key isn't written.
func (l *located) at(key string) Place {
	if p, ok := l.keys[key]; ok {
		return p
	}
	return l.Place
}

func (l *located) has(key string) bool {
	_, ok := l.keys[key]
	return ok
}
