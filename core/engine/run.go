package engine

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/flow/surroundings"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/plan"
	"github.com/qanat-data/qanat/core/spec"
)

// Summary is what a run did.
type Summary struct {
	Pipeline string        `json:"pipeline"`
	Flows    []FlowSummary `json:"flows"`
	Seconds  float64       `json:"seconds"`
}

// FlowSummary is what a flow did, and how long it took from the start of the run.
type FlowSummary struct {
	progress.Status
	Seconds float64 `json:"seconds"`
}

// PlanError says that a pipeline can't run.
type PlanError struct {
	Plan     *plan.Plan
	Pipeline *spec.Pipeline
}

// Faults are the plan's faults at their places in the files.
func (e *PlanError) Faults() []spec.Fault {
	var faults []spec.Fault
	for _, f := range e.Plan.Faults {
		if inFiles, ok := errors.AsType[*FaultsError](f.Err); ok {
			faults = append(faults, inFiles.Faults...)
			continue
		}
		fault := e.Pipeline.Node.Fault(f.Path, "plan", "flow "+f.Flow+": "+f.Message)
		fault.Hint = f.Hint
		faults = append(faults, fault)
	}
	return faults
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
	progress *progress.Progress
	names    []string
	flows    []*flow.Settings
	runtime  *flow.Runtime
	pipeline string
	lost     <-chan struct{}
	redact   func(string) string
	upkeep   *attendant
}

// Prepare plans a pipeline and readies its flows. A pipeline with faults gives a *PlanError.
func (p *Project) Prepare(ctx context.Context, pipeline *spec.Pipeline) (*Run, *plan.Plan, error) {
	planned, err := p.Plan(ctx, pipeline)
	if err != nil {
		return nil, nil, err
	}
	if len(planned.Faults) > 0 {
		return nil, planned, &PlanError{Plan: planned, Pipeline: pipeline}
	}
	flows, err := p.flows(ctx, pipeline, planned)
	if err != nil {
		return nil, planned, err
	}
	run := &Run{flows: flows, pipeline: pipeline.Name, lost: p.Lost(), redact: p.Resolver.Redact}
	for _, f := range flows {
		run.names = append(run.names, f.Name)
	}
	run.progress = progress.New(run.names...)
	run.runtime = p.runtime(run.progress)
	run.upkeep = newAttendant(p.upkeeper(run.runtime.Owner), run.names, run.progress.Of)
	return run, planned, nil
}

func (p *Project) runtime(shared *progress.Progress) *flow.Runtime {
	return &flow.Runtime{
		Zones: p.Zones(), Broker: p.instance.Broker(), Ledger: p.ledger, Plugins: p.Plugins, Log: p.Log, Alloc: p.Alloc,
		Owner: tenure.NewOwner(), Progress: shared, Patience: p.resolved.Patience.Std(), StateAt: p.stateFile(), Scratch: filepath.Join(p.instance.Dir(), "merge"),
	}
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
	watcher.Go(func() { r.upkeep.attend(ctx, watch) })
	flows.Wait()
	close(watch)
	watcher.Wait()
	if !surroundings.Caused(worst(failures)) { // upkeep would wait for what the flows have just given up
		r.upkeep.finish(ctx, stopping)
	}
	summary := Summary{Pipeline: r.pipeline, Seconds: time.Since(started).Seconds()}
	for _, name := range r.names {
		status := r.Status(name)
		summary.Flows = append(summary.Flows, FlowSummary{Status: status, Seconds: status.Ended.Sub(status.Started).Seconds()})
	}
	return summary, worst(failures)
}

// worst leaves out the flows that only wait, for a decision or for a flow before them, if others failed.
func worst(failures []error) error {
	failed := slices.DeleteFunc(slices.Clone(failures), func(err error) bool {
		_, held := errors.AsType[*flow.HeldError](err)
		return err == nil || held || errors.Is(err, flow.ErrUpstream)
	})
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	return errors.Join(failures...)
}

// Status is how a flow is doing. What plugins say of it may quote their settings, so secrets are taken out.
func (r *Run) Status(name string) progress.Status {
	status := r.progress.Of(name)
	status.Note = r.redact(status.Note)
	return status
}

// Flows are the names of the run's flows, in the order of the plan.
func (r *Run) Flows() []string { return r.names }
