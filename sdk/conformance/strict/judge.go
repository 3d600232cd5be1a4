package strict

import (
	"context"
	"io"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Check is an instance of a check.
type Check struct{ s *stream }

// Check makes an instance.
func (p *Process) Check(ctx context.Context, config []byte) (*Check, error) {
	s, err := p.open(ctx, pluginv1.Plugin_Check_FullMethodName, config, &pluginv1.Open{})
	if err != nil {
		return nil, err
	}
	if err := s.answer("open", nil); err != nil {
		s.drop()
		return nil, err
	}
	return &Check{s: s}, nil
}

// Plan prepares the check for a schema.
func (c *Check) Plan(in sdk.SchemaChange) error {
	message, err := wire.EncodeSchema(in.Schema)
	if err != nil {
		return err
	}
	c.s.keys[in.Stream] = in.Key
	return c.s.ask("plan", &pluginv1.Head{Kind: &pluginv1.Head_Plan{Plan: &pluginv1.PlanCall{
		Inputs: []*pluginv1.Input{{Name: in.Stream, Schema: message, Key: in.Key}},
	}}}, nil)
}

// Rows sends a batch, which stays the caller's, and returns the findings by index in it.
func (c *Check) Rows(b sdk.Batch) ([]sdk.Finding, error) {
	var all []sdk.Finding
	offset := int64(0)
	err := c.s.sendBatch(b, func(rows int64) error {
		err := c.s.answer("batch", func(frame *wire.Frame) (bool, error) {
			kind, ok := frame.Head.GetKind().(*pluginv1.Head_Findings)
			if !ok {
				return false, nil
			}
			findings, err := c.s.findings(kind.Findings.GetRows(), rows)
			for _, f := range findings {
				f.Row += int(offset)
				all = append(all, f)
			}
			return true, err
		})
		offset += rows
		return err
	})
	return all, err
}

// Begin sends a batch without waiting for findings; only Cancel may follow.
func (c *Check) Begin(b sdk.Batch) error {
	return c.s.sendBatch(b, func(int64) error { return io.EOF })
}

// Result is the verdict on the unit.
func (c *Check) Result() (sdk.CheckResult, error) {
	var got *pluginv1.CheckResult
	err := c.s.ask("result", &pluginv1.Head{Kind: &pluginv1.Head_Result{Result: &pluginv1.Result{}}}, func(frame *wire.Frame) (bool, error) {
		again := got != nil
		got = frame.Head.GetCheckResult()
		return got != nil && !again, nil
	})
	if err != nil {
		return sdk.CheckResult{}, err
	}
	if got == nil {
		return sdk.CheckResult{}, violation("no result in the answer to \"result\"")
	}
	c.s.say(got.GetMessage())
	verdict, err := oneOf("verdict", got.GetVerdict(), sdk.Pass, sdk.Warn, sdk.Fail)
	if err != nil {
		return sdk.CheckResult{}, err
	}
	return sdk.CheckResult{Verdict: verdict, Message: got.GetMessage(), Metrics: got.GetMetrics()}, finite(got.GetMetrics())
}

// Cancel aborts the instance.
func (c *Check) Cancel() { c.s.drop() }

// Close ends the instance in order.
func (c *Check) Close() error { return c.s.hangUp() }
