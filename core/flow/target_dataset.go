package flow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/core/flow/keyed"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// datasetTarget ends a flow in datasets.
type datasetTarget struct {
	settings *Settings
	runtime  *Runtime
	epoch    uint64
	// committed is the ledger's last unit when the flow was taken over.
	committed int64
	outputs   map[string]*datasetOutput // by stream
	keyed     map[string]*keyed.Stream  // by stream: those whose rows replace others
	prepared  map[zone.Name]int64       // the unit that a dataset held when it was made ours
}

// datasetOutput is the dataset of one stream.
type datasetOutput struct {
	dataset *zone.Dataset
	holds   int64       // the unit that was already there after the takeover
	ordered bool        // the order of the rows counts
	stage   *zone.Stage // of the open unit, nil before its first row
	seq     int64       // of the open unit, 0 when the stream has not begun in it
}

func newDatasetTarget(s *Settings, r *Runtime) *datasetTarget {
	return &datasetTarget{settings: s, runtime: r, outputs: map[string]*datasetOutput{}, keyed: map[string]*keyed.Stream{}, prepared: map[zone.Name]int64{}}
}

func heldBranch(flow string) string { return "held/" + flow }

func (t *datasetTarget) prepare(ctx context.Context, epoch uint64, committed int64, complete *closeFrame) (bool, error) {
	t.epoch, t.committed = epoch, committed
	if err := t.sweep(); err != nil {
		return false, err
	}
	names, err := t.runtime.Ledger.DatasetsOf(ctx, t.settings.Name)
	if err != nil {
		return false, err
	}
	keep := int64(0)
	if complete != nil {
		keep = complete.Seq
	}
	for _, text := range names {
		name, err := zone.ParseName(text)
		if err != nil {
			return false, err
		}
		if name == t.settings.Quarantine {
			continue
		}
		dataset, err := t.runtime.Zones.Dataset(ctx, name)
		if errors.Is(err, zone.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		if t.prepared[name], err = takeDataset(ctx, dataset, t.settings.Name, epoch, committed, keep); err != nil {
			return false, err
		}
	}
	return complete != nil && t.holdsAll(complete), nil
}

// takeDataset fences older runners out of a dataset, and takes back a unit above committed, unless it is the one to keep, which
// will be completed. It returns the unit that the dataset then holds.
func takeDataset(ctx context.Context, d *zone.Dataset, flow string, epoch uint64, committed, keep int64) (int64, error) {
	killpoint.Here("before-fence")
	if _, err := d.Fence(ctx, flow, epoch); err != nil {
		return 0, err
	}
	killpoint.Here("after-fence")
	fenced, err := d.Reload(ctx)
	if err != nil {
		return 0, err
	}
	if keep == 0 {
		killpoint.Here("before-drop-held")
		if err := fenced.DropBranch(ctx, heldBranch(flow), zone.Mark{Flow: flow, Epoch: epoch}); err != nil {
			return 0, err
		}
		killpoint.Here("after-drop-held")
	}
	mark, _ := fenced.Mark(flow)
	if mark.Seq <= committed || mark.Seq == keep {
		return mark.Seq, nil
	}
	killpoint.Here("before-undo")
	_, err = fenced.Undo(ctx, flow, epoch, committed)
	killpoint.Here("after-undo")
	return committed, err
}

// holdsAll says whether every dataset that a unit has rows for holds it, so that its frames are not needed any more.
func (t *datasetTarget) holdsAll(u *closeFrame) bool {
	if u.Decision != promote || len(u.Rows) == 0 && t.settings.Target.Mode == zone.Overwrite { // no rows replace what is there, too
		return false
	}
	for stream := range u.Rows {
		name, err := t.settings.Target.Dataset(stream)
		if err != nil || t.prepared[name] != u.Seq {
			return false
		}
		if held, noted := t.prepared[changesOf(name)]; noted && held != u.Seq {
			return false
		}
	}
	return true
}

func (t *datasetTarget) schema(ctx context.Context, seq int64, c sdk.SchemaChange) error {
	name, err := t.settings.Target.Dataset(c.Stream)
	if err != nil {
		return sdk.Fatal(err)
	}
	if form, replaces := t.settings.Target.formOf(c); replaces {
		return t.keyedSchema(ctx, name, seq, c, form)
	}
	out := t.outputs[c.Stream]
	switch {
	case out == nil:
		if out, err = t.open(ctx, name, c); err != nil {
			return err
		}
		t.outputs[c.Stream] = out
	case out.stage != nil:
		killpoint.Here("before-stage-evolve")
		_, err = out.stage.Evolve(ctx, c.Schema)
		killpoint.Here("after-stage-evolve")
	}
	if err == nil && out.stage == nil {
		killpoint.Here("before-evolve")
		out.dataset, _, err = out.dataset.Evolve(ctx, c.Schema)
		killpoint.Here("after-evolve")
	}
	out.seq = seq
	return err
}

// open finds or makes the dataset of a stream, and makes it ours if that has not happened yet.
func (t *datasetTarget) open(ctx context.Context, name zone.Name, c sdk.SchemaChange) (*datasetOutput, error) {
	mode := ledger.Append
	if t.settings.Target.Mode == zone.Overwrite {
		mode = ledger.Overwrite
	}
	dataset, err := t.make(ctx, name, mode, c.Schema, zone.CreateOptions{SourceKey: c.Key})
	if err != nil {
		return nil, err
	}
	return &datasetOutput{dataset: dataset, holds: t.prepared[name], ordered: change.Is(c.Schema)}, nil
}

// make finds or makes a dataset, and makes it ours if that has not happened yet.
func (t *datasetTarget) make(
	ctx context.Context, name zone.Name, mode string, schema *arrow.Schema, o zone.CreateOptions,
) (*zone.Dataset, error) {
	killpoint.Here("before-writer")
	if err := t.runtime.Ledger.AddWriter(ctx, ledger.Writer{Dataset: name.String(), Flow: t.settings.Name, Mode: mode}); err != nil {
		return nil, err
	}
	dataset, err := t.runtime.Zones.Dataset(ctx, name)
	if errors.Is(err, zone.ErrNotFound) {
		killpoint.Here("before-create") // and after the writer was noted
		dataset, err = t.runtime.Zones.Create(ctx, name, schema, o)
		killpoint.Here("after-create")
		if errors.Is(err, zone.ErrExists) { // another flow that writes it was faster, or a runner that has taken over
			dataset, err = t.runtime.Zones.Dataset(ctx, name)
		}
	}
	if err != nil {
		return nil, err
	}
	if _, known := t.prepared[name]; !known { // made since the takeover, perhaps by a runner that has been fenced out
		if t.prepared[name], err = takeDataset(ctx, dataset, t.settings.Name, t.epoch, t.committed, 0); err != nil {
			return nil, err
		}
	}
	return dataset, nil
}

func (t *datasetTarget) write(ctx context.Context, b sdk.Batch) ([]quarantine.Rejected, error) {
	defer b.Record.Release()
	if k := t.keyed[b.Stream]; k != nil {
		refused, err := k.Write(ctx, b.Record)
		if err != nil {
			return nil, err
		}
		return mergeRejects(b, refused)
	}
	out := t.outputs[b.Stream]
	if out == nil {
		return nil, fmt.Errorf("stream %q: rows before its schema", b.Stream)
	}
	if out.holds >= out.seq || b.Record.NumRows() == 0 {
		return nil, nil
	}
	if out.stage == nil {
		stage, err := out.dataset.Stage(ctx, zone.StageOptions{Flow: t.settings.Name, Seq: out.seq, IngestedAt: time.Now(), Ordered: out.ordered})
		if err != nil {
			return nil, err
		}
		out.stage = stage
	}
	return nil, out.stage.Write(ctx, b.Record, b.Origin)
}

func (t *datasetTarget) commit(ctx context.Context, u *unit) (map[string]ledger.Output, []quarantine.Rejected, error) {
	written := map[string]ledger.Output{}
	if u.Decision == setAside {
		return written, nil, nil
	}
	for _, stream := range slices.Sorted(maps.Keys(t.outputs)) {
		out := t.outputs[stream]
		if out.seq != u.Seq || (u.Rows[stream] == 0 && t.settings.Target.Mode == zone.Append) {
			continue
		}
		killpoint.Here("before-dataset")
		done, err := t.commitOutput(ctx, out, u, u.Rows[stream])
		if err != nil {
			return nil, nil, err
		}
		written[out.dataset.Name().String()] = done
		killpoint.Here("after-dataset")
	}
	return written, nil, t.commitKeyed(ctx, u, written)
}

func (t *datasetTarget) commitOutput(ctx context.Context, out *datasetOutput, u *unit, rows int64) (ledger.Output, error) {
	if mark, _ := out.dataset.Mark(u.flow); out.stage == nil && rows > 0 && u.Decision == promote && max(out.holds, mark.Seq) < u.Seq {
		return ledger.Output{}, sdk.Fatal(fmt.Errorf("dataset %q: unit %d has %d rows, and none of them is there or staged", out.dataset.Name(), u.Seq, rows))
	}
	staged := out.stage != nil
	files, err := out.finish(ctx)
	if err != nil {
		return ledger.Output{}, err
	}
	if staged && files.Rows != rows {
		return ledger.Output{}, sdk.Fatal(fmt.Errorf("dataset %q: unit %d has %d rows, staged are %d", out.dataset.Name(), u.Seq, rows, files.Rows))
	}
	request := t.request(u)
	request.Files = files
	if t.settings.Target.Mode == zone.Overwrite {
		request.Mode = zone.Overwrite
	}
	snapshot, err := out.dataset.Commit(ctx, request)
	if err != nil {
		return ledger.Output{}, err
	}
	return ledger.Output{UUID: out.dataset.UUID(), Snapshot: snapshot.ID, Rows: rows, Bytes: files.Bytes}, nil
}

// request is one to commit a unit.
func (t *datasetTarget) request(u *unit) zone.CommitRequest {
	r := zone.CommitRequest{
		Mark: u.mark(), CheckOwner: func(ctx context.Context) error { return t.runtime.Ledger.Check(ctx, u.flow, u.epoch) },
	}
	if u.Decision == hold {
		r.Branch = heldBranch(u.flow)
	}
	return r
}

// found returns what a unit that every dataset holds left there.
func (t *datasetTarget) found(ctx context.Context, u *unit) (map[string]ledger.Output, []quarantine.Rejected, error) {
	outputs := map[string]ledger.Output{}
	for _, stream := range slices.Sorted(maps.Keys(u.Rows)) {
		name, err := t.settings.Target.Dataset(stream)
		if err != nil {
			return nil, nil, err
		}
		dataset, err := t.runtime.Zones.Dataset(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		if len(dataset.Key()) > 0 {
			if err := t.foundKeyed(ctx, u, dataset, stream, outputs); err != nil {
				return nil, nil, err
			}
			continue
		}
		done, err := t.commitOutput(ctx, &datasetOutput{dataset: dataset}, u, u.Rows[stream])
		if err != nil {
			return nil, nil, err
		}
		outputs[name.String()] = done
	}
	return outputs, nil, nil
}

// finish ends the open unit's stage, if there is one.
func (o *datasetOutput) finish(ctx context.Context) (zone.Files, error) {
	if o.stage == nil {
		return zone.Files{}, nil
	}
	stage := o.stage
	o.stage = nil
	killpoint.Here("before-upload")
	files, err := stage.Finish(ctx)
	killpoint.Here("after-upload")
	return files, err
}

func (t *datasetTarget) divert(ctx context.Context, each func(sdk.Batch) error) error {
	if len(t.keyed) > 0 { // what changes come to is not what they were
		t.abort(ctx)
		return errReadAgain
	}
	for _, stream := range slices.Sorted(maps.Keys(t.outputs)) {
		out := t.outputs[stream]
		files, err := out.finish(ctx)
		if err != nil {
			return err
		}
		if files.Count() == 0 {
			continue
		}
		for record, err := range out.dataset.Staged(ctx, files) {
			if err != nil {
				return err
			}
			if err := each(sdk.Batch{Stream: stream, Record: record}); err != nil {
				return err
			}
		}
		if err := out.dataset.Discard(ctx, files); err != nil {
			t.runtime.Log.Warn("remove staged files", "dataset", out.dataset.Name(), "error", err)
		}
	}
	return nil
}

func (t *datasetTarget) abort(ctx context.Context) {
	for _, out := range t.outputs {
		if out.stage == nil {
			continue
		}
		if err := out.stage.Abort(ctx); err != nil {
			t.runtime.Log.Warn("remove staged files", "dataset", out.dataset.Name(), "error", err)
		}
		out.stage = nil
	}
	for _, k := range t.keyed {
		if err := k.Abort(ctx); err != nil {
			t.runtime.Log.Warn("drop changes", "error", err)
		}
	}
}

func (*datasetTarget) close() error { return nil }
