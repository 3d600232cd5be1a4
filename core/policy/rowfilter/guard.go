package rowfilter

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
)

// mark is what the second operand of a guard is: `neq(ref, mark)` is true for every value that a column can have and
// undefined if the column is absent. An object never equals a column.
var mark = ast.ObjectTerm([2]*ast.Term{ast.StringTerm("qanat"), ast.StringTerm("the column is read here")})

// guarded compiles the rules of a compiler again with a guard beside each reading of a row that partial evaluation could
// lose.
func guarded(c *ast.Compiler) (*ast.Compiler, error) {
	g := guards{compiler: c, wrapped: map[*ast.Expr]bool{}}
	modules := make(map[string]*ast.Module, len(c.Modules))
	for name, m := range c.Modules {
		m = m.Copy()
		for _, rule := range m.Rules {
			g.rule(rule)
		}
		modules[name] = m
	}
	again := ast.NewCompiler().WithCapabilities(c.Capabilities()).WithEnablePrintStatements(false)
	if again.Compile(modules); again.Failed() {
		return nil, fmt.Errorf("compile the policies for row filters: %w", again.Errors)
	}
	return again, nil
}

// guards puts guards into copies of a compiler's rules.
type guards struct {
	compiler *ast.Compiler
	wrapped  map[*ast.Expr]bool // calls that are negated twice already
}

// rule guards every body of a rule, however deep.
func (g guards) rule(rule *ast.Rule) {
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.Rule:
			x.Body = g.body(x.Body)
		case *ast.Every:
			x.Body = g.body(x.Body)
		case *ast.Not:
			// The body is safe, as it has compiled; explicit, it may hold what is put into it here.
			x.Body, x.ExplicitBody = g.body(x.Body), true
		case *ast.ArrayComprehension:
			x.Body = g.body(x.Body)
		case *ast.SetComprehension:
			x.Body = g.body(x.Body)
		case *ast.ObjectComprehension:
			x.Body = g.body(x.Body)
		}
		return false
	}).Walk(rule)
}

func (g guards) body(body ast.Body) ast.Body {
	var out ast.Body
	for _, e := range body {
		if replaced := g.rewritten(e); replaced != nil {
			out.Append(replaced)
			continue
		}
		out.Append(e)
		for _, ref := range readings(e) {
			out.Append(guard(e, ref))
		}
	}
	return out
}

func guard(beside *ast.Expr, ref *ast.Term) *ast.Expr {
	e := ast.NotEqual.Expr(ref.Copy(), mark.Copy())
	e.Location = beside.Location
	return e
}

// rewritten is what stands in an expression's place, if it can't stay. Partial evaluation leaves `and` and `or` of
// rego.v2 as they are, known operands and rules included; as negations, whose bodies are closures just as operands are,
// they are evaluated as far as they can be. Calls of functions with several bodies are negated twice: that keeps the
// bodies together in one support rule, where k calls of two bodies in line would be 2^k queries.
func (g guards) rewritten(e *ast.Expr) *ast.Expr {
	if e.Negated {
		if same := selfComparison(e); same != nil {
			return negation(e, ast.NewBody(guard(e, same)))
		}
		return nil
	}
	switch terms := e.Terms.(type) {
	case []*ast.Term:
		if !g.wrapped[e] && g.alternatives(e) {
			g.wrapped[e] = true
			return twice(e, ast.NewBody(e))
		}
	case *ast.LogicalOr:
		return negation(e, ast.NewBody(negation(e, terms.Lhs), negation(e, terms.Rhs)))
	case *ast.LogicalAnd:
		return twice(e, ast.NewBody(twice(e, terms.Lhs), twice(e, terms.Rhs)))
	}
	return nil
}

// alternatives is true for a call that is a condition, of a function with several bodies.
func (g guards) alternatives(e *ast.Expr) bool {
	if !e.IsCall() || !e.Operator().HasPrefix(ast.DefaultRootRef) {
		return false
	}
	rules := g.compiler.GetRulesExact(e.Operator())
	return len(rules) > 1 && len(e.Operands()) == len(rules[0].Head.Args)
}

func twice(beside *ast.Expr, body ast.Body) *ast.Expr {
	return negation(beside, ast.NewBody(negation(beside, body)))
}

// negation is rego.v2's: a legacy one would read columns outside of itself.
func negation(beside *ast.Expr, body ast.Body) *ast.Expr {
	e := ast.NewExpr(&ast.Not{Body: body, ExplicitBody: true, Location: beside.Location})
	e.Location, e.With = beside.Location, beside.With
	return e
}

// selfComparison finds `ref == ref`, which partial evaluation takes to be true.
func selfComparison(e *ast.Expr) *ast.Term {
	if l, r, ok := equality(e); ok && fromRow(l) && l.Equal(r) {
		return l
	}
	return nil
}

// readings are the references of a positive equality that may leave no trace in the residual: those that are bound to a
// variable, and those that are compared with themselves.
func readings(e *ast.Expr) []*ast.Term {
	l, r, ok := equality(e)
	if !ok || e.Negated {
		return nil
	}
	var refs []*ast.Term
	if fromRow(l) && (isVar(r) || l.Equal(r)) {
		refs = append(refs, l)
	}
	if fromRow(r) && isVar(l) {
		refs = append(refs, r)
	}
	return refs
}

func equality(e *ast.Expr) (l, r *ast.Term, ok bool) {
	if !e.IsEquality() || len(e.Operands()) != 2 {
		return nil, nil, false
	}
	return e.Operand(0), e.Operand(1), true
}

func isVar(t *ast.Term) bool {
	_, ok := t.Value.(ast.Var)
	return ok
}

// fromRow is true for what can be a column: input.row.…, or a field of a variable that may hold the row.
func fromRow(t *ast.Term) bool {
	ref, ok := t.Value.(ast.Ref)
	if !ok || len(ref) < 2 || ref[0].Equal(ast.DefaultRootDocument) {
		return false
	}
	return !ref[0].Equal(ast.InputRootDocument) || ref[1].Equal(rowKey) && len(ref) > 2
}

var rowKey = ast.StringTerm("row")
