package encode

import (
	"errors"
	"fmt"
)

// Codes of faults, short and stable: they fit the code of a rejection.
const (
	CodeRange     = "out_of_range" // beyond what the type holds
	CodePrecision = "precision"    // more digits than the type holds: a value would have to be rounded
	CodeMalformed = "malformed"    // no value of the type
	CodeZero      = "zero_byte"    // text with a zero byte, which PostgreSQL can't hold
	CodeEncoding  = "not_utf8"
	CodeTooLarge  = "too_large"
)

// Fault says why a value can't be held. Its row is to be rejected; others are not affected.
type Fault struct{ Column, Code, Reason string }

func (f *Fault) Error() string { return fmt.Sprintf("column %q: %s", f.Column, f.Reason) }

// flaw is a fault before it is known where it is. Encoders return constants, so that finding one costs nothing.
type flaw struct{ code, reason string }

func (f *flaw) Error() string { return f.reason }

func (c *Column) fault(err error) error {
	if f, ok := errors.AsType[*flaw](err); ok {
		return &Fault{Column: c.Name, Code: f.code, Reason: f.reason}
	}
	return fmt.Errorf("column %q: %w", c.Name, err)
}

// UnfitError says that values of an Arrow type don't go into a column.
type UnfitError struct {
	Column, Arrow, Type string
}

func (e *UnfitError) Error() string {
	return fmt.Sprintf("column %q: values of type %s don't fit the column's type %s", e.Column, e.Arrow, e.Type)
}
