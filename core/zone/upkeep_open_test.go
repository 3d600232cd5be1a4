package zone_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/upkeep"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

// What is not in the ledger may be taken back after upkeep as before it.
func TestUnitsThatAreNotInTheLedgerCanBeUndone(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "processing.shop.orders", orders)
	units(t, d, "f", 1, 12)
	units(t, d, "g", 1, 3)
	report := keep(t, d, ruthless(), map[string]int64{"f": 10, "g": 3})
	if report.Compacted.Count != 13 || len(report.Kept) == 0 {
		t.Errorf("report %+v", report)
	}
	if _, err := d.Undo(t.Context(), "f", 1, 10); err != nil {
		t.Fatal(err)
	}
	want := []int64{1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10}
	if diff := cmp.Diff(want, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	if m := mark(t, d, "f"); m.Seq != 10 {
		t.Errorf("mark %+v", m)
	}
}

// A flow that the ledger does not know keeps all it has.
func TestFlowsThatTheLedgerDoesNotKnowAreLeftAlone(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	for _, name := range []string{"landing.shop.orders", "processing.shop.orders"} {
		d := create(t, z, name, orders)
		units(t, d, "f", 1, 5)
		if report := keep(t, d, ruthless(), nil); !report.Idle() {
			t.Errorf("%s: report %+v", name, report)
		}
	}
}

func TestAnOverwriteThatIsNotInTheLedgerCanBeUndone(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "curated.shop.daily", orders)
	for seq := int64(1); seq <= 5; seq++ {
		mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: seq}, zone.Overwrite, seq, seq+100)
		keep(t, d, ruthless(), map[string]int64{"f": seq})
	}
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 6}, zone.Overwrite, 6)
	for range 2 {
		keep(t, d, ruthless(), map[string]int64{"f": 5})
	}
	if _, err := d.Fence(t.Context(), "f", 2); err != nil {
		t.Fatal(err)
	}
	keep(t, d, ruthless(), map[string]int64{"f": 5})
	if _, err := d.Undo(t.Context(), "f", 2, 5); err != nil {
		t.Fatal(err)
	}
	keep(t, d, ruthless(), map[string]int64{"f": 5})
	if diff := cmp.Diff([]int64{5, 105}, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}

func TestARebuildThatIsNotInTheLedgerCanBeUndone(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "processing.shop.orders", orders)
	want := units(t, d, "f", 1, 6)
	b := orderBatch(memory.DefaultAllocator, 1002)
	defer b.Release()
	r := zone.RebuildRequest{
		Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: 7}, Units: []zone.UnitRange{{Flow: "f", After: 1, Upto: 2}},
		Files: stage(t, d, "f", 2, b),
	}
	if _, err := d.Rebuild(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		keep(t, d, ruthless(), map[string]int64{"f": 6})
	}
	if diff := cmp.Diff([]int64{1, 3, 4, 5, 6, 1002}, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Fatal(diff)
	}
	if _, err := d.Undo(t.Context(), "f", 1, 6); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}

// A held unit is released onto a dataset that upkeep has gone through since, its history included.
func TestHeldUnitsAreReleasedAfterUpkeep(t *testing.T) {
	t.Parallel()
	for mode, want := range map[zone.Mode][]int64{zone.Append: {1, 2, 3, 4, 5}, zone.Overwrite: {5}} {
		z, _ := checked(t)
		d := create(t, z, "processing.shop.orders", orders)
		units(t, d, "f", 1, 3)
		b := orderBatch(memory.DefaultAllocator, 4)
		files := stage(t, d, "f", 3, b) // a second file of unit 3, so that overwrites have two to replace
		b.Release()
		if _, err := d.Commit(t.Context(), zone.CommitRequest{Files: files, Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: 4}}); err != nil {
			t.Fatal(err)
		}
		held := zone.Mark{Flow: "f", Epoch: 1, Seq: 5}
		hold(t, d, held, mode, 5)
		visible := map[string]int64{"f": 4}
		keep(t, d, ruthless(), visible)
		if _, err := d.Fence(t.Context(), "f", 2); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			keep(t, d, ruthless(), visible)
		}
		if diff := cmp.Diff([]int64{1, 2, 3, 4}, ids(t, d, zone.ScanRequest{})); diff != "" {
			t.Error(diff)
		}
		if _, err := d.Release(t.Context(), "held/f", zone.Mark{Flow: "f", Epoch: 2, Seq: 5}); err != nil {
			t.Fatalf("mode %d: %v", mode, err)
		}
		if diff := cmp.Diff(want, ids(t, d, zone.ScanRequest{})); diff != "" {
			t.Errorf("mode %d: %s", mode, diff)
		}
		visible["f"] = 5
		keep(t, d, ruthless(), visible)
		if diff := cmp.Diff(want, ids(t, d, zone.ScanRequest{})); diff != "" {
			t.Errorf("mode %d: %s", mode, diff)
		}
	}
}

