package main

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk"
)

// Transform runs the steps on every input by itself; an output has its input's name.
type Transform struct {
	env         sdk.Env
	steps       []step
	keys        map[string][]string // of the inputs
	description string
}

var _ sdk.Transform = (*Transform)(nil)

// New compiles the steps.
func New(_ context.Context, c Config, env sdk.Env) (*Transform, error) {
	t := &Transform{env: env, keys: map[string][]string{}}
	var actions []string
	for i, s := range c.Steps {
		compiled, err := s.compile("/steps/" + strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		t.steps = append(t.steps, compiled)
		actions = append(actions, s.actions()...)
	}
	t.description = strings.Join(actions, ", ")
	return t, nil
}

// Plan implements sdk.Transform: it runs the steps on batches without rows.
func (t *Transform) Plan(_ context.Context, in []sdk.SchemaChange) (sdk.Plan, error) {
	plan := sdk.Plan{Cardinality: sdk.OneToOne, Deterministic: true, Description: t.description}
	for _, input := range in {
		planned, lineage, err := t.planInput(input)
		if err != nil {
			return sdk.Plan{}, err
		}
		plan.Outputs = append(plan.Outputs, planned)
		plan.Lineage = append(plan.Lineage, lineage...)
	}
	return plan, nil
}

func (t *Transform) planInput(in sdk.SchemaChange) (sdk.PlannedOutput, []sdk.ColumnLineage, error) {
	builder := array.NewRecordBuilder(t.env.Alloc, in.Schema)
	defer builder.Release()
	record := builder.NewRecordBatch()
	defer record.Release()
	result, err := t.run(in.Stream, in.Key, record)
	if err != nil {
		return sdk.PlannedOutput{}, nil, err
	}
	t.keys[in.Stream] = in.Key
	defer result.release()
	return sdk.PlannedOutput{Name: in.Stream, Schema: result.schema(), Key: result.key(in.Key)}, result.lineage(), nil
}

// run applies the steps. The batch stays the caller's, who releases the table.
func (t *Transform) run(input string, key []string, record arrow.RecordBatch) (*table, error) {
	result, err := newTable(input, key, record, t.env.Alloc)
	if err != nil {
		return nil, err
	}
	for _, s := range t.steps {
		if err := result.run(s); err != nil {
			result.release()
			return nil, err
		}
	}
	result.settle()
	return result, nil
}

// Apply implements sdk.Transform.
func (t *Transform) Apply(ctx context.Context, in sdk.Batch, out sdk.Output) error {
	defer in.Record.Release()
	result, err := t.run(in.Stream, t.keys[in.Stream], in.Record)
	if err != nil {
		return err
	}
	defer result.release()
	var rejections []sdk.Rejection
	for _, row := range slices.Sorted(maps.Keys(result.rejected)) {
		rejection := result.rejected[row]
		rejection.Stream, rejection.Origin = in.Stream, in.Origin
		rejections = append(rejections, rejection)
	}
	if len(rejections) > 0 {
		if err := out.Reject(ctx, rejections...); err != nil {
			return err
		}
	}
	records, err := result.records()
	if err != nil {
		return err
	}
	for i, record := range records {
		if err := out.Batch(ctx, sdk.Batch{Stream: in.Stream, Version: in.Version, Origin: in.Origin, Record: record}); err != nil {
			releaseAll(records[i+1:])
			return err
		}
	}
	return nil
}

func releaseAll(records []arrow.RecordBatch) {
	for _, record := range records {
		record.Release()
	}
}

// Close implements sdk.Transform.
func (*Transform) Close(context.Context) error { return nil }
