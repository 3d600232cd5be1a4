package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/sdk"
)

// transformer is the worker of a transform plugin.
type transformer struct {
	step    Step
	at      stageID
	process *pluginhost.Transform
	version map[string]int // of the outputs, as this stage counts them
	schemas map[string]*arrow.Schema
	planned sdk.Plan
	counts  ledger.Stage
}

func newTransformer(step Step, name string, process *pluginhost.Transform) *transformer {
	at := stageID{stage: transformStage, step: name, plugin: step.Instance.Plugin}
	t := &transformer{step: step, at: at, process: process, version: map[string]int{}, schemas: map[string]*arrow.Schema{}}
	t.counts = t.blank()
	return t
}

func (t *transformer) blank() ledger.Stage {
	return ledger.Stage{Name: t.step.Name, Maps: t.planned.Cardinality == sdk.OneToOne || t.planned.Cardinality == sdk.Filters}
}

func (t *transformer) id() stageID          { return t.at }
func (t *transformer) tally() *ledger.Stage { return &t.counts }

func (t *transformer) plan(ctx context.Context, inputs []sdk.SchemaChange) ([]sdk.SchemaChange, error) {
	planned, err := t.process.Plan(ctx, inputs)
	if err != nil {
		return nil, err
	}
	t.planned = planned
	t.counts.Maps = t.blank().Maps
	var changed []sdk.SchemaChange
	for _, out := range planned.Outputs {
		if known := t.schemas[out.Name]; known != nil && known.Equal(out.Schema) {
			continue
		}
		t.version[out.Name]++
		t.schemas[out.Name] = out.Schema
		changed = append(changed, sdk.SchemaChange{Stream: out.Name, Version: t.version[out.Name], Schema: out.Schema, Key: planned.KeyOf(out, inputs)})
	}
	return changed, nil
}

func (t *transformer) send(ctx context.Context, b sdk.Batch) error {
	return t.process.Send(ctx, b)
}

func (t *transformer) receive(ctx context.Context, b sdk.Batch, emit func(item) error) error {
	defer b.Record.Release()
	result, err := t.process.Receive(ctx)
	if err != nil {
		return err
	}
	in, rejects := b.Record.NumRows(), int64(len(result.Rejections))
	t.counts.In += in
	t.counts.Rejected += rejects
	out, err := t.pass(result.Batches, emit)
	if err != nil {
		return err
	}
	if t.planned.Cardinality == sdk.Filters {
		t.counts.Filtered += in - out - rejects
	}
	one := ledger.Stage{Name: t.step.Name, Maps: t.counts.Maps, In: in, Out: out, Rejected: rejects, Filtered: max(0, in-out-rejects)}
	if t.planned.Cardinality == sdk.OneToOne {
		one.Filtered = 0
	}
	if err := account(one); err != nil {
		return sdk.Fatal(err)
	}
	return rejectRows(b, t.at, result.Rejections, emit)
}

// pass emits output batches and counts their rows.
func (t *transformer) pass(batches []sdk.Batch, emit func(item) error) (int64, error) {
	var rows int64
	for i, out := range batches {
		n := out.Record.NumRows()
		version, ok := t.version[out.Stream]
		if !ok {
			releaseBatches(batches[i:])
			return 0, sdk.Fatal(fmt.Errorf("transform %q gave a batch of %q, which it had not planned", t.step.Name, out.Stream))
		}
		out.Version = version
		if err := emit(item{batch: &out}); err != nil {
			releaseBatches(batches[i+1:])
			return 0, err
		}
		rows += n
	}
	t.counts.Out += rows
	return rows, nil
}

func releaseBatches(batches []sdk.Batch) {
	for _, b := range batches {
		b.Record.Release()
	}
}

// rejectLate passes on what a collecting transform rejects in the end.
func (t *transformer) rejectLate(rejections []sdk.Rejection, emit func(item) error) error {
	if len(rejections) == 0 {
		return nil
	}
	t.counts.Rejected += int64(len(rejections))
	rejects := make([]quarantine.Rejected, len(rejections))
	for i, r := range rejections {
		rejects[i] = fromPlugin(t.at, r)
	}
	return emit(item{rejects: rejects})
}

func (t *transformer) close(ctx context.Context, c *closing, emit func(item) error) error {
	if t.planned.Collects {
		err := t.process.Finish(ctx, func(piece pluginhost.Result) error {
			_, err := t.pass(piece.Batches, emit)
			return errors.Join(err, t.rejectLate(piece.Rejections, emit))
		})
		if err != nil {
			return err
		}
	}
	c.Stages = append(c.Stages, t.counts)
	t.counts = t.blank()
	return nil
}
