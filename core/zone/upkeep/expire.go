package upkeep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/qanat-data/qanat/core/killpoint"
)

// expire lets go of snapshots that nobody needs. What they alone refer to is noted in the bucket before, and removed later.
func (k *keeper) expire(ctx context.Context) error {
	for range attempts {
		tbl, err := k.Load(ctx)
		if err != nil {
			return err
		}
		kept, gone, err := k.retention(tbl)
		if err != nil || len(gone) == 0 {
			return err
		}
		if k.DryRun {
			k.report.Snapshots.After = int64(len(kept))
			return nil
		}
		err = k.expireFrom(ctx, tbl, kept, gone)
		if !errors.Is(err, errConflict) {
			return err
		}
	}
	k.keep("old snapshots: others changed the dataset %d times meanwhile", attempts)
	return nil
}

func (k *keeper) expireFrom(ctx context.Context, tbl *table.Table, kept, gone []*table.Snapshot) error {
	metadata, data, err := k.leftBy(ctx, tbl, kept, gone)
	if err != nil {
		return err
	}
	names, err := k.note(ctx, metadata, data)
	if err != nil {
		return err
	}
	killpoint.Here("after-trash-list")
	if err := k.removeSnapshots(ctx, tbl, metadata.Snapshots); err != nil {
		if errors.Is(err, errConflict) {
			return errors.Join(err, k.remove(ctx, names))
		}
		return err // whether they went is unknown, so the note stays
	}
	killpoint.Here("after-expire")
	k.Cache.forget(kept)
	return nil
}

// removeSnapshots commits the removal. It holds for later states of the table, too, as long as they grew from the one it was
// worked out for: what grew then refers only to what that one's newest snapshots did.
func (k *keeper) removeSnapshots(ctx context.Context, was *table.Table, gone []int64) error {
	defer k.Lock()()
	var failure error
	for range attempts {
		tbl, err := k.Load(ctx)
		if err != nil {
			return err
		}
		requirements, ok := grewFrom(was, tbl)
		if !ok {
			return errConflict
		}
		updates := []table.Update{table.NewRemoveSnapshotsUpdate(gone, false)}
		failure = k.commit(ctx, tbl, requirements, updates, func(now *table.Table) bool { return now.SnapshotByID(gone[0]) == nil })
		if !errors.Is(failure, errConflict) {
			return failure
		}
	}
	return failure
}

// grewFrom tells whether a state of the table has the branches and tags of an older one, each where it was or further on, and
// whether its new branches fork from there. The requirements hold a commit to that.
func grewFrom(was, now *table.Table) ([]table.Requirement, bool) {
	head := was.CurrentSnapshot()
	requirements := []table.Requirement{table.AssertTableUUID(now.Metadata().TableUUID())}
	if was.Metadata().TableUUID() != now.Metadata().TableUUID() {
		return nil, false
	}
	old := map[string]int64{}
	for name, ref := range was.Metadata().Refs() {
		old[name] = ref.SnapshotID
	}
	for name, ref := range now.Metadata().Refs() {
		requirements = append(requirements, table.AssertRefSnapshotID(name, &ref.SnapshotID))
		if id, known := old[name]; known && name != table.MainBranch && id == ref.SnapshotID {
			continue
		}
		if head == nil || !contains(ancestors(now.Metadata(), now.SnapshotByID(ref.SnapshotID)), head.SnapshotID) {
			return nil, false
		}
	}
	return requirements, true
}

// retention sorts the table's snapshots into those that stay and those that go.
func (k *keeper) retention(tbl *table.Table) (kept, gone []*table.Snapshot, err error) {
	meta := tbl.Metadata()
	stays := map[int64]bool{}
	main := ancestors(meta, meta.CurrentSnapshot())
	forks := k.branches(meta, main, stays)
	count, err := k.newest(main, forks)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range main[:count] {
		stays[s.SnapshotID] = true
	}
	for _, p := range k.Pinned {
		if !stays[p.Snapshot] && meta.SnapshotByID(p.Snapshot) != nil {
			stays[p.Snapshot] = true
			k.keep("snapshot %d: readers are sent to it", p.Snapshot)
		}
	}
	onMain := map[int64]bool{}
	for _, s := range main {
		onMain[s.SnapshotID] = true
	}
	settled := time.Now().Add(-k.Policy.Snapshots.Settle).UnixMilli()
	for _, s := range snapshotsOf(meta) {
		taken := !onMain[s.SnapshotID] && s.TimestampMs > settled // just taken back
		if stays[s.SnapshotID] || taken {
			kept = append(kept, s)
		} else {
			gone = append(gone, s)
		}
	}
	return kept, gone, nil
}

