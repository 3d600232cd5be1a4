package pluginhost

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Transform is an instance of a transform. Batches go through it as through a pipe: Send for one caller, Receive for another, the
// answers in the order of the batches. Send may block until answers are received, so a caller that does both in one goroutine
// uses Apply. Plan and Finish need the pipe empty and nobody receiving.
type Transform struct {
	s       *session
	planned map[string]*arrow.Schema
}

// Result is what became of one batch.
type Result struct {
	Batches    []sdk.Batch     // owned by whoever takes the result
	Rejections []sdk.Rejection // by index in the batch that was sent
}

// Transform launches a transform.
func (h *Host) Transform(ctx context.Context, inst Instance) (*Transform, error) {
	inst, err := inst.of(registry.Transform)
	if err != nil {
		return nil, err
	}
	s, err := h.open(ctx, inst, pluginv1.Plugin_Transform_FullMethodName)
	if err != nil {
		return nil, err
	}
	t := &Transform{s: s}
	s.calls.accept = t.accept
	if _, err := s.ask(ctx, call{op: opOpen}, h.settings.Deadlines.Call, s.opening(&pluginv1.Open{})); err != nil {
		_ = s.close()
		return nil, err
	}
	return t, nil
}

func (t *Transform) accept(a *answer, c call, frame *wire.Frame) (bool, error) {
	emits := c.op == opBatch || c.op == opFinish
	switch kind := frame.Head.GetKind().(type) {
	case *pluginv1.Head_TransformPlan:
		again := a.plan != nil
		a.plan = kind.TransformPlan
		return c.op == opPlan && !again, nil
	case *pluginv1.Head_Schema:
		if !emits {
			return false, nil
		}
		return true, t.schema(kind.Schema, frame.Body)
	case *pluginv1.Head_Batch:
		if !emits {
			return false, nil
		}
		batch, err := t.s.in.batch(kind.Batch, frame.Body)
		if err == nil {
			a.batches = append(a.batches, batch)
		}
		return true, err
	case *pluginv1.Head_Reject:
		if c.op == opBatch {
			return true, t.s.in.reject(a, c, kind.Reject.GetRows())
		}
		rejections, err := t.s.in.rejections(kind.Reject.GetRows(), nil)
		a.rejections = append(a.rejections, rejections...)
		return c.op == opFinish, err
	}
	return false, nil
}

// schema holds an output to the plan.
func (t *Transform) schema(head *pluginv1.Schema, body wire.Body) error {
	change, err := t.s.in.schema(head, body)
	if err != nil {
		return err
	}
	planned, ok := t.planned[change.Stream]
	if !ok || !planned.Equal(change.Schema) {
		return t.s.inst.violation("output %q: its schema is not the planned one", change.Stream)
	}
	return nil
}

// Plan asks what would come out for inputs of these schemas. It must be called before the first batch and at each schema change.
func (t *Transform) Plan(ctx context.Context, in []sdk.SchemaChange) (sdk.Plan, error) {
	frame := &pluginv1.PlanCall{}
	for _, c := range in {
		input, err := inputFrame(c)
		if err != nil {
			return sdk.Plan{}, err
		}
		frame.Inputs = append(frame.Inputs, input)
	}
	got, err := t.s.ask(ctx, call{op: opPlan}, t.s.host.settings.Deadlines.Call, &pluginv1.Head{Kind: &pluginv1.Head_Plan{Plan: frame}})
	if err != nil {
		return sdk.Plan{}, err
	}
	plan, err := transformPlan(got.plan, in)
	if err != nil {
		return sdk.Plan{}, t.s.abort(t.s.inst.violation("its plan: %v", err))
	}
	t.planned = map[string]*arrow.Schema{}
	for _, out := range plan.Outputs {
		t.planned[out.Name] = out.Schema
	}
	t.s.know(in...)
	return plan, nil
}

// Send puts a batch into the pipe. The batch stays the caller's. A context that is cancelled while Send blocks ends the handle.
func (t *Transform) Send(ctx context.Context, b sdk.Batch) error {
	return t.s.why(t.s.sendBatch(ctx, b))
}

// Receive takes the answer to the oldest batch out of the pipe; it waits for one to be sent if there is none. A cancelled context
// ends only the waiting.
func (t *Transform) Receive(ctx context.Context) (Result, error) {
	got, err := t.s.receive(ctx)
	return Result{Batches: got.batches, Rejections: got.rejections}, err
}

// Apply sends a batch and receives its answer. The pipe must be empty.
func (t *Transform) Apply(ctx context.Context, b sdk.Batch) (Result, error) {
	got, err := t.s.exchange(ctx, b)
	return Result{Batches: got.batches, Rejections: got.rejections}, err
}

