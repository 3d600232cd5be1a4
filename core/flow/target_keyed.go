package flow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/merge"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// mergeBudget is what the changes of one stream of the open unit may take in memory before they go to files.
const mergeBudget = 64 << 20

// keyed is a stream whose rows are changes of a dataset with a key. They are folded to what they come to while the unit is open, and
// only that is staged, when the unit is closed.
type keyed struct {
	dataset *zone.Dataset
	changes *zone.Dataset // the net changes of every unit, for those who read what is new
	holds   bool          // the open unit is in both already
	seq     int64         // of the open unit, 0 when the stream has not begun in it
	table   *arrow.Schema // what a row of the dataset is made of, in the open unit
	anew    bool          // the open unit takes the place of all there was
	alloc   memory.Allocator
	folder  string       // for changes that are too many for memory
	merge   *merge.Merge // of the open unit; nil before its first row, and after it was sealed
	staged  *stagedChanges
}

// stagedChanges are the files of a sealed unit.
type stagedChanges struct {
	rows, keys, changes zone.Files
	truncate            bool
}

// tableOf is what a dataset keeps of a stream: its rows without what makes them changes. In change data the key may be null, because
// a truncate has none; in the dataset it may not.
func tableOf(schema *arrow.Schema, key []string) *arrow.Schema {
	fields := change.Table(schema).Fields()
	for i := range fields {
		if slices.Contains(key, fields[i].Name) {
			fields[i].Nullable = false
		}
	}
	return arrow.NewSchema(fields, nil)
}

// keyOf is the key by which a stream's rows replace others: the flow's, or else the source's. Rows of a stream without a key are
// appended.
func (t *TargetSettings) keyOf(c sdk.SchemaChange) []string {
	switch {
	case t.Mode != zone.Upsert:
		return nil
	case len(t.Key) > 0:
		return t.Key
	}
	return c.Key
}

func changesOf(n zone.Name) zone.Name {
	n.Dataset += zone.ChangesSuffix
	return n
}

// evolve readies the dataset for a version of the stream.
func (k *keyed) evolve(ctx context.Context, c sdk.SchemaChange) error {
	table := tableOf(c.Schema, k.dataset.Key())
	killpoint.Here("before-evolve")
	var err error
	if k.dataset, _, err = k.dataset.Evolve(ctx, table); err != nil {
		return err
	}
	k.table = k.dataset.Schema()
	noted, err := changesSchema(k.table)
	if err == nil {
		k.changes, _, err = k.changes.Evolve(ctx, noted)
	}
	if err != nil {
		return err
	}
	killpoint.Here("after-evolve")
	if k.merge != nil {
		return k.merge.Evolve(k.table)
	}
	if k.anew && !k.holds {
		return k.empty(ctx)
	}
	return nil
}

// empty begins the unit with a truncate.
func (k *keyed) empty(ctx context.Context) error {
	if err := k.begin(); err != nil {
		return err
	}
	b := change.NewBuilder(k.alloc, k.table, nil)
	defer b.Release()
	b.AppendTruncate(change.Change{})
	truncate, err := b.Batch()
	if err != nil {
		return err
	}
	defer truncate.Release()
	_, err = k.merge.Add(ctx, truncate)
	return err
}

// begin readies the fold of the open unit.
func (k *keyed) begin() error {
	m, err := merge.New(merge.Settings{
		Table: k.table, Key: k.dataset.Key(), Lookup: k.lookup, At: time.Now(), Budget: mergeBudget, Folder: k.folder, Alloc: k.alloc,
	})
	if err != nil {
		return sdk.Fatal(err)
	}
	k.merge = m
	return nil
}

// changesSchema is that of a dataset's net changes, as it can be kept.
func changesSchema(table *arrow.Schema) (*arrow.Schema, error) {
	stored, err := zone.Storable(change.Net(table))
	if err != nil {
		return nil, err
	}
	return stored.Schema(), nil
}

