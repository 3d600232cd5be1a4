package sdk

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// transform is a transform without optional abilities.
type transform struct {
	plan  func(in []SchemaChange) (Plan, error)
	apply func(ctx context.Context, in Batch, out Output) error
}

func (x *transform) Plan(_ context.Context, in []SchemaChange) (Plan, error) { return x.plan(in) }

func (x *transform) Apply(ctx context.Context, in Batch, out Output) error {
	return x.apply(ctx, in, out)
}

func (*transform) Close(context.Context) error { return nil }

// collector gathers its input.
type collector struct {
	transform
	finish func(ctx context.Context, out Output) error
}

func (c *collector) Finish(ctx context.Context, out Output) error { return c.finish(ctx, out) }

// same plans the outputs to be as the inputs.
func same(in []SchemaChange) (Plan, error) {
	plan := Plan{Cardinality: OneToOne, Deterministic: true, Description: "the same"}
	for _, c := range in {
		plan.Outputs = append(plan.Outputs, PlannedOutput{Name: c.Stream, Schema: c.Schema, Key: c.Key})
		plan.Lineage = append(plan.Lineage, IdentityOf(c.Stream, c.Stream, c.Schema)...)
	}
	return plan, nil
}

// transforming opens a transform and takes the answer.
func transforming(t *testing.T, apply func(ctx context.Context, in Batch, out Output, env Env) error) *call {
	t.Helper()
	h := serve(t, TransformOf(func(_ context.Context, _ shopSettings, env Env) (*transform, error) {
		return &transform{plan: same, apply: func(ctx context.Context, in Batch, out Output) error { return apply(ctx, in, out, env) }}, nil
	}))
	c := h.call(h.client.Transform, &pluginv1.Open{})
	c.done()
	return c
}

func (c *call) plan(name string, schema *arrow.Schema) *pluginv1.TransformPlan {
	c.t.Helper()
	c.send(planCall(c.t, name, schema))
	frames := c.done()
	if len(frames) != 1 {
		c.t.Fatalf("a plan is answered by %v", frames)
	}
	return frames[0].GetTransformPlan()
}

func planCall(t *testing.T, name string, schema *arrow.Schema) *pluginv1.Head {
	t.Helper()
	in := &pluginv1.Input{Name: name, Schema: schemaMessage(t, schema), Key: []string{"n"}}
	return &pluginv1.Head{Kind: &pluginv1.Head_Plan{Plan: &pluginv1.PlanCall{Inputs: []*pluginv1.Input{in}}}}
}

// pass hands the input on.
func pass(ctx context.Context, in Batch, out Output, _ Env) error { return out.Batch(ctx, in) }

func TestATransformPlansThenAnnouncesThenEmits(t *testing.T) {
	t.Parallel()
	c := transforming(t, func(ctx context.Context, in Batch, out Output, env Env) error {
		if in.Stream != "orders" || in.Origin != "f.csv" || in.Version != 4 {
			return fmt.Errorf("input %v", in)
		}
		return errors.Join(
			out.Batch(ctx, Batch{Stream: "orders", Record: record(env.Alloc, in.Record.NumRows())}),
			out.Reject(ctx, Rejection{Code: "odd", Row: 1}), out.Batch(ctx, in),
		)
	})
	plan := c.plan("orders", numbers)
	schema, err := wire.DecodeSchema(plan.GetOutputs()[0].GetSchema())
	if err != nil || !schema.Equal(numbers) {
		t.Errorf("planned schema %v, %v", schema, err)
	}
	column := plan.GetLineage()[0]
	text := fmt.Sprint(
		plan.GetOutputs()[0].GetName(), plan.GetOutputs()[0].GetKey(), plan.GetCardinality(), plan.GetDeterministic(), plan.GetCollects(),
		plan.GetDescription(), column.GetOutput(), column.GetColumn(), column.GetKind(), column.GetInputs()[0].GetInput(), column.GetInputs()[0].GetColumn(),
	)
	if want := fmt.Sprint("orders", []string{"n"}, "one", true, false, "the same", "orders", "n", "identity", "orders", "n"); text != want {
		t.Errorf("plan %s, want %s", text, want)
	}
	encoder := c.sendInput("orders", 4, numbers)
	for i := range 2 {
		c.sendRecord("orders", 4, encoder, record(c.alloc, 5, 6))
		var story []string
		for _, g := range c.done() {
			switch kind := g.GetKind().(type) {
			case *pluginv1.Head_Schema:
				story = append(story, fmt.Sprint("schema ", kind.Schema.GetStream(), " ", kind.Schema.GetVersion(), kind.Schema.GetKey()))
			case *pluginv1.Head_Batch:
				story = append(story, fmt.Sprint(kind.Batch.GetVersion(), " ", kind.Batch.GetOrigin(), " ", g.rows))
			case *pluginv1.Head_Reject:
				story = append(story, fmt.Sprint("reject ", kind.Reject.GetRows()[0].GetRow()))
			}
		}
		want := []string{"schema orders 1 [n]", `1 f.csv [{"n":2}]`, "reject 1", `1 f.csv [{"n":5},{"n":6}]`}
		if diff := cmp.Diff(want[min(i, 1):], story); diff != "" {
			t.Errorf("batch %d (-want +got):\n%s", i, diff)
		}
	}
	c.end()
}

