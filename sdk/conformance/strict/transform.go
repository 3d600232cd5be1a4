package strict

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Transform is an instance of a transform.
type Transform struct {
	s       *stream
	planned map[string]*arrow.Schema
}

// Result is what became of one part of a batch, or of all that was collected.
type Result struct {
	In         int64       // rows of the part
	Batches    []sdk.Batch // owned by whoever takes the result
	Rejections []sdk.Rejection
}

// Release gives the batches back.
func (r Result) Release() {
	for _, b := range r.Batches {
		b.Record.Release()
	}
}

// Transform makes an instance.
func (p *Process) Transform(ctx context.Context, config []byte) (*Transform, error) {
	s, err := p.open(ctx, pluginv1.Plugin_Transform_FullMethodName, config, &pluginv1.Open{})
	if err != nil {
		return nil, err
	}
	if err := s.answer("open", nil); err != nil {
		s.drop()
		return nil, err
	}
	return &Transform{s: s}, nil
}

// answer takes frames until Done.
func (s *stream) answer(call string, accept func(*wire.Frame) (bool, error)) error {
	for {
		frame, err := s.receive(call)
		if errors.Is(err, io.EOF) {
			return violation("it ended the stream in the answer to %q", call)
		}
		if err != nil {
			return err
		}
		if frame.Head.GetDone() != nil {
			return nil
		}
		ok := false
		if accept != nil {
			ok, err = accept(frame)
		}
		if err != nil {
			return err
		}
		if !ok {
			return violation("a frame %T in the answer to %q", frame.Head.GetKind(), call)
		}
	}
}

// ask makes a call and takes its answer.
func (s *stream) ask(call string, head *pluginv1.Head, accept func(*wire.Frame) (bool, error)) error {
	if err := s.send(head); err != nil && !errors.Is(err, errEnded) {
		return err
	}
	return s.answer(call, accept)
}

// Plan asks what would come out for inputs of these schemas.
func (t *Transform) Plan(in []sdk.SchemaChange) (sdk.Plan, error) {
	call := &pluginv1.PlanCall{}
	for _, c := range in {
		message, err := wire.EncodeSchema(c.Schema)
		if err != nil {
			return sdk.Plan{}, err
		}
		call.Inputs = append(call.Inputs, &pluginv1.Input{Name: c.Stream, Schema: message, Key: c.Key})
		t.s.keys[c.Stream] = c.Key
	}
	var got *pluginv1.TransformPlan
	err := t.s.ask("plan", &pluginv1.Head{Kind: &pluginv1.Head_Plan{Plan: call}}, func(frame *wire.Frame) (bool, error) {
		again := got != nil
		got = frame.Head.GetTransformPlan()
		return got != nil && !again, nil
	})
	if err != nil {
		return sdk.Plan{}, err
	}
	if got == nil {
		return sdk.Plan{}, violation("no plan in the answer to \"plan\"")
	}
	t.s.say(got.GetDescription())
	plan, err := planOf(got, in)
	t.planned = map[string]*arrow.Schema{}
	for _, out := range plan.Outputs {
		t.planned[out.Name] = out.Schema
	}
	return plan, err
}

// Apply sends a batch, which stays the caller's, and hands over what comes of each part that it is cut to.
func (t *Transform) Apply(b sdk.Batch, take func(Result) error) error {
	return t.s.sendBatch(b, func(rows int64) error {
		seen := map[int64]bool{}
		result, err := t.gather("batch", func(rejected []*pluginv1.Rejection) ([]sdk.Rejection, error) {
			return t.s.rejections(rejected, 0, rows, seen)
		})
		result.In = rows
		if err != nil {
			return err
		}
		return take(result)
	})
}

// Finish asks a collecting transform for all that it gives.
func (t *Transform) Finish() (Result, error) {
	if err := t.s.send(&pluginv1.Head{Kind: &pluginv1.Head_Finish{Finish: &pluginv1.Finish{}}}); err != nil && !errors.Is(err, errEnded) {
		return Result{}, err
	}
	return t.gather("finish", func(rejected []*pluginv1.Rejection) ([]sdk.Rejection, error) {
		return t.s.rejections(rejected, 1, 0, nil)
	})
}

