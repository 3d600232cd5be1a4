package engine

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/plan"
	"github.com/qanat-data/qanat/core/policy"
	"github.com/qanat-data/qanat/core/query"
	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/core/zone"
)

// ReplayRequest says what to make again, and what for: to swap it in, unless Into or Diff say otherwise.
type ReplayRequest struct {
	Flow       string // pipeline.flow
	Range      flow.ReplayRange
	Into       string // a dataset that does not exist yet, or that an earlier replay of the flow has made
	Diff       bool
	Key        []string // of the rows that Diff compares; empty takes the key that the flow writes by
	Samples    int      // of what Diff finds
	Downstream bool     // replay the flows behind it, too
	By         string
}

// ReplayPlan is what a replay will do.
type ReplayPlan struct {
	flow.ReplayPlan
	Mode       ReplayMode   `json:"mode"`
	Into       string       `json:"into,omitempty"`
	Downstream []Downstream `json:"downstream,omitempty"`
	Warnings   []string     `json:"warnings,omitempty"`
}

// ReplayMode is what becomes of what was made again.
type ReplayMode string

// The modes.
const (
	ReplaySwap    ReplayMode = "swap"    // it takes the place of the rows that it was made for
	ReplayRebuild ReplayMode = "rebuild" // the target is written as a whole, by one more unit
	ReplayInto    ReplayMode = "into"    // it stays in a dataset of its own
	ReplayDiff    ReplayMode = "diff"    // it is compared with the target, and dropped
)

// Replay is a planned replay.
type Replay struct {
	Plan ReplayPlan

	project  *Project
	request  ReplayRequest
	settings *flow.Settings
	runtime  *flow.Runtime
	readers  []downstream
}

// ReplaySummary is what a replay did.
type ReplaySummary struct {
	Flow       string                  `json:"flow"`
	Mode       ReplayMode              `json:"mode"`
	Unit       int64                   `json:"unit,omitempty"` // of the flow, that swapped or rebuilt
	Units      []ledger.Span           `json:"units,omitempty"`
	Rows       map[string]ledger.Delta `json:"rows,omitempty"` // by dataset
	Before     []ledger.Stage          `json:"before,omitempty"`
	After      []ledger.Stage          `json:"after,omitempty"`
	Resumed    bool                    `json:"resumed,omitempty"`
	Into       []DatasetReport         `json:"into,omitempty"`
	Diff       *ReplayDifference       `json:"diff,omitempty"`
	Downstream []Downstream            `json:"downstream,omitempty"`
	Seconds    float64                 `json:"seconds"`
}

// PlanReplay works out what a replay will do. Neither the source is asked nor anything changed.
func (p *Project) PlanReplay(ctx context.Context, request ReplayRequest) (*Replay, error) {
	if request.Into != "" {
		if err := allowedInto(request.Into); err != nil {
			return nil, err
		}
	}
	settings, planned, err := p.replaySettings(ctx, request)
	if err != nil {
		return nil, err
	}
	r := &Replay{project: p, request: request, settings: settings}
	r.Plan = ReplayPlan{Mode: r.mode(), Into: request.Into, Warnings: planned.Warnings}
	r.runtime = p.runtime(progress.New())
	of := *settings
	found, err := flow.PlanReplay(ctx, &of, r.runtime, request.Range)
	if err != nil {
		return nil, err
	}
	r.Plan.ReplayPlan = *found
	if err := r.check(ctx); err != nil {
		return nil, err
	}
	if r.readers, err = p.downstream(ctx, request.Flow); err != nil {
		return nil, err
	}
	if r.Plan.Mode == ReplaySwap || r.Plan.Mode == ReplayRebuild {
		for _, d := range r.readers {
			report := d.report(request.Downstream)
			if settings.Target.Mode == zone.Upsert { // they are told that all was removed, and what there is now
				report.Becomes = RunsAgain
			}
			r.Plan.Downstream = append(r.Plan.Downstream, report)
		}
	}
	return r, nil
}

func (r *Replay) mode() ReplayMode {
	switch {
	case r.request.Into != "":
		return ReplayInto
	case r.request.Diff:
		return ReplayDiff
	case r.settings.Datasets != nil && r.settings.Datasets.Pinned:
		return ReplayRebuild
	}
	return ReplaySwap
}

