package sdk

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Check implements pluginv1.PluginServer.
func (s *server) Check(stream grpc.BidiStreamingServer[pluginv1.Frame, pluginv1.Frame]) error {
	return serveCalls(s, stream, pluginv1.Kind_KIND_CHECK,
		func(_ context.Context, session *session, check Check, _ *pluginv1.Open) (handler, error) {
			return (&checkCalls{session: session, check: check}).handle, nil
		})
}

type checkCalls struct {
	session *session
	check   Check
}

func (c *checkCalls) handle(ctx context.Context, frame *wire.Frame) error {
	var err error
	switch kind := frame.Head.GetKind().(type) {
	case *pluginv1.Head_Plan:
		err = c.plan(ctx, kind.Plan)
	case *pluginv1.Head_Schema:
		return c.session.receiveSchema(kind.Schema, frame.Body)
	case *pluginv1.Head_Batch:
		err = c.rows(ctx, kind.Batch, frame.Body)
	case *pluginv1.Head_Result:
		err = c.result(ctx)
	default:
		err = Fatal(fmt.Errorf("unexpected frame %T while checking", kind))
	}
	if err != nil {
		return err
	}
	return c.session.done()
}

func (c *checkCalls) plan(ctx context.Context, call *pluginv1.PlanCall) error {
	for _, in := range call.GetInputs() {
		change, err := schemaChange(in.GetName(), 1, in.GetSchema(), in.GetKey())
		if err != nil {
			return err
		}
		if err := c.check.Plan(ctx, change); err != nil {
			return err
		}
	}
	return nil
}

func (c *checkCalls) rows(ctx context.Context, head *pluginv1.Batch, body wire.Body) error {
	batch, err := c.session.receiveBatch(head, body)
	if err != nil {
		return err
	}
	findings, err := c.check.Rows(ctx, batch)
	if err != nil {
		return err
	}
	const perFrame = 1024
	for from := 0; from < len(findings); from += perFrame {
		frame := &pluginv1.Findings{}
		for _, f := range findings[from:min(from+perFrame, len(findings))] {
			frame.Rows = append(frame.Rows, &pluginv1.Finding{
				Row: int64(f.Row), Column: f.Column, Code: f.Code, Reason: f.Reason, Warning: f.Warning,
			})
		}
		if err := c.session.send(&pluginv1.Head{Kind: &pluginv1.Head_Findings{Findings: frame}}); err != nil {
			return err
		}
	}
	return nil
}

func (c *checkCalls) result(ctx context.Context) error {
	result, err := c.check.Result(ctx)
	if err != nil {
		return err
	}
	return c.session.send(&pluginv1.Head{Kind: &pluginv1.Head_CheckResult{CheckResult: &pluginv1.CheckResult{
		Verdict: string(result.Verdict), Message: result.Message, Metrics: result.Metrics,
	}}})
}