// write takes in changes and returns those that can't be told apart.
func (k *keyed) write(ctx context.Context, b sdk.Batch) ([]quarantine.Rejected, error) {
	if k.holds || b.Record.NumRows() == 0 {
		return nil, nil
	}
	if k.merge == nil {
		if err := k.begin(); err != nil {
			return nil, err
		}
	}
	refused, err := k.merge.Add(ctx, b.Record)
	if err != nil {
		return nil, err
	}
	return mergeRejects(b, refused)
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

// lookup fetches rows as they were before the unit.
func (k *keyed) lookup(ctx context.Context, keys arrow.RecordBatch, _ []string) (arrow.RecordBatch, error) {
	batches, err := k.dataset.Lookup(ctx, keys, 0)
	if err != nil {
		return nil, err
	}
	var found []arrow.RecordBatch
	defer func() {
		for _, b := range found {
			b.Release()
		}
	}()
	for b, err := range batches {
		if err != nil {
			return nil, err
		}
		found = append(found, b)
	}
	return together(k.dataset.Schema(), found, k.alloc)
}

// together puts batches of one schema into one.
func together(schema *arrow.Schema, batches []arrow.RecordBatch, alloc memory.Allocator) (arrow.RecordBatch, error) {
	if len(batches) == 0 {
		b := array.NewRecordBuilder(alloc, schema)
		defer b.Release()
		return b.NewRecordBatch(), nil
	}
	if len(batches) == 1 {
		batches[0].Retain()
		return batches[0], nil
	}
	columns := make([]arrow.Array, batches[0].NumCols())
	var rows int64
	for _, b := range batches {
		rows += b.NumRows()
	}
	for i := range columns {
		parts := make([]arrow.Array, len(batches))
		for j, b := range batches {
			parts[j] = b.Column(i)
		}
		var err error
		if columns[i], err = array.Concatenate(parts, alloc); err != nil {
			return nil, err
		}
		defer columns[i].Release()
	}
	return array.NewRecordBatch(batches[0].Schema(), columns, rows), nil
}

// seal stages what the open unit comes to, and returns the rows of which that can't be known.
func (k *keyed) seal(ctx context.Context, flow string, stream string) ([]quarantine.Rejected, error) {
	m := k.merge
	if m == nil || k.staged != nil {
		return nil, nil
	}
	k.merge = nil
	s, err := k.stages(ctx, zone.StageOptions{Flow: flow, Seq: k.seq, IngestedAt: time.Now()})
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	rejects, err := s.fold(ctx, m, stream)
	if err == nil {
		k.staged, err = s.finish(ctx)
	}
	if err := errors.Join(err, m.Close()); err != nil {
		s.abort(ctx)
		return nil, err
	}
	return rejects, nil
}

// folding are the three stages that take what a unit comes to.
type folding struct {
	rows    *zone.Stage
	keys    *zone.KeyStage
	changes *zone.Stage
	alloc   memory.Allocator
	empties bool // the unit has emptied the table
}

func (k *keyed) stages(ctx context.Context, o zone.StageOptions) (*folding, error) {
	s := &folding{alloc: k.alloc}
	var err error
	if s.rows, err = k.dataset.Stage(ctx, o); err != nil {
		return nil, err
	}
	if s.keys, err = k.dataset.StageKeys(ctx, o); err == nil {
		o.Ordered = true
		s.changes, err = k.changes.Stage(ctx, o)
	}
	if err != nil {
		s.abort(ctx)
		return nil, err
	}
	return s, nil
}

func (s *folding) fold(ctx context.Context, m *merge.Merge, stream string) ([]quarantine.Rejected, error) {
	var rejects []quarantine.Rejected
	for part, err := range m.Parts(ctx) {
		if err != nil {
			return nil, err
		}
		s.empties = s.empties || part.Truncate
		if err := s.write(ctx, part); err != nil {
			return nil, err
		}
		for i := range part.Rejected {
			part.Rejected[i].Row = i // in RejectedRows
		}
		more, err := mergeRejects(sdk.Batch{Stream: stream, Record: part.RejectedRows}, part.Rejected)
		if err != nil {
			return nil, err
		}
		rejects = append(rejects, more...)
	}
	return rejects, nil
}

func (s *folding) write(ctx context.Context, part *merge.Part) error {
	if part.Upserts != nil {
		if err := s.rows.Write(ctx, part.Upserts, ""); err != nil {
			return err
		}
	}
	if part.Keys != nil && !s.empties {
		if err := s.keys.Write(ctx, part.Keys); err != nil {
			return err
		}
	}
	if part.Changes == nil {
		return nil
	}
	stored, err := zone.Storable(part.Changes.Schema())
	if err != nil {
		return err
	}
	changes, err := stored.Apply(ctx, s.alloc, part.Changes)
	if err != nil {
		return err
	}
	defer changes.Release()
	return s.changes.Write(ctx, changes, "")
}

func (s *folding) finish(ctx context.Context) (*stagedChanges, error) {
	out := &stagedChanges{truncate: s.empties}
	killpoint.Here("before-upload")
	var err error
	if out.rows, err = s.rows.Finish(ctx); err != nil {
		return nil, err
	}
	if out.keys, err = s.keys.Finish(ctx); err != nil {
		return nil, err
	}
	out.changes, err = s.changes.Finish(ctx)
	killpoint.Here("after-upload")
	return out, err
}

func (s *folding) abort(ctx context.Context) {
	if s.rows != nil {
		_ = s.rows.Abort(ctx)
	}
	if s.keys != nil {
		_ = s.keys.Abort(ctx)
	}
	if s.changes != nil {
		_ = s.changes.Abort(ctx)
	}
}

// commit makes the sealed unit visible: the net changes first, so that who sees the rows finds how they came about.
func (k *keyed) commit(ctx context.Context, request zone.CommitRequest, rows int64) (map[string]ledger.Output, error) {
	staged := k.staged
	if staged == nil {
		staged = &stagedChanges{}
	}
	k.staged = nil
	noted := request
	noted.Mode, noted.Files = zone.Append, staged.changes
	killpoint.Here("before-changes")
	seen, err := k.changes.Commit(ctx, noted)
	if err != nil {
		return nil, err
	}
	killpoint.Here("after-changes")
	request.Mode, request.Files, request.Keys, request.Truncate = zone.Upsert, staged.rows, staged.keys, staged.truncate
	made, err := k.dataset.Commit(ctx, request)
	if err != nil {
		return nil, err
	}
	return map[string]ledger.Output{
		k.changes.Name().String(): {UUID: k.changes.UUID(), Snapshot: seen.ID, Rows: staged.changes.Rows, Bytes: staged.changes.Bytes},
		k.dataset.Name().String(): {UUID: k.dataset.UUID(), Snapshot: made.ID, Rows: rows, Bytes: staged.rows.Bytes + staged.keys.Bytes},
	}, nil
}

// abort drops what is gathered and staged.
func (k *keyed) abort(ctx context.Context) error {
	var err error
	if k.merge != nil {
		err = k.merge.Close()
		k.merge = nil
	}
	if s := k.staged; s != nil {
		k.staged = nil
		err = errors.Join(err, k.dataset.Discard(ctx, s.rows), k.dataset.Discard(ctx, s.keys), k.changes.Discard(ctx, s.changes))
	}
	if err != nil {
		return fmt.Errorf("dataset %q: %w", k.dataset.Name(), err)
	}
	return nil
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
func (t *datasetTarget) keyedSchema(ctx context.Context, name zone.Name, seq int64, c sdk.SchemaChange, key []string) error {
	k := t.keyed[c.Stream]
	if k == nil {
		var err error
		if k, err = t.openKeyed(ctx, name, c, key); err != nil {
			return err
		}
		t.keyed[c.Stream] = k
	}
	k.seq, k.holds = seq, t.prepared[name] >= seq
	return k.evolve(ctx, c)
}

// openKeyed finds or makes a dataset with a key, and the one that its changes are noted in. A unit that only one of them holds is
// taken back, so that it is made anew from what there was before it.
func (t *datasetTarget) openKeyed(ctx context.Context, name zone.Name, c sdk.SchemaChange, key []string) (*keyed, error) {
	table := tableOf(c.Schema, key)
	for _, column := range key {
		if !table.HasField(column) {
			return nil, sdk.Fatal(fmt.Errorf("dataset %q: stream %q has no column %q, which is in the key", name, c.Stream, column))
		}
	}
	dataset, err := t.make(ctx, name, ledger.Upsert, table, zone.CreateOptions{Key: key, SourceKey: c.Key})
	if err != nil {
		return nil, err
	}
	if have := dataset.Key(); !sameKey(have, key) {
		return nil, sdk.Fatal(fmt.Errorf("dataset %q has the key %q, the flow's is %q", name, have, key))
	}
	noted := changesOf(name)
	schema, err := changesSchema(table)
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
	return &keyed{dataset: dataset, changes: changes, anew: t.settings.Target.Anew, alloc: t.runtime.Alloc, folder: t.scratch()}, nil
}

func sameKey(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func (t *datasetTarget) seal(ctx context.Context, u *unit) ([]quarantine.Rejected, error) {
	if u.Decision == setAside || u.Decision == drop {
		return nil, nil
	}
	var refused []quarantine.Rejected
	for _, stream := range slices.Sorted(maps.Keys(t.keyed)) {
		rows, err := t.keyed[stream].seal(ctx, u.flow, stream)
		if err != nil {
			return nil, err
		}
		refused = append(refused, rows...)
	}
	return refused, nil
}

func (t *datasetTarget) commitKeyed(ctx context.Context, u *unit, written map[string]ledger.Output) error {
	for _, stream := range slices.Sorted(maps.Keys(t.keyed)) {
		k := t.keyed[stream]
		if k.seq != u.Seq || u.Rows[stream] == 0 && !k.anew {
			continue
		}
		outputs, err := k.commit(ctx, t.request(u), u.Rows[stream])
		if err != nil {
			return err
		}
		maps.Copy(written, outputs)
	}
	return nil
}

// foundKeyed returns what a unit that is in both datasets left there.
func (t *datasetTarget) foundKeyed(ctx context.Context, u *unit, d *zone.Dataset, rows int64, outputs map[string]ledger.Output) error {
	changes, err := t.runtime.Zones.Dataset(ctx, changesOf(d.Name()))
	if err != nil {
		return err
	}
	found, err := (&keyed{dataset: d, changes: changes}).commit(ctx, t.request(u), rows)
	maps.Copy(outputs, found)
	return err
}