// check refuses what can't be done with the flow.
func (r *Replay) check(ctx context.Context) error {
	name, ranged := r.request.Flow, r.Plan.Pinned && len(r.Plan.Inputs) > 0
	switch {
	case r.settings.Target.Sink != nil && r.Plan.Mode != ReplayInto:
		return fmt.Errorf("flow %q writes to a sink, where rows can't be taken back: replay it into a dataset, with --into", name)
	case r.settings.Target.Mode == zone.Upsert && r.Plan.Mode != ReplayRebuild:
		return fmt.Errorf("flow %q replaces rows by key: it can be replayed as a whole and in place, not compared or into another dataset", name)
	case ranged && r.Plan.Mode != ReplayInto:
		return fmt.Errorf("flow %q writes its target as a whole, and a part of its input makes no whole: leave the range out, "+
			"or replay it into a dataset of its own, with --into", name)
	case r.Plan.Mode != ReplaySwap && r.Plan.Mode != ReplayRebuild:
		return nil
	}
	held, found, err := r.project.ledger.Held(ctx, name)
	if err == nil && found {
		err = fmt.Errorf("flow %q: unit %d is held: decide about it first, with qanat promote %s", name, held.Seq, name)
	}
	return err
}

// allowedInto refuses datasets that a replay must not write: landing is raw, quarantine has its own writers.
func allowedInto(text string) error {
	d, err := spec.Target(text, "name", "x")
	if err != nil {
		return err
	}
	if d.Zone == spec.Landing || d.Zone == spec.Quarantine {
		return fmt.Errorf("dataset %q: a replay goes into processing, curated or serving", text)
	}
	if flow.IsBeside(zoneName(d)) {
		return fmt.Errorf("dataset %q: names that end so are for replays that are swapped or compared", text)
	}
	return nil
}

// replaySettings plans the one flow by today's files, without the source and without what else the pipeline holds.
func (p *Project) replaySettings(ctx context.Context, request ReplayRequest) (*flow.Settings, *plan.Plan, error) {
	pipelineName, name := splitFlow(request.Flow)
	found, err := p.Pipeline(pipelineName)
	if err != nil {
		return nil, nil, err
	}
	if name == plan.LandingFlow && found.Source != nil {
		return nil, nil, fmt.Errorf("flow %q reads from the source: landing is raw, and only the source could fill it again; "+
			"replay the flows behind it", request.Flow)
	}
	i := slices.IndexFunc(found.Flows, func(f spec.Flow) bool { return f.Name == name })
	if i < 0 {
		var known []string
		for _, f := range found.Flows {
			known = append(known, pipelineName+"."+f.Name)
		}
		return nil, nil, fmt.Errorf("pipeline %q has no flow %q; there are %q", pipelineName, name, known)
	}
	only, one := *found, found.Flows[i]
	if request.Into != "" {
		one.To, one.Sink = request.Into, nil
	}
	only.Source, only.Landing, only.Flows = nil, nil, []spec.Flow{one}
	planned, err := p.planFor(ctx, &only, policy.ActionReplay, p.publicReplay(found, i, request.Into))
	if err != nil {
		return nil, nil, err
	}
	if len(planned.Faults) > 0 {
		return nil, nil, &PlanError{Plan: planned, Pipeline: &only}
	}
	settings, err := p.flow(ctx, &only, &one, planned.Flows[0])
	if err == nil && settings.Target.Mode == zone.Upsert { // what rows replaced is known only from all of the input
		settings.Datasets.Pinned, settings.Target.Anew, settings.Commit = true, true, flow.Thresholds{}
	}
	return settings, planned, err
}

// publicReplay is what policies are told of a replay: the pipeline with the one flow that runs, and where that writes.
func (p *Project) publicReplay(pipeline *spec.Pipeline, flow int, into string) any {
	told, isMap := p.public(pipeline).(map[string]any)
	if !isMap {
		return nil
	}
	delete(told, "source")
	delete(told, "landing")
	flows, _ := told["flows"].([]any)
	if flow >= len(flows) {
		return nil
	}
	told["flows"] = flows[flow : flow+1]
	if one, isMap := flows[flow].(map[string]any); isMap && into != "" {
		one["to"] = into
		delete(one, "sink")
	}
	return told
}

// Flows are those that the replay has run by now, in order.
func (r *Replay) Flows() []string { return r.runtime.Progress.Flows() }

// Status is how one of them is doing.
func (r *Replay) Status(name string) progress.Status {
	status := r.runtime.Progress.Of(name)
	status.Note = r.project.Resolver.Redact(status.Note)
	return status
}

// Go replays. Closing stopping lets it come to an early end, from which the same command goes on.
func (r *Replay) Go(ctx context.Context, stopping <-chan struct{}) (ReplaySummary, error) {
	started := time.Now()
	ctx, done := r.project.live(ctx)
	defer done()
	summary := ReplaySummary{Flow: r.request.Flow, Mode: r.Plan.Mode}
	var err error
	switch r.Plan.Mode {
	case ReplaySwap:
		err = r.swap(ctx, stopping, &summary)
	case ReplayRebuild:
		err = r.rebuild(ctx, stopping, &summary)
	case ReplayInto:
		err = r.into(ctx, stopping, &summary)
	case ReplayDiff:
		err = r.diff(ctx, stopping, &summary)
	}
	summary.Seconds = time.Since(started).Seconds()
	return summary, err
}

