package rowfilter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/qanat-data/qanat/core/mask/filter"
)

// Kind says how many rows pass: a filter that passes all and one that passes none are never told apart by an empty text.
type Kind string

// The kinds of a result.
const (
	All   Kind = "all"
	None  Kind = "none"
	Where Kind = "where"
)

// Result is a translated filter.
type Result struct {
	Kind      Kind
	Predicate filter.Predicate // for every kind: a constant for All and None
	Columns   []string         // the columns that the predicate reads
}

// Limits bound what one translation may cost. A field that is 0 has its default.
type Limits struct {
	Queries int           // residual queries; 10,000
	Support int           // support rules; 10,000
	Parts   int           // parts and constants of the tree; 100,000
	Time    time.Duration // partial evaluation and translation; 1 s
}

func (l Limits) orDefaults() Limits {
	set := func(v *int, otherwise int) {
		if *v <= 0 {
			*v = otherwise
		}
	}
	set(&l.Queries, 10_000)
	set(&l.Support, 10_000)
	set(&l.Parts, 100_000)
	if l.Time <= 0 {
		l.Time = time.Second
	}
	return l
}

// Translator translates row filters of one set of compiled policies. It is safe for concurrent use.
type Translator struct {
	compiler *ast.Compiler // with guards
	limits   Limits
}

// New prepares the policies of a compiler, which must have compiled without errors and isn't changed.
func New(c *ast.Compiler, l Limits) (*Translator, error) {
	again, err := guarded(c)
	if err != nil {
		return nil, err
	}
	return &Translator{compiler: again, limits: l.orDefaults()}, nil
}

// Filter translates the rule at a path such as data.governance.egress.team.filter for one input (an object without the
// key "row") and rows of a schema. A row passes if the rule is true for it. Errors are *UntranslatableError, *LimitError,
// ErrNoRule, ErrTimeout, ErrInput, or of the evaluation; with any of them no row may pass.
func (t *Translator) Filter(ctx context.Context, store storage.Store, query string, input ast.Value, s *arrow.Schema) (Result, error) {
	path, err := ast.ParseRef(query)
	if err != nil || !path.HasPrefix(ast.DefaultRootRef) || !path.IsGround() {
		return Result{}, fmt.Errorf("%q is no path of a rule, such as data.governance.egress.team.filter", query)
	}
	if object, ok := input.(ast.Object); !ok || object.Get(rowKey) != nil {
		return Result{}, ErrInput
	}
	reached, err := t.reach(path)
	if err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, t.limits.Time)
	defer cancel()
	p, err := t.attempt(ctx, store, path, input, s, reached)
	if err != nil {
		return Result{}, err
	}
	r := Result{Kind: Where, Predicate: p, Columns: filter.Columns(p)}
	if c, ok := p.(filter.Constant); ok {
		r.Kind = None
		if c {
			r.Kind = All
		}
	}
	return r, nil
}

// fewQueries is how many residual queries inlining may lead to.
const fewQueries = 256

// attempt keeps helpers with several bodies out of line, since k of them would multiply to 2^k queries. What such a
// helper computes can be beyond the translator where its inlined body isn't: then few enough are inlined after all.
func (t *Translator) attempt(ctx context.Context, store storage.Store, path ast.Ref, input ast.Value, s *arrow.Schema, r reached) (filter.Predicate, error) {
	p, err := t.translate(ctx, store, path, input, s, r, r.helpers)
	var refused *UntranslatableError
	if len(r.helpers) > 0 && r.product <= fewQueries && errors.As(err, &refused) {
		if p, err := t.translate(ctx, store, path, input, s, r, nil); err == nil {
			return p, nil
		}
	}
	return p, err
}

func (t *Translator) translate(ctx context.Context, store storage.Store, path ast.Ref, input ast.Value, s *arrow.Schema, r reached, apart []string) (filter.Predicate, error) {
	query := ast.NewBody(ast.Equality.Expr(ast.NewTerm(path), ast.BooleanTerm(true)))
	residual, err := rego.New(
		rego.ParsedQuery(query),
		rego.Compiler(t.compiler),
		rego.Store(store),
		rego.ParsedInput(input),
		rego.Unknowns([]string{"input.row"}),
		rego.DisableInlining(apart),
	).Partial(ctx)
	if err != nil {
		if ctx.Err() != nil || topdown.IsCancel(err) {
			return nil, fmt.Errorf("%w: %v", ErrTimeout, t.limits.Time)
		}
		return nil, fmt.Errorf("evaluate %s: %w", path, err)
	}
	if got := len(residual.Queries); got > t.limits.Queries {
		return nil, &LimitError{What: "queries", Limit: t.limits.Queries, Got: got}
	}
	w := &walker{expired: ctx.Err, schema: s, limit: t.limits.Parts, left: t.limits.Parts, home: r.home}
	if err := w.learn(residual.Support, t.limits.Support); err != nil {
		return nil, err
	}
	return w.queries(residual.Queries)
}
