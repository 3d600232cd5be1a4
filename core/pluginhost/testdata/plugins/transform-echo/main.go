// Command transform-echo gives back what it is given: as a transform, as a check that finds fault with the rows it is told, and as
// a sink that counts.
package main

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/sdk"
)

func main() {
	sdk.Serve(sdk.Info{Name: "echo", Version: "1.0.0"}, sdk.TransformOf(newTransform), sdk.CheckOf(newCheck), sdk.SinkOf(newSink))
}

type config struct {
	Reject      []int  `json:"reject,omitempty"` // rows of each batch
	Collect     bool   `json:"collect,omitempty"`
	Hang        bool   `json:"hang,omitempty"` // at each batch, for ever
	Cardinality string `json:"cardinality" jsonschema:"default=one"`
	Kind        string `json:"kind" jsonschema:"default=identity"`
	Guarantee   string `json:"guarantee" jsonschema:"default=exactly_once"`
	Verdict     string `json:"verdict" jsonschema:"default=pass"`
	Epoch       uint64 `json:"epoch,omitempty"` // of the mark that the sink returns
}

func (c config) rejections() []sdk.Rejection {
	var out []sdk.Rejection
	for _, row := range c.Reject {
		out = append(out, sdk.Rejection{Code: "told", Reason: "it was told so", Row: row})
	}
	return out
}

type transform struct {
	config
	kept []sdk.Batch
}

func newTransform(_ context.Context, c config, _ sdk.Env) (*transform, error) {
	return &transform{config: c}, nil
}

func (t *transform) Plan(_ context.Context, in []sdk.SchemaChange) (sdk.Plan, error) {
	plan := sdk.Plan{
		Cardinality: sdk.Cardinality(t.Cardinality), Deterministic: true, Collects: t.Collect, Description: "echo",
	}
	for _, c := range in {
		plan.Outputs = append(plan.Outputs, sdk.PlannedOutput{Name: c.Stream, Schema: c.Schema, Key: c.Key})
		for _, field := range c.Schema.Fields() {
			plan.Lineage = append(plan.Lineage, sdk.ColumnLineage{
				Output: c.Stream, Column: field.Name, Kind: sdk.LineageKind(t.Kind), Inputs: []sdk.ColumnRef{{Input: c.Stream, Column: field.Name}},
			})
		}
	}
	return plan, nil
}

func (t *transform) Apply(ctx context.Context, in sdk.Batch, out sdk.Output) error {
	if t.Hang {
		select {}
	}
	if t.Collect {
		t.kept = append(t.kept, in)
		return nil
	}
	if err := out.Reject(ctx, t.rejections()...); err != nil {
		return err
	}
	return out.Batch(ctx, in)
}

func (t *transform) Finish(ctx context.Context, out sdk.Output) error {
	if err := out.Reject(ctx, t.rejections()...); err != nil {
		return err
	}
	for len(t.kept) > 0 {
		one := t.kept[0]
		t.kept = t.kept[1:]
		if err := out.Batch(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

func (*transform) Close(context.Context) error { return nil }

type check struct {
	config
	rows int64
}

func newCheck(_ context.Context, c config, _ sdk.Env) (*check, error) { return &check{config: c}, nil }

func (*check) Plan(_ context.Context, in sdk.SchemaChange) error {
	if in.Schema.NumFields() == 0 {
		return sdk.Fatal(fmt.Errorf("stream %q has no columns", in.Stream))
	}
	return nil
}

func (c *check) Rows(_ context.Context, b sdk.Batch) ([]sdk.Finding, error) {
	defer b.Record.Release()
	c.rows += b.Record.NumRows()
	var findings []sdk.Finding
	for _, row := range c.Reject {
		findings = append(findings, sdk.Finding{Row: row, Column: "id", Code: "told", Reason: "it was told so"})
	}
	return findings, nil
}

func (c *check) Result(context.Context) (sdk.CheckResult, error) {
	rows := c.rows
	c.rows = 0
	return sdk.CheckResult{Verdict: sdk.Verdict(c.Verdict), Message: "counted", Metrics: map[string]float64{"rows": float64(rows)}}, nil
}

func (*check) Close(context.Context) error { return nil }

type sink struct {
	config
	rows   int64
	latest sdk.Mark
	schema *arrow.Schema
}

func newSink(_ context.Context, c config, _ sdk.Env) (*sink, error) { return &sink{config: c}, nil }

func (s *sink) Open(_ context.Context, req sdk.OpenRequest) (sdk.Opened, error) {
	return sdk.Opened{
		Guarantee: sdk.Guarantee(s.Guarantee), PreferredRows: 100, External: sdk.ExternalDataset{Namespace: req.Flow, Name: string(req.Mode)},
	}, nil
}

func (*sink) PlanSchema(_ context.Context, c sdk.SchemaChange) ([]sdk.Action, error) {
	return []sdk.Action{{Object: c.Stream, Description: "create"}}, nil
}

func (s *sink) ApplySchema(_ context.Context, c sdk.SchemaChange) error {
	s.schema = c.Schema
	return nil
}

func (s *sink) Begin(context.Context, uint64) (sdk.Mark, error) {
	return sdk.Mark{Epoch: s.Epoch, Seq: 7, Position: sdk.Position(`{"at":7}`)}, nil
}

func (s *sink) Write(_ context.Context, b sdk.Batch) ([]sdk.Rejection, error) {
	defer b.Record.Release()
	if s.schema == nil || !s.schema.Equal(b.Record.Schema()) {
		return nil, sdk.Fatal(fmt.Errorf("a batch of schema %v", b.Record.Schema()))
	}
	s.rows += b.Record.NumRows()
	return s.rejections(), nil
}

func (s *sink) Commit(_ context.Context, m sdk.Mark) ([]sdk.Rejection, error) {
	if m.Epoch < s.Epoch {
		return nil, sdk.Fenced(s.Epoch)
	}
	s.latest = m
	rejections := []sdk.Rejection{{Code: "rows", Reason: fmt.Sprint(s.rows), Row: sdk.NoRow}}
	s.rows = 0
	return rejections, nil
}

func (*sink) Close(context.Context) error { return nil }