// Finish tells a collecting transform that its input has ended, and hands over what it gives piece by piece: each result has one
// batch or some rejections. An error of take ends the handle and is returned. take must not close it.
func (t *Transform) Finish(ctx context.Context, take func(Result) error) error {
	err := t.s.call(ctx, call{op: opFinish}, t.s.host.settings.Deadlines.Finish,
		&pluginv1.Head{Kind: &pluginv1.Head_Finish{Finish: &pluginv1.Finish{}}})
	if err != nil {
		return err
	}
	t.s.recvMu.Lock()
	defer t.s.recvMu.Unlock()
	for {
		done, err := t.s.step(ctx)
		if err != nil && ctx.Err() != nil {
			return t.s.abort(context.Cause(ctx))
		}
		if err != nil {
			return err
		}
		if done {
			return nil
		}
		piece := Result{Batches: t.s.calls.partial.batches, Rejections: t.s.calls.partial.rejections}
		t.s.calls.partial = answer{}
		if len(piece.Batches)+len(piece.Rejections) == 0 {
			continue
		}
		if err := take(piece); err != nil {
			return t.s.abort(err)
		}
	}
}

// Close ends the instance and its process.
func (t *Transform) Close() error { return t.s.close() }

func inputFrame(c sdk.SchemaChange) (*pluginv1.Input, error) {
	message, err := wire.EncodeSchema(c.Schema)
	if err != nil {
		return nil, fmt.Errorf("input %q: %w", c.Stream, err)
	}
	return &pluginv1.Input{Name: c.Stream, Schema: message, Key: c.Key}, nil
}

// transformPlan reads a plan, which must agree with its inputs and with itself.
func transformPlan(frame *pluginv1.TransformPlan, in []sdk.SchemaChange) (sdk.Plan, error) {
	if frame == nil {
		return sdk.Plan{}, fmt.Errorf("there is none in the answer")
	}
	cardinality, err := oneOf("cardinality", frame.GetCardinality(), sdk.OneToOne, sdk.Filters, sdk.AnyRows)
	if err != nil {
		return sdk.Plan{}, err
	}
	plan := sdk.Plan{
		Cardinality: cardinality, Deterministic: frame.GetDeterministic(), Collects: frame.GetCollects(),
		Description: cut(frame.GetDescription()),
	}
	outputs := map[string]*arrow.Schema{}
	for _, out := range frame.GetOutputs() {
		name := out.GetName()
		if err := checkName(name); err != nil || outputs[name] != nil {
			return sdk.Plan{}, fmt.Errorf("output %.60q has no usable name, or is there twice", name)
		}
		schema, err := schemaOf(out.GetSchema(), out.GetKey())
		if err != nil {
			return sdk.Plan{}, fmt.Errorf("output %q: %w", name, err)
		}
		outputs[name] = schema
		plan.Outputs = append(plan.Outputs, sdk.PlannedOutput{Name: name, Schema: schema, Key: out.GetKey()})
	}
	inputs := map[string]*arrow.Schema{}
	for _, c := range in {
		inputs[c.Stream] = c.Schema
	}
	plan.Lineage, err = lineage(frame.GetLineage(), inputs, outputs)
	return plan, err
}

// lineage reads column lineage, every column of which must exist: policies follow it.
func lineage(frames []*pluginv1.ColumnLineage, inputs, outputs map[string]*arrow.Schema) ([]sdk.ColumnLineage, error) {
	var out []sdk.ColumnLineage
	for _, l := range frames {
		kind, err := oneOf("lineage kind", l.GetKind(), sdk.Identity, sdk.Derived, sdk.Aggregated, sdk.Masked)
		if err != nil {
			return nil, err
		}
		if !hasColumn(outputs, l.GetOutput(), l.GetColumn()) {
			return nil, fmt.Errorf("lineage of column %.60q of output %.60q, which does not exist", l.GetColumn(), l.GetOutput())
		}
		one := sdk.ColumnLineage{Output: l.GetOutput(), Column: l.GetColumn(), Kind: kind}
		for _, ref := range l.GetInputs() {
			if !hasColumn(inputs, ref.GetInput(), ref.GetColumn()) {
				return nil, fmt.Errorf("lineage from column %.60q of input %.60q, which does not exist", ref.GetColumn(), ref.GetInput())
			}
			one.Inputs = append(one.Inputs, sdk.ColumnRef{Input: ref.GetInput(), Column: ref.GetColumn()})
		}
		out = append(out, one)
	}
	return out, nil
}

func hasColumn(schemas map[string]*arrow.Schema, name, column string) bool {
	schema, ok := schemas[name]
	return ok && schema.HasField(column)
}
