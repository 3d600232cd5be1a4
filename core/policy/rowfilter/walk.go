package rowfilter

import (
	"fmt"
	"maps"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/qanat-data/qanat/core/mask/filter"
)

// walker translates one residual.
type walker struct {
	expired     func() error // the context's
	schema      *arrow.Schema
	support     map[string]*support
	home        *ast.Location // where to point if the residual has lost its place
	at          *ast.Location
	limit, left int // parts that may be made, and still may
	depth       int
}

// maxDepth bounds calls of support rules in each other and nested negations; policies have a few.
const maxDepth = 50

// scope holds what variables of a body stand for.
type scope map[ast.Var]*ast.Term

func (w *walker) queries(queries []ast.Body) (filter.Predicate, error) {
	alternatives := make([]filter.Predicate, len(queries))
	for i, query := range queries {
		var err error
		if alternatives[i], err = w.body(query, scope{}); err != nil {
			return nil, err
		}
	}
	return anyOf(alternatives), nil
}

// body translates a conjunction. What it binds in the scope is gone after it.
func (w *walker) body(body ast.Body, outer scope) (filter.Predicate, error) {
	if err := w.descend(); err != nil {
		return nil, err
	}
	defer func() { w.depth-- }()
	inner := maps.Clone(outer)
	parts := make([]filter.Predicate, 0, len(body))
	for _, e := range body {
		part, err := w.expr(e, inner)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return allOf(parts), nil
}

func (w *walker) descend() error {
	w.depth++
	if w.depth > maxDepth {
		return w.refuse(ast.StringTerm("…"), "it nests more than %d levels deep", maxDepth)
	}
	if w.expired() != nil {
		return ErrTimeout
	}
	return nil
}

// refuse is the error for an expression at the place that the walk has come to.
func (w *walker) refuse(what fmt.Stringer, format string, args ...any) error {
	at := w.at
	if at == nil {
		at = w.home
		at = &ast.Location{File: at.File, Row: at.Row}
	}
	return untranslatable(at, what, format, args...)
}

func (w *walker) expr(e *ast.Expr, in scope) (filter.Predicate, error) {
	if e.Location != nil && e.Location.File != "" {
		outer := w.at
		w.at = e.Location
		defer func() { w.at = outer }()
	}
	if w.left--; w.left < 0 {
		return nil, w.tooLarge()
	}
	if len(e.With) > 0 {
		return nil, w.refuse(e, "`with` isn't allowed in a row filter")
	}
	if e.Negated {
		positive := e.NoWith()
		positive.Negated = false
		return w.not(ast.NewBody(positive), in)
	}
	switch terms := e.Terms.(type) {
	case *ast.Not:
		return w.not(terms.Body, in)
	case *ast.Term:
		return w.truth(e, terms, in)
	case []*ast.Term:
		return w.call(e, in)
	case *ast.Every:
		return nil, w.refuse(e, "`every` over something of the row can't be translated; over known values it can")
	}
	return nil, w.refuse(e, "this kind of expression can't be translated")
}

func (w *walker) tooLarge() error {
	return &LimitError{What: "parts", Limit: w.limit, Got: w.limit - w.left}
}

// not is true if the body isn't: where it is false, and where it reads a column that is absent.
func (w *walker) not(body ast.Body, in scope) (filter.Predicate, error) {
	p, err := w.body(body, in)
	if err != nil {
		return nil, err
	}
	return opposite(p), nil
}

// truth translates a term that stands alone: true if it is defined and not false.
func (w *walker) truth(e *ast.Expr, term *ast.Term, in scope) (filter.Predicate, error) {
	o, err := w.operand(e, term, in)
	if err != nil {
		return nil, err
	}
	switch {
	case o.rule != nil:
		return o.rule.when(func(v ast.Value) bool { return !ast.Boolean(false).Equal(v) }), nil
	case o.value != nil:
		return filter.Constant(!ast.Boolean(false).Equal(o.value)), nil
	}
	if o.field.Type.ID() == arrow.BOOL {
		return w.fits(e, filter.Column{Name: o.field.Name})
	}
	return w.fits(e, filter.IsNull{Column: o.field.Name, Not: true})
}

// fits checks an atom against the schema while its place in the policy is known.
func (w *walker) fits(what fmt.Stringer, p filter.Predicate) (filter.Predicate, error) {
	if in, ok := p.(filter.In); ok {
		if w.left -= len(in.Values); w.left < 0 {
			return nil, w.tooLarge()
		}
	}
	if _, err := filter.Bind(p, w.schema); err != nil {
		return nil, w.refuse(what, "%v", err)
	}
	return p, nil
}
