package upkeep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/core/zone/live"
)

const (
	smallManifest  = 512 << 10 // bytes
	manyManifests  = 32        // small ones that are merged
	judgeTimeout   = 15 * time.Second
	removeAtATime  = 200 // a removal has a time limit
	readersAtATime = 8
	foreignListAge = 10 * time.Minute
)

// replace puts files in the place of others that hold the same rows, and merges manifests when there are many. It commits on a fresh
// handle, pinned to its head: the old files being there is all that it relies on.
func (k *keeper) replace(ctx context.Context, p plan, old []live.Entry, written []iceberg.DataFile) error {
	defer k.Lock()()
	for range attempts {
		tbl, err := k.Load(ctx)
		if err != nil {
			return err
		}
		tx, err := k.stage(ctx, tbl, p, old, written)
		if tx == nil || err != nil {
			return err
		}
		killpoint.Here("before-compact-commit")
		err = k.commitStaged(ctx, tbl, tx)
		if err == nil {
			killpoint.Here("after-compact-commit")
			return nil
		}
		if !errors.Is(err, errConflict) {
			return err
		}
	}
	return errConflict
}

// stage is nil if there is nothing to commit.
func (k *keeper) stage(ctx context.Context, tbl *table.Table, p plan, old []live.Entry, written []iceberg.DataFile) (*table.Transaction, error) {
	head := tbl.CurrentSnapshot()
	if head == nil {
		return nil, errConflict
	}
	marks, err := k.Marks(head)
	if err != nil {
		return nil, err
	}
	tx := tbl.NewTransaction()
	if len(old) > 0 {
		spent, err := k.spent(ctx, tbl, p, old)
		if err != nil {
			return nil, err
		}
		// Keys of upserts since then have a higher one, so they apply to what was written, too.
		rewrite := tx.NewRewrite(marks).DataSequenceNumber(p.head.SequenceNumber)
		for _, f := range append(filesOf(old), spent...) {
			rewrite.DeleteFile(f)
		}
		for _, f := range written {
			rewrite.AddDataFile(f)
		}
		if err := rewrite.Commit(ctx); err != nil {
			if tbl.MetadataLocation() != p.tbl.MetadataLocation() {
				return nil, errors.Join(errConflict, err)
			}
			return nil, fmt.Errorf("dataset %q: replace files: %w", k.Name, err)
		}
	}
	merged, err := k.mergeManifests(ctx, tx)
	if err != nil || (!merged && len(old) == 0) {
		return nil, err
	}
	return tx, nil
}

// spent are the delete files that nothing is left of to apply to once old files are replaced: their vectors, and keys that are in no
// file with a lower sequence number. Keys that came after the old files were read are not spent: they apply to what was written.
func (k *keeper) spent(ctx context.Context, tbl *table.Table, p plan, old []live.Entry) ([]iceberg.DataFile, error) {
	if len(k.Key) == 0 {
		fs, err := tbl.FS(ctx)
		if err != nil {
			return nil, err
		}
		deletes, err := hasDeletes(fs, tbl.CurrentSnapshot())
		if err == nil && deletes {
			err = errConflict // they may delete rows of the old files
		}
		return nil, err
	}
	now, err := looked(ctx, tbl)
	if err != nil {
		return nil, err
	}
	out, same := vectorsOf(p.survey, old, now)
	if !same || now.Others {
		return nil, errConflict
	}
	gone, oldest := paths(old), int64(math.MaxInt64)
	for _, e := range now.Data {
		if !gone[e.File.FilePath()] {
			oldest = min(oldest, e.Seq)
		}
	}
	for _, e := range now.Keys {
		if e.Seq <= oldest && e.Seq <= p.head.SequenceNumber {
			out = append(out, e.File)
		}
	}
	return out, nil
}

