package zone

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// RebuildRequest replaces rows of a flow's earlier units.
type RebuildRequest struct {
	Mark  Mark        // of the unit that does it
	Units []UnitRange // whose rows go; a range without a flow is of Mark.Flow
	Files Files       // what comes instead, staged with the seqs of the units that are replaced
	// CheckOwner is called after the table is loaded and before the commit; its error ends the commit.
	CheckOwner func(ctx context.Context) error
}

// errRebuildLanding says that landing is raw and immutable.
var errRebuildLanding = errors.New("landing keeps every record as it came: units of it can't be replaced")

// Rebuild replaces the rows of a flow's units by others, in one snapshot of KindReplay. Rows of other flows and other units stay:
// a file that mixes them with rows that go is written again without these. It is idempotent by its mark, as Commit is, and fails in
// the same ways; Undo takes it back. Of a dataset with a key all units must be replaced, by rows with keys of their own each.
func (d *Dataset) Rebuild(ctx context.Context, r RebuildRequest) (Snapshot, error) {
	if d.name.Zone == Landing {
		return Snapshot{}, fmt.Errorf("dataset %q: %w", d.name, errRebuildLanding)
	}
	if r.Mark.Flow == "" || r.Mark.Seq <= 0 {
		return Snapshot{}, fmt.Errorf("dataset %q: a unit needs a flow and a seq above 0, got %q and %d", d.name, r.Mark.Flow, r.Mark.Seq)
	}
	units := slices.Clone(r.Units)
	for i := range units {
		units[i].Flow = r.Mark.Flow
	}
	b := &rebuild{dataset: d, units: units, files: r.Files, rewritten: map[string][]iceberg.DataFile{}}
	return d.change(ctx, change{
		branch: table.MainBranch, kind: KindReplay, mark: r.Mark, owner: r.CheckOwner, follow: followOthers,
		settled: func(s Snapshot) (bool, error) { return holdsUnit(s, r.Mark) },
		stage:   b.stage,
	})
}

// rebuild keeps what it has written again from one attempt to the next: files don't change.
type rebuild struct {
	dataset   *Dataset
	units     []UnitRange
	files     Files
	rewritten map[string][]iceberg.DataFile
}

func (b *rebuild) stage(ctx context.Context, tx *table.Transaction, tbl *table.Table, p iceberg.Properties) error {
	live, err := liveFiles(ctx, tbl, tbl.CurrentSnapshot())
	if err != nil {
		return err
	}
	if isKeyed(tbl) {
		return b.replaceAll(ctx, tx, tbl, live, p)
	}
	if len(live.deletes) > 0 {
		return &refusal{fmt.Errorf("dataset %q has delete files: units of it can't be replaced", b.dataset.name)}
	}
	plan := scanPlan{tbl: tbl, flowColumn: true}
	come := slices.Clone(b.files.list)
	var gone []iceberg.DataFile
	for _, f := range live.data {
		if plan.apart(f, b.units) {
			continue
		}
		gone = append(gone, f)
		if plan.covered(f, b.units) {
			continue
		}
		rest, err := b.rewrite(ctx, tbl, f)
		if err != nil {
			return fmt.Errorf("dataset %q: write the rest of file %q again: %w", b.dataset.name, f.FilePath(), err)
		}
		come = append(come, rest...)
	}
	return replaceFiles(ctx, tx, gone, come, p)
}

// replaceAll is for a dataset with a key: rows of some units can't be told from what others have made of them, so all go.
func (b *rebuild) replaceAll(ctx context.Context, tx *table.Transaction, tbl *table.Table, live contents, p iceberg.Properties) error {
	plan := scanPlan{tbl: tbl, flowColumn: true}
	for _, f := range live.data {
		if !plan.covered(f, b.units) {
			return &refusal{fmt.Errorf("dataset %q has a key: its units can only be replaced all at once", b.dataset.name)}
		}
	}
	if len(live.data)+len(live.deletes) == 0 {
		return addUnit(ctx, tx, tbl, b.files.list, nil, p)
	}
	return replaceAll(ctx, tx, tbl, live, b.files.list, p)
}

// replaceFiles makes one snapshot in any case.
func replaceFiles(ctx context.Context, tx *table.Transaction, gone, come []iceberg.DataFile, p iceberg.Properties) error {
	if len(gone)+len(come) == 0 {
		return emptyAppend(ctx, tx, p)
	}
	return tx.ReplaceDataFilesWithDataFiles(ctx, gone, come, p, table.WithoutAutoNameMapping())
}

// apart tells whether no row of a file can be in one of the ranges.
func (p scanPlan) apart(file iceberg.DataFile, units []UnitRange) bool {
	low, high := p.bounds(file, ColumnSeq)
	first, ok := decodeSeq(low)
	last, ok2 := decodeSeq(high)
	from, to := p.bounds(file, ColumnFlow)
	if !ok || !ok2 || (p.flowColumn && (from == nil || to == nil)) {
		return false
	}
	return !slices.ContainsFunc(units, func(u UnitRange) bool {
		ofFlow := !p.flowColumn || u.Flow == "" || (string(from) <= u.Flow && u.Flow <= string(to))
		return last > u.After && first <= u.Upto && ofFlow
	})
}

