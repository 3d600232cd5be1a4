package zone

import (
	"context"
	"fmt"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/qanat-data/qanat/core/killpoint"
)

// Release makes the unit that a branch holds visible on main and drops the branch. Unit
// names the flow, the seq, and the epoch of the runner that does it. If main didn't
// move since the branch was made, main takes the branch's snapshots; if others only
// added to it, the branch's changes are made again on top. It is idempotent by the
// unit's mark on main, and returns the unit's snapshot there. It fails with ErrFenced
// when a newer runner owns the flow, and with ErrNotFound when neither main nor a
// branch holds the unit.
func (d *Dataset) Release(ctx context.Context, branch string, unit Mark) (Snapshot, error) {
	defer d.zones.lock(d.name)()
	var failure error
	for range commitAttempts {
		tbl, err := d.load(ctx)
		if err != nil {
			return Snapshot{}, err
		}
		out, err := d.releaseOnce(ctx, tbl, branch, unit)
		if err == nil {
			return out, nil
		}
		failure = err
		if now, err := d.load(ctx); err != nil || now.MetadataLocation() == tbl.MetadataLocation() {
			break
		}
	}
	return Snapshot{}, fmt.Errorf("dataset %q: release branch %q: %w", d.name, branch, failure)
}

func (d *Dataset) releaseOnce(ctx context.Context, tbl *table.Table, branch string, unit Mark) (Snapshot, error) {
	done, out, err := d.settled(tbl, change{
		branch: table.MainBranch, mark: unit, settled: func(s Snapshot) (bool, error) { return holdsUnit(s, unit) },
	})
	if err != nil {
		return Snapshot{}, err
	}
	if done {
		return out, d.dropUnit(ctx, tbl, branch, unit)
	}
	tip, err := d.branchTip(tbl, branch)
	if err != nil {
		return Snapshot{}, err
	}
	own, err := snapshotOf(tip)
	if err != nil {
		return Snapshot{}, err
	}
	if !own.Mark.sameUnit(unit) {
		return Snapshot{}, fmt.Errorf("the branch holds unit %d of flow %q, not unit %d of flow %q", own.Mark.Seq, own.Mark.Flow, unit.Seq, unit.Flow)
	}
	return d.release(ctx, tbl, branch, tip, unit)
}

// dropUnit drops the branch that held a released unit, if it is still there; one of a later unit stays.
func (d *Dataset) dropUnit(ctx context.Context, tbl *table.Table, branch string, unit Mark) error {
	tip := tbl.SnapshotByName(branch)
	if tip == nil {
		return nil
	}
	own, err := snapshotOf(tip)
	if err != nil || !own.Mark.sameUnit(unit) {
		return err
	}
	return d.dropRef(ctx, tbl, branch)
}

func (d *Dataset) branchTip(tbl *table.Table, branch string) (*table.Snapshot, error) {
	tip := tbl.SnapshotByName(branch)
	if tip == nil || branch == table.MainBranch {
		return nil, fmt.Errorf("dataset %q: branch %q: %w", d.name, branch, ErrNotFound)
	}
	return tip, nil
}

func (d *Dataset) release(ctx context.Context, tbl *table.Table, branch string, tip *table.Snapshot, unit Mark) (Snapshot, error) {
	main := tbl.CurrentSnapshot()
	if main == nil || isAncestor(tbl, tip, main.SnapshotID) {
		return d.fastForward(ctx, tbl, branch, tip)
	}
	head, err := snapshotOf(main)
	if err != nil {
		return Snapshot{}, err
	}
	if isKeyed(tbl) {
		held, err := heldBy(ctx, tbl, tip)
		if err != nil {
			return Snapshot{}, err
		}
		return d.replay(ctx, tbl, branch, summary(head, "", unit), held.stage)
	}
	removed, added, err := branchChanges(ctx, tbl, tip)
	if err != nil {
		return Snapshot{}, err
	}
	return d.replay(ctx, tbl, branch, summary(head, "", unit),
		func(ctx context.Context, tx *table.Transaction, _ *table.Table, p iceberg.Properties) error {
			return replaceFiles(ctx, tx, removed, added, p)
		})
}

