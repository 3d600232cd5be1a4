package quarantine

import (
	"cmp"
	"slices"
	"sort"

	"github.com/qanat-data/qanat/core/flow/ledger"
)

// Outcomes know what became of a flow's quarantined rows.
type Outcomes map[RowID][]ledger.Settled // by unit: the N of these ids is 0

// OutcomesOf knows what is given, in which no row is twice.
func OutcomesOf(settled []ledger.Settled) Outcomes {
	all := Outcomes{}
	for _, s := range settled {
		unit := RowID{Unit: s.Unit, Late: s.Late}
		all[unit] = append(all[unit], s)
	}
	for _, ranges := range all {
		slices.SortFunc(ranges, func(a, b ledger.Settled) int { return cmp.Compare(a.First, b.First) })
	}
	return all
}

// Of is the outcome of a row; empty if it has none.
func (o Outcomes) Of(id RowID) ledger.Outcome {
	ranges := o[RowID{Unit: id.Unit, Late: id.Late}]
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].Last >= id.N })
	if i < len(ranges) && ranges[i].First <= id.N {
		return ranges[i].Outcome
	}
	return ""
}
