package main

import (
	"context"
	"math/rand/v2"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk"
)

// check finds ids that came before in the unit.
type check struct {
	base
	seen    map[int64]bool
	batches int
}

func newCheck(_ context.Context, c Config, env sdk.Env) (*check, error) {
	b, err := newBase(c, env)
	return &check{base: b, seen: map[int64]bool{}}, err
}

// Plan implements sdk.Check.
func (*check) Plan(context.Context, sdk.SchemaChange) error { return nil }

// Rows implements sdk.Check.
func (k *check) Rows(_ context.Context, b sdk.Batch) ([]sdk.Finding, error) {
	defer b.Record.Release()
	k.batches++
	ids := b.Record.Column(b.Record.Schema().FieldIndices("id")[0]).(*array.Int64)
	var findings []sdk.Finding
	for i := range ids.Len() {
		if k.seen[ids.Value(i)] {
			findings = append(findings, sdk.Finding{Row: i, Column: "id", Code: "unique", Reason: "it came before"})
		}
		k.seen[ids.Value(i)] = true
	}
	switch {
	case k.is("check_out_of_range"):
		findings = append(findings, sdk.Finding{Row: ids.Len(), Code: "unique", Reason: "behind the end"})
	case k.is("check_random") && ids.Len() > 0:
		findings = append(findings, sdk.Finding{Row: rand.IntN(ids.Len()), Code: "odd", Reason: "by chance"})
	}
	return findings, nil
}

// Result implements sdk.Check.
func (k *check) Result(context.Context) (sdk.CheckResult, error) {
	result := sdk.CheckResult{Verdict: sdk.Pass, Metrics: map[string]float64{"ids": float64(len(k.seen))}}
	if k.is("check_batches") {
		result.Metrics["batches"] = float64(k.batches)
	}
	if !k.is("check_state") {
		clear(k.seen)
	}
	k.batches = 0
	return result, nil
}
