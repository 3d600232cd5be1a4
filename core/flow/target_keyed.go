package flow

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/core/flow/keyed"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/merge"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
)

// formOf is what datasets keep of a stream whose rows replace others: by the flow's key, or else the source's. Rows of a stream without
// a key are appended.
func (t *TargetSettings) formOf(c sdk.SchemaChange) (form keyed.Form, replaces bool) {
	if t.Mode != zone.Upsert {
		return keyed.Form{}, false
	}
	form = keyed.Form{Key: t.Key, History: t.History}
	if len(form.Key) == 0 {
		form.Key = c.Key
	}
	return form, len(form.Key) > 0
}

func changesOf(n zone.Name) zone.Name {
	n.Dataset += zone.ChangesSuffix
	return n
}

// sweep drops what a runner that was killed has left of changes.
func (t *datasetTarget) sweep() error {
	if t.settings.Target.Mode != zone.Upsert {
		return nil
	}
	folder := t.scratch()
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	return os.MkdirAll(folder, 0o700)
}

// scratch is where changes of this flow go that are too many for memory.
func (t *datasetTarget) scratch() string { return filepath.Join(t.runtime.Scratch, t.settings.Name) }

// keyedSchema begins a version of a stream whose rows replace others.
func (t *datasetTarget) keyedSchema(ctx context.Context, name zone.Name, seq int64, c sdk.SchemaChange, form keyed.Form) error {
	s := t.keyed[c.Stream]
	if s == nil {
		var err error
		if s, err = t.openKeyed(ctx, name, c, form); err != nil {
			return err
		}
		t.keyed[c.Stream] = s
	}
	return s.Begin(ctx, seq, t.prepared[name] >= seq, c.Schema)
}

// openKeyed finds or makes a dataset with a key, and the one that its changes are noted in. A unit that only one of them holds is
// taken back, so that it is made anew from what there was before it.
func (t *datasetTarget) openKeyed(ctx context.Context, name zone.Name, c sdk.SchemaChange, form keyed.Form) (*keyed.Stream, error) {
	table, key, err := form.Table(c.Schema)
	if err != nil {
		return nil, sdk.Fatal(fmt.Errorf("dataset %q, stream %q: %w", name, c.Stream, err))
	}
	dataset, err := t.make(ctx, name, ledger.Upsert, table, zone.CreateOptions{Key: key, SourceKey: c.Key})
	if err != nil {
		return nil, err
	}
	if have := dataset.Key(); !sameKey(have, key) {
		return nil, sdk.Fatal(fmt.Errorf("dataset %q has the key %q, the flow's is %q", name, have, key))
	}
	noted := changesOf(name)
	schema, err := keyed.ChangesSchema(table)
	if err != nil {
		return nil, sdk.Fatal(err)
	}
	changes, err := t.make(ctx, noted, ledger.Append, schema, zone.CreateOptions{SourceKey: key})
	if err != nil {
		return nil, err
	}
	if t.prepared[name] != t.prepared[noted] {
		for _, d := range []*zone.Dataset{dataset, changes} {
			if t.prepared[d.Name()], err = takeDataset(ctx, d, t.settings.Name, t.epoch, t.committed, 0); err != nil {
				return nil, err
			}
		}
	}
	return keyed.New(keyed.Settings{
		Flow: t.settings.Name, Form: form, Dataset: dataset, Changes: changes, Anew: t.settings.Target.Anew, Folder: t.scratch(),
		Alloc: t.runtime.Alloc,
	}), nil
}

func sameKey(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// mergeRejects are rows of a batch that were not merged.
func mergeRejects(b sdk.Batch, refused []merge.Rejection) ([]quarantine.Rejected, error) {
	rejections := make([]sdk.Rejection, len(refused))
	for i, r := range refused {
		rejections[i] = sdk.Rejection{Stream: b.Stream, Code: r.Code, Reason: r.Reason, Row: r.Row}
	}
	var rows []quarantine.Rejected
	err := rejectRows(b, stageID{stage: targetStage, step: targetStage}, rejections, func(i item) error {
		rows = i.rejects
		return nil
	})
	return rows, err
}

func (t *datasetTarget) seal(ctx context.Context, u *unit) ([]quarantine.Rejected, error) {
	if u.Decision == setAside || u.Decision == drop {
		return nil, nil
	}
	var refused []quarantine.Rejected
	for _, stream := range slices.Sorted(maps.Keys(t.keyed)) {
		err := t.keyed[stream].Seal(ctx, func(rows arrow.RecordBatch, why []merge.Rejection) error {
			more, err := mergeRejects(sdk.Batch{Stream: stream, Record: rows}, why)
			refused = append(refused, more...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return refused, nil
}

func (t *datasetTarget) commitKeyed(ctx context.Context, u *unit, written map[string]ledger.Output) error {
	for _, stream := range slices.Sorted(maps.Keys(t.keyed)) {
		s := t.keyed[stream]
		if s.Seq() != u.Seq || u.Rows[stream] == 0 && !t.settings.Target.Anew {
			continue
		}
		if err := t.commitStream(ctx, s, u, stream, written); err != nil {
			return err
		}
	}
	return nil
}

func (t *datasetTarget) commitStream(
	ctx context.Context, s *keyed.Stream, u *unit, stream string, written map[string]ledger.Output,
) error {
	rows, changes := s.Datasets()
	if u.Rows[stream] > 0 && u.Decision == promote && !s.Has(u.mark(), u.Rows[stream]) {
		return sdk.Fatal(fmt.Errorf("dataset %q: unit %d has %d rows, and not all of them are there or staged", rows.Name(), u.Seq, u.Rows[stream]))
	}
	done, err := s.Commit(ctx, t.request(u))
	if err != nil {
		return err
	}
	written[rows.Name().String()] = ledger.Output{UUID: rows.UUID(), Snapshot: done.Dataset.ID, Rows: u.Rows[stream], Bytes: done.Bytes}
	written[changes.Name().String()] = ledger.Output{
		UUID: changes.UUID(), Snapshot: done.Changes.ID, Rows: done.ChangeRows, Bytes: done.ChangeBytes,
	}
	return nil
}

// foundKeyed returns what a unit that is in both datasets left there.
func (t *datasetTarget) foundKeyed(ctx context.Context, u *unit, d *zone.Dataset, stream string, written map[string]ledger.Output) error {
	changes, err := t.runtime.Zones.Dataset(ctx, changesOf(d.Name()))
	if err != nil {
		return err
	}
	return t.commitStream(ctx, keyed.New(keyed.Settings{Dataset: d, Changes: changes}), u, stream, written)
}
