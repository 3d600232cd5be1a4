package zone

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// heldUnit is what a branch of a dataset with a key holds: one unit, which is made again on main when main has moved.
type heldUnit struct {
	rows, keys []iceberg.DataFile
	truncates  bool
}

// heldBy reads the unit of a branch. Main may have changed its files since the branch left it, but not its rows: the unit's keys are
// those of rows that its writer saw.
func heldBy(ctx context.Context, tbl *table.Table, tip *table.Snapshot) (heldUnit, error) {
	var unit heldUnit
	fork, err := forkOf(tbl, tip)
	if err != nil {
		return unit, err
	}
	if err := unchangedSince(tbl, fork); err != nil {
		return unit, err
	}
	own := map[int64]bool{}
	for _, s := range ancestors(tbl, tip) {
		if fork != nil && s.SnapshotID == fork.SnapshotID {
			break
		}
		own[s.SnapshotID] = true
	}
	if len(own) != 1 {
		return unit, fmt.Errorf("the branch holds %d snapshots, expected the one of a unit", len(own))
	}
	kept := map[string]bool{}
	err = eachEntry(ctx, tbl, tip, func(e iceberg.ManifestEntry) {
		f := e.DataFile()
		switch {
		case !own[e.SnapshotID()]:
			kept[f.FilePath()] = true
		case f.ContentType() == iceberg.EntryContentData:
			unit.rows = append(unit.rows, f)
		default:
			unit.keys = append(unit.keys, f)
		}
	})
	if err != nil {
		return unit, err
	}
	before, err := liveFiles(ctx, tbl, fork)
	for _, f := range before.data {
		unit.truncates = unit.truncates || !kept[f.FilePath()]
	}
	return unit, err
}

// forkOf is the snapshot at which a branch left main, nil if main was empty.
func forkOf(tbl *table.Table, tip *table.Snapshot) (*table.Snapshot, error) {
	onMain := map[int64]bool{}
	for _, s := range ancestors(tbl, tbl.CurrentSnapshot()) {
		onMain[s.SnapshotID] = true
	}
	for _, s := range ancestors(tbl, tip) {
		if onMain[s.SnapshotID] {
			return s, nil
		}
	}
	if hasParent(tbl, tip) {
		return nil, errors.New("the snapshot that the branch left main at has expired")
	}
	return nil, nil
}

// unchangedSince makes sure that main has the rows that it had at a snapshot.
func unchangedSince(tbl *table.Table, fork *table.Snapshot) error {
	for _, s := range ancestors(tbl, tbl.CurrentSnapshot()) {
		if fork != nil && s.SnapshotID == fork.SnapshotID {
			return nil
		}
		if own, err := origin(s); err != nil || !own.Neutral {
			return errors.Join(fmt.Errorf("rows that the branch replaces may have been changed on main by snapshot %d", s.SnapshotID), err)
		}
	}
	return nil
}

// stage makes the unit again on main. What the branch truncates goes, whatever upkeep has made of it.
func (u heldUnit) stage(ctx context.Context, tx *table.Transaction, tbl *table.Table, p iceberg.Properties) error {
	if !u.truncates {
		return addUnit(ctx, tx, tbl, u.rows, u.keys, p)
	}
	live, err := liveFiles(ctx, tbl, tbl.CurrentSnapshot())
	if err != nil {
		return err
	}
	return replaceAll(ctx, tx, tbl, live, u.rows, p)
}
