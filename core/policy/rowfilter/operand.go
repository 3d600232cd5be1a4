package rowfilter

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/open-policy-agent/opa/v1/ast"
)

// operand is what an expression is about: one of a column, a constant, or a rule that depends on the row.
type operand struct {
	field *arrow.Field
	value ast.Value
	rule  *outcome
}

// resolved replaces a variable by what it stands for.
func (in scope) resolved(t *ast.Term) *ast.Term {
	if v, ok := t.Value.(ast.Var); ok && in[v] != nil {
		return in[v]
	}
	return t
}

func (w *walker) operand(what fmt.Stringer, t *ast.Term, in scope) (operand, error) {
	t = in.resolved(t)
	switch v := t.Value.(type) {
	case ast.Var:
		return operand{}, w.refuse(what, "it depends on a variable that has no known value")
	case ast.Ref:
		return w.reference(what, v)
	case ast.Call:
		return operand{}, w.refuse(what, "%s over a row can't be translated; what can: %s", v[0], translatable)
	case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
		return operand{}, w.refuse(what, "comprehensions over a row can't be translated")
	}
	if !t.IsGround() || !constant(t) {
		return operand{}, w.refuse(what, "a collection that holds something of the row can't be translated")
	}
	return operand{value: t.Value}, nil
}

// constant is true for a term with nothing in it that is still to be evaluated.
func constant(t *ast.Term) bool {
	fixed := true
	ast.WalkTerms(t, func(t *ast.Term) bool {
		switch t.Value.(type) {
		case ast.Null, ast.Boolean, ast.Number, ast.String, *ast.Array, ast.Set, ast.Object:
		default:
			fixed = false
		}
		return !fixed
	})
	return fixed
}

func (w *walker) reference(what fmt.Stringer, ref ast.Ref) (operand, error) {
	if ref[0].Equal(ast.InputRootDocument) {
		return w.column(what, ref)
	}
	if s := w.support[ref.String()]; s != nil {
		if s.arity != 0 {
			return operand{}, w.refuse(what, "a function isn't a value")
		}
		o, err := w.outcome(what, s)
		return operand{rule: o}, err
	}
	return operand{}, w.refuse(what, "%s can't be evaluated without the row: rules with `else`, with values other than constants, and partial sets or objects over the row can't be translated", ref)
}

func (w *walker) column(what fmt.Stringer, ref ast.Ref) (operand, error) {
	switch {
	case len(ref) < 3 || !ref[1].Equal(rowKey):
		return operand{}, w.refuse(what, "the row as a whole can't be translated: name a column, as in input.row.region")
	case !named(ref[1:]):
		return operand{}, w.refuse(what, "the name of a column must be a constant")
	case len(ref) > 3:
		return operand{}, w.refuse(what, "what is inside of a column can't be reached: only columns themselves are")
	}
	name := string(ref[2].Value.(ast.String))
	found := w.schema.FieldIndices(name)
	if len(found) != 1 {
		return operand{}, w.refuse(what, "the dataset has no column %q, or several", name)
	}
	field := w.schema.Field(found[0])
	return operand{field: &field}, nil
}
