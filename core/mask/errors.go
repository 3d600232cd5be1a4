package mask

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// ArgError is a mask that can't be: a method or an argument that is not known or wrong, or a method that doesn't fit its column. New
// joins all of them.
type ArgError struct {
	Column  string         // "" where no column is meant
	Method  string         // "drop" for dropped columns
	Arg     string         // "" where the method itself is wrong
	Type    arrow.DataType // the column's; nil where it doesn't matter
	Problem string
	Allowed string // "" where there is nothing to choose from
	Err     error  // what a key's source said; or nil
}

// Error says what is wrong, where, and what is allowed.
func (e *ArgError) Error() string {
	var b strings.Builder
	if e.Column != "" {
		fmt.Fprintf(&b, "column %q: ", e.Column)
	}
	fmt.Fprintf(&b, "mask %q: ", e.Method)
	if e.Arg != "" {
		fmt.Fprintf(&b, "argument %q: ", e.Arg)
	}
	b.WriteString(e.Problem)
	if e.Type != nil {
		fmt.Fprintf(&b, " (the column is %s)", e.Type)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Allowed != "" {
		b.WriteString("; allowed: " + e.Allowed)
	}
	return b.String()
}

// Unwrap returns what a key's source said.
func (e *ArgError) Unwrap() error { return e.Err }

// KeyValueError is a value of a key column that can't be tokenised. Other columns get a redacted value in its place, which in a key
// would make one row of many.
type KeyValueError struct {
	Column string
	Rows   int64 // in the batch
}

// Error doesn't tell the value.
func (e *KeyValueError) Error() string {
	return fmt.Sprintf("column %q: %d values of a key can't be tokenised: a value needs at least %d alternatives of its format; hash the column instead",
		e.Column, e.Rows, minDomain)
}