// gather takes the outputs of one call. After an error nothing is left of them.
func (t *Transform) gather(call string, reject func([]*pluginv1.Rejection) ([]sdk.Rejection, error)) (Result, error) {
	var result Result
	err := t.s.answer(call, func(frame *wire.Frame) (bool, error) {
		switch kind := frame.Head.GetKind().(type) {
		case *pluginv1.Head_Schema:
			change, err := t.s.schema(kind.Schema, frame.Body)
			if err != nil {
				return true, err
			}
			if planned, ok := t.planned[change.Stream]; !ok || !planned.Equal(change.Schema) {
				return true, violation("output %q has schema %v, planned was %v", change.Stream, change.Schema, planned)
			}
			return true, nil
		case *pluginv1.Head_Batch:
			batch, err := t.s.batch(kind.Batch, frame.Body)
			if err == nil {
				result.Batches = append(result.Batches, batch)
			}
			return true, err
		case *pluginv1.Head_Reject:
			rejections, err := reject(kind.Reject.GetRows())
			result.Rejections = append(result.Rejections, rejections...)
			return true, err
		}
		return false, nil
	})
	if err != nil {
		result.Release()
		return Result{}, err
	}
	return result, nil
}

// Cancel aborts the instance.
func (t *Transform) Cancel() { t.s.drop() }

// Close ends the instance in order.
func (t *Transform) Close() error { return t.s.hangUp() }

// Begin sends a batch without waiting for what comes of it; only Cancel may follow.
func (t *Transform) Begin(b sdk.Batch) error {
	return t.s.sendBatch(b, func(int64) error { return io.EOF })
}

// planOf reads a plan, which must agree with its inputs and with itself.
func planOf(frame *pluginv1.TransformPlan, in []sdk.SchemaChange) (sdk.Plan, error) {
	cardinality, err := oneOf("cardinality", frame.GetCardinality(), sdk.OneToOne, sdk.Filters, sdk.AnyRows)
	if err != nil {
		return sdk.Plan{}, err
	}
	plan := sdk.Plan{
		Cardinality: cardinality, Deterministic: frame.GetDeterministic(), Collects: frame.GetCollects(), Description: frame.GetDescription(),
	}
	outputs := map[string]*arrow.Schema{}
	for _, out := range frame.GetOutputs() {
		if err := checkName(out.GetName()); err != nil || outputs[out.GetName()] != nil {
			return sdk.Plan{}, violation("output %.60q has no usable name, or is there twice", out.GetName())
		}
		schema, err := schemaOf(out.GetSchema(), out.GetKey())
		if err != nil {
			return sdk.Plan{}, err
		}
		outputs[out.GetName()] = schema
		plan.Outputs = append(plan.Outputs, sdk.PlannedOutput{Name: out.GetName(), Schema: schema, Key: out.GetKey()})
	}
	inputs := map[string]*arrow.Schema{}
	for _, c := range in {
		inputs[c.Stream] = c.Schema
	}
	plan.Lineage, err = lineageOf(frame.GetLineage(), inputs, outputs)
	return plan, err
}

// lineageOf reads column lineage, every column of which must exist: policies follow it.
func lineageOf(frames []*pluginv1.ColumnLineage, inputs, outputs map[string]*arrow.Schema) ([]sdk.ColumnLineage, error) {
	var out []sdk.ColumnLineage
	for _, l := range frames {
		kind, err := oneOf("lineage kind", l.GetKind(), sdk.Identity, sdk.Derived, sdk.Aggregated, sdk.Masked)
		if err != nil {
			return nil, err
		}
		if !hasColumn(outputs, l.GetOutput(), l.GetColumn()) {
			return nil, violation("lineage of column %.60q of output %.60q, which does not exist", l.GetColumn(), l.GetOutput())
		}
		one := sdk.ColumnLineage{Output: l.GetOutput(), Column: l.GetColumn(), Kind: kind}
		for _, ref := range l.GetInputs() {
			if !hasColumn(inputs, ref.GetInput(), ref.GetColumn()) {
				return nil, violation("lineage from column %.60q of input %.60q, which does not exist", ref.GetColumn(), ref.GetInput())
			}
			one.Inputs = append(one.Inputs, sdk.ColumnRef{Input: ref.GetInput(), Column: ref.GetColumn()})
		}
		out = append(out, one)
	}
	return out, nil
}

func hasColumn(schemas map[string]*arrow.Schema, name, column string) bool {
	schema, ok := schemas[name]
	return ok && slices.ContainsFunc(schema.Fields(), func(f arrow.Field) bool { return f.Name == column })
}
