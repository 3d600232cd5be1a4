package value

import (
	"encoding/hex"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Codes of faults, short and stable: they fit the code of a rejection.
const (
	CodeMalformed = "malformed"    // no value of the column's PostgreSQL type
	CodeEncoding  = "not_utf8"     // text in another encoding
	CodeNotFinite = "not_finite"   // NaN or an infinity
	CodeRange     = "out_of_range" // beyond what the Arrow type holds
	CodeShape     = "array_shape"  // several dimensions, or one that does not begin at 1
	CodeTooLarge  = "too_large"    // much larger as Arrow than the row limit allows
)

// Fault says why a value can't be held. Its row is to be rejected; others are not affected.
type Fault struct {
	Column string // with the path to a part of it: address.street, tags[3]
	Type   string // the column's PostgreSQL type
	Code   string
	Reason string
	Value  string // the value, or its beginning
}

func (f *Fault) Error() string {
	return fmt.Sprintf("column %q (%s): %s: value %s", f.Column, f.Type, f.Reason, f.Value)
}

// ErrFull says that the builder has no room for the value in its batch, which is the fault of neither: a batch's strings hold 2 GiB.
var ErrFull = errors.New("the batch is full: its column would hold more than 2 GiB")

// flaw is a fault before it is known where it is. Codecs return constants, so that finding one costs nothing.
type flaw struct{ code, reason string }

func (f *flaw) Error() string { return f.reason }

func malformed(expected string) *flaw { return &flaw{CodeMalformed, "expected " + expected} }

// part is a flaw within a nested value.
type part struct {
	path  string
	value string
	flaw  *flaw
}

func (p *part) Error() string { return p.path + ": " + p.flaw.reason }

// within adds a step to the path of what is wrong; show prints the value of that step.
func within(err error, step string, raw []byte, show func([]byte) string) error {
	if deeper, ok := errors.AsType[*part](err); ok {
		return &part{path: step + deeper.path, value: deeper.value, flaw: deeper.flaw}
	}
	if f, ok := errors.AsType[*flaw](err); ok {
		return &part{path: step, value: show(raw), flaw: f}
	}
	return err
}

func (c *Column) fault(err error, raw []byte, show func([]byte) string) error {
	fault := &Fault{Column: c.Name, Type: c.pgName}
	if p, ok := errors.AsType[*part](err); ok {
		fault.Column, fault.Code, fault.Reason, fault.Value = c.Name+p.path, p.flaw.code, p.flaw.reason, p.value
		return fault
	}
	if f, ok := errors.AsType[*flaw](err); ok {
		fault.Code, fault.Reason, fault.Value = f.code, f.reason, show(raw)
		return fault
	}
	return fmt.Errorf("column %q: %w", c.Name, err)
}

// shown is how many bytes of a value an error shows.
const shown = 64

func showText(raw []byte) string {
	if len(raw) <= shown {
		return fmt.Sprintf("%q", raw)
	}
	cut := raw[:shown]
	for len(cut) > shown-utf8.UTFMax && !utf8.Valid(cut) {
		cut = cut[:len(cut)-1]
	}
	return fmt.Sprintf("%q… (%d bytes)", cut, len(raw))
}

func showBinary(raw []byte) string {
	if len(raw) <= shown {
		return `\x` + hex.EncodeToString(raw)
	}
	return fmt.Sprintf(`\x%s… (%d bytes)`, hex.EncodeToString(raw[:shown]), len(raw))
}
