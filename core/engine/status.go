package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/zone"
)

// Report is where a project's flows and datasets stand.
type Report struct {
	Flows    []FlowReport    `json:"flows"`
	Datasets []DatasetReport `json:"datasets"`
	Replays  []ReplayReport  `json:"replays,omitempty"`
}

// FlowReport is where a flow stands by the ledger. Rows, Rejected and Filtered are of its last unit, Totals of all its units.
type FlowReport struct {
	Flow      string         `json:"flow"`
	State     string         `json:"state"` // idle, running or held
	Seq       int64          `json:"seq"`
	Epoch     uint64         `json:"epoch"`
	Committed time.Time      `json:"committed,omitzero"`
	Rows      int64          `json:"rows"`
	Rejected  int64          `json:"rejected"`
	Filtered  int64          `json:"filtered"`
	Runner    string         `json:"runner,omitempty"`
	Note      string         `json:"note,omitempty"`
	Last      *ledger.Unit   `json:"last,omitempty"`
	Totals    []ledger.Stage `json:"totals"`
	// Held is the unit that waits for a decision; Quarantined are rows in quarantine that were neither released nor dropped.
	Held *HeldReport `json:"held,omitempty"`
	// Lag is how far the source is ahead of a flow that runs; nil if it doesn't say.
	Lag         *LagReport `json:"lag,omitempty"`
	Quarantined int64      `json:"quarantined"`
}

// LagReport is how far a source is ahead.
type LagReport struct {
	ledger.Lag
	Seconds float64 `json:"seconds"`
}

// DatasetReport is a dataset as readers see it.
type DatasetReport struct {
	Name     string   `json:"name"`
	Rows     int64    `json:"rows"`
	Snapshot int64    `json:"snapshot"`
	Writers  []string `json:"writers"`
}

// Status reads the ledger. Only flows whose name begins with prefix are reported.
func (p *Project) Status(ctx context.Context, prefix string) (Report, error) {
	report := Report{Flows: []FlowReport{}, Datasets: []DatasetReport{}}
	flows, err := p.ledger.Flows(ctx)
	if err != nil {
		return report, err
	}
	for _, name := range flows {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		f, err := p.flowReport(ctx, name)
		if err != nil {
			return report, err
		}
		report.Flows = append(report.Flows, f)
	}
	if err := p.replays(ctx, prefix, &report); err != nil {
		return report, err
	}
	names, err := p.Zones().List(ctx)
	if err != nil {
		return report, err
	}
	for _, name := range names {
		d, err := p.datasetReport(ctx, name)
		if err != nil {
			return report, err
		}
		report.Datasets = append(report.Datasets, d)
	}
	return report, nil
}

func (p *Project) flowReport(ctx context.Context, name string) (FlowReport, error) {
	f := FlowReport{Flow: name, State: "idle"}
	var err error
	if f.Totals, err = p.ledger.Totals(ctx, name); err != nil {
		return f, err
	}
	owner, found, err := p.ledger.Owner(ctx, name)
	if err != nil {
		return f, err
	}
	if found {
		f.Epoch = owner.Epoch
		if owner.Name != "" && tenure.Alive(owner) {
			f.State, f.Runner, f.Note = "running", owner.Name, tenure.Silence(owner)
			lag, found, err := p.ledger.LagOf(ctx, name, owner.Epoch)
			if err != nil {
				return f, err
			}
			if found {
				f.Lag = &LagReport{Lag: lag, Seconds: lag.Behind.Seconds()}
			}
		}
	}
	if err := p.waiting(ctx, &f); err != nil {
		return f, err
	}
	last, found, err := p.ledger.Last(ctx, name)
	if err != nil || !found {
		return f, err
	}
	f.Last, f.Seq, f.Committed = &last, last.Seq, last.Committed
	for i, stage := range last.Stages {
		f.Rejected += stage.Rejected
		f.Filtered += stage.Filtered
		if i == len(last.Stages)-1 {
			f.Rows = stage.Out
		}
	}
	return f, nil
}

// waiting adds what waits for people: a held unit, and rows in quarantine.
func (p *Project) waiting(ctx context.Context, f *FlowReport) error {
	held, found, err := p.ledger.Held(ctx, f.Flow)
	if err != nil {
		return err
	}
	if found {
		f.State, f.Held = "held", heldReport(held)
		f.Note = fmt.Sprintf("unit %d is held since %s", held.Seq, held.Since.Format(time.RFC3339))
		if f.Held.Branch != "" {
			f.Note = fmt.Sprintf("unit %d is held on branch %s since %s", held.Seq, f.Held.Branch, held.Since.Format(time.RFC3339))
		}
	}
	f.Quarantined, err = p.quarantine(f.Flow).Open(ctx)
	return err
}

func (p *Project) datasetReport(ctx context.Context, name zone.Name) (DatasetReport, error) {
	d := DatasetReport{Name: name.String(), Writers: []string{}}
	writers, err := p.ledger.Writers(ctx, name.String())
	if err != nil {
		return d, err
	}
	for _, w := range writers {
		d.Writers = append(d.Writers, w.Flow)
	}
	view, err := p.ledger.View(ctx, name.String())
	if err != nil || view.Empty() {
		return d, err
	}
	d.Snapshot = view.Snapshot
	dataset, err := p.Zones().Dataset(ctx, name)
	if errors.Is(err, zone.ErrNotFound) {
		return d, nil
	}
	if err != nil {
		return d, err
	}
	d.Rows, err = dataset.Count(ctx, view.Snapshot)
	return d, err
}
