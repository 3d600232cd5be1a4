package zone_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

func TestZombieFailsAfterFence(t *testing.T) {
	t.Parallel()
	settings := server(t)
	d := create(t, zonetest.Open(t, settings), "landing.shop.orders", orders)
	zombie, err := zonetest.Open(t, settings).Dataset(t.Context(), d.Name())
	if err != nil {
		t.Fatal(err)
	}
	mustUnit(t, zombie, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, zone.Append, 1)
	if _, err := d.Fence(t.Context(), "f", 2); err != nil {
		t.Fatal(err)
	}
	if _, err := unit(t, zombie, zone.Mark{Flow: "f", Epoch: 1, Seq: 2}, zone.Append, 2); !errors.Is(err, zone.ErrFenced) {
		t.Errorf("zombie's commit: %v", err)
	}
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 2, Seq: 2}, zone.Append, 3)
	if diff := cmp.Diff([]int64{1, 3}, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}

// The fence comes between the zombie's load and its commit.
func TestFenceBeatsACommitUnderWay(t *testing.T) {
	t.Parallel()
	for _, mode := range []zone.Mode{zone.Append, zone.Overwrite} {
		settings := server(t)
		d := create(t, zonetest.Open(t, settings), "processing.shop.orders", orders)
		zombie, err := zonetest.Open(t, settings).Dataset(t.Context(), d.Name())
		if err != nil {
			t.Fatal(err)
		}
		owner := fencing(t, d, "f", 2)
		_, err = zombie.Commit(t.Context(), zone.CommitRequest{
			Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, Mode: mode, CheckOwner: owner,
		})
		if !errors.Is(err, zone.ErrFenced) {
			t.Errorf("mode %d: %v", mode, err)
		}
	}
}

func TestAppendFollowsAnotherFlowAndOverwriteDoesNot(t *testing.T) {
	t.Parallel()
	for mode, want := range map[zone.Mode]error{zone.Append: nil, zone.Overwrite: zone.ErrFenced} {
		settings := server(t)
		d := create(t, zonetest.Open(t, settings), "processing.shop.orders", orders)
		other, err := zonetest.Open(t, settings).Dataset(t.Context(), d.Name())
		if err != nil {
			t.Fatal(err)
		}
		_, err = other.Commit(t.Context(), zone.CommitRequest{
			Mark: zone.Mark{Flow: "g", Epoch: 1, Seq: 1}, Mode: mode, CheckOwner: fencing(t, d, "f", 1),
		})
		if !errors.Is(err, want) {
			t.Errorf("mode %d: %v", mode, err)
		}
	}
}

func TestFenceIsIdempotentAndNeverGoesBack(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 7}, zone.Append, 1)
	first, err := d.Fence(t.Context(), "f", 3)
	if err != nil {
		t.Fatal(err)
	}
	if first.Kind != zone.KindFence || first.Mark != (zone.Mark{Flow: "f", Epoch: 3, Seq: 7}) {
		t.Errorf("fence is %+v", first)
	}
	again, err := d.Fence(t.Context(), "f", 3)
	if err != nil || again.ID != first.ID {
		t.Errorf("second fence is %+v, %v", again, err)
	}
	if _, err := d.Fence(t.Context(), "f", 2); !errors.Is(err, zone.ErrFenced) {
		t.Errorf("lower epoch: %v", err)
	}
	if m := mark(t, d, "f"); m != (zone.Mark{Flow: "f", Epoch: 3, Seq: 7}) {
		t.Errorf("mark is %+v", m)
	}
}

func TestMarksOfEveryFlowAreCarriedOn(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "processing.shop.orders", orders)
	mustUnit(t, d, zone.Mark{Flow: "a", Epoch: 1, Seq: 4}, zone.Append, 1)
	mustUnit(t, d, zone.Mark{Flow: "b", Epoch: 2, Seq: 1}, zone.Append, 2)
	if _, err := d.Fence(t.Context(), "c", 5); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Undo(t.Context(), "b", 2, 0); err != nil {
		t.Fatal(err)
	}
	want := map[string]zone.Mark{
		"a": {Flow: "a", Epoch: 1, Seq: 4}, "b": {Flow: "b", Epoch: 2}, "c": {Flow: "c", Epoch: 5},
	}
	if diff := cmp.Diff(want, reload(t, d).Head().Marks()); diff != "" {
		t.Error(diff)
	}
}

func TestUndoKeepsForeignRows(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "processing.shop.orders", orders)
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, zone.Append, 1)
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 2}, zone.Append, 2)
	mustUnit(t, d, zone.Mark{Flow: "g", Epoch: 1, Seq: 1}, zone.Append, 10)
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 3}, zone.Append, 3)
	s, err := d.Undo(t.Context(), "f", 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if s.Kind != zone.KindUndo || s.Mark != (zone.Mark{Flow: "f", Epoch: 1, Seq: 1}) || s.Rows != 2 {
		t.Errorf("snapshot is %+v", s)
	}
	if diff := cmp.Diff([]int64{1, 10}, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	// The unit comes again, and can be undone again.
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 2}, zone.Append, 22)
	if diff := cmp.Diff([]int64{1, 10, 22}, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	if _, err := d.Undo(t.Context(), "f", 1, 1); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{1, 10}, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	if m := mark(t, d, "g"); m.Seq != 1 {
		t.Errorf("mark of g is %+v", m)
	}
}