func TestANewPlanBeginsANewVersion(t *testing.T) {
	t.Parallel()
	c := transforming(t, pass)
	for version, schema := range []*arrow.Schema{numbers, texts, numbers} {
		c.plan("a", schema)
		encoder := c.sendInput("a", uint32(version+1), schema)
		in := record(c.alloc, 1)
		if schema == texts {
			in.Release()
			in = textRecord(c.alloc, 1)
		}
		c.sendRecord("a", uint32(version+1), encoder, in)
		frames := c.done()
		if got := frames[0].GetSchema().GetVersion(); got != uint32(version+1) || frames[1].n != 1 {
			t.Errorf("plan %d: version %d, %d rows", version+1, got, frames[1].n)
		}
	}
	c.end()
}

func TestATransformIsHeldToItsPlan(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		apply func(ctx context.Context, in Batch, out Output, env Env) error
		says  string
	}{
		"an output that was not planned": {func(ctx context.Context, in Batch, out Output, _ Env) error {
			in.Stream = "other"
			return out.Batch(ctx, in)
		}, `output "other", which was not planned`},
		"another schema": {func(ctx context.Context, in Batch, out Output, env Env) error {
			in.Record.Release()
			return out.Batch(ctx, Batch{Stream: "a", Record: textRecord(env.Alloc, 1)})
		}, "planned was"},
		"another schema after the first batch": {func(ctx context.Context, in Batch, out Output, env Env) error {
			return errors.Join(out.Batch(ctx, in), out.Batch(ctx, Batch{Stream: "a", Record: textRecord(env.Alloc, 1)}))
		}, `stream "a" version 1`},
		"its own fault": {func(_ context.Context, in Batch, _ Output, _ Env) error {
			in.Record.Release()
			return errors.New("division by zero")
		}, "division by zero"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := transforming(t, test.apply)
			c.plan("a", numbers)
			c.sendRecord("a", 1, c.sendInput("a", 1, numbers), record(c.alloc, 1))
			c.fails(pluginv1.Error_CODE_FATAL, test.says)
			c.end()
		})
	}
}

