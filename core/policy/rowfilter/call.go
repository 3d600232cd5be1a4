package rowfilter

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/qanat-data/qanat/core/mask/filter"
)

// call translates an expression with an operator: a comparison, a built-in, or a function that was kept out of line.
func (w *walker) call(e *ast.Expr, in scope) (filter.Predicate, error) {
	operator := e.Operator().String()
	args := e.Operands()
	if s := w.support[operator]; s != nil && s.arity > 0 {
		return w.function(e, s, args, in)
	}
	if op, ok := comparisons[operator]; ok && len(args) == 2 {
		if op == filter.Equal && w.binds(args, in) {
			return w.binding(e, args, in)
		}
		return w.compare(e, op, args, in)
	}
	if op, ok := textTests[operator]; ok && len(args) == 2 {
		return w.text(e, op, args, in)
	}
	if operator == ast.Member.Name && len(args) == 2 {
		return w.member(e, args, in)
	}
	return nil, w.refuse(e, "%s over a row can't be translated; what can: %s", operator, translatable)
}

const translatable = "==, !=, <, <=, >, >=, in, startswith, endswith, contains, and rules and functions of these"

var comparisons = map[string]filter.Op{
	ast.Equality.Name: filter.Equal, ast.Equal.Name: filter.Equal, ast.NotEqual.Name: filter.NotEqual, ast.LessThan.Name: filter.Less,
	ast.LessThanEq.Name: filter.LessOrEqual, ast.GreaterThan.Name: filter.Greater, ast.GreaterThanEq.Name: filter.GreaterOrEqual,
}

var textTests = map[string]filter.TextOp{
	ast.StartsWith.Name: filter.Starts, ast.EndsWith.Name: filter.Ends, ast.Contains.Name: filter.Contains,
}

// binds is true for an equality that gives a variable its value.
func (w *walker) binds(args []*ast.Term, in scope) bool {
	return isVar(in.resolved(args[0])) != isVar(in.resolved(args[1]))
}

// binding is true if what is bound is defined.
func (w *walker) binding(e *ast.Expr, args []*ast.Term, in scope) (filter.Predicate, error) {
	variable, term := in.resolved(args[0]), in.resolved(args[1])
	if !isVar(variable) {
		variable, term = term, variable
	}
	o, err := w.operand(e, term, in)
	if err != nil {
		return nil, err
	}
	in[variable.Value.(ast.Var)] = term
	return w.defined(e, o)
}

func (w *walker) defined(e *ast.Expr, o operand) (filter.Predicate, error) {
	switch {
	case o.field != nil:
		return w.fits(e, filter.IsNull{Column: o.field.Name, Not: true})
	case o.rule != nil:
		return o.rule.when(func(ast.Value) bool { return true }), nil
	}
	return filter.Constant(true), nil
}

func (w *walker) pair(e *ast.Expr, args []*ast.Term, in scope) (l, r operand, err error) {
	if l, err = w.operand(e, args[0], in); err != nil {
		return l, r, err
	}
	r, err = w.operand(e, args[1], in)
	return l, r, err
}

// mirrored is a comparison with its operands exchanged.
var mirrored = map[filter.Op]filter.Op{
	filter.Equal: filter.Equal, filter.NotEqual: filter.NotEqual, filter.Less: filter.Greater, filter.LessOrEqual: filter.GreaterOrEqual,
	filter.Greater: filter.Less, filter.GreaterOrEqual: filter.LessOrEqual,
}

func (w *walker) compare(e *ast.Expr, op filter.Op, args []*ast.Term, in scope) (filter.Predicate, error) {
	l, r, err := w.pair(e, args, in)
	if err != nil {
		return nil, err
	}
	if l.value != nil && r.value == nil {
		l, r, op = r, l, mirrored[op]
	}
	switch {
	case l.value != nil:
		return filter.Constant(holds(op, l.value.Compare(r.value))), nil
	case l.field != nil && r.field != nil:
		return w.fits(e, filter.CompareColumns{Left: l.field.Name, Op: op, Right: r.field.Name})
	case l.rule != nil && r.value != nil:
		return l.rule.when(func(v ast.Value) bool { return holds(op, v.Compare(r.value)) }), nil
	case r.value == nil:
		return nil, w.refuse(e, "a rule over the row can't be compared with another, or with a column")
	case op == filter.NotEqual && mark.Value.Compare(r.value) == 0:
		return w.fits(e, filter.IsNull{Column: l.field.Name, Not: true})
	}
	return w.compareColumn(e, l.field.Name, op, r.value)
}

