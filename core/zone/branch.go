package zone

import (
	"context"
	"fmt"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// Release makes what a branch holds visible on main and drops the branch, in one
// step. If main didn't move since the branch was made, main takes the branch's
// snapshots; if others only added to it, the branch's changes are made again on top.
// It fails with ErrNotFound when there is no such branch.
func (d *Dataset) Release(ctx context.Context, branch string) (Snapshot, error) {
	defer d.zones.lock(d.name)()
	var failure error
	for range commitAttempts {
		tbl, err := d.load(ctx)
		if err != nil {
			return Snapshot{}, err
		}
		tip, err := d.branchTip(tbl, branch)
		if err != nil {
			return Snapshot{}, err
		}
		out, err := d.release(ctx, tbl, branch, tip)
		if err == nil {
			return out, nil
		}
		failure = err
		now, err := d.load(ctx)
		if err != nil || now.MetadataLocation() == tbl.MetadataLocation() {
			break
		}
		if now.SnapshotByName(branch) == nil {
			return snapshotOf(now.CurrentSnapshot()) // ours went through, or another's release did
		}
	}
	return Snapshot{}, fmt.Errorf("dataset %q: release branch %q: %w", d.name, branch, failure)
}

func (d *Dataset) branchTip(tbl *table.Table, branch string) (*table.Snapshot, error) {
	tip := tbl.SnapshotByName(branch)
	if tip == nil || branch == table.MainBranch {
		return nil, fmt.Errorf("dataset %q: branch %q: %w", d.name, branch, ErrNotFound)
	}
	return tip, nil
}

func (d *Dataset) release(ctx context.Context, tbl *table.Table, branch string, tip *table.Snapshot) (Snapshot, error) {
	main := tbl.CurrentSnapshot()
	if main == nil || isAncestor(tbl, tip, main.SnapshotID) {
		return d.fastForward(ctx, tbl, branch, tip)
	}
	own, err := snapshotOf(tip)
	if err != nil {
		return Snapshot{}, err
	}
	head, err := snapshotOf(main)
	if err != nil {
		return Snapshot{}, err
	}
	if have, ok := head.marks[own.Mark.Flow]; ok {
		if have.Seq >= own.Mark.Seq {
			return Snapshot{}, fmt.Errorf("flow %q: main holds seq %d, the branch seq %d: %w",
				own.Mark.Flow, have.Seq, own.Mark.Seq, ErrFenced)
		}
		own.Mark.Epoch = max(own.Mark.Epoch, have.Epoch)
	}
	removed, added, err := branchChanges(ctx, tbl, tip)
	if err != nil {
		return Snapshot{}, err
	}
	return d.replay(ctx, tbl, branch, summary(head, "", own.Mark), removed, added)
}

// replay commits the changes of a branch on main and removes the branch. The removal
// is a second commit: a crash between them leaves a branch that a later Release
// recognises as done by its mark.
func (d *Dataset) replay(
	ctx context.Context, tbl *table.Table, branch string, p iceberg.Properties, removed, added []iceberg.DataFile,
) (Snapshot, error) {
	tx := tbl.NewTransaction()
	if err := tx.AssertRefSnapshotID(table.MainBranch); err != nil {
		return Snapshot{}, err
	}
	var err error
	if len(removed)+len(added) == 0 {
		err = emptyAppend(ctx, tx, p)
	} else {
		err = tx.ReplaceDataFilesWithDataFiles(ctx, removed, added, p, table.WithoutAutoNameMapping())
	}
	if err != nil {
		return Snapshot{}, err
	}
	committed, err := tx.Commit(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	out, err := snapshotOf(committed.CurrentSnapshot())
	if err != nil {
		return Snapshot{}, err
	}
	return out, d.dropRef(ctx, committed, branch)
}

// branchChanges are the files that a branch removed and added since it left main.
func branchChanges(ctx context.Context, tbl *table.Table, tip *table.Snapshot) (removed, added []iceberg.DataFile, err error) {
	onMain := map[int64]bool{}
	for _, s := range ancestors(tbl, tbl.CurrentSnapshot()) {
		onMain[s.SnapshotID] = true
	}
	var fork *table.Snapshot
	for _, s := range ancestors(tbl, tip) {
		if onMain[s.SnapshotID] {
			fork = s
			break
		}
	}
	before, err := liveFiles(ctx, tbl, fork)
	if err != nil {
		return nil, nil, err
	}
	after, err := liveFiles(ctx, tbl, tip)
	if err != nil {
		return nil, nil, err
	}
	return without(before.data, after.data), without(after.data, before.data), nil
}

func without(files, others []iceberg.DataFile) []iceberg.DataFile {
	known := map[string]bool{}
	for _, f := range others {
		known[f.FilePath()] = true
	}
	var out []iceberg.DataFile
	for _, f := range files {
		if !known[f.FilePath()] {
			out = append(out, f)
		}
	}
	return out
}

func isAncestor(tbl *table.Table, tip *table.Snapshot, id int64) bool {
	for _, s := range ancestors(tbl, tip) {
		if s.SnapshotID == id {
			return true
		}
	}
	return false
}

func (d *Dataset) fastForward(ctx context.Context, tbl *table.Table, branch string, tip *table.Snapshot) (Snapshot, error) {
	var head *int64
	if s := tbl.CurrentSnapshot(); s != nil {
		head = &s.SnapshotID
	}
	_, _, err := d.zones.catalog.CommitTable(ctx, d.name.identifier(),
		[]table.Requirement{
			table.AssertTableUUID(tbl.Metadata().TableUUID()),
			table.AssertRefSnapshotID(table.MainBranch, head),
			table.AssertRefSnapshotID(branch, &tip.SnapshotID),
		},
		[]table.Update{
			table.NewSetSnapshotRefUpdate(table.MainBranch, tip.SnapshotID, table.BranchRef, -1, -1, -1),
			table.NewRemoveSnapshotRefUpdate(branch),
		})
	if err != nil {
		return Snapshot{}, err
	}
	return snapshotOf(tip)
}

// DropBranch forgets a branch and what only it holds. A missing branch is no error.
func (d *Dataset) DropBranch(ctx context.Context, branch string) error {
	if branch == table.MainBranch {
		return fmt.Errorf("dataset %q: branch %q can't be dropped", d.name, branch)
	}
	defer d.zones.lock(d.name)()
	var failure error
	for range commitAttempts {
		tbl, err := d.load(ctx)
		if err != nil {
			return err
		}
		if tbl.SnapshotByName(branch) == nil {
			return nil
		}
		if failure = d.dropRef(ctx, tbl, branch); failure == nil {
			return nil
		}
	}
	return fmt.Errorf("dataset %q: drop branch %q: %w", d.name, branch, failure)
}

func (d *Dataset) dropRef(ctx context.Context, tbl *table.Table, branch string) error {
	_, _, err := d.zones.catalog.CommitTable(ctx, d.name.identifier(),
		[]table.Requirement{table.AssertTableUUID(tbl.Metadata().TableUUID())},
		[]table.Update{table.NewRemoveSnapshotRefUpdate(branch)})
	return err
}

// Branches lists the branches besides main, with their newest snapshots.
func (d *Dataset) Branches(ctx context.Context) (map[string]Snapshot, error) {
	tbl, err := d.load(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]Snapshot{}
	for name, ref := range tbl.Metadata().Refs() {
		if name == table.MainBranch || ref.SnapshotRefType != table.BranchRef {
			continue
		}
		if out[name], err = snapshotOf(tbl.SnapshotByName(name)); err != nil {
			return nil, fmt.Errorf("dataset %q: %w", d.name, err)
		}
	}
	return out, nil
}
