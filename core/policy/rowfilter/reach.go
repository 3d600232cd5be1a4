package rowfilter

import (
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// reached is what a rule can evaluate.
type reached struct {
	home    *ast.Location // where the rule is
	helpers []string      // paths of rules over the row with several bodies, to keep out of line
	product int           // of how many bodies they have: queries if all are inlined; capped
}

const mostQueries = 1 << 20

// reach walks the rules that a path depends on. It refuses what makes a residual unsound: the input read as a whole,
// which would show the row's absence, and values that are replaced by `with`.
func (t *Translator) reach(path ast.Ref) (reached, error) {
	roots := t.compiler.GetRulesExact(path)
	if len(roots) == 0 {
		return reached{}, fmt.Errorf("%w: %s", ErrNoRule, path)
	}
	if first := roots[0]; len(first.Head.Args) > 0 || first.Head.Value == nil {
		return reached{}, untranslatable(first.Loc(), first.Head, "a row filter is a condition: neither a function nor a set")
	}
	r := reached{home: roots[0].Loc(), product: 1}
	order := t.dependencies(roots)
	for _, rule := range order {
		if err := sound(rule); err != nil {
			return reached{}, err
		}
	}
	if err := unambiguous(t.compiler, order); err != nil {
		return reached{}, err
	}
	r.collect(t.compiler, order[len(roots):])
	return r, nil
}

// dependencies are rules and all that they depend on: the given ones first, the others as they stand in the files.
func (t *Translator) dependencies(roots []*ast.Rule) []*ast.Rule {
	seen := map[*ast.Rule]bool{}
	var others []*ast.Rule
	var visit func(rule *ast.Rule)
	visit = func(rule *ast.Rule) {
		for next := range t.compiler.Graph.Dependencies(rule) {
			if next, ok := next.(*ast.Rule); ok && !seen[next] {
				seen[next] = true
				others = append(others, next)
				visit(next)
			}
		}
	}
	for _, root := range roots {
		seen[root] = true
	}
	for _, root := range roots {
		visit(root)
	}
	slices.SortFunc(others, func(a, b *ast.Rule) int { return a.Loc().Compare(b.Loc()) })
	return append(slices.Clone(roots), others...)
}

func sound(rule *ast.Rule) error {
	var err error
	at := rule.Loc()
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.Expr:
			if x.Location != nil {
				at = x.Location
			}
			if len(x.With) > 0 {
				err = untranslatable(at, x, "`with` isn't allowed in what a row filter evaluates")
			}
		case ast.Ref:
			if x[0].Equal(ast.InputRootDocument) && !named(x) {
				err = untranslatable(at, x, "a row filter can't read the input as a whole or by a key that isn't a constant: name the field, as in input.purpose")
			}
		}
		return err != nil
	}).Walk(rule)
	return err
}

func named(ref ast.Ref) bool {
	if len(ref) < 2 {
		return false
	}
	_, constant := ref[1].Value.(ast.String)
	return constant
}

// collect finds the helpers: complete rules with several bodies, all of them true, that depend on the row.
func (r *reached) collect(c *ast.Compiler, rules []*ast.Rule) {
	for _, bodies := range byPath(rules) {
		if len(bodies) < 2 || !simple(bodies) || !overRow(c, bodies) {
			continue
		}
		r.helpers = append(r.helpers, bodies[0].Ref().String())
		r.product = min(r.product*len(bodies), mostQueries)
	}
}

// simple is true for rules that are nothing but alternatives of one condition. Functions are inlined always: what OPA
// keeps of one that binds a parameter to a constant can lack bodies.
func simple(bodies []*ast.Rule) bool {
	for _, rule := range bodies {
		value, ok := rule.Head.Value.Value.(ast.Boolean)
		if len(rule.Head.Args) > 0 || rule.Else != nil || rule.Head.Key != nil || !rule.Ref().IsGround() || !ok || !bool(value) && !rule.Default {
			return false
		}
	}
	return true
}

// overRow is true if what a rule evaluates, itself or by others, names input.row.
func overRow(c *ast.Compiler, bodies []*ast.Rule) bool {
	seen := map[*ast.Rule]bool{}
	var over func(rule *ast.Rule) bool
	over = func(rule *ast.Rule) bool {
		if seen[rule] {
			return false
		}
		seen[rule] = true
		if namesRow(rule) {
			return true
		}
		for next := range c.Graph.Dependencies(rule) {
			if next, ok := next.(*ast.Rule); ok && over(next) {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(bodies, over)
}

func namesRow(rule *ast.Rule) bool {
	found := false
	ast.WalkRefs(rule, func(ref ast.Ref) bool {
		found = found || len(ref) > 1 && ref[0].Equal(ast.InputRootDocument) && ref[1].Equal(rowKey)
		return found
	})
	return found
}
