package quarantine

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/qanat-data/qanat/core/flow/ledger"
)

// Count sums up rows that one stage of a flow rejected for one reason.
type Count struct {
	Flow     string    `json:"flow"`
	Stage    string    `json:"stage"`
	Step     string    `json:"step,omitempty"`
	Plugin   string    `json:"plugin,omitempty"`
	Code     string    `json:"code"`
	Rows     int64     `json:"rows"`
	Open     int64     `json:"open"`
	Released int64     `json:"released"`
	Dropped  int64     `json:"dropped"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}

// Count sums up the selected rows by flow, stage and code, without reading what they hold.
func (q *Quarantine) Count(ctx context.Context, s Selection) ([]Count, error) {
	groups := map[[4]string]*Count{}
	for row, err := range q.Labels(ctx, Choose(s, nil)) {
		if err != nil {
			return nil, err
		}
		key := [4]string{row.Stage, row.Step, row.Plugin, row.Code}
		g := groups[key]
		if g == nil {
			for i := range key { // a row's texts are its batch's
				key[i] = strings.Clone(key[i])
			}
			g = &Count{Flow: q.Flow, Stage: key[0], Step: key[1], Plugin: key[2], Code: key[3], First: row.At}
			groups[key] = g
		}
		g.add(row)
	}
	counts := make([]Count, 0, len(groups))
	for _, g := range groups {
		counts = append(counts, *g)
	}
	slices.SortFunc(counts, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Step, b.Step), cmp.Compare(a.Plugin, b.Plugin), cmp.Compare(a.Code, b.Code))
	})
	return counts, nil
}

func (g *Count) add(row Row) {
	g.Rows++
	switch row.Outcome {
	case ledger.Released:
		g.Released++
	case ledger.DroppedRow:
		g.Dropped++
	default:
		g.Open++
	}
	if row.At.Before(g.First) {
		g.First = row.At
	}
	if row.At.After(g.Last) {
		g.Last = row.At
	}
}
