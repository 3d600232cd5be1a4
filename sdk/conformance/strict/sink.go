package strict

import (
	"context"
	"io"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Sink is an instance of a sink.
type Sink struct {
	s    *stream
	rows int64 // sent since the last commit
}

// Sink makes an instance and opens it.
func (p *Process) Sink(ctx context.Context, config []byte, req sdk.OpenRequest) (*Sink, sdk.Opened, error) {
	s, err := p.open(ctx, pluginv1.Plugin_Write_FullMethodName, config, &pluginv1.Open{Write: &pluginv1.Write{
		Flow: req.Flow, Mode: string(req.Mode), Key: req.Key,
	}})
	if err != nil {
		return nil, sdk.Opened{}, err
	}
	var got *pluginv1.Opened
	err = s.answer("open", func(frame *wire.Frame) (bool, error) {
		again := got != nil
		got = frame.Head.GetOpened()
		return got != nil && !again, nil
	})
	opened := sdk.Opened{}
	if err == nil {
		opened, err = s.opened(got)
	}
	if err != nil {
		s.drop()
		return nil, sdk.Opened{}, err
	}
	return &Sink{s: s}, opened, nil
}

func (s *stream) opened(got *pluginv1.Opened) (sdk.Opened, error) {
	if got == nil {
		return sdk.Opened{}, violation("what was opened is missing in the answer to \"open\"")
	}
	s.say(got.GetExternal().GetNamespace(), got.GetExternal().GetName())
	guarantee, err := oneOf("guarantee", got.GetGuarantee(), sdk.ExactlyOnce, sdk.EffectivelyOnce, sdk.AtLeastOnce)
	if err != nil {
		return sdk.Opened{}, err
	}
	if got.GetPreferredRows() < 0 || got.GetPreferredBytes() < 0 {
		return sdk.Opened{}, violation("a preferred size is negative")
	}
	return sdk.Opened{
		Guarantee: guarantee, PreferredRows: got.GetPreferredRows(), PreferredBytes: got.GetPreferredBytes(),
		External: sdk.ExternalDataset{Namespace: got.GetExternal().GetNamespace(), Name: got.GetExternal().GetName()},
	}, nil
}

func (k *Sink) schemaCall(c sdk.SchemaChange) (*pluginv1.SchemaCall, error) {
	message, err := wire.EncodeSchema(c.Schema)
	k.s.keys[c.Stream] = c.Key
	return &pluginv1.SchemaCall{Stream: c.Stream, Version: uint32(c.Version), Schema: message, Key: c.Key}, err //nolint:gosec // small and positive
}

// PlanSchema asks what ApplySchema would do.
func (k *Sink) PlanSchema(c sdk.SchemaChange) ([]sdk.Action, error) {
	call, err := k.schemaCall(c)
	if err != nil {
		return nil, err
	}
	var got *pluginv1.Actions
	err = k.s.ask("plan schema", &pluginv1.Head{Kind: &pluginv1.Head_PlanSchema{PlanSchema: call}}, func(frame *wire.Frame) (bool, error) {
		again := got != nil
		got = frame.Head.GetActions()
		return got != nil && !again, nil
	})
	if err == nil && got == nil {
		err = violation("no actions in the answer to \"plan schema\"")
	}
	return actionsOf(got, k.s.say), err
}

func actionsOf(got *pluginv1.Actions, say func(...string)) []sdk.Action {
	var actions []sdk.Action
	for _, a := range got.GetActions() {
		say(a.GetObject(), a.GetDescription())
		actions = append(actions, sdk.Action{Object: a.GetObject(), Description: a.GetDescription(), Destructive: a.GetDestructive()})
	}
	return actions
}

// ApplySchema prepares the target for batches of the version.
func (k *Sink) ApplySchema(c sdk.SchemaChange) error {
	call, err := k.schemaCall(c)
	if err != nil {
		return err
	}
	return k.s.ask("apply schema", &pluginv1.Head{Kind: &pluginv1.Head_ApplySchema{ApplySchema: call}}, nil)
}

// Begin fences older epochs out and returns the last committed mark.
func (k *Sink) Begin(epoch uint64) (sdk.Mark, error) {
	var mark *pluginv1.Mark
	err := k.s.ask("begin", &pluginv1.Head{Kind: &pluginv1.Head_Begin{Begin: &pluginv1.Begin{Epoch: epoch}}}, func(frame *wire.Frame) (bool, error) {
		again := mark != nil
		mark = frame.Head.GetMark()
		return mark != nil && !again, nil
	})
	switch {
	case err != nil:
		return sdk.Mark{}, err
	case mark == nil:
		return sdk.Mark{}, violation("no mark in the answer to \"begin\"")
	case mark.GetEpoch() > epoch:
		return sdk.Mark{}, violation("it began epoch %d and returned a mark of the later epoch %d", epoch, mark.GetEpoch())
	case len(mark.GetPosition()) > 0:
		err = checkPosition(mark.GetPosition())
	}
	k.rows = 0
	return sdk.Mark{Epoch: mark.GetEpoch(), Seq: mark.GetSeq(), Position: mark.GetPosition()}, err
}

// Write stages a batch, which stays the caller's, and returns its rejections by index.
func (k *Sink) Write(b sdk.Batch) ([]sdk.Rejection, error) {
	var all []sdk.Rejection
	offset := 0
	err := k.s.sendBatch(b, func(rows int64) error {
		seen := map[int64]bool{}
		err := k.s.answer("batch", func(frame *wire.Frame) (bool, error) {
			kind, ok := frame.Head.GetKind().(*pluginv1.Head_Reject)
			if !ok {
				return false, nil
			}
			rejections, err := k.s.rejections(kind.Reject.GetRows(), 0, rows, seen)
			for _, r := range rejections {
				r.Row += offset
				all = append(all, r)
			}
			return true, err
		})
		offset += int(rows)
		k.rows += rows
		return err
	})
	return all, err
}

// Stage sends a batch without waiting for its answer; only Cancel may follow.
func (k *Sink) Stage(b sdk.Batch) error {
	return k.s.sendBatch(b, func(int64) error { return io.EOF })
}

// Commit makes what was staged visible together with the mark.
func (k *Sink) Commit(m sdk.Mark) ([]sdk.Rejection, error) {
	var all []sdk.Rejection
	err := k.s.ask("commit", &pluginv1.Head{Kind: &pluginv1.Head_Commit{Commit: &pluginv1.Commit{
		Mark: &pluginv1.Mark{Epoch: m.Epoch, Seq: m.Seq, Position: m.Position},
	}}}, func(frame *wire.Frame) (bool, error) {
		kind, ok := frame.Head.GetKind().(*pluginv1.Head_Reject)
		if !ok {
			return false, nil
		}
		rejections, err := k.s.rejections(kind.Reject.GetRows(), sdk.NoRow, max(k.rows, 1<<40), map[int64]bool{})
		all = append(all, rejections...)
		return true, err
	})
	return all, err
}

// Cancel aborts the instance.
func (k *Sink) Cancel() { k.s.drop() }

// Close ends the instance in order.
func (k *Sink) Close() error { return k.s.hangUp() }
