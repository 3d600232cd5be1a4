package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Sink is an instance of a sink. Batches go through it as through a pipe: Send for one caller, Receive for another, the answers in
// the order of the batches; Write is both. All other calls need the pipe empty and nobody receiving.
type Sink struct {
	s      *session
	opened sdk.Opened
	rows   atomic.Int64 // sent since the last commit
}

// Sink launches a sink and opens it.
func (h *Host) Sink(ctx context.Context, inst Instance, req sdk.OpenRequest) (*Sink, error) {
	inst, err := inst.of(registry.Sink)
	if err != nil {
		return nil, err
	}
	s, err := h.open(ctx, inst, pluginv1.Plugin_Write_FullMethodName)
	if err != nil {
		return nil, err
	}
	sink := &Sink{s: s}
	s.calls.accept = sink.accept
	got, err := s.ask(ctx, call{op: opOpen}, h.settings.Deadlines.Call, s.opening(&pluginv1.Open{Write: &pluginv1.Write{
		Flow: req.Flow, Mode: string(req.Mode), Key: req.Key,
	}}))
	if err == nil {
		sink.opened, err = opened(got.opened)
		if err != nil {
			err = s.abort(inst.violation("its answer to %q: %v", opOpen, err))
		}
	}
	if err != nil {
		_ = s.close()
		return nil, err
	}
	return sink, nil
}

func (k *Sink) accept(a *answer, c call, frame *wire.Frame) (bool, error) {
	switch kind := frame.Head.GetKind().(type) {
	case *pluginv1.Head_Opened:
		again := a.opened != nil
		a.opened = kind.Opened
		return c.op == opOpen && !again, nil
	case *pluginv1.Head_Actions:
		again := a.actions != nil
		a.actions = kind.Actions
		return c.op == opPlanSchema && !again, nil
	case *pluginv1.Head_Mark:
		again := a.mark != nil
		a.mark = kind.Mark
		return c.op == opBegin && !again, nil
	case *pluginv1.Head_Reject:
		if c.op == opBatch {
			return true, k.s.in.reject(a, c, kind.Reject.GetRows())
		}
		rejections, err := k.s.in.rejections(kind.Reject.GetRows(), &span{from: sdk.NoRow, to: c.rows})
		a.rejections = append(a.rejections, rejections...)
		return c.op == opCommit, err
	}
	return false, nil
}

func opened(frame *pluginv1.Opened) (sdk.Opened, error) {
	if frame == nil {
		return sdk.Opened{}, errors.New("what was opened is missing")
	}
	guarantee, err := oneOf("guarantee", frame.GetGuarantee(), sdk.ExactlyOnce, sdk.EffectivelyOnce, sdk.AtLeastOnce)
	if err != nil {
		return sdk.Opened{}, err
	}
	if frame.GetPreferredRows() < 0 || frame.GetPreferredBytes() < 0 {
		return sdk.Opened{}, errors.New("a preferred size is negative")
	}
	return sdk.Opened{
		Guarantee: guarantee, PreferredRows: frame.GetPreferredRows(), PreferredBytes: frame.GetPreferredBytes(),
		External: external(frame.GetExternal()),
	}, nil
}

func external(frame *pluginv1.ExternalDataset) sdk.ExternalDataset {
	return sdk.ExternalDataset{Namespace: cut(frame.GetNamespace()), Name: cut(frame.GetName())}
}

// Opened is what the sink promises.
func (k *Sink) Opened() sdk.Opened { return k.opened }

func schemaCall(c sdk.SchemaChange) (*pluginv1.SchemaCall, error) {
	message, err := wire.EncodeSchema(c.Schema)
	if err != nil {
		return nil, fmt.Errorf("stream %q: %w", c.Stream, err)
	}
	version := uint32(c.Version) //nolint:gosec // versions are small positive numbers
	return &pluginv1.SchemaCall{Stream: c.Stream, Version: version, Schema: message, Key: c.Key}, nil
}

