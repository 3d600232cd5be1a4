package rowfilter

import "github.com/open-policy-agent/opa/v1/ast"

// unambiguous refuses rules over the row that can have two values for one row. Rego fails on such a row, which then
// must not pass; a residual holds both values as alternatives, and it would.
func unambiguous(c *ast.Compiler, rules []*ast.Rule) error {
	for _, bodies := range byPath(rules) {
		first := bodies[0]
		if !ambiguous(bodies) {
			continue
		}
		if overRow(c, bodies) || len(first.Head.Args) > 0 && givenRow(rules, first) {
			return untranslatable(first.Loc(), first.Head, "the rule may have two values for one row: give all of its bodies the same constant value, or look the value up in data")
		}
	}
	return nil
}

// byPath puts together what defines one rule, in order.
func byPath(rules []*ast.Rule) [][]*ast.Rule {
	var out [][]*ast.Rule
	places := map[string]int{}
	for _, rule := range rules {
		path := rule.Ref().GroundPrefix().String()
		if _, found := places[path]; !found {
			places[path] = len(out)
			out = append(out, nil)
		}
		out[places[path]] = append(out[places[path]], rule)
	}
	return out
}

// ambiguous is true for complete rules, functions and partial objects but those with one constant value, or with one
// body that iterates over nothing. Defaults apply only where no body does.
func ambiguous(bodies []*ast.Rule) bool {
	var value *ast.Term
	count := 0
	for _, rule := range bodies {
		if rule.Default || rule.Head.Value == nil {
			continue
		}
		if !rule.Ref().IsGround() {
			return true
		}
		if count++; count > 1 && (!constant(value) || !rule.Head.Value.Equal(value)) {
			return true
		}
		value = rule.Head.Value
		if !constant(value) && iterates(rule) {
			return true
		}
	}
	return false
}

func iterates(rule *ast.Rule) bool {
	found := false
	ast.WalkRefs(rule.Body, func(ref ast.Ref) bool {
		found = found || !ref.IsGround()
		return found
	})
	return found
}

// givenRow is true if a rule calls a function with anything but what is known for sure: constants and other fields of the
// input.
func givenRow(rules []*ast.Rule, function *ast.Rule) bool {
	path := function.Ref()
	for _, rule := range rules {
		known := knownVars(rule)
		given := false
		ast.WalkExprs(rule, func(e *ast.Expr) bool {
			if !e.IsCall() || !e.Operator().Equal(path) {
				return false
			}
			for _, arg := range e.Operands()[:len(function.Head.Args)] {
				v, variable := arg.Value.(ast.Var)
				given = given || variable && !known[v] || !variable && !constant(arg)
			}
			return given
		})
		if given {
			return true
		}
	}
	return false
}

// knownVars are the variables of a rule that are bound to a field of the input beside the row.
func knownVars(rule *ast.Rule) map[ast.Var]bool {
	known := map[ast.Var]bool{}
	ast.WalkExprs(rule, func(e *ast.Expr) bool {
		l, r, ok := equality(e)
		if !ok || e.Negated {
			return false
		}
		if isVar(r) {
			l, r = r, l
		}
		ref, isRef := r.Value.(ast.Ref)
		if isVar(l) && isRef && ref[0].Equal(ast.InputRootDocument) && ref.IsGround() && named(ref) && !ref[1].Equal(rowKey) {
			known[l.Value.(ast.Var)] = true
		}
		return false
	})
	return known
}