func holds(op filter.Op, order int) bool {
	switch op {
	case filter.Equal:
		return order == 0
	case filter.NotEqual:
		return order != 0
	case filter.Less:
		return order < 0
	case filter.LessOrEqual:
		return order <= 0
	case filter.Greater:
		return order > 0
	}
	return order >= 0
}

// compareColumn compares a column with a constant. Every value of a column is greater than null.
func (w *walker) compareColumn(e *ast.Expr, column string, op filter.Op, v ast.Value) (filter.Predicate, error) {
	if _, null := v.(ast.Null); null {
		if holds(op, 1) {
			return w.fits(e, filter.IsNull{Column: column, Not: true})
		}
		return filter.Constant(false), nil
	}
	value, err := w.value(e, v)
	if err != nil {
		return nil, err
	}
	return w.fits(e, filter.Compare{Column: column, Op: op, Value: value})
}

func (w *walker) value(e *ast.Expr, v ast.Value) (filter.Value, error) {
	switch v := v.(type) {
	case ast.String:
		return filter.String(string(v)), nil
	case ast.Boolean:
		return filter.Bool(bool(v)), nil
	case ast.Number:
		n, err := filter.Number(string(v))
		if err != nil {
			return n, w.refuse(e, "%v", err)
		}
		return n, nil
	}
	return filter.Value{}, w.refuse(e, "a column can't be compared with an array, a set or an object")
}

// textFunctions are the tests for two constants, as inlined functions leave them.
var textFunctions = map[filter.TextOp]func(whole, part string) bool{
	filter.Starts: strings.HasPrefix, filter.Ends: strings.HasSuffix, filter.Contains: strings.Contains,
}

func (w *walker) text(e *ast.Expr, op filter.TextOp, args []*ast.Term, in scope) (filter.Predicate, error) {
	l, r, err := w.pair(e, args, in)
	if err != nil {
		return nil, err
	}
	part, ok := r.value.(ast.String)
	if l.value != nil && r.value != nil {
		whole, isText := l.value.(ast.String)
		return filter.Constant(ok && isText && textFunctions[op](string(whole), string(part))), nil
	}
	if l.field == nil || !ok {
		return nil, w.refuse(e, "only a column can be tested, and only for a constant text")
	}
	return w.fits(e, filter.Text{Column: l.field.Name, Op: op, Value: string(part)})
}

// member translates `column in collection`. Nulls of the collection equal no column.
func (w *walker) member(e *ast.Expr, args []*ast.Term, in scope) (filter.Predicate, error) {
	l, r, err := w.pair(e, args, in)
	if err != nil {
		return nil, err
	}
	elements, ok := elementsOf(r.value)
	if l.rule != nil || !ok {
		return nil, w.refuse(e, "only a column can be looked up, and only in a constant collection")
	}
	if l.value != nil {
		return filter.Constant(slices.ContainsFunc(elements, func(v ast.Value) bool { return v.Compare(l.value) == 0 })), nil
	}
	var values []filter.Value
	for _, element := range elements {
		if _, null := element.(ast.Null); null {
			continue
		}
		v, err := w.value(e, element)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return w.fits(e, filter.In{Column: l.field.Name, Values: values})
}

// elementsOf is what `in` looks through.
func elementsOf(collection ast.Value) (elements []ast.Value, ok bool) {
	add := func(t *ast.Term) { elements = append(elements, t.Value) }
	switch c := collection.(type) {
	case *ast.Array:
		c.Foreach(add)
	case ast.Set:
		c.Foreach(add)
	case ast.Object:
		c.Foreach(func(_, v *ast.Term) { add(v) })
	default:
		return nil, false
	}
	return elements, true
}
