package flow

import (
	"context"
	"fmt"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/killpoint"
)

// DropRequest gives quarantined rows up.
type DropRequest struct {
	Select     quarantine.Selection
	By, Reason string
}

// DropRows is what became of the rows that a DropRequest chose.
type DropRows struct {
	Dropped int64    `json:"dropped"`
	Settled int64    `json:"settled"`           // released or dropped before
	Pending int64    `json:"pending"`           // in a unit that is closed, but not committed yet: it releases them
	Unknown []string `json:"unknown,omitempty"` // ids that are in no committed unit's quarantine
}

// DropQuarantined notes that rows of a flow's quarantine are given up. They stay in the dataset for the record. It takes the flow
// over, so that no unit that releases some of them comes in between; a crash leaves some of them open, and the call can be repeated.
func DropQuarantined(ctx context.Context, s *Settings, r *Runtime, d DropRequest) (DropRows, error) {
	var out DropRows
	t := r.tenure(s.Name, make(chan struct{}))
	defer t.Release(ctx)
	err := t.Session(ctx, func(ctx context.Context, claim tenure.Claim) error {
		log, err := r.Broker.Log(ctx, s.Name, broker.LogSettings{MaxBytes: s.LogBytes})
		if err != nil {
			return err
		}
		at, err := takeOver(ctx, s, r, log, claim)
		if err != nil {
			return err
		}
		defer at.writer.Close()
		out, err = at.dropRows(ctx, s, r, d)
		return err
	})
	if err != nil {
		return out, fmt.Errorf("flow %q: %w", s.Name, err)
	}
	return out, nil
}

func (s *standing) dropRows(ctx context.Context, settings *Settings, r *Runtime, d DropRequest) (DropRows, error) {
	var out DropRows
	var ranges []ledger.Range
	pending := s.pending()
	chosen := quarantine.Choose(d.Select, nil)
	q := &quarantine.Quarantine{Zones: r.Zones, Ledger: r.Ledger, Flow: settings.Name, Dataset: settings.Quarantine}
	for row, err := range q.Labels(ctx, chosen) {
		switch {
		case err != nil:
			return out, err
		case row.Outcome != "":
			out.Settled++
		case pending.Of(row.ID) != "":
			out.Pending++
		case row.ID != quarantine.RowID{}:
			out.Dropped++
			ranges = quarantine.Extend(ranges, row.ID)
		}
	}
	out.Unknown = chosen.Unknown()
	killpoint.Here("before-drop-rows")
	err := r.Ledger.DropRows(ctx, settings.Name, s.epoch, d.By, d.Reason, ranges)
	killpoint.Here("after-drop-rows")
	return out, err
}

// pending are quarantined rows that units in the log release when they are committed.
func (s *standing) pending() quarantine.Outcomes {
	var all []ledger.Settled
	for _, u := range s.chain {
		if u.Redriven == nil {
			continue
		}
		for _, some := range u.Redriven.Ranges {
			all = append(all, ledger.Settled{Range: some, Outcome: ledger.Released})
		}
	}
	return quarantine.OutcomesOf(all)
}
