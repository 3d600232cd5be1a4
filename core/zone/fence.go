package zone

import (
	"context"
	"fmt"
	"math"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// Fence takes a flow over: it moves the head by a snapshot without rows that raises
// the flow's epoch, so that a commit of an older runner, pinned to the head it saw,
// fails. Fencing again with the same epoch changes nothing. A lower epoch than the
// head's fails with ErrFenced.
func (d *Dataset) Fence(ctx context.Context, flow string, epoch uint64) (Snapshot, error) {
	if flow == "" {
		return Snapshot{}, fmt.Errorf("dataset %q: a fence needs a flow", d.name)
	}
	mark := Mark{Flow: flow, Epoch: epoch}
	return d.change(ctx, change{
		branch: table.MainBranch, kind: KindFence, mark: mark, follow: followAll,
		settled: func(head Snapshot) (bool, error) {
			have, ok := head.marks[flow]
			if ok && have.Epoch > epoch {
				return false, fencedBy(have, mark)
			}
			return ok && have.Epoch == epoch, nil
		},
		stage: func(ctx context.Context, tx *table.Transaction, _ *table.Table, p iceberg.Properties) error {
			return emptyAppend(ctx, tx, p)
		},
	})
}

// Undo removes the flow's units above toSeq and sets its mark back, in one
// snapshot: the rows that those units added go, the rows that they replaced come
// back, rows of other flows stay. It needs the flow's current epoch.
func (d *Dataset) Undo(ctx context.Context, flow string, epoch uint64, toSeq int64) (Snapshot, error) {
	mark := Mark{Flow: flow, Epoch: epoch, Seq: toSeq}
	return d.change(ctx, change{
		branch: table.MainBranch, kind: KindUndo, mark: mark, follow: followOthers,
		settled: func(head Snapshot) (bool, error) {
			have, ok := head.marks[flow]
			if ok && have.Epoch > epoch {
				return false, fencedBy(have, mark)
			}
			return !ok || have.Seq <= toSeq, nil
		},
		stage: func(ctx context.Context, tx *table.Transaction, tbl *table.Table, p iceberg.Properties) error {
			return stageUndo(ctx, tx, tbl, mark, p)
		},
	})
}

func stageUndo(ctx context.Context, tx *table.Transaction, tbl *table.Table, mark Mark, p iceberg.Properties) error {
	history, err := unitsAbove(tbl, mark)
	if err != nil {
		return err
	}
	if history.newest == 0 {
		return &refusal{fmt.Errorf("flow %q: the snapshots of units above %d are gone: they can't be undone", mark.Flow, mark.Seq)}
	}
	if isKeyed(tbl) { // rows that a unit deleted are in files of units before it
		return rollBack(ctx, tx, tbl, mark.Flow, history, p)
	}
	if history.replayed {
		gone, come, err := revert(ctx, tbl, history.snapshots)
		if err != nil {
			return err
		}
		return replaceFiles(ctx, tx, gone, come, p)
	}
	if history.replaced {
		return rollBack(ctx, tx, tbl, mark.Flow, history, p)
	}
	var gone []iceberg.DataFile
	err = eachEntry(ctx, tbl, tbl.CurrentSnapshot(), func(e iceberg.ManifestEntry) {
		if history.units[e.SnapshotID()] {
			gone = append(gone, e.DataFile())
		}
	})
	if err != nil {
		return err
	}
	if len(gone) == 0 {
		return emptyAppend(ctx, tx, p)
	}
	return tx.ReplaceDataFilesWithDataFiles(ctx, gone, nil, p, table.WithoutAutoNameMapping())
}

// rollBack sets the table back to the state before the undone units.
func rollBack(ctx context.Context, tx *table.Transaction, tbl *table.Table, flow string, history undoing, p iceberg.Properties) error {
	if history.foreign != 0 {
		return &refusal{fmt.Errorf("flow %q replaced rows before snapshot %d of another flow: it can't be undone", flow, history.foreign)}
	}
	if history.parent == 0 {
		return dropAll(ctx, tx, tbl, p)
	}
	if tbl.SnapshotByID(history.parent) == nil {
		return &refusal{fmt.Errorf("flow %q: snapshot %d, the state before the units to undo, has expired", flow, history.parent)}
	}
	if err := tx.RollbackToSnapshot(history.parent); err != nil {
		return err
	}
	return emptyAppend(ctx, tx, p)
}

// dropAll empties the table: the undone units were its first.
func dropAll(ctx context.Context, tx *table.Transaction, tbl *table.Table, p iceberg.Properties) error {
	live, err := liveFiles(ctx, tbl, tbl.CurrentSnapshot())
	if err != nil {
		return err
	}
	if len(live.data)+len(live.deletes) == 0 {
		return emptyAppend(ctx, tx, p)
	}
	return tx.ReplaceFiles(ctx, live.data, nil, live.deletes, p, table.WithoutAutoNameMapping())
}

// undoing is what lies between the head and the state before the undone units.
type undoing struct {
	units    map[int64]bool // snapshots of units to undo
	newest   int64          // the highest seq among them
	replaced bool           // one of them replaced rows
	replayed bool           // one of them replaced rows of units before it
	parent   int64          // snapshot before the oldest of them, 0 if none
	foreign  int64          // a snapshot above it that another flow wrote
	// snapshots are those of the undone units and replays, the newest first.
	snapshots []*table.Snapshot
}

func unitsAbove(tbl *table.Table, mark Mark) (undoing, error) {
	out := undoing{units: map[int64]bool{}}
	limit := int64(math.MaxInt64) // units above it were undone before
	var foreign int64
	for _, s := range ancestors(tbl, tbl.CurrentSnapshot()) {
		own, err := snapshotOf(s)
		if err != nil {
			return out, err
		}
		if own.Mark.Flow != mark.Flow {
			if own.Kind == "" {
				foreign = own.ID
			}
			continue
		}
		switch {
		case own.Kind == KindUndo:
			limit = min(limit, own.Mark.Seq)
		case own.Kind == "" && own.Mark.Seq > mark.Seq && own.Mark.Seq <= limit:
			out.units[own.ID] = true
			out.snapshots = append(out.snapshots, s)
			out.newest = max(out.newest, own.Mark.Seq)
			out.replaced = out.replaced || s.Summary.Operation != table.OpAppend
			out.parent, out.foreign = own.Parent, foreign
		case own.Kind == KindReplay && own.Mark.Seq > mark.Seq && own.Mark.Seq <= limit:
			out.snapshots = append(out.snapshots, s)
			out.newest, out.replayed = max(out.newest, own.Mark.Seq), true
			out.parent, out.foreign = own.Parent, foreign
		case (own.Kind == "" || own.Kind == KindReplay) && own.Mark.Seq <= mark.Seq:
			return out, nil
		}
	}
	return out, nil
}