// between is an owner check that lets upkeep run between a commit's load and its commit, once.
func between(t *testing.T, d *zone.Dataset, visible map[string]int64) func(context.Context) error {
	t.Helper()
	other, err := zone.Beside(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	done := false
	return func(ctx context.Context) error {
		if done {
			return nil
		}
		done = true
		for range 2 { // the second lets the snapshot go that the commit began with
			if _, err := other.Upkeep(ctx, upkeep.Request{Policy: ruthless(), Visible: visible}); err != nil {
				return err
			}
		}
		if head := reload(t, d).Head(); head.Kind != zone.KindUpkeep {
			return fmt.Errorf("upkeep did not move the head: %+v", head)
		}
		return nil
	}
}

func TestCommitsFollowUpkeep(t *testing.T) {
	t.Parallel()
	for mode, want := range map[zone.Mode][]int64{zone.Append: {1, 2, 3, 4}, zone.Overwrite: {4}} {
		d := create(t, zonetest.Open(t, server(t)), "processing.shop.orders", orders)
		units(t, d, "f", 1, 3)
		b := orderBatch(memory.DefaultAllocator, 4)
		r := zone.CommitRequest{
			Files: stage(t, d, "f", 4, b), Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: 4}, Mode: mode,
			CheckOwner: between(t, d, map[string]int64{"f": 3}),
		}
		b.Release()
		if _, err := d.Commit(t.Context(), r); err != nil {
			t.Fatalf("mode %d: %v", mode, err)
		}
		if diff := cmp.Diff(want, ids(t, d, zone.ScanRequest{})); diff != "" {
			t.Errorf("mode %d: %s", mode, diff)
		}
	}
}

// What lands while files are put together makes upkeep start over, or give way, and never brings rows back.
func TestUpkeepGivesWayToWhatLandsMeanwhile(t *testing.T) {
	t.Parallel()
	changes := map[string]struct {
		do   func(t *testing.T, d *zone.Dataset)
		want []int64
	}{
		"append": {func(t *testing.T, d *zone.Dataset) { units(t, d, "g", 4, 4) }, []int64{1, 2, 3, 4}},
		"overwrite": {func(t *testing.T, d *zone.Dataset) {
			mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 4}, zone.Overwrite, 4)
		}, []int64{4}},
		"undo": {func(t *testing.T, d *zone.Dataset) {
			if _, err := d.Undo(t.Context(), "f", 1, 2); err != nil {
				t.Error(err)
			}
		}, []int64{1, 2}},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server(t)
			d := create(t, zonetest.Open(t, s), "processing.shop.orders", orders)
			units(t, d, "f", 1, 3)
			other, err := zone.Beside(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			table := zone.UpkeepTable(d)
			fileID, calls := table.FileID, 0
			table.FileID = func(schema, part int) uuid.UUID {
				if calls++; calls == 1 {
					change.do(t, other)
				}
				return fileID(schema, part)
			}
			// The ledger has all of flow f, wrongly in the case of undo: only so does upkeep touch what is undone.
			r := upkeep.Request{Policy: ruthless(), Visible: map[string]int64{"f": 3}}
			if _, err := upkeep.Run(t.Context(), table, r); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(change.want, ids(t, d, zone.ScanRequest{})); diff != "" {
				t.Error(diff)
			}
			keep(t, d, ruthless(), map[string]int64{"f": 9, "g": 9})
			if objects, _ := zonetest.Stored(t, s, d.Location()+"/data"); objects > 2 {
				t.Errorf("%d data files are left", objects)
			}
			if diff := cmp.Diff(change.want, ids(t, d, zone.ScanRequest{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}