// rewrite writes the rows of a file that are in none of the ranges into files of their own, as they are: those before a range apart
// from those behind it, so that what comes instead has its place between them.
func (b *rebuild) rewrite(ctx context.Context, tbl *table.Table, f iceberg.DataFile) ([]iceberg.DataFile, error) {
	if done, again := b.rewritten[f.FilePath()]; again {
		return done, nil
	}
	ctx = b.dataset.zones.arrowContext(ctx)
	target, err := table.SchemaToArrowSchema(tbl.Schema(), nil, true, false)
	if err != nil {
		return nil, err
	}
	var all []iceberg.DataFile
	for _, between := range cuts(b.units) {
		p := scanPlan{tbl: tbl, schema: target, flowColumn: true, options: []table.ScanOption{
			table.WithMaxConcurrency(1), table.WithArrowBatchSize(scanBatchRows), table.WithSelectedFields(names(target)...),
			table.WithRowFilter(iceberg.NewAnd(outside(b.units), outside([]UnitRange{{Upto: between.After}, {After: between.Upto, Upto: math.MaxInt64}}))),
		}}
		if p.apart(f, []UnitRange{between}) {
			continue
		}
		task := table.FileScanTask{File: f, Length: f.FileSizeBytes()}
		pool := newWriters(ctx, tbl, target, partOf(f.FilePath()), true)
		err = p.feed(ctx, []table.FileScanTask{task}, pool)
		written, finishErr := pool.finish()
		if err != nil || finishErr != nil {
			return nil, errors.Join(err, finishErr)
		}
		all = append(all, written...)
	}
	b.rewritten[f.FilePath()] = all
	return all, nil
}

// cuts are all units, cut where a range begins or ends.
func cuts(units []UnitRange) []UnitRange {
	ends := []int64{math.MaxInt64}
	for _, u := range units {
		ends = append(ends, u.After, u.Upto)
	}
	slices.Sort(ends)
	var out []UnitRange
	var after int64
	for _, end := range slices.Compact(ends) {
		if end > after {
			out = append(out, UnitRange{After: after, Upto: end})
			after = end
		}
	}
	return out
}

// feed writes the rows of files.
func (p scanPlan) feed(ctx context.Context, files []table.FileScanTask, pool *writers) error {
	for batch, err := range p.concat(func() (Batches, error) { return p.tasks(ctx, p.options, files) }) {
		if err != nil {
			pool.stop(err)
			return err
		}
		if err := pool.write(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// outside selects the rows that are in none of the ranges.
func outside(units []UnitRange) iceberg.BooleanExpression {
	var out iceberg.BooleanExpression = iceberg.AlwaysTrue{}
	for _, u := range units {
		e := iceberg.NewOr(
			iceberg.LessThanEqual(iceberg.Reference(ColumnSeq), u.After),
			iceberg.GreaterThan(iceberg.Reference(ColumnSeq), u.Upto))
		if u.Flow != "" {
			e = iceberg.NewOr(e, iceberg.NotEqualTo(iceberg.Reference(ColumnFlow), u.Flow))
		}
		out = iceberg.NewAnd(out, e)
	}
	return out
}

// revert says which files go and which come back when snapshots are taken back one by one, the newest first. What was written again
// since can't be told apart any more.
func revert(ctx context.Context, tbl *table.Table, undone []*table.Snapshot) (gone, come []iceberg.DataFile, err error) {
	head, err := liveFiles(ctx, tbl, tbl.CurrentSnapshot())
	if err != nil {
		return nil, nil, err
	}
	now := head.data
	for _, s := range undone {
		if s.ParentSnapshotID != nil && tbl.SnapshotByID(*s.ParentSnapshotID) == nil {
			return nil, nil, &refusal{fmt.Errorf("snapshot %d can't be taken back: the one before it has expired", s.SnapshotID)}
		}
		after, err := liveFiles(ctx, tbl, s)
		if err != nil {
			return nil, nil, err
		}
		var before contents
		if s.ParentSnapshotID != nil {
			if before, err = liveFiles(ctx, tbl, tbl.SnapshotByID(*s.ParentSnapshotID)); err != nil {
				return nil, nil, err
			}
		}
		added := without(after.data, before.data)
		if len(without(added, now)) > 0 {
			return nil, nil, &refusal{fmt.Errorf("snapshot %d can't be taken back: its files were written again since", s.SnapshotID)}
		}
		now = append(without(now, added), without(before.data, after.data)...)
	}
	return without(head.data, now), without(now, head.data), nil
}

// With puts the files of two stages together.
func (f Files) With(other Files) Files {
	return Files{Rows: f.Rows + other.Rows, Bytes: f.Bytes + other.Bytes, list: slices.Concat(f.list, other.list)}
}