// replay commits the changes of a branch on main and removes the branch. The removal
// is a second commit: a crash between them leaves a branch that a later Release
// recognises as done by main's mark.
func (d *Dataset) replay(
	ctx context.Context, tbl *table.Table, branch string, p iceberg.Properties, stage stageFunc,
) (Snapshot, error) {
	tx := tbl.NewTransaction()
	if err := tx.AssertRefSnapshotID(table.MainBranch); err != nil {
		return Snapshot{}, err
	}
	if err := stage(ctx, tx, tbl, p); err != nil {
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
	killpoint.Here("before-branch-gone")
	return out, d.dropRef(ctx, committed, branch)
}

// branchChanges are the files that a branch removed and added since it left main.
func branchChanges(ctx context.Context, tbl *table.Table, tip *table.Snapshot) (removed, added []iceberg.DataFile, err error) {
	fork, err := forkOf(tbl, tip)
	if err != nil {
		return nil, nil, err
	}
	before, err := liveFiles(ctx, tbl, fork)
	if err != nil {
		return nil, nil, err
	}
	after, err := liveFiles(ctx, tbl, tip)
	if err != nil {
		return nil, nil, err
	}
	removed, added = without(before.data, after.data), without(after.data, before.data)
	if len(removed) == 0 {
		return nil, added, nil
	}
	return rebase(ctx, tbl, fork, after, removed, added)
}

// hasParent tells whether the oldest snapshot of a history that is there had one before it.
func hasParent(tbl *table.Table, tip *table.Snapshot) bool {
	history := ancestors(tbl, tip)
	return history[len(history)-1].ParentSnapshotID != nil
}

// rebase says what a branch that removed files changes on main now. Upkeep may have put them into others since: then main must hold the
// rows that it held at the fork, and gets the branch's files in place of its own.
func rebase(
	ctx context.Context, tbl *table.Table, fork *table.Snapshot, after contents, removed, added []iceberg.DataFile,
) (_, _ []iceberg.DataFile, err error) {
	main, err := liveFiles(ctx, tbl, tbl.CurrentSnapshot())
	if err != nil {
		return nil, nil, err
	}
	if len(without(removed, main.data)) == 0 {
		return removed, added, nil
	}
	if err := unchangedSince(tbl, fork); err != nil {
		return nil, nil, err
	}
	return without(main.data, after.data), without(after.data, main.data), nil
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

// DropBranch forgets a branch and what only it holds, for the runner whose flow and
// epoch are given. A missing branch is no error; a newer runner's is left alone, with
// ErrFenced.
func (d *Dataset) DropBranch(ctx context.Context, branch string, by Mark) error {
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
		if err := d.ownsMain(tbl, by); err != nil {
			return err
		}
		if failure = d.dropRef(ctx, tbl, branch); failure == nil {
			return nil
		}
	}
	return fmt.Errorf("dataset %q: drop branch %q: %w", d.name, branch, failure)
}

// dropRef removes a branch if neither it nor main, which a fence moves, has moved
// since the table was loaded.
func (d *Dataset) dropRef(ctx context.Context, tbl *table.Table, branch string) error {
	requirements := []table.Requirement{table.AssertTableUUID(tbl.Metadata().TableUUID())}
	for _, name := range []string{table.MainBranch, branch} {
		if s := tbl.SnapshotByName(name); s != nil {
			requirements = append(requirements, table.AssertRefSnapshotID(name, &s.SnapshotID))
		} else {
			requirements = append(requirements, table.AssertRefSnapshotID(name, nil))
		}
	}
	_, _, err := d.zones.catalog.CommitTable(ctx, d.name.identifier(), requirements,
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
