package flow

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/sdk"
)

// redrive is quarantined rows on their way back to the stage that rejected them. Stages before it count them and let them pass; that
// stage makes a batch of them, by the schema that it has today, and rejects those that don't fit.
type redrive struct {
	step   string
	stream string
	origin string
	rows   [][]byte       // JSON objects
	ranges []ledger.Range // that the rows are, in order
	alloc  memory.Allocator
}

const misfitCode = "does_not_fit"

func (r *redrive) size() (bytes int64) {
	for _, row := range r.rows {
		bytes += int64(len(row))
	}
	return bytes
}

// pass counts the rows through a stage that they come in behind.
func (r *redrive) pass(account *ledger.Stage) {
	account.In += int64(len(r.rows))
	account.Out += int64(len(r.rows))
}

// enter makes batches of the rows by the schema that their stage has; nil if the stage does not know their stream. The batches are
// the caller's.
func (r *redrive) enter(at stageID, change *sdk.SchemaChange) ([]sdk.Batch, []quarantine.Rejected) {
	if change == nil {
		return nil, r.reject(at, r.misfits("this stage has no stream "+r.stream+" any more"))
	}
	records, misfits := quarantine.Fit(change.Schema, r.rows, r.alloc)
	batches := make([]sdk.Batch, len(records))
	for i, record := range records {
		batches[i] = sdk.Batch{Stream: r.stream, Version: change.Version, Origin: r.origin, Record: record}
	}
	return batches, r.reject(at, misfits)
}

func (r *redrive) misfits(reason string) []quarantine.Misfit {
	all := make([]quarantine.Misfit, len(r.rows))
	for i, row := range r.rows {
		all[i] = quarantine.Misfit{Row: row, Reason: reason}
	}
	return all
}

func (r *redrive) reject(at stageID, misfits []quarantine.Misfit) []quarantine.Rejected {
	rows := make([]quarantine.Rejected, len(misfits))
	for i, m := range misfits {
		rows[i] = quarantine.Rejected{
			Stream: r.stream, Stage: at.stage, Step: at.step, Plugin: at.plugin, Code: misfitCode, Reason: m.Reason,
			Origin: r.origin, Raw: m.Row,
		}
	}
	return rows
}

// schemaOf finds the newest schema of a stream; nil if there is none.
func schemaOf(inputs []sdk.SchemaChange, stream string) *sdk.SchemaChange {
	i := slices.IndexFunc(inputs, func(c sdk.SchemaChange) bool { return c.Stream == stream })
	if i < 0 {
		return nil
	}
	return &inputs[i]
}

// launchRows sends rows that a worker's stage rejected into it again.
func launchRows(ctx context.Context, w worker, r *redrive, inputs []sdk.SchemaChange, flights chan<- flight) error {
	batches, misfits := r.enter(w.id(), schemaOf(inputs, r.stream))
	for i := range batches {
		if err := launch(ctx, w, item{batch: &batches[i]}, flights); err != nil {
			releaseBatches(batches[i+1:])
			return err
		}
	}
	if len(misfits) == 0 {
		return nil
	}
	return fly(ctx, flights, flight{item: item{rejects: misfits}, misfits: int64(len(misfits))})
}

// redrive sends rows that the target rejected into it again.
func (s *shaper) redrive(ctx context.Context, r *redrive, out chan<- item) error {
	if r.step != targetStage {
		r.pass(&s.counts)
		return send(ctx, out, item{redrive: r})
	}
	var change *sdk.SchemaChange
	if known := s.streams[r.stream]; known != nil {
		change = &sdk.SchemaChange{Version: known.version, Schema: known.from}
	}
	batches, misfits := r.enter(stageID{stage: targetStage, step: targetStage}, change)
	for i := range batches {
		shaped, err := s.batch(ctx, batches[i])
		if err == nil {
			err = send(ctx, out, shaped)
		}
		if err != nil {
			releaseBatches(batches[i+1:])
			return err
		}
	}
	if len(misfits) == 0 {
		return nil
	}
	s.counts.In += int64(len(misfits))
	s.counts.Rejected += int64(len(misfits))
	return send(ctx, out, item{rejects: misfits})
}

// redrive writes rows that the sink rejected to the log again.
func (p *publisher) redrive(ctx context.Context, r *redrive) error {
	var change *sdk.SchemaChange
	if known, ok := p.schemas[r.stream]; ok {
		change = &known
	}
	batches, misfits := r.enter(stageID{stage: sinkStage, step: sinkStage}, change)
	for i := range batches {
		if err := p.item(ctx, item{batch: &batches[i]}); err != nil {
			releaseBatches(batches[i+1:])
			return err
		}
	}
	p.counts.In += int64(len(misfits))
	p.counts.Rejected += int64(len(misfits))
	return p.reject(ctx, misfits)
}

// redriven says, in a unit's close frame, which quarantined rows the unit is made of.
type redriven struct {
	By     string         `json:"by,omitempty"`
	Reason string         `json:"reason,omitempty"`
	Ranges []ledger.Range `json:"ranges"`
}

func (r *redriven) entry() *ledger.Redriven {
	if r == nil {
		return nil
	}
	out := &ledger.Redriven{By: r.By, Reason: r.Reason, Ranges: r.Ranges}
	for _, some := range r.Ranges {
		out.Rows += some.Rows()
	}
	return out
}

// rangesPerUnit bounds what a unit's close frame says of the quarantined rows in it.
const rangesPerUnit = 4096

// redrive takes in quarantined rows. They are covered as they are: what has come so far can be a unit at any time.
func (n *intake) redrive(ctx context.Context, r *redrive, out chan<- item) error {
	n.took(int64(len(r.rows)), 0, r.size())
	n.uncovered = false
	if n.redriven == nil {
		n.redriven = &redriven{By: n.by, Reason: n.reason}
	}
	n.redriven.Ranges = append(n.redriven.Ranges, r.ranges...)
	if err := send(ctx, out, item{redrive: r}); err != nil {
		return err
	}
	if len(n.redriven.Ranges) >= rangesPerUnit || n.thresholds.passed(n.opened, n.counts.In, n.bytes) {
		return n.close(ctx, out)
	}
	return nil
}
