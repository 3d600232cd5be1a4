package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk"
)

// transform passes its input on and adds a label: the name in capitals.
type transform struct {
	base
	seen map[string]bool
}

func newTransform(_ context.Context, c Config, env sdk.Env) (*transform, error) {
	b, err := newBase(c, env)
	return &transform{base: b, seen: map[string]bool{}}, err
}

// Plan implements sdk.Transform.
func (t *transform) Plan(_ context.Context, in []sdk.SchemaChange) (sdk.Plan, error) {
	plan := sdk.Plan{Cardinality: sdk.OneToOne, Deterministic: true, Description: "adds a label"}
	for _, input := range in {
		out := sdk.PlannedOutput{Name: input.Stream, Schema: labelled(input.Schema), Key: input.Key}
		plan.Outputs = append(plan.Outputs, out)
		plan.Lineage = append(plan.Lineage, sdk.IdentityOf(input.Stream, input.Stream, input.Schema)...)
		plan.Lineage = append(plan.Lineage, sdk.ColumnLineage{
			Output: input.Stream, Column: "label", Kind: sdk.Derived, Inputs: []sdk.ColumnRef{{Input: input.Stream, Column: "name"}},
		})
	}
	switch t.Fault {
	case "plan_differs":
		plan.Description = fmt.Sprint(rand.Uint64())
	case "plan_effects":
		return plan, os.WriteFile(t.path(fmt.Sprint("plan", rand.Uint64())), nil, 0o600)
	case "":
	}
	return plan, nil
}

func labelled(schema *arrow.Schema) *arrow.Schema {
	return arrow.NewSchema(append(slices.Clone(schema.Fields()), arrow.Field{Name: "label", Type: arrow.BinaryTypes.String, Nullable: true}), nil)
}

// Apply implements sdk.Transform.
func (t *transform) Apply(ctx context.Context, in sdk.Batch, out sdk.Output) error {
	defer in.Record.Release()
	record := in.Record
	if t.is("panics_on_empty") && record.NumRows() == 0 {
		panic("no rows")
	}
	columns := slices.Clone(record.Columns())
	for i, f := range record.Schema().Fields() {
		if t.is("identity_lies") && f.Name == "ratio" {
			changed := t.positive(record.Column(i).(*array.Float64))
			defer changed.Release()
			columns[i] = changed
		}
	}
	labels := t.labels(record)
	defer labels.Release()
	made := array.NewRecordBatch(labelled(record.Schema()), append(columns, labels), record.NumRows())
	if t.is("lies_about_cardinality") && made.NumRows() > 3 {
		defer made.Release()
		made = made.NewSlice(0, made.NumRows()-1)
	}
	return out.Batch(ctx, sdk.Batch{Stream: in.Stream, Record: made})
}

func (t *transform) positive(values *array.Float64) arrow.Array {
	b := array.NewFloat64Builder(t.env.Alloc)
	defer b.Release()
	for i := range values.Len() {
		if values.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(max(0, values.Value(i)))
	}
	return b.NewArray()
}

func (t *transform) labels(record arrow.RecordBatch) arrow.Array {
	names := record.Column(record.Schema().FieldIndices("name")[0]).(*array.String)
	flags := record.Column(record.Schema().FieldIndices("flag")[0]).(*array.Boolean)
	b := array.NewStringBuilder(t.env.Alloc)
	defer b.Release()
	for i := range names.Len() {
		if names.IsNull(i) {
			b.AppendNull()
			continue
		}
		label := strings.ToUpper(names.Value(i))
		switch {
		case t.is("state") && t.seen[label]:
			label += " again"
		case t.is("random"):
			label += fmt.Sprint(rand.Uint64())
		case t.is("per_batch"):
			label += fmt.Sprint(names.Len())
		case t.is("lineage_incomplete") && flags.IsValid(i) && flags.Value(i):
			label += "!"
		}
		t.seen[strings.ToUpper(names.Value(i))] = t.is("state") && names.Len() > 150
		b.Append(label)
	}
	return b.NewArray()
}
