package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/core/zone"
)

// Downstream is a flow that reads, directly or further down, what a replay replaces.
type Downstream struct {
	Flow string `json:"flow"`
	// Becomes says what happens to it.
	Becomes Becomes       `json:"becomes"`
	Reads   []string      `json:"reads"`
	Unit    int64         `json:"unit,omitempty"`  // that swapped, if it was replayed
	Units   []ledger.Span `json:"units,omitempty"` // that were made again
}

// Becomes is what a replay means for a flow behind it.
type Becomes string

// What may become of it.
const (
	RunsAgain   Becomes = "runs_again"   // it reads everything, and does so at its next run
	IsStale     Becomes = "stale"        // it has read the old rows; replay it
	NotReplayed Becomes = "not_replayed" // it has written the old rows to a sink, where they stay
	Replays     Becomes = "replays"      // it is replayed behind this one
	Replayed    Becomes = "replayed"
	Unaffected  Becomes = "unaffected" // it has not read any of the rows
)

// downstream is a flow behind another, by today's files.
type downstream struct {
	name   string
	reads  []zone.Name
	writes []string
	pinned bool
	keyed  bool // it replaces rows by key, and can be replayed only as a whole
	sink   bool
}

// stale says whether the flow keeps what it has made of rows that are replaced.
func (d *downstream) stale() bool { return !d.pinned }

func (d *downstream) report(replay bool) Downstream {
	r := Downstream{Flow: d.name, Becomes: IsStale}
	for _, name := range d.reads {
		r.Reads = append(r.Reads, name.String())
	}
	switch {
	case d.pinned:
		r.Becomes = RunsAgain
	case d.sink:
		r.Becomes = NotReplayed
	case replay && !d.keyed:
		r.Becomes = Replays
	}
	return r
}

// downstream finds the flows of all pipelines that read what a flow writes, and what those write that keep what they have read, in
// an order in which each comes behind those that it reads from.
func (p *Project) downstream(ctx context.Context, name string) ([]downstream, error) {
	all, err := p.readers(ctx)
	if err != nil {
		return nil, err
	}
	var found []downstream
	visited := map[string]bool{name: true}
	var visit func(writer string) error
	visit = func(writer string) error {
		written, err := p.ledger.DatasetsOf(ctx, writer)
		if err != nil {
			return err
		}
		for _, d := range all {
			reads := func(n zone.Name) bool { return n.Zone != zone.Quarantine && slices.Contains(written, n.String()) }
			if visited[d.name] || !slices.ContainsFunc(d.reads, reads) {
				continue
			}
			visited[d.name] = true
			if err := visit(d.name); err != nil {
				return err
			}
			found = append(found, d)
		}
		return nil
	}
	if err := visit(name); err != nil {
		return nil, err
	}
	slices.Reverse(found)
	return found, nil
}

// readers are the flows of all pipelines over datasets that exist.
func (p *Project) readers(ctx context.Context) ([]downstream, error) {
	names, err := p.Zones().List(ctx)
	if err != nil {
		return nil, err
	}
	hidden, err := p.hidden(ctx)
	if err != nil {
		return nil, err
	}
	var all []downstream
	for _, pipeline := range p.Bundle.Pipelines {
		for i := range pipeline.Flows {
			f := &pipeline.Flows[i]
			d := downstream{
				name: pipeline.Name + "." + f.Name, pinned: f.Write.Mode == "overwrite", sink: f.Sink != nil,
				keyed: f.Sink == nil && (f.Write.Mode == "upsert" || f.Write.Mode == "history"),
			}
			for _, n := range names {
				if !hidden[n.String()] && slices.ContainsFunc(f.From, func(from string) bool { return covers(from, n) }) {
					d.reads = append(d.reads, n)
				}
			}
			if d.writes, err = p.ledger.DatasetsOf(ctx, d.name); err != nil {
				return nil, err
			}
			all = append(all, d)
		}
	}
	return all, nil
}

func covers(from string, n zone.Name) bool {
	pattern, err := spec.ParsePattern(from)
	return err == nil && pattern.Matches(spec.Dataset{Zone: n.Zone, Namespace: n.Namespace, Name: n.Dataset})
}

// follow replays the flows behind a swapped one, as far as they have read what was replaced, or says what becomes of them.
func (r *Replay) follow(ctx context.Context, stopping <-chan struct{}, unit ledger.Unit, summary *ReplaySummary) error {
	f := &following{replay: r, replaced: map[string][]ledger.Span{r.request.Flow: unit.Replay.Units}, stale: map[string]bool{}}
	for i := range r.readers {
		d := &r.readers[i]
		report := d.report(r.request.Downstream)
		switch {
		case d.keyed:
			for _, dataset := range d.writes {
				f.stale[dataset] = true
			}
		case !d.pinned:
			if err := f.one(ctx, stopping, d, &report); err != nil {
				return fmt.Errorf("flow %q behind it is stale until it is replayed: %w", d.name, err)
			}
		}
		summary.Downstream = append(summary.Downstream, report)
	}
	return nil
}

// following is a walk over the flows behind a replay.
type following struct {
	replay   *Replay
	replaced map[string][]ledger.Span // by flow
	stale    map[string]bool          // datasets that a stale flow writes
}

func (f *following) one(ctx context.Context, stopping <-chan struct{}, d *downstream, report *Downstream) error {
	r := f.replay
	inputs, err := f.inputs(ctx, d)
	if err != nil {
		return err
	}
	want := flow.ReplayRange{Inputs: inputs}
	hit := slices.ContainsFunc(d.reads, func(n zone.Name) bool { return f.stale[n.String()] })
	if !hit && len(inputs) > 0 {
		_, err := flow.PlanReplay(ctx, &flow.Settings{Name: d.name, Datasets: &flow.DatasetSettings{Names: d.reads}}, r.runtime, want)
		if hit = err == nil; err != nil && !errors.Is(err, flow.ErrNothingToReplay) {
			return err
		}
	}
	if !hit {
		report.Becomes = Unaffected
		return nil
	}
	if report.Becomes != Replays {
		for _, name := range d.writes {
			f.stale[name] = true
		}
		return nil
	}
	q := r.flowRequest()
	if q.Flow, _, err = r.project.replaySettings(ctx, ReplayRequest{Flow: d.name}); err != nil {
		return err
	}
	done, err := flow.ReplayLive(ctx, r.runtime, q, want, stopping)
	if err != nil {
		return err
	}
	report.Becomes, report.Unit, report.Units = Replayed, done.Seq, done.Replay.Units
	f.replaced[d.name] = done.Replay.Units
	return nil
}

// inputs are the replaced units in what a flow reads.
func (f *following) inputs(ctx context.Context, d *downstream) ([]ledger.Input, error) {
	var inputs []ledger.Input
	for _, name := range d.reads {
		writers, err := f.replay.runtime.Ledger.Writers(ctx, name.String())
		if err != nil {
			return nil, err
		}
		for _, w := range writers {
			for _, span := range f.replaced[w.Flow] {
				inputs = append(inputs, ledger.Input{Dataset: name.String(), Flow: w.Flow, Span: span})
			}
		}
	}
	return inputs, nil
}

// staleNote says by what a flow is stale.
func staleNote(stale []ledger.Stale) string {
	var parts []string
	for _, s := range stale {
		parts = append(parts, fmt.Sprintf("units %d to %d of %s in %s", s.Input.First, s.Input.Last, s.Input.Flow, s.Input.Dataset))
	}
	return "stale: it has read " + strings.Join(parts, ", ") + ", which were replayed since"
}
