package pluginhost

import (
	"context"
	"errors"

	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Check is an instance of a check. Batches go through it as through a pipe: Send for one caller, Receive for another, the answers
// in the order of the batches. Plan and Result need the pipe empty and nobody receiving.
type Check struct {
	s *session
}

// Check launches a check.
func (h *Host) Check(ctx context.Context, inst Instance) (*Check, error) {
	inst, err := inst.of(registry.Check)
	if err != nil {
		return nil, err
	}
	s, err := h.open(ctx, inst, pluginv1.Plugin_Check_FullMethodName)
	if err != nil {
		return nil, err
	}
	c := &Check{s: s}
	s.calls.accept = c.accept
	if _, err := s.ask(ctx, call{op: opOpen}, h.settings.Deadlines.Call, s.opening(&pluginv1.Open{})); err != nil {
		_ = s.close()
		return nil, err
	}
	return c, nil
}

func (c *Check) accept(a *answer, one call, frame *wire.Frame) (bool, error) {
	switch kind := frame.Head.GetKind().(type) {
	case *pluginv1.Head_Findings:
		return one.op == opBatch, c.s.in.findings(a, one, kind.Findings.GetRows())
	case *pluginv1.Head_CheckResult:
		again := a.result != nil
		a.result = kind.CheckResult
		return one.op == opResult && !again, nil
	}
	return false, nil
}

// Plan prepares the check for a schema.
func (c *Check) Plan(ctx context.Context, in sdk.SchemaChange) error {
	input, err := inputFrame(in)
	if err != nil {
		return err
	}
	_, err = c.s.ask(ctx, call{op: opPlan}, c.s.host.settings.Deadlines.Call,
		&pluginv1.Head{Kind: &pluginv1.Head_Plan{Plan: &pluginv1.PlanCall{Inputs: []*pluginv1.Input{input}}}})
	if err == nil {
		c.s.know(in)
	}
	return err
}

// Send puts a batch into the pipe. The batch stays the caller's. A context that is cancelled while Send blocks ends the handle.
func (c *Check) Send(ctx context.Context, b sdk.Batch) error {
	return c.s.why(c.s.sendBatch(ctx, b))
}

// Receive takes the findings on the oldest batch, by index in it; it waits for one to be sent if there is none. A cancelled context
// ends only the waiting.
func (c *Check) Receive(ctx context.Context) ([]sdk.Finding, error) {
	got, err := c.s.receive(ctx)
	return got.findings, err
}

// Rows sends a batch and receives its findings. The pipe must be empty.
func (c *Check) Rows(ctx context.Context, b sdk.Batch) ([]sdk.Finding, error) {
	got, err := c.s.exchange(ctx, b)
	return got.findings, err
}

// Result is the verdict on the unit that the batches since the last Result make.
func (c *Check) Result(ctx context.Context) (sdk.CheckResult, error) {
	got, err := c.s.ask(ctx, call{op: opResult}, c.s.host.settings.Deadlines.Answer,
		&pluginv1.Head{Kind: &pluginv1.Head_Result{Result: &pluginv1.Result{}}})
	if err != nil {
		return sdk.CheckResult{}, err
	}
	result, err := checkResult(got.result)
	if err != nil {
		return sdk.CheckResult{}, c.s.abort(c.s.inst.violation("its result: %v", err))
	}
	return result, nil
}

// Close ends the instance and its process.
func (c *Check) Close() error { return c.s.close() }

func checkResult(frame *pluginv1.CheckResult) (sdk.CheckResult, error) {
	if frame == nil {
		return sdk.CheckResult{}, errors.New("there is none in the answer")
	}
	verdict, err := oneOf("verdict", frame.GetVerdict(), sdk.Pass, sdk.Warn, sdk.Fail)
	if err != nil {
		return sdk.CheckResult{}, err
	}
	return sdk.CheckResult{Verdict: verdict, Message: cut(frame.GetMessage()), Metrics: frame.GetMetrics()}, finite(frame.GetMetrics())
}
