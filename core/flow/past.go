package flow

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/sdk"
)

// pastUnit is a unit of the ledger with what it read.
type pastUnit struct {
	ledger.Unit
	// inputs are none for a unit that read nothing: one that released quarantined rows, a replay, a held unit that was voided.
	inputs []ledger.Input
	// known is false if the ledger does not have the positions any more that would tell.
	known bool
}

// redone says whether a replay makes the unit again. What people dropped stays dropped.
func (u *pastUnit) redone() bool {
	return len(u.inputs) > 0 && u.Verdict != ledger.Dropped && u.Verdict != ledger.Held
}

// past visits a flow's units after a seq in their order, until each says that it needs no more.
func past(ctx context.Context, book *ledger.Ledger, flow string, after int64, each func(pastUnit) (more bool, err error)) error {
	at, known := map[string]map[string]int64{}, true
	from := max(0, after-1) // the position of unit after is where the next one began
	for {
		const page = 256
		units, err := book.Units(ctx, flow, from, page)
		if err != nil || len(units) == 0 {
			return err
		}
		for _, u := range units {
			from = u.Seq
			next, own, err := positionOf(u)
			if err != nil {
				return err
			}
			one := pastUnit{Unit: u, known: own && known}
			if u.Verdict != ledger.Void {
				one.inputs = between(at, next)
			}
			at, known = next, own
			if u.Seq <= after {
				continue
			}
			if more, err := each(one); err != nil || !more {
				return err
			}
		}
	}
}

// positionOf is where a unit over datasets ended; false if the ledger has dropped it.
func positionOf(u ledger.Unit) (map[string]map[string]int64, bool, error) {
	if len(u.Position) == 0 {
		return map[string]map[string]int64{}, false, nil
	}
	at, err := parseDatasetPosition(u.Position)
	if err != nil {
		return nil, false, sdk.Fatal(fmt.Errorf("unit %d of flow %q: the position in the ledger is not a dataset reader's: %w", u.Seq, u.Flow, err))
	}
	return at.Datasets, true, nil
}

// between is what lies between two positions.
func between(from, to map[string]map[string]int64) []ledger.Input {
	var inputs []ledger.Input
	for dataset, flows := range to {
		for flow, seq := range flows {
			if before := from[dataset][flow]; seq > before {
				inputs = append(inputs, ledger.Input{Dataset: dataset, Flow: flow, Span: ledger.Span{First: before + 1, Last: seq}})
			}
		}
	}
	slices.SortFunc(inputs, compareInputs)
	return inputs
}

func compareInputs(a, b ledger.Input) int {
	return cmp.Or(cmp.Compare(a.Dataset, b.Dataset), cmp.Compare(a.Flow, b.Flow), cmp.Compare(a.First, b.First))
}

// merged puts runs of the same flow in the same dataset together where one follows another.
func merged(inputs []ledger.Input) []ledger.Input {
	inputs = slices.Clone(inputs)
	slices.SortFunc(inputs, compareInputs)
	var out []ledger.Input
	for _, in := range inputs {
		if n := len(out); n > 0 && out[n-1].Dataset == in.Dataset && out[n-1].Flow == in.Flow && in.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, in.Last)
			continue
		}
		out = append(out, in)
	}
	return out
}

// touch says whether two lists of inputs have a unit in common.
func touch(a, b []ledger.Input) bool {
	return slices.ContainsFunc(a, func(x ledger.Input) bool {
		return slices.ContainsFunc(b, func(y ledger.Input) bool {
			return x.Dataset == y.Dataset && x.Flow == y.Flow && x.First <= y.Last && y.First <= x.Last
		})
	})
}
