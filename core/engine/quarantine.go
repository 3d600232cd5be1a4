package engine

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/core/zone"
)

// QuarantineCounts sums up the quarantined rows of all flows that of names: every flow if it is empty, those of a pipeline, or one.
func (p *Project) QuarantineCounts(ctx context.Context, of string, s quarantine.Selection) ([]quarantine.Count, error) {
	flows, err := p.ledger.Flows(ctx)
	if err != nil {
		return nil, err
	}
	named := slices.DeleteFunc(slices.Clone(flows), func(name string) bool {
		return of != "" && name != of && !strings.HasPrefix(name, of+".")
	})
	if of != "" && len(named) == 0 {
		return nil, &UnknownFlowError{Flow: of, Known: flows}
	}
	all := []quarantine.Count{}
	for _, name := range named {
		counts, err := p.quarantine(name).Count(ctx, s)
		if err != nil {
			return nil, err
		}
		all = append(all, counts...)
	}
	return all, nil
}

// QuarantinedRows reads the selected rows of a flow's quarantine; each is valid until the next one.
func (p *Project) QuarantinedRows(ctx context.Context, name string, s quarantine.Selection) (iter.Seq2[quarantine.Row, error], error) {
	if err := p.knows(ctx, name); err != nil {
		return nil, err
	}
	return p.quarantine(name).Rows(ctx, quarantine.Choose(s, nil)), nil
}

func (p *Project) quarantine(name string) *quarantine.Quarantine {
	pipeline, last := splitFlow(name)
	return &quarantine.Quarantine{Zones: p.Zones(), Ledger: p.ledger, Flow: name, Dataset: quarantineOf(pipeline, last)}
}

// DropQuarantined gives quarantined rows of a flow up. While another runner has the flow it waits, and says so by waiting.
func (p *Project) DropQuarantined(ctx context.Context, name string, d flow.DropRequest, waiting func(note string)) (flow.DropRows, error) {
	if err := p.knows(ctx, name); err != nil {
		return flow.DropRows{}, err
	}
	runtime := p.runtime(progress.New(name))
	ctx, done := p.live(ctx)
	defer done()
	stop := tell(runtime.Progress, name, waiting)
	defer stop()
	return flow.DropQuarantined(ctx, p.bare(name), runtime, d)
}

// Redrive is a run of one flow that reads rows of its quarantine.
type Redrive struct {
	*Run
	request *flow.RedriveSettings
}

// RedriveSummary is what became of the rows.
type RedriveSummary struct {
	Flow string `json:"flow"`
	// Released rows went through the flow again: Written and Filtered came out of it well, Rejected are in quarantine again.
	Released int64 `json:"released"`
	Written  int64 `json:"written"`
	Filtered int64 `json:"filtered,omitempty"`
	Rejected int64 `json:"rejected"`
	Units    int64 `json:"units"`
	Seq      int64 `json:"seq"`
	flow.Redrive
}

// PrepareRedrive plans the flow's pipeline as it is today and readies the flow.
func (p *Project) PrepareRedrive(ctx context.Context, name string, r *flow.RedriveSettings) (*Redrive, error) {
	if err := p.knows(ctx, name); err != nil {
		return nil, err
	}
	run, err := p.only(ctx, name)
	if err != nil {
		return nil, err
	}
	settings := run.flows[0]
	if settings.Target.Mode == zone.Overwrite || (settings.Datasets != nil && settings.Datasets.Pinned) {
		return nil, flow.ErrOverwritten
	}
	if settings.Target.Mode == zone.Upsert {
		return nil, flow.ErrReplacing
	}
	settings.Redrive = r
	return &Redrive{Run: run, request: r}, nil
}

// Go releases the rows. Closing stopping leaves those that have not been read yet.
func (r *Redrive) Go(ctx context.Context, stopping <-chan struct{}) (RedriveSummary, error) {
	_, err := r.Run.Go(ctx, stopping)
	s := r.Status(r.names[0])
	return RedriveSummary{
		Flow: r.names[0], Released: s.Released, Written: s.Written, Filtered: s.Filtered, Rejected: s.Quarantined, Units: s.Units, Seq: s.Seq,
		Redrive: r.request.Result,
	}, err
}

// HeldReport is a unit that waits for people.
type HeldReport struct {
	ledger.HeldUnit
	Branch string `json:"branch,omitempty"` // of each of its datasets
	Next   string `json:"next"`             // what to type
}

func heldReport(h ledger.HeldUnit) *HeldReport {
	r := &HeldReport{HeldUnit: h, Next: "qanat promote " + h.Flow}
	if h.Place == ledger.OnBranch {
		r.Branch = "held/" + h.Flow
	}
	if h.Decision != nil && h.Decision.What != ledger.Release {
		r.Next += " --" + string(h.Decision.What)
	}
	return r
}
