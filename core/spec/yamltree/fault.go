package yamltree

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity says whether a fault stops the work.
type Severity string

const (
	// Error makes a spec unusable.
	Error Severity = "error"
	// Warning is worth a look; work goes on.
	Warning Severity = "warning"
)

// Position is a place in a file; lines and columns (in characters) count from 1.
type Position struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// String is file:line:column.
func (p Position) String() string {
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Fault is one thing that is wrong with a file.
type Fault struct {
	Severity Severity `json:"severity"`
	// Code is a stable word for the sort of fault, such as unknown-key.
	Code string `json:"code"`
	// File is as people would write it from where they are; Line is 0 if the fault has no place in it.
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	// Path is the JSON pointer of the value in its document.
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
	// Hint says what to do about it.
	Hint string `json:"hint,omitempty"`
	// Excerpt is the line at fault and, below it, a line with carets.
	Excerpt string `json:"excerpt,omitempty"`
}

// Error is the fault on one line, with its place.
func (f Fault) Error() string {
	text := f.Message
	if f.Hint != "" {
		text += " (" + f.Hint + ")"
	}
	switch {
	case f.File == "":
		return text
	case f.Line == 0:
		return f.File + ": " + text
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, text)
}

// WithHint returns the fault with a hint.
func (f Fault) WithHint(hint string) Fault {
	f.Hint = hint
	return f
}

// AsWarning returns the fault as a warning.
func (f Fault) AsWarning() Fault {
	f.Severity = Warning
	return f
}

// HasErrors tells whether any of the faults is an error.
func HasErrors(faults []Fault) bool {
	return slices.ContainsFunc(faults, func(f Fault) bool { return f.Severity != Warning })
}

// Sort orders faults by place and drops repetitions, which arise where an alias or a connection is
// used more than once.
func Sort(faults []Fault) []Fault {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(faults, func(a, b Fault) bool {
		return a.File == b.File && a.Line == b.Line && a.Column == b.Column && a.Code == b.Code && a.Message == b.Message
	})
}