func (r *Replay) flowRequest() flow.ReplayRequest {
	q := flow.ReplayRequest{Flow: r.settings, By: r.request.By}
	for _, d := range r.readers {
		if d.stale() && !d.sink { // what a sink has can't be replaced, so there is nothing to wait for
			q.Readers = append(q.Readers, flow.DatasetReader{Flow: d.name, Datasets: d.reads})
		}
	}
	return q
}

func (r *Replay) swap(ctx context.Context, stopping <-chan struct{}, summary *ReplaySummary) error {
	unit, err := flow.ReplayLive(ctx, r.runtime, r.flowRequest(), r.request.Range, stopping)
	if err != nil {
		return err
	}
	summary.Unit, summary.Units, summary.Rows = unit.Seq, unit.Replay.Units, unit.Replay.Rows
	summary.Before, summary.After = unit.Replay.Before, unit.Replay.After
	return r.follow(ctx, stopping, unit, summary)
}

// rebuild runs a flow that writes its target as a whole once more: that is a swap by itself.
func (r *Replay) rebuild(ctx context.Context, stopping <-chan struct{}, summary *ReplaySummary) error {
	before, _, err := r.runtime.Ledger.Last(ctx, r.request.Flow)
	if err != nil {
		return err
	}
	again, datasets := *r.settings, *r.settings.Datasets
	datasets.Upstream, datasets.Again = nil, true
	again.Datasets = &datasets
	if err := flow.Run(ctx, &again, r.runtime, stopping); err != nil {
		return err
	}
	after, _, err := r.runtime.Ledger.Last(ctx, r.request.Flow)
	if err != nil {
		return err
	}
	if after.Seq == before.Seq {
		return flow.ErrStopped
	}
	summary.Unit, summary.Before, summary.After, summary.Rows = after.Seq, before.Stages, after.Stages, map[string]ledger.Delta{}
	for dataset, out := range after.Datasets {
		summary.Rows[dataset] = ledger.Delta{Before: before.Datasets[dataset].Rows, After: out.Rows}
	}
	summary.Downstream = r.Plan.Downstream
	return nil
}

// beside builds what is asked for beside the target, and hands it to do.
func (r *Replay) beside(ctx context.Context, purpose ledger.Purpose, stopping <-chan struct{}, do func(context.Context, *flow.Replay) error) error {
	q := r.flowRequest()
	q.Purpose = purpose
	if purpose == ledger.ForInto {
		q.Into = flow.Into{Name: r.request.Into, Dataset: datasetOf(r.request.Into, "name")}
	}
	return flow.Replaying(ctx, r.request.Flow, r.runtime, stopping, func(ctx context.Context) error {
		found, err := flow.PlanReplay(ctx, r.settings, r.runtime, r.request.Range)
		if err != nil {
			return err
		}
		q.Plan = found
		built, err := flow.OpenReplay(ctx, r.runtime, q)
		if err != nil {
			return err
		}
		if err := built.Build(ctx, stopping); err != nil {
			return err
		}
		return do(ctx, built)
	})
}

func (r *Replay) into(ctx context.Context, stopping <-chan struct{}, summary *ReplaySummary) error {
	return r.beside(ctx, ledger.ForInto, stopping, func(ctx context.Context, built *flow.Replay) error {
		if err := built.Finish(ctx); err != nil {
			return err
		}
		summary.Resumed = built.Resumed
		datasets, err := r.runtime.Ledger.DatasetsOf(ctx, built.Shadow.Flow)
		if err != nil {
			return err
		}
		for _, text := range datasets {
			name, err := zone.ParseName(text)
			if err != nil {
				return err
			}
			report, err := r.project.datasetReport(ctx, name)
			if err != nil {
				return err
			}
			summary.Into = append(summary.Into, report)
		}
		summary.Units = r.Plan.Again
		summary.After, err = r.runtime.Ledger.Totals(ctx, built.Shadow.Flow)
		return err
	})
}

func (r *Replay) diff(ctx context.Context, stopping <-chan struct{}, summary *ReplaySummary) error {
	return r.beside(ctx, ledger.ForDiff, stopping, func(ctx context.Context, built *flow.Replay) error {
		found, err := r.compare(ctx, built)
		if err != nil {
			return err
		}
		summary.Diff, summary.Units = found, found.Units
		return built.Drop(ctx)
	})
}

// queries readies a DuckDB of this project's.
func (p *Project) queries() *query.Engine {
	return query.New(query.Settings{
		Zones: p.Zones(), Ledger: p.ledger, CacheDir: filepath.Join(p.Bundle.Dir, StateDir, "cache"),
		TempDir: filepath.Join(p.Bundle.Dir, StateDir, "tmp"),
	})
}