// PlanSchema asks what ApplySchema would do.
func (k *Sink) PlanSchema(ctx context.Context, c sdk.SchemaChange) ([]sdk.Action, error) {
	frame, err := schemaCall(c)
	if err != nil {
		return nil, err
	}
	got, err := k.s.ask(ctx, call{op: opPlanSchema}, k.s.host.settings.Deadlines.Call,
		&pluginv1.Head{Kind: &pluginv1.Head_PlanSchema{PlanSchema: frame}})
	if err != nil {
		return nil, err
	}
	if got.actions == nil {
		return nil, k.s.abort(k.s.inst.violation("no actions in the answer to %q", opPlanSchema))
	}
	return actionsOf(got.actions), nil
}

func actionsOf(frame *pluginv1.Actions) []sdk.Action {
	var actions []sdk.Action
	for _, a := range frame.GetActions() {
		actions = append(actions, sdk.Action{Object: cut(a.GetObject()), Description: cut(a.GetDescription()), Destructive: a.GetDestructive()})
	}
	return actions
}

// ApplySchema prepares the target for batches of the version.
func (k *Sink) ApplySchema(ctx context.Context, c sdk.SchemaChange) error {
	frame, err := schemaCall(c)
	if err != nil {
		return err
	}
	_, err = k.s.ask(ctx, call{op: opApplySchema}, k.s.host.settings.Deadlines.Answer,
		&pluginv1.Head{Kind: &pluginv1.Head_ApplySchema{ApplySchema: frame}})
	if err == nil {
		k.s.know(c)
	}
	return err
}

// Begin fences older epochs out and returns the last committed mark, which is zero if there is none.
func (k *Sink) Begin(ctx context.Context, epoch uint64) (sdk.Mark, error) {
	got, err := k.s.ask(ctx, call{op: opBegin}, k.s.host.settings.Deadlines.Answer,
		&pluginv1.Head{Kind: &pluginv1.Head_Begin{Begin: &pluginv1.Begin{Epoch: epoch}}})
	if err != nil {
		return sdk.Mark{}, err
	}
	mark := got.mark
	if mark == nil {
		return sdk.Mark{}, k.s.abort(k.s.inst.violation("no mark in the answer to %q", opBegin))
	}
	if mark.GetEpoch() > epoch {
		return sdk.Mark{}, k.s.abort(k.s.inst.violation("it began epoch %d and returned a mark of the later epoch %d", epoch, mark.GetEpoch()))
	}
	if len(mark.GetPosition()) > 0 {
		if err := k.s.in.position(mark.GetPosition()); err != nil {
			return sdk.Mark{}, k.s.abort(err)
		}
	}
	k.rows.Store(0)
	return sdk.Mark{Epoch: mark.GetEpoch(), Seq: mark.GetSeq(), Position: mark.GetPosition()}, nil
}

// Send puts a batch into the pipe. The batch stays the caller's. A context that is cancelled while Send blocks ends the handle.
func (k *Sink) Send(ctx context.Context, b sdk.Batch) error {
	k.rows.Add(b.Record.NumRows())
	return k.s.why(k.s.sendBatch(ctx, b))
}

// Receive takes the rejections of the oldest batch, by index in it; the other rows are staged. It waits for a batch to be sent if
// there is none. A cancelled context ends only the waiting.
func (k *Sink) Receive(ctx context.Context) ([]sdk.Rejection, error) {
	got, err := k.s.receive(ctx)
	return got.rejections, err
}

// Write stages a batch, which stays the caller's, and returns its rejections by index. The pipe must be empty.
func (k *Sink) Write(ctx context.Context, b sdk.Batch) ([]sdk.Rejection, error) {
	k.rows.Add(b.Record.NumRows())
	got, err := k.s.exchange(ctx, b)
	return got.rejections, err
}

// Commit makes what was staged visible together with the mark. Repeating it for a committed mark is a no-op.
func (k *Sink) Commit(ctx context.Context, m sdk.Mark) ([]sdk.Rejection, error) {
	one := call{op: opCommit, rows: k.rows.Load()}
	got, err := k.s.ask(ctx, one, k.s.host.settings.Deadlines.Answer, &pluginv1.Head{Kind: &pluginv1.Head_Commit{
		Commit: &pluginv1.Commit{Mark: &pluginv1.Mark{Epoch: m.Epoch, Seq: m.Seq, Position: m.Position}},
	}})
	if err != nil {
		return nil, err
	}
	k.rows.Store(0)
	return got.rejections, nil
}

// Close ends the instance and its process. What was staged and not committed does not become visible.
func (k *Sink) Close() error { return k.s.close() }
