package sdk

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Transform implements pluginv1.PluginServer.
func (s *server) Transform(stream grpc.BidiStreamingServer[pluginv1.Frame, pluginv1.Frame]) error {
	return serveCalls(s, stream, pluginv1.Kind_KIND_TRANSFORM,
		func(_ context.Context, session *session, transform Transform, _ *pluginv1.Open) (handler, error) {
			return (&transformCalls{session: session, transform: transform, versions: map[string]int{}}).handle, nil
		})
}

type transformCalls struct {
	session   *session
	transform Transform
	planned   []PlannedOutput
	shape     Cardinality
	versions  map[string]int // of the outputs whose schema has been sent since the last plan
	plans     int
}

func (t *transformCalls) handle(ctx context.Context, frame *wire.Frame) error {
	switch kind := frame.Head.GetKind().(type) {
	case *pluginv1.Head_Plan:
		if err := t.plan(ctx, kind.Plan); err != nil {
			return err
		}
	case *pluginv1.Head_Schema:
		return t.session.receiveSchema(kind.Schema, frame.Body)
	case *pluginv1.Head_Batch:
		batch, err := t.session.receiveBatch(kind.Batch, frame.Body)
		if err != nil {
			return err
		}
		out := &output{transformCalls: t, stream: batch.Stream, origin: batch.Origin, rows: batch.Record.NumRows()}
		if err := t.transform.Apply(ctx, batch, out); err != nil {
			return err
		}
	case *pluginv1.Head_Finish:
		collector, ok := t.transform.(Collector)
		if !ok {
			return Fatal(fmt.Errorf("%T does not collect", t.transform))
		}
		if err := collector.Finish(ctx, &output{transformCalls: t, rows: collected}); err != nil {
			return err
		}
	default:
		return Fatal(fmt.Errorf("unexpected frame %T while transforming", kind))
	}
	return t.session.done()
}

func (t *transformCalls) plan(ctx context.Context, call *pluginv1.PlanCall) error {
	var inputs []SchemaChange
	for _, in := range call.GetInputs() {
		change, err := schemaChange(in.GetName(), 1, in.GetSchema(), in.GetKey())
		if err != nil {
			return err
		}
		inputs = append(inputs, change)
	}
	plan, err := t.transform.Plan(ctx, inputs)
	if err != nil {
		return err
	}
	frame, err := planFrame(plan)
	if err != nil {
		return err
	}
	t.planned, t.shape, t.plans = plan.Outputs, plan.Cardinality, t.plans+1
	clear(t.versions)
	return t.session.send(&pluginv1.Head{Kind: &pluginv1.Head_TransformPlan{TransformPlan: frame}})
}

func planFrame(plan Plan) (*pluginv1.TransformPlan, error) {
	frame := &pluginv1.TransformPlan{
		Cardinality: string(plan.Cardinality), Deterministic: plan.Deterministic, Collects: plan.Collects, Description: plan.Description,
	}
	for _, out := range plan.Outputs {
		message, err := wire.EncodeSchema(out.Schema)
		if err != nil {
			return nil, err
		}
		frame.Outputs = append(frame.Outputs, &pluginv1.Input{Name: out.Name, Schema: message, Key: out.Key})
	}
	for _, l := range plan.Lineage {
		column := &pluginv1.ColumnLineage{Output: l.Output, Column: l.Column, Kind: string(l.Kind)}
		for _, ref := range l.Inputs {
			column.Inputs = append(column.Inputs, &pluginv1.ColumnRef{Input: ref.Input, Column: ref.Column})
		}
		frame.Lineage = append(frame.Lineage, column)
	}
	return frame, nil
}