func TestInputWithoutItsSchemaOrOutOfShapeIsAnswered(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		send func(c *call)
		says string
	}{
		"no schema": {func(c *call) {
			encoder := wire.NewEncoder(numbers)
			defer encoder.Close()
			c.sendRecord("b", 1, encoder, record(c.alloc, 1))
		}, `stream "b": a batch of version 1 came without its schema`},
		"another version": {func(c *call) {
			c.sendRecord("a", 2, c.sendInput("a", 1, numbers), record(c.alloc, 1))
		}, "came without its schema"},
		"bytes that are no batch": {func(c *call) {
			c.sendInput("a", 1, numbers)
			c.sendBody(&pluginv1.Head{Kind: &pluginv1.Head_Batch{Batch: &pluginv1.Batch{Stream: "a", Version: 1}}}, wire.Bytes([]byte("not a batch")))
		}, "malformed"},
		"bytes that are no schema": {func(c *call) {
			c.sendBody(&pluginv1.Head{Kind: &pluginv1.Head_Schema{Schema: &pluginv1.Schema{Stream: "a", Version: 1}}}, wire.Bytes([]byte("no schema")))
		}, "malformed"},
		"a plan of no schema": {func(c *call) {
			in := []*pluginv1.Input{{Name: "a", Schema: []byte("x")}}
			c.send(&pluginv1.Head{Kind: &pluginv1.Head_Plan{Plan: &pluginv1.PlanCall{Inputs: in}}})
		}, `schema of "a"`},
		"a frame of another kind": {func(c *call) { c.send(ackFrame("1")) }, "while transforming"},
		"finish": {func(c *call) {
			c.send(&pluginv1.Head{Kind: &pluginv1.Head_Finish{Finish: &pluginv1.Finish{}}})
		}, "does not collect"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := transforming(t, pass)
			test.send(c)
			c.fails(pluginv1.Error_CODE_FATAL, test.says)
			c.end()
		})
	}
}

func TestACollectorEmitsWhenItsInputIsComplete(t *testing.T) {
	t.Parallel()
	rows := int64(0)
	h := serve(t, TransformOf(func(_ context.Context, _ shopSettings, env Env) (*collector, error) {
		return &collector{
			transform: transform{
				plan: func(in []SchemaChange) (Plan, error) {
					out := []PlannedOutput{{Name: "total", Schema: numbers}}
					return Plan{Outputs: out, Lineage: DerivedFromAll(in, out), Cardinality: AnyRows, Collects: true}, nil
				},
				apply: func(_ context.Context, in Batch, _ Output) error {
					defer in.Record.Release()
					rows += in.Record.NumRows()
					return nil
				},
			},
			finish: func(ctx context.Context, out Output) error {
				return out.Batch(ctx, Batch{Stream: "total", Record: record(env.Alloc, rows)})
			},
		}, nil
	}))
	c := h.call(h.client.Transform, &pluginv1.Open{})
	c.done()
	plan := c.plan("a", numbers)
	if l := plan.GetLineage(); !plan.GetCollects() || len(l) != 1 || l[0].GetKind() != "derived" || l[0].GetInputs()[0].GetInput() != "a" {
		t.Errorf("plan %v", plan)
	}
	encoder := c.sendInput("a", 1, numbers)
	for range 3 {
		c.sendRecord("a", 1, encoder, record(c.alloc, 1, 2))
		if frames := c.done(); len(frames) != 0 {
			t.Errorf("gathering is answered by %v", frames)
		}
	}
	c.send(&pluginv1.Head{Kind: &pluginv1.Head_Finish{Finish: &pluginv1.Finish{}}})
	if frames := c.done(); len(frames) != 2 || frames[1].rows != `[{"n":6}]` {
		t.Errorf("finishing is answered by %v", frames)
	}
	c.end()
}

func TestLargeOutputsAreCutAndManyRejectionsSplit(t *testing.T) {
	t.Parallel()
	c := transforming(t, func(ctx context.Context, in Batch, out Output, env Env) error {
		in.Record.Release()
		return errors.Join(
			out.Batch(ctx, Batch{Stream: "a", Record: record(env.Alloc, make([]int64, 1_000_000)...)}),
			out.Reject(ctx, make([]Rejection, 1000)...),
		)
	})
	c.plan("a", numbers)
	c.sendRecord("a", 1, c.sendInput("a", 1, numbers), record(c.alloc, 1))
	frames := c.done()
	var rows int64
	batches, rejections := 0, 0
	for _, g := range frames {
		if g.GetBatch() != nil {
			batches++
		}
		rows += g.n
		rejections += len(g.GetReject().GetRows())
	}
	if rows != 1_000_000 || batches != 4 || rejections != 1000 {
		t.Errorf("%d rows in %d batches, %d rejections", rows, batches, rejections)
	}
	c.end()
}
