package rowfilter

import (
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// UntranslatableError says that an expression of a policy has no predicate with the same meaning.
type UntranslatableError struct {
	File       string
	Line       int
	Expression string // as it is written in the policy, or as it was left by partial evaluation
	Why        string
}

func (e *UntranslatableError) Error() string {
	return fmt.Sprintf("%s:%d: %s: %s", e.File, e.Line, e.Expression, e.Why)
}

// LimitError says that a filter is larger than the translator's limits.
type LimitError struct {
	What       string // "queries", "support rules" or "parts"
	Limit, Got int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the filter has %d %s, more than the %d allowed: move alternatives into data that is looked up, or into a column", e.Got, e.What, e.Limit)
}

// Errors of Filter beside *UntranslatableError and *LimitError.
var (
	ErrNoRule  = errors.New("no such rule")
	ErrTimeout = errors.New("the row filter took too long to evaluate")
	ErrInput   = errors.New("the input must be an object without the key \"row\"")
)

// untranslatable is the error for something at a place.
func untranslatable(at *ast.Location, expression fmt.Stringer, format string, args ...any) error {
	e := &UntranslatableError{Expression: expression.String(), Why: fmt.Sprintf(format, args...)}
	if at != nil {
		e.File, e.Line = at.File, at.Row
		if text := strings.TrimSpace(string(at.Text)); text != "" {
			e.Expression, _, _ = strings.Cut(text, "\n")
		}
	}
	return e
}
