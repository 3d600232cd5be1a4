package flow

import (
	"context"
	"fmt"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/sdk"
)

// sinkTarget ends a flow in a sink plugin.
type sinkTarget struct {
	flow    string
	step    Step
	process *pluginhost.Sink
	holds   int64 // the unit that was already there after the takeover
	seq     int64 // of the open unit
	// adopted is the sink's mark when it is ahead of both ledger and log.
	adopted *sdk.Mark
	// schemas are the versions that this process of the sink has been told, counted by ourselves: each reader counts from 1.
	schemas map[string]*sdk.SchemaChange
}

func newSinkTarget(ctx context.Context, s *Settings, r *Runtime) (*sinkTarget, error) {
	sink := s.Target.Sink
	process, err := r.Plugins.Sink(ctx, sink.Instance, sdk.OpenRequest{Flow: s.Name, Mode: sink.Mode, Key: sink.Key})
	if err != nil {
		return nil, err
	}
	return &sinkTarget{flow: s.Name, step: sink.Step, process: process, schemas: map[string]*sdk.SchemaChange{}}, nil
}

func (t *sinkTarget) prepare(ctx context.Context, epoch uint64, committed int64, complete *closeFrame) (bool, error) {
	killpoint.Here("before-begin")
	mark, err := t.process.Begin(ctx, epoch)
	if err != nil {
		return false, err
	}
	killpoint.Here("after-begin")
	seq := int64(mark.Seq) //nolint:gosec // seqs are counted from 1
	switch {
	case seq <= committed:
		return false, nil
	case complete != nil && seq == complete.Seq:
		t.holds = seq
		return true, nil
	case seq == committed+1:
		t.holds, t.adopted = seq, &mark
		return false, nil
	}
	return false, sdk.Fatal(fmt.Errorf("sink %q holds unit %d of flow %q, the ledger ends with unit %d: "+
		"the state database is older than the sink", t.step.Name, seq, t.flow, committed))
}

func (t *sinkTarget) schema(ctx context.Context, seq int64, c sdk.SchemaChange) error {
	t.seq = seq
	known := t.schemas[c.Stream]
	if known != nil && known.Schema.Equal(c.Schema) {
		return nil
	}
	c.Version = 1
	if known != nil {
		c.Version = known.Version + 1
	}
	t.schemas[c.Stream] = &c
	if _, err := t.process.PlanSchema(ctx, c); err != nil {
		return err
	}
	killpoint.Here("before-sink-schema")
	err := t.process.ApplySchema(ctx, c)
	killpoint.Here("after-sink-schema")
	return err
}

func (t *sinkTarget) write(ctx context.Context, b sdk.Batch) ([]quarantine.Rejected, error) {
	defer b.Record.Release()
	if t.holds >= t.seq {
		return nil, nil
	}
	b.Version = t.schemas[b.Stream].Version
	rejections, err := t.process.Write(ctx, b)
	if err != nil {
		return nil, err
	}
	var rows []quarantine.Rejected
	err = rejectRows(b, t.id(), rejections, func(i item) error {
		rows = i.rejects
		return nil
	})
	return rows, err
}

func (*sinkTarget) seal(context.Context, *unit) ([]quarantine.Rejected, error) { return nil, nil }

func (t *sinkTarget) id() stageID {
	return stageID{stage: sinkStage, step: sinkStage, plugin: t.step.Instance.Plugin}
}

func (t *sinkTarget) commit(ctx context.Context, u *unit) (map[string]ledger.Output, []quarantine.Rejected, error) {
	if u.Decision == setAside || u.Decision == drop {
		_, err := t.process.Begin(ctx, u.epoch) // drops what is staged
		return nil, nil, err
	}
	killpoint.Here("before-sink-commit")
	rejections, err := t.process.Commit(ctx, sdk.Mark{Epoch: u.epoch, Seq: uint64(u.Seq), Position: u.Position}) //nolint:gosec // seqs are counted from 1
	if err != nil {
		return nil, nil, err
	}
	killpoint.Here("after-sink-commit")
	rows := make([]quarantine.Rejected, len(rejections))
	for i, r := range rejections {
		rows[i] = fromPlugin(t.id(), r)
	}
	return nil, rows, nil
}

// found repeats the commit, which changes nothing, to hear again what was refused by it.
func (t *sinkTarget) found(ctx context.Context, u *unit) (map[string]ledger.Output, []quarantine.Rejected, error) {
	return t.commit(ctx, u)
}

// divert can't read back what a sink has staged: the committer reads the unit from the log again.
func (*sinkTarget) divert(context.Context, func(sdk.Batch) error) error { return errReadAgain }

func (*sinkTarget) abort(context.Context) {}

func (t *sinkTarget) close() error { return t.process.Close() }