// mergeManifests stages the merge of small manifests if there are many.
func (k *keeper) mergeManifests(ctx context.Context, tx *table.Transaction) (bool, error) {
	staged, err := tx.StagedTable()
	if err != nil {
		return false, err
	}
	fs, err := staged.FS(ctx)
	if err != nil {
		return false, err
	}
	list, err := staged.CurrentSnapshot().Manifests(fs)
	if err != nil {
		return false, err
	}
	small := func(m iceberg.ManifestFile) bool { return m.Length() < smallManifest }
	count := 0
	for _, m := range list {
		if m.ManifestContent() == iceberg.ManifestContentData && small(m) {
			count++
		}
	}
	if count < manyManifests {
		return false, nil
	}
	result, err := tx.RewriteManifests(ctx, table.WithRewriteManifestPredicate(small))
	if err != nil {
		return false, fmt.Errorf("dataset %q: merge manifests: %w", k.Name, err)
	}
	return !result.IsNoOp(), nil
}

// commitStaged commits the snapshots that a transaction has staged, and nothing else of it: the transaction would add properties to
// the table, and its merge of manifests forgets the marks.
func (k *keeper) commitStaged(ctx context.Context, tbl *table.Table, tx *table.Transaction) error {
	staged, err := tx.StagedTable()
	if err != nil {
		return err
	}
	marks, err := k.Marks(tbl.CurrentSnapshot())
	if err != nil {
		return err
	}
	var fresh []table.Snapshot
	for _, s := range staged.Metadata().Snapshots() {
		if tbl.SnapshotByID(s.SnapshotID) == nil {
			fresh = append(fresh, s)
		}
	}
	slices.SortFunc(fresh, func(a, b table.Snapshot) int { return cmp.Compare(a.SequenceNumber, b.SequenceNumber) })
	var updates []table.Update
	for _, s := range fresh {
		summary := *s.Summary
		summary.Properties = maps.Clone(summary.Properties)
		if summary.Properties == nil {
			summary.Properties = iceberg.Properties{}
		}
		maps.Copy(summary.Properties, marks)
		s.Summary = &summary
		updates = append(updates, table.NewAddSnapshotUpdate(&s))
	}
	newest := fresh[len(fresh)-1].SnapshotID
	updates = append(updates, table.NewSetSnapshotRefUpdate(table.MainBranch, newest, table.BranchRef, -1, -1, -1))
	head := tbl.CurrentSnapshot().SnapshotID
	requirements := []table.Requirement{
		table.AssertTableUUID(tbl.Metadata().TableUUID()), table.AssertRefSnapshotID(table.MainBranch, &head),
	}
	return k.commit(ctx, tbl, requirements, updates, func(now *table.Table) bool { return now.SnapshotByID(newest) != nil })
}

// commit changes the catalog. After a failure the table is loaded again and looked at: a lost answer may hide a commit that went
// through, and a table that others moved is a conflict.
func (k *keeper) commit(
	ctx context.Context, tbl *table.Table, requirements []table.Requirement, updates []table.Update, done func(*table.Table) bool,
) error {
	meta, err := k.Commit(ctx, requirements, updates)
	if err == nil {
		return k.removePrevious(ctx, tbl.Metadata(), meta)
	}
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), judgeTimeout)
	defer cancel()
	now, loadErr := k.Load(look)
	switch {
	case loadErr != nil:
		return errors.Join(err, loadErr)
	case done(now):
		return nil
	case now.MetadataLocation() != tbl.MetadataLocation():
		return errors.Join(errConflict, err)
	}
	return fmt.Errorf("dataset %q: %w", k.Name, err)
}

// removePrevious removes the table's older metadata that the new one does not name any more.
func (k *keeper) removePrevious(ctx context.Context, was, now table.Metadata) error {
	named := map[string]bool{}
	for entry := range now.PreviousFiles() {
		named[entry.MetadataFile] = true
	}
	var gone []string
	for entry := range was.PreviousFiles() {
		if !named[entry.MetadataFile] {
			gone = append(gone, entry.MetadataFile)
		}
	}
	return k.remove(ctx, gone)
}

// remove removes objects, some at a time. Missing ones are no error.
func (k *keeper) remove(ctx context.Context, uris []string) error {
	var failures error
	for some := range slices.Chunk(uris, removeAtATime) {
		if err := ctx.Err(); err != nil {
			return errors.Join(failures, err)
		}
		if err := k.Objects.Remove(ctx, some); err != nil {
			failures = errors.Join(failures, err)
		}
	}
	if failures != nil {
		return fmt.Errorf("dataset %q: %w", k.Name, failures)
	}
	return nil
}
