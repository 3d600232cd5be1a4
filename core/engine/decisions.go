package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/policy"
	"github.com/qanat-data/qanat/core/spec"
)

// decisionJournal is the name of the journal of decisions.
const decisionJournal = "decisions"

// Decided is a decision with what it was about. It holds no values of rows, and neither plain secrets nor what references lead to.
type Decided struct {
	What     string          `json:"what"`
	Input    policy.Input    `json:"input"`
	Decision policy.Decision `json:"decision"`
}

// record notes a decision. Without servers, as for validate, it is only logged.
func (p *Project) record(ctx context.Context, d Decided) error {
	p.Log.Debug("decided", "point", d.Decision.Point, "what", d.What, "allow", d.Decision.Allow, "id", d.Decision.ID, "input", d.Decision.InputHash,
		"policies", d.Decision.Policy.Digest, "took", d.Decision.Took)
	if p.decisions == nil {
		return nil
	}
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return p.decisions.Add(ctx, d.Decision.ID, text)
}

// tell says what policies say besides yes and no, where nobody else does.
func (p *Project) tell(what string, d policy.Decision) {
	for _, note := range notes(d) {
		p.Log.Warn(note, "about", what)
	}
}

// public is what policies are told of a pipeline: its document without plain secrets, and without what references lead to.
func (p *Project) public(pipeline *spec.Pipeline) any {
	return p.redacted(pipeline.Node.Public())
}

// redacted takes the values that references lead to out of texts.
func (p *Project) redacted(v any) any {
	switch v := v.(type) {
	case string:
		return p.Resolver.Redact(v)
	case []any:
		for i := range v {
			v[i] = p.redacted(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = p.redacted(v[key])
		}
	}
	return v
}

// openDecisions readies the journal of decisions, if there is somebody who decides.
func (p *Project) openDecisions(ctx context.Context) (err error) {
	if p.governor.policies != nil {
		p.decisions, err = p.instance.Broker().Journal(ctx, decisionJournal)
	}
	return err
}

// eachDecision visits what was decided since a time (zero: all that is kept), the oldest first, until visit returns false.
func (p *Project) eachDecision(ctx context.Context, since time.Time, visit func(Decided) bool) error {
	journal, err := p.instance.Broker().Journal(ctx, decisionJournal)
	if err != nil {
		return err
	}
	return journal.Read(ctx, since, func(e broker.Entry) bool {
		var d Decided
		decoder := json.NewDecoder(bytes.NewReader(e.Body))
		decoder.UseNumber()
		if err := decoder.Decode(&d); err != nil {
			p.Log.Warn("a decision can't be read", "id", e.ID, "time", e.Time, "error", err)
			return true
		}
		return visit(d)
	})
}

// Decisions lists what was decided since a time (zero: all that is kept), the oldest first.
func (p *Project) Decisions(ctx context.Context, since time.Time) ([]Decided, error) {
	var all []Decided
	err := p.eachDecision(ctx, since, func(d Decided) bool {
		all = append(all, d)
		return true
	})
	return all, err
}

// ErrNoDecision says that no decision has that id, or not any more.
var ErrNoDecision = errors.New("there is no such decision")

// Decision finds a decision by its id.
func (p *Project) Decision(ctx context.Context, id string) (Decided, error) {
	found := Decided{}
	err := p.eachDecision(ctx, time.Time{}, func(d Decided) bool {
		if d.Decision.ID == id {
			found = d
		}
		return found.What == ""
	})
	if err == nil && found.What == "" {
		err = fmt.Errorf("decision %q: %w", id, ErrNoDecision)
	}
	return found, err
}

// Reconsidered is a decision that would be another one by other policies.
type Reconsidered struct {
	Decided
	Now policy.Decision `json:"now"`
}

// Reconsider decides again what was decided since a time, by other policies or, if none are given, by those of today. It returns how many
// decisions that were, and those that would come out differently.
func (p *Project) Reconsider(ctx context.Context, since time.Time, by *policy.Policies) (total int, changed []Reconsidered, err error) {
	if by == nil {
		by = p.governor.policies
	}
	if by == nil {
		return 0, nil, errors.New("the project has no policies to decide by")
	}
	err = p.eachDecision(ctx, since, func(d Decided) bool {
		total++
		if now := by.Decide(ctx, d.Input); !alike(d.Decision, now) {
			changed = append(changed, Reconsidered{Decided: d, Now: now})
		}
		return ctx.Err() == nil
	})
	return total, changed, errors.Join(err, ctx.Err())
}

// alike says whether two decisions have the same effects, for the same reasons.
func alike(a, b policy.Decision) bool {
	denied := func(d policy.Decision) []string {
		ids := map[string]bool{}
		for _, r := range d.Denied() {
			ids[r.ID] = true
		}
		return slices.Sorted(maps.Keys(ids))
	}
	return a.Allow == b.Allow && slices.Equal(denied(a), denied(b)) && slices.Equal(a.Drop, b.Drop) &&
		maps.EqualFunc(a.Masks, b.Masks, func(x, y policy.Mask) bool { return x.Method == y.Method && sameArgs(x.Args, y.Args) }) &&
		slices.EqualFunc(a.Obligations, b.Obligations, func(x, y policy.Obligation) bool { return x.ID == y.ID && sameArgs(x.Args, y.Args) })
}

func sameArgs(a, b map[string]any) bool { return len(a)+len(b) == 0 || reflect.DeepEqual(a, b) }
