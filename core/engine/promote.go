package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/flow/tenure"
)

// PromoteRequest decides about the unit that a flow waits for.
type PromoteRequest struct {
	Flow   string // pipeline.flow
	What   ledger.Choice
	By     string
	Reason string
}

// Promotion is what became of the unit. Rows are those of the unit that were, or were to be, visible.
type Promotion struct {
	Flow      string                   `json:"flow"`
	Seq       int64                    `json:"seq"`
	Verdict   ledger.Verdict           `json:"verdict"`
	Rows      int64                    `json:"rows"`
	Decision  ledger.Decision          `json:"decision"`
	Datasets  map[string]ledger.Output `json:"datasets,omitempty"`
	HeldSince time.Time                `json:"held_since"`
}

// NotHeldError says that a flow does not wait for a decision.
type NotHeldError struct {
	Flow   string
	Before *ledger.HeldUnit // the last unit that was decided about, nil if there is none
	Runner string           // who runs the flow now, if anybody
}

// Error tells what there was to decide last.
func (e *NotHeldError) Error() string {
	text := fmt.Sprintf("flow %q holds no unit, so there is nothing to decide", e.Flow)
	if e.Before != nil {
		d := e.Before.Decision
		text += fmt.Sprintf("; unit %d was decided about (%s) by %s at %s", e.Before.Seq, d.What, d.By, d.At.Format(time.RFC3339))
	}
	if e.Runner != "" {
		text += "; it is being run by " + e.Runner
	}
	return text
}

// Unwrap makes it an ErrNotHeld.
func (*NotHeldError) Unwrap() error { return ledger.ErrNotHeld }

// UnknownFlowError says that no such flow has run.
type UnknownFlowError struct {
	Flow  string
	Known []string
}

// Error names the flows that have.
func (e *UnknownFlowError) Error() string {
	return fmt.Sprintf("no flow %q has run; there are %q", e.Flow, e.Known)
}

// Promote carries a decision about a held unit out. While another runner has the flow it waits, and says so by waiting.
func (p *Project) Promote(ctx context.Context, r PromoteRequest, waiting func(note string)) (Promotion, error) {
	if err := p.knows(ctx, r.Flow); err != nil {
		return Promotion{}, err
	}
	held, found, err := p.ledger.Held(ctx, r.Flow)
	if err != nil {
		return Promotion{}, err
	}
	if !found {
		return Promotion{}, p.notHeld(ctx, r.Flow)
	}
	settings, runtime, err := p.settingsFor(ctx, held)
	if err != nil {
		return Promotion{}, err
	}
	ctx, done := p.live(ctx)
	defer done()
	stop := tell(runtime.Progress, r.Flow, waiting)
	unit, err := flow.Promote(ctx, settings, runtime, held, ledger.Decision{What: r.What, By: r.By, Reason: r.Reason, At: time.Now()})
	stop()
	if errors.Is(err, ledger.ErrNotHeld) {
		return Promotion{}, p.notHeld(ctx, r.Flow)
	}
	if err != nil {
		return Promotion{}, err
	}
	return Promotion{
		Flow: r.Flow, Seq: unit.Seq, Verdict: unit.Verdict, Rows: held.Rows, Decision: *unit.Decision, Datasets: unit.Datasets, HeldSince: held.Since,
	}, nil
}

func (p *Project) notHeld(ctx context.Context, name string) error {
	e := &NotHeldError{Flow: name}
	before, found, err := p.ledger.HeldBefore(ctx, name)
	if err != nil {
		return err
	}
	if found {
		e.Before = &before
	}
	owner, _, err := p.ledger.Owner(ctx, name)
	if owner.Name != "" && tenure.Alive(owner) {
		e.Runner = owner.Name
	}
	if err != nil {
		return err
	}
	return e
}

// settingsFor are those that a decision needs: of a unit that lies in its log the whole flow, because it goes on into its sink.
func (p *Project) settingsFor(ctx context.Context, held ledger.HeldUnit) (*flow.Settings, *flow.Runtime, error) {
	if held.Place == ledger.OnBranch {
		return p.bare(held.Flow), p.runtime(progress.New(held.Flow)), nil
	}
	run, err := p.only(ctx, held.Flow)
	if err != nil {
		return nil, nil, err
	}
	return run.flows[0], run.runtime, nil
}

// bare are the settings of a flow whose plugins are not needed.
func (*Project) bare(name string) *flow.Settings {
	pipeline, last := splitFlow(name)
	return &flow.Settings{Name: name, Quarantine: quarantineOf(pipeline, last)}
}

// only readies one flow of its pipeline.
func (p *Project) only(ctx context.Context, name string) (*Run, error) {
	pipeline, _ := splitFlow(name)
	found, err := p.Pipeline(pipeline)
	if err != nil {
		return nil, err
	}
	run, _, err := p.Prepare(ctx, found)
	if err != nil {
		return nil, err
	}
	i := slices.Index(run.names, name)
	if i < 0 {
		return nil, fmt.Errorf("pipeline %q has no flow %q any more; it has %q", pipeline, name, run.names)
	}
	run.names, run.flows = run.names[i:i+1], run.flows[i:i+1]
	return run, nil
}

// splitFlow parts a flow's name from its pipeline's.
func splitFlow(name string) (pipeline, last string) {
	i := strings.LastIndex(name, ".")
	if i < 0 {
		return "", name
	}
	return name[:i], name[i+1:]
}

// knows refuses the name of a flow that has never run.
func (p *Project) knows(ctx context.Context, name string) error {
	flows, err := p.ledger.Flows(ctx)
	if err == nil && !slices.Contains(flows, name) {
		return &UnknownFlowError{Flow: name, Known: flows}
	}
	return err
}

// live ends when the process that runs the servers is gone, as well as when ctx does, or when done is called.
func (p *Project) live(ctx context.Context) (alive context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	lost, ended := p.Lost(), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-lost:
			cancel(ErrServersLost)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-ended
	}
}

// tell passes on what a flow says that it waits for, until the returned function is called.
func tell(p *progress.Progress, name string, say func(note string)) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(tellEvery)
		defer ticker.Stop()
		for last := ""; ; {
			select {
			case <-quit:
				return
			case <-ticker.C:
			}
			if note := p.Of(name).Note; note != last && note != "" {
				say(note)
				last = note
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

const tellEvery = 100 * time.Millisecond
