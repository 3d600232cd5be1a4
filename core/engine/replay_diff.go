package engine

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/query"
	"github.com/qanat-data/qanat/core/zone"
)

// ReplayDifference is what a replay would change.
type ReplayDifference struct {
	Units      []ledger.Span       `json:"units"`
	Datasets   []DatasetDifference `json:"datasets"`
	Quarantine []CodeDelta         `json:"quarantine,omitempty"`
}

// DatasetDifference is what would change in one dataset.
type DatasetDifference struct {
	Dataset string `json:"dataset"`
	query.Difference
}

// CodeDelta is how many rows are in quarantine for a reason, and how many would be.
type CodeDelta struct {
	Code string `json:"code"`
	ledger.Delta
}

// compare holds what was built against the rows that it was built for.
func (r *Replay) compare(ctx context.Context, built *flow.Replay) (*ReplayDifference, error) {
	found := &ReplayDifference{Units: built.Replaced(), Datasets: []DatasetDifference{}}
	own, err := r.runtime.Ledger.DatasetsOf(ctx, r.request.Flow)
	if err != nil {
		return nil, err
	}
	besides, err := r.runtime.Ledger.DatasetsOf(ctx, built.Shadow.Flow)
	if err != nil {
		return nil, err
	}
	names := map[zone.Name]bool{}
	for _, text := range slices.Concat(own, besides) {
		name, err := zone.ParseName(text)
		if err != nil {
			return nil, err
		}
		names[flow.Behind(name)] = true
	}
	queries := r.project.queries()
	for _, name := range slices.SortedFunc(maps.Keys(names), func(a, b zone.Name) int { return strings.Compare(a.String(), b.String()) }) {
		before := query.Side{Dataset: name}
		if !r.Plan.Pinned {
			before.Flow, before.Units = r.request.Flow, found.Units
		}
		after := query.Side{Dataset: flow.Beside(name, ledger.ForDiff)}
		if name == r.settings.Quarantine {
			found.Quarantine, err = codes(ctx, queries, before, after)
		} else {
			var d query.Difference
			d, err = queries.Compare(ctx, query.Comparison{Before: before, After: after, Key: r.key(), Samples: r.request.Samples})
			found.Datasets = append(found.Datasets, DatasetDifference{Dataset: name.String(), Difference: d})
		}
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// key is the one that was asked for, or the one that the flow writes by.
func (r *Replay) key() []string {
	if len(r.request.Key) > 0 {
		return r.request.Key
	}
	pipeline, name := splitFlow(r.request.Flow)
	found, err := r.project.Pipeline(pipeline)
	if err != nil {
		return nil
	}
	for _, f := range found.Flows {
		if f.Name == name {
			return f.Write.Key
		}
	}
	return nil
}

func codes(ctx context.Context, queries *query.Engine, before, after query.Side) ([]CodeDelta, error) {
	was, err := queries.CountBy(ctx, before, "code")
	if err != nil {
		return nil, err
	}
	will, err := queries.CountBy(ctx, after, "code")
	if err != nil {
		return nil, err
	}
	all := maps.Clone(was)
	maps.Copy(all, will)
	var deltas []CodeDelta
	for _, code := range slices.Sorted(maps.Keys(all)) {
		deltas = append(deltas, CodeDelta{Code: code, Delta: ledger.Delta{Before: was[code], After: will[code]}})
	}
	return deltas, nil
}
