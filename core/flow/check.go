package flow

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/sdk"
)

// checker is the worker of all checks of a flow: each sees every row, and what any of them rejects goes to quarantine.
type checker struct {
	checks []runningCheck
	alloc  memory.Allocator
	counts ledger.Stage
	hold   map[string]string // reasons to hold the unit, by check
}

type runningCheck struct {
	CheckStep
	process *pluginhost.Check
}

const checksStage = "checks"

func newChecker(checks []runningCheck, alloc memory.Allocator) *checker {
	return &checker{checks: checks, alloc: alloc, counts: ledger.Stage{Name: checksStage, Maps: true}, hold: map[string]string{}}
}

func (c *checker) id() stageID          { return checkID }
func (c *checker) tally() *ledger.Stage { return &c.counts }

func (c *checker) plan(ctx context.Context, inputs []sdk.SchemaChange) ([]sdk.SchemaChange, error) {
	for _, check := range c.checks {
		for _, in := range inputs {
			if err := check.process.Plan(ctx, in); err != nil {
				return nil, err
			}
		}
	}
	return inputs, nil
}

func (c *checker) send(ctx context.Context, b sdk.Batch) error {
	for _, check := range c.checks {
		if err := check.process.Send(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) receive(ctx context.Context, b sdk.Batch, emit func(item) error) error {
	rows := int(b.Record.NumRows())
	bad := map[int]bool{}
	var rejects []quarantine.Rejected
	for _, check := range c.checks {
		findings, err := check.process.Receive(ctx)
		if err != nil {
			b.Record.Release()
			return err
		}
		rejects = append(rejects, c.judge(check, b, findings, bad)...)
	}
	c.counts.In += int64(rows)
	c.counts.Rejected += int64(len(bad))
	c.counts.Out += int64(rows - len(bad))
	return c.passGood(ctx, b, bad, rejects, emit)
}

// judge notes what follows from findings: rows in bad are rejected, once each, however many checks fail them.
func (c *checker) judge(check runningCheck, b sdk.Batch, findings []sdk.Finding, bad map[int]bool) []quarantine.Rejected {
	var rejects []quarantine.Rejected
	for _, f := range findings {
		switch {
		case f.Warning || check.OnFail == OnFailWarn:
			c.counts.Warned++
		case check.OnFail == OnFailBlock:
			if _, known := c.hold[check.Name]; !known {
				c.hold[check.Name] = fmt.Sprintf("%s: column %q: %s", b.Stream, f.Column, f.Reason)
			}
		case !bad[f.Row]:
			bad[f.Row] = true
			rejects = append(rejects, quarantine.Rejected{
				Stream: b.Stream, Stage: checkID.stage, Step: checkID.step, Plugin: check.Instance.Plugin, Code: f.Code, Reason: f.Reason, Column: f.Column,
				Origin: b.Origin, Raw: quarantine.Raw(b.Record, f.Row),
			})
		}
	}
	return rejects
}

func (c *checker) passGood(ctx context.Context, b sdk.Batch, bad map[int]bool, rejects []quarantine.Rejected, emit func(item) error) error {
	if len(bad) == 0 {
		return emit(item{batch: &b})
	}
	good, err := without(ctx, c.alloc, b.Record, bad)
	b.Record.Release()
	if err != nil {
		return err
	}
	if good.NumRows() == 0 {
		good.Release()
		return emit(item{rejects: rejects})
	}
	b.Record = good
	if err := emit(item{batch: &b}); err != nil {
		return err
	}
	return emit(item{rejects: rejects})
}

// without returns the batch less the given rows.
func without(ctx context.Context, alloc memory.Allocator, batch arrow.RecordBatch, bad map[int]bool) (arrow.RecordBatch, error) {
	builder := array.NewBooleanBuilder(alloc)
	defer builder.Release()
	builder.Reserve(int(batch.NumRows()))
	for row := range int(batch.NumRows()) {
		builder.UnsafeAppend(!bad[row])
	}
	keep := builder.NewBooleanArray()
	defer keep.Release()
	return compute.FilterRecordBatch(compute.WithAllocator(ctx, alloc), batch, keep, compute.DefaultFilterOptions())
}

func (c *checker) close(ctx context.Context, unit *closing, _ func(item) error) error {
	for _, check := range c.checks {
		result, err := check.process.Result(ctx)
		if err != nil {
			return err
		}
		unit.Checks = append(unit.Checks, c.settle(check, result, unit))
	}
	unit.Stages = append(unit.Stages, c.counts)
	c.counts = ledger.Stage{Name: checksStage, Maps: true}
	clear(c.hold)
	return nil
}

// settle turns a check's verdict into what happens to the unit.
func (c *checker) settle(check runningCheck, result sdk.CheckResult, unit *closing) ledger.CheckResult {
	settled := ledger.CheckResult{
		Check: check.Name, Verdict: string(result.Verdict), Message: result.Message, Metrics: result.Metrics,
	}
	if reason, held := c.hold[check.Name]; held {
		settled.Verdict, settled.Message = string(sdk.Fail), reason
		settled.Action = string(OnFailBlock)
		unit.Decision = unit.Decision.stricter(hold)
		return settled
	}
	if result.Verdict != sdk.Fail {
		return settled
	}
	settled.Action = string(check.OnFail)
	switch check.OnFail {
	case OnFailBlock:
		unit.Decision = unit.Decision.stricter(hold)
	case OnFailQuarantine:
		unit.Decision = unit.Decision.stricter(setAside)
	case OnFailWarn:
	}
	return settled
}
