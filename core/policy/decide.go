package policy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// stuck counts evaluations that did not end when their time was over: some built-ins can't be interrupted.
type stuck struct{ running atomic.Int64 }

// mostStuck evaluations may be left behind before everything is denied at once.
const mostStuck = 8

var errStuck = errors.New("earlier decisions have not come to an end")

// answer is what the packages of a point say.
type answer struct {
	given  []given
	labels []map[string]any
}

// given is the value of a rule, or why there is none.
type given struct {
	pkg   *pkg
	rule  string
	value any // as in JSON; nil if it is undefined
	err   error
}

// Decide asks all packages of the input's point. It takes no longer than the settings' timeout. API and Time are filled in where they
// are empty.
func (p *Policies) Decide(ctx context.Context, in Input) Decision {
	began := time.Now()
	in.API = API
	if in.Time == "" {
		in.Time = p.now().UTC().Format(time.RFC3339Nano)
	}
	in.Exemptions = append(in.Exemptions, p.exemptions...)
	d := Decision{ID: newID(), Point: in.Point, Policy: p.revision, Time: in.Time}
	text, err := json.Marshal(in)
	if !slices.Contains(Points(), in.Point) {
		err = fmt.Errorf("point %q: expected one of %q", in.Point, Points())
	}
	if err == nil {
		sum := sha256.Sum256(text)
		d.InputHash = "sha256:" + hex.EncodeToString(sum[:])
		ctx, cancel := context.WithTimeout(ctx, p.settings.Timeout)
		defer cancel()
		var a answer
		if a, err = p.bounded(ctx, in.Point, text); err == nil {
			d.RuleLabels = a.labels
			p.combine(&d, &in, a.given)
		}
	}
	if err != nil {
		p.fail(&d, Deny, nil, err)
	}
	d.Allow = len(d.Denied()) == 0
	if !d.Allow {
		d.Masks, d.Drop, d.Obligations = nil, nil, nil
	}
	d.Took = time.Since(began)
	return d
}

func (p *Policies) now() time.Time {
	if p.settings.Now != nil {
		return p.settings.Now()
	}
	return time.Now()
}

func newID() string {
	id, err := uuid.NewV7()
	if err != nil { // no randomness
		return ""
	}
	return id.String()
}

// bounded evaluates in a goroutine of its own, which is left behind if it does not stop in time.
func (p *Policies) bounded(ctx context.Context, point Point, input []byte) (answer, error) {
	if p.stuck.running.Load() >= mostStuck {
		return answer{}, errStuck
	}
	var left atomic.Bool
	type outcome struct {
		answer answer
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		defer func() {
			if !left.CompareAndSwap(false, true) {
				p.stuck.running.Add(-1)
			}
		}()
		var out outcome
		defer func() {
			if fault := recover(); fault != nil {
				out = outcome{err: fmt.Errorf("panic: %v", fault)}
			}
			done <- out
		}()
		out.answer, out.err = p.evaluate(ctx, point, input)
	}()
	select {
	case out := <-done:
		return out.answer, out.err
	case <-ctx.Done():
		if left.CompareAndSwap(false, true) { // it goes on by itself
			p.stuck.running.Add(1)
		}
		return answer{}, fmt.Errorf("no decision within %s: %w", p.settings.Timeout, context.Cause(ctx))
	}
}

// evaluate asks package after package.
func (p *Policies) evaluate(ctx context.Context, point Point, input []byte) (answer, error) {
	value, err := ast.ValueFromReader(bytes.NewReader(input))
	if err != nil {
		return answer{}, err
	}
	tracker := (&topdown.EvaluatedRuleTracker{}).WithAnnotationSet(p.compiler.GetAnnotationSet())
	var a answer
	for _, one := range p.packages[point] {
		for _, rule := range allowed[point] {
			q, asked := one.queries[rule]
			if !asked {
				continue
			}
			g := given{pkg: one, rule: rule}
			results, err := q.Eval(ctx, rego.EvalParsedInput(value), rego.EvalEvaluatedRuleTracker(tracker), rego.EvalSortSets(true))
			switch {
			case ctx.Err() != nil:
				return answer{}, fmt.Errorf("package %q (%s:%d): no decision within %s: %w", one.name, one.place.file, one.place.line, p.settings.Timeout, context.Cause(ctx))
			case err != nil:
				g.err = err
			case len(results) > 0 && len(results[0].Expressions) > 0:
				g.value = results[0].Expressions[0].Value
			}
			a.given = append(a.given, g)
		}
	}
	a.labels = tracker.Labels
	return a, nil
}

// fail notes that something went wrong, which counts as the word of a package does.
func (p *Policies) fail(d *Decision, s Severity, one *pkg, err error) {
	r := Reason{ID: ErrorRule, Severity: s, Message: err.Error()}
	if one != nil {
		r.Package, r.File, r.Line = one.name, one.place.file, one.place.line
	}
	if fault, ok := errors.AsType[*ast.Error](err); ok && fault.Location != nil {
		r.File, r.Line = p.settings.shown(fault.Location.File), fault.Location.Row
	} else if fault, ok := errors.AsType[*topdown.Error](err); ok && fault.Location != nil {
		r.File, r.Line = p.settings.shown(fault.Location.File), fault.Location.Row
	}
	d.Reasons = append(d.Reasons, r)
}
