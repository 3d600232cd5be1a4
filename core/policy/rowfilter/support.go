package rowfilter

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/qanat-data/qanat/core/mask/filter"
)

// support is a rule that partial evaluation has kept: the bodies that are left of it.
type support struct {
	arity     int
	bodies    []*ast.Rule
	otherwise ast.Value // the default, if there is one
	fault     string    // why it can't be translated
	done      *outcome  // of a rule without arguments
	parts     int
	open      bool
}

// outcome is what a rule comes to for a row: value if holds, else the default if there is one, else undefined.
type outcome struct {
	holds     filter.Predicate
	value     ast.Value
	otherwise ast.Value
}

// when is the condition under which a rule is defined with a value that is accepted.
func (o *outcome) when(accepted func(ast.Value) bool) filter.Predicate {
	var alternatives []filter.Predicate
	if accepted(o.value) {
		alternatives = append(alternatives, o.holds)
	}
	if o.otherwise != nil && accepted(o.otherwise) {
		alternatives = append(alternatives, opposite(o.holds))
	}
	return anyOf(alternatives)
}

// learn indexes the support rules by path.
func (w *walker) learn(modules []*ast.Module, limit int) error {
	w.support = map[string]*support{}
	count := 0
	for _, m := range modules {
		count += len(m.Rules)
		for _, rule := range m.Rules {
			path := m.Package.Path.Extend(rule.Head.Ref()).String()
			s := w.support[path]
			if s == nil {
				s = &support{arity: len(rule.Head.Args)}
				w.support[path] = s
			}
			s.add(rule)
		}
	}
	if count > limit {
		return &LimitError{What: "support rules", Limit: limit, Got: count}
	}
	return nil
}

func (s *support) add(rule *ast.Rule) {
	value := rule.Head.Value
	switch {
	case rule.Else != nil:
		s.fault = "`else` over a row can't be translated: write the conditions apart"
	case rule.Head.Key != nil || !rule.Head.Ref().IsGround():
		s.fault = "partial sets and objects over a row can't be translated"
	case value == nil || !constant(value):
		s.fault = "the rule's value depends on the row: it must be a constant"
	case rule.Default:
		s.otherwise = value.Value
	case len(s.bodies) > 0 && s.bodies[0].Head.Value.Value.Compare(value.Value) != 0:
		s.fault = "the rule has several values, which may conflict"
	default:
		s.bodies = append(s.bodies, rule)
	}
}

// outcome translates a rule without arguments, once.
func (w *walker) outcome(what fmt.Stringer, s *support) (*outcome, error) {
	if s.done != nil {
		if w.left -= s.parts; w.left < 0 {
			return nil, w.tooLarge()
		}
		return s.done, nil
	}
	before := w.left
	o, err := w.alternatives(what, s, nil)
	if err != nil {
		return nil, err
	}
	s.done, s.parts = o, before-w.left
	return o, nil
}

// alternatives translates the bodies of a rule, or of a function with its arguments.
func (w *walker) alternatives(what fmt.Stringer, s *support, args []*ast.Term) (*outcome, error) {
	if s.fault != "" {
		return nil, w.refuse(what, "%s", s.fault)
	}
	if s.open {
		return nil, w.refuse(what, "the rule depends on itself")
	}
	s.open = true
	defer func() { s.open = false }()
	o := &outcome{value: ast.Boolean(true), otherwise: s.otherwise}
	alternatives := make([]filter.Predicate, 0, len(s.bodies))
	for _, rule := range s.bodies {
		o.value = rule.Head.Value.Value
		in, err := w.arguments(what, rule, args)
		if err != nil {
			return nil, err
		}
		p, err := w.body(rule.Body, in)
		if err != nil {
			return nil, err
		}
		alternatives = append(alternatives, p)
	}
	o.holds = anyOf(alternatives)
	return o, nil
}

func (w *walker) arguments(what fmt.Stringer, rule *ast.Rule, args []*ast.Term) (scope, error) {
	in := scope{}
	for i, arg := range args {
		v, ok := rule.Head.Args[i].Value.(ast.Var)
		if !ok || in[v] != nil {
			return nil, w.refuse(what, "the function's parameters must be plain and different names")
		}
		in[v] = arg
	}
	return in, nil
}

// function translates a call that is a condition: true if its arguments are defined and the function isn't false. A
// further argument is what the result must equal.
func (w *walker) function(e *ast.Expr, s *support, args []*ast.Term, in scope) (filter.Predicate, error) {
	accepted := func(v ast.Value) bool { return !ast.Boolean(false).Equal(v) }
	if len(args) == s.arity+1 {
		result := in.resolved(args[s.arity])
		if !constant(result) {
			return nil, w.refuse(e, "the result of a function over the row can only be compared with a constant")
		}
		accepted = func(v ast.Value) bool { return v.Compare(result.Value) == 0 }
		args = args[:s.arity]
	}
	if len(args) != s.arity {
		return nil, w.refuse(e, "the function wants %d arguments", s.arity)
	}
	var parts []filter.Predicate
	given := make([]*ast.Term, len(args))
	for i, arg := range args {
		given[i] = in.resolved(arg)
		o, err := w.operand(e, given[i], in)
		if err != nil {
			return nil, err
		}
		p, err := w.defined(e, o)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	o, err := w.alternatives(e, s, given)
	if err != nil {
		return nil, err
	}
	return allOf(append(parts, o.when(accepted))), nil
}