// branches marks what branches and tags need, and returns the snapshots of main that branches fork from: releasing a branch
// compares it with main since then.
func (k *keeper) branches(meta table.Metadata, main []*table.Snapshot, stays map[int64]bool) map[int64]string {
	onMain := map[int64]bool{}
	for _, s := range main {
		onMain[s.SnapshotID] = true
	}
	forks := map[int64]string{}
	for name, ref := range meta.Refs() {
		if name == table.MainBranch {
			continue
		}
		stays[ref.SnapshotID] = true
		if ref.SnapshotRefType != table.BranchRef {
			continue
		}
		for _, s := range ancestors(meta, meta.SnapshotByID(ref.SnapshotID)) {
			stays[s.SnapshotID] = true
			if onMain[s.SnapshotID] {
				forks[s.SnapshotID] = name
				break
			}
		}
	}
	return forks
}

// newest is how many of main's snapshots stay: always the newest ones, so that the history has no gap.
func (k *keeper) newest(main []*table.Snapshot, forks map[int64]string) (int, error) {
	policy := k.Policy.Snapshots
	need, allowed := 0, 0
	why := ""
	now := time.Now()
	var superseded time.Duration
	for i, s := range main {
		if i > 0 { // a clock that was set back makes times that don't grow
			superseded = max(superseded, now.Sub(time.UnixMilli(main[i-1].TimestampMs)))
		}
		if i < max(policy.Keep, 1) || superseded < policy.Settle || (superseded < policy.YoungerThan && i < policy.Most) {
			allowed = i + 1
		}
		origin, err := k.Origin(s)
		if err != nil {
			return 0, fmt.Errorf("dataset %q: %w", k.Name, err)
		}
		if origin.Unit && origin.Seq > k.Visible[origin.Flow] {
			// Taking it back needs the snapshot before it.
			need, why = i+2, fmt.Sprintf("unit %d of flow %q is not in the ledger", origin.Seq, origin.Flow)
		}
		if branch, forked := forks[s.SnapshotID]; forked && need < i+1 {
			need, why = i+1, fmt.Sprintf("branch %q forks there", branch)
		}
	}
	need = min(need, len(main))
	if need > allowed {
		k.keep("%d old snapshots: %s", need-allowed, why)
	}
	return max(need, allowed), nil
}

// repin sends readers from pinned snapshots to the newest ones with the same rows, so that they gain from what upkeep did.
func (k *keeper) repin(ctx context.Context) error {
	if k.Repin == nil || k.DryRun {
		return nil
	}
	tbl, err := k.Load(ctx)
	if err != nil {
		return err
	}
	main := ancestors(tbl.Metadata(), tbl.CurrentSnapshot())
	for i, p := range k.Pinned {
		to, err := k.equivalent(main, p)
		if err != nil {
			return err
		}
		if to == p.Snapshot {
			continue
		}
		killpoint.Here("before-repin")
		moved, err := k.Repin(ctx, p, to)
		if err != nil {
			return err
		}
		killpoint.Here("after-repin")
		if moved {
			k.Pinned[i].Snapshot = to
		}
	}
	return nil
}

// equivalent is the newest snapshot of main that holds the same rows as a pinned one.
func (k *keeper) equivalent(main []*table.Snapshot, p Pin) (int64, error) {
	var newest int64
	for _, s := range main {
		if newest == 0 {
			newest = s.SnapshotID
		}
		if s.SnapshotID == p.Snapshot {
			return newest, nil
		}
		origin, err := k.Origin(s)
		if err != nil {
			return 0, fmt.Errorf("dataset %q: %w", k.Name, err)
		}
		others := p.Flow != "" && origin.Flow != "" && origin.Flow != p.Flow
		if !origin.Neutral && !others {
			newest = 0
		}
	}
	return p.Snapshot, nil
}