func TestUndoOfAnOverwriteBringsRowsBack(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "curated.shop.daily", orders)
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, zone.Overwrite, 1, 2)
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 2}, zone.Overwrite, 3)
	if _, err := d.Fence(t.Context(), "f", 2); err != nil {
		t.Fatal(err)
	}
	s, err := d.Undo(t.Context(), "f", 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{1, 2}, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	if m := mark(t, d, "f"); m != (zone.Mark{Flow: "f", Epoch: 2, Seq: 1}) || s.Rows != 2 {
		t.Errorf("mark is %+v, snapshot %+v", m, s)
	}
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 2, Seq: 2}, zone.Overwrite, 4)
	if diff := cmp.Diff([]int64{4}, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	if _, err := d.Undo(t.Context(), "f", 2, 0); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, d, zone.ScanRequest{}); len(got) != 0 {
		t.Errorf("rows left: %v", got)
	}
}

func TestUndoWithoutUnitsChangesNothing(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "processing.shop.orders", orders)
	s := mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 3, Seq: 1}, zone.Append, 1)
	got, err := d.Undo(t.Context(), "f", 3, 1)
	if err != nil || got.ID != s.ID {
		t.Errorf("snapshot %d, want %d, error %v", got.ID, s.ID, err)
	}
	if _, err := d.Undo(t.Context(), "f", 2, 0); !errors.Is(err, zone.ErrFenced) {
		t.Errorf("old epoch: %v", err)
	}
}

func TestBranchHoldsAUnitUntilItIsReleased(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "processing.shop.orders", orders)
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, zone.Append, 1)
	held := hold(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 2}, zone.Append, 2)
	if diff := cmp.Diff([]int64{1}, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int64{1, 2}, ids(t, d, zone.ScanRequest{Branch: "held/f"})); diff != "" {
		t.Error(diff)
	}
	if again := hold(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 2}, zone.Append, 2); again.ID != held.ID {
		t.Errorf("the unit is held twice: %d and %d", held.ID, again.ID)
	}
	if m := mark(t, d, "f"); m.Seq != 1 {
		t.Errorf("main's mark is %+v", m)
	}
	two := zone.Mark{Flow: "f", Epoch: 1, Seq: 2}
	released, err := d.Release(t.Context(), "held/f", two)
	if err != nil || released.ID != held.ID {
		t.Fatalf("released %+v, %v", released, err)
	}
	if diff := cmp.Diff([]int64{1, 2}, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	if again, err := d.Release(t.Context(), "held/f", two); err != nil || again.ID != held.ID {
		t.Errorf("second release: %+v, %v", again, err)
	}
	if _, err := d.Release(t.Context(), "held/f", zone.Mark{Flow: "f", Epoch: 1, Seq: 3}); !errors.Is(err, zone.ErrNotFound) {
		t.Errorf("release of a unit that nobody holds: %v", err)
	}
}

func TestZombieCanNotWriteToABranch(t *testing.T) {
	t.Parallel()
	settings := server(t)
	d := create(t, zonetest.Open(t, settings), "processing.shop.orders", orders)
	zombie, err := zonetest.Open(t, settings).Dataset(t.Context(), d.Name())
	if err != nil {
		t.Fatal(err)
	}
	for seq := range int64(2) { // the branch is missing, then exists
		_, err = zombie.Commit(t.Context(), zone.CommitRequest{
			Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: seq + 2}, Branch: "held/f", CheckOwner: fencing(t, d, "f", 2),
		})
		if !errors.Is(err, zone.ErrFenced) {
			t.Errorf("commit %d: %v", seq, err)
		}
		hold(t, d, zone.Mark{Flow: "f", Epoch: 2, Seq: 1}, zone.Append, 1)
	}
}

func TestReleaseAfterATakeover(t *testing.T) {
	t.Parallel()
	for mode, want := range map[zone.Mode][]int64{zone.Append: {1, 2}, zone.Overwrite: {2}} {
		z, _ := checked(t)
		d := create(t, z, "processing.shop.orders", orders)
		mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, mode, 1)
		hold(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 2}, mode, 2)
		if _, err := d.Fence(t.Context(), "f", 2); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Release(t.Context(), "held/f", zone.Mark{Flow: "f", Epoch: 1, Seq: 2}); !errors.Is(err, zone.ErrFenced) {
			t.Fatalf("a zombie releases the unit: %v", err)
		}
		if _, err := d.Release(t.Context(), "held/f", zone.Mark{Flow: "f", Epoch: 2, Seq: 3}); err == nil {
			t.Fatal("another unit than the one on the branch was released")
		}
		if _, err := d.Release(t.Context(), "held/f", zone.Mark{Flow: "f", Epoch: 2, Seq: 2}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, ids(t, d, zone.ScanRequest{})); diff != "" {
			t.Error(diff)
		}
		if m := mark(t, d, "f"); m != (zone.Mark{Flow: "f", Epoch: 2, Seq: 2}) {
			t.Errorf("mark is %+v", m)
		}
		branches, err := d.Branches(t.Context())
		if err != nil || len(branches) != 0 {
			t.Errorf("branches %v, %v", branches, err)
		}
	}
}

func TestDroppedBranchLeavesMain(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "processing.shop.orders", orders)
	hold(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, zone.Append, 2)
	mustUnit(t, d, zone.Mark{Flow: "g", Epoch: 1, Seq: 1}, zone.Append, 1)
	if _, err := d.Fence(t.Context(), "f", 2); err != nil {
		t.Fatal(err)
	}
	if err := d.DropBranch(t.Context(), "held/f", zone.Mark{Flow: "f", Epoch: 1}); !errors.Is(err, zone.ErrFenced) {
		t.Fatalf("a zombie drops the branch: %v", err)
	}
	for range 2 {
		if err := d.DropBranch(t.Context(), "held/f", zone.Mark{Flow: "f", Epoch: 2}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]int64{1}, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	if err := d.DropBranch(t.Context(), "main", zone.Mark{Flow: "f", Epoch: 2}); err == nil {
		t.Error("main was dropped")
	}
}
