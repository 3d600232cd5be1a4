package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/plan"
	"github.com/qanat-data/qanat/core/spec"
)

// Summary is what a run did.
type Summary struct {
	Pipeline string        `json:"pipeline"`
	Flows    []flow.Status `json:"flows"`
	Seconds  float64       `json:"seconds"`
}

// PlanError says that a pipeline can't run.
type PlanError struct {
	Plan *plan.Plan
}

// Error joins the faults.
func (e *PlanError) Error() string {
	var all []error
	for _, f := range e.Plan.Faults {
		all = append(all, errors.New("flow "+f.Flow+": "+f.Message))
	}
	return errors.Join(all...).Error()
}

// Run is a pipeline that is being run.
type Run struct {
	Progress *flow.Progress
	names    []string
	flows    []*flow.Settings
	runtime  *flow.Runtime
	pipeline string
	lost     <-chan struct{}
}

// Prepare plans a pipeline and readies its flows. A pipeline with faults gives a *PlanError.
func (p *Project) Prepare(ctx context.Context, pipeline *spec.Pipeline) (*Run, *plan.Plan, error) {
	planned, err := p.Plan(ctx, pipeline)
	if err != nil {
		return nil, nil, err
	}
	if len(planned.Faults) > 0 {
		return nil, planned, &PlanError{Plan: planned}
	}
	flows, err := p.flows(ctx, pipeline, planned)
	if err != nil {
		return nil, planned, err
	}
	run := &Run{flows: flows, pipeline: pipeline.Name, lost: p.Lost()}
	for _, f := range flows {
		run.names = append(run.names, f.Name)
	}
	run.Progress = flow.NewProgress(run.names...)
	run.runtime = &flow.Runtime{
		Zones: p.Zones(), Broker: p.instance.Broker(), Ledger: p.ledger, Plugins: p.Plugins, Log: p.Log, Alloc: p.Alloc,
		Owner: flow.NewOwner(), Progress: run.Progress,
	}
	return run, planned, nil
}

// ErrServersLost says that the process that runs the project's servers is gone.
var ErrServersLost = errors.New("the qanat process that ran this project's servers is gone; start the command again")

// Go runs all flows side by side until each has ended, and returns the errors of those that failed. Closing stopping lets every
// source come to an end; what has been read by then is committed.
func (r *Run) Go(ctx context.Context, stopping <-chan struct{}) (Summary, error) {
	started := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	failures := make([]error, len(r.flows))
	var flows sync.WaitGroup
	for i, f := range r.flows {
		flows.Go(func() { failures[i] = flow.Run(ctx, f, r.runtime, stopping) })
	}
	watch := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-r.lost:
			cancel(ErrServersLost)
		case <-watch:
		}
	})
	flows.Wait()
	close(watch)
	watcher.Wait()
	summary := Summary{Pipeline: r.pipeline, Seconds: time.Since(started).Seconds()}
	for _, name := range r.names {
		summary.Flows = append(summary.Flows, r.Progress.Of(name))
	}
	return summary, errors.Join(failures...)
}

// Flows are the names of the run's flows, in the order of the plan.
func (r *Run) Flows() []string { return r.names }
