package zone_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

func TestCommittedUnitIsReadBack(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	s := mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, zone.Append, 3, 1, 2)
	if diff := cmp.Diff([]int64{1, 2, 3}, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	if s.Rows != 3 || s.Mark != (zone.Mark{Flow: "f", Epoch: 1, Seq: 1}) || s.Kind != "" {
		t.Errorf("snapshot is %+v", s)
	}
}

func TestUnitIsCommittedOnce(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	m := zone.Mark{Flow: "f", Epoch: 1, Seq: 1}
	first := mustUnit(t, d, m, zone.Append, 1)
	again := mustUnit(t, d, m, zone.Append, 1)
	if first.ID != again.ID {
		t.Errorf("snapshots %d and %d for one unit", first.ID, again.ID)
	}
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 2}, zone.Append, 2)
	if late := mustUnit(t, d, m, zone.Append, 1); late.ID != first.ID {
		t.Errorf("repeating an older unit gave snapshot %d, want %d", late.ID, first.ID)
	}
	if diff := cmp.Diff([]int64{1, 2}, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}

func TestUnitWithoutRowsMovesTheHead(t *testing.T) {
	t.Parallel()
	for _, mode := range []zone.Mode{zone.Append, zone.Overwrite} {
		z, _ := checked(t)
		d := create(t, z, "processing.shop.orders", orders)
		first := mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, mode)
		second := mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 2}, mode)
		if first.ID == 0 || second.ID == first.ID || second.Parent != first.ID {
			t.Errorf("snapshots %+v, then %+v", first, second)
		}
		if m := mark(t, d, "f"); m.Seq != 2 {
			t.Errorf("mark is %+v", m)
		}
		files, err := d.Files(t.Context(), 0)
		if err != nil || len(files) != 0 {
			t.Errorf("files %v, error %v", files, err)
		}
	}
}

func TestRacingWritersOfOneUnitCommitItOnce(t *testing.T) {
	t.Parallel()
	settings := server(t)
	n := zone.Name{Zone: zone.Landing, Namespace: "shop", Dataset: "orders"}
	create(t, zonetest.Open(t, settings), n.String(), orders)
	const writers = 4
	var group sync.WaitGroup
	got := make([]zone.Snapshot, writers)
	errs := make([]error, writers)
	for i := range writers {
		d, err := zonetest.Open(t, settings).Dataset(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		b := orderBatch(memory.DefaultAllocator, 1, 2)
		files := stage(t, d, "f", 1, b)
		b.Release()
		group.Go(func() {
			got[i], errs[i] = d.Commit(t.Context(), zone.CommitRequest{Files: files, Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: 1}})
		})
	}
	group.Wait()
	for i := range writers {
		if errs[i] != nil || got[i].ID != got[0].ID {
			t.Errorf("writer %d: snapshot %d, error %v", i, got[i].ID, errs[i])
		}
	}
	d, err := zonetest.Open(t, settings).Dataset(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{1, 2}, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}

func TestFlowsShareAnAppendDataset(t *testing.T) {
	t.Parallel()
	settings := server(t)
	n := zone.Name{Zone: zone.Quarantine, Namespace: "shop", Dataset: "orders"}
	create(t, zonetest.Open(t, settings), n.String(), orders)
	const units = 5
	var group sync.WaitGroup
	for _, flow := range []string{"a", "b"} {
		d, err := zonetest.Open(t, settings).Dataset(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			for seq := range int64(units) {
				if _, err := unit(t, d, zone.Mark{Flow: flow, Epoch: 1, Seq: seq + 1}, zone.Append, seq); err != nil {
					t.Errorf("flow %s unit %d: %v", flow, seq+1, err)
					return
				}
			}
		})
	}
	group.Wait()
	d, err := zonetest.Open(t, settings).Dataset(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]zone.Mark{"a": {Flow: "a", Epoch: 1, Seq: units}, "b": {Flow: "b", Epoch: 1, Seq: units}}
	if diff := cmp.Diff(want, reload(t, d).Head().Marks()); diff != "" {
		t.Error(diff)
	}
	if got := ids(t, d, zone.ScanRequest{Units: []zone.UnitRange{{Flow: "b", After: 1, Upto: 3}}}); !cmp.Equal(got, []int64{1, 2}) {
		t.Errorf("units 2 and 3 of flow b hold %v", got)
	}
}

func TestOverwriteSwapsEveryRowInOneSnapshot(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "curated.shop.daily", orders)
	first := mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, zone.Overwrite, 1, 2)
	second := mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 2}, zone.Overwrite, 3)
	empty := mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 3}, zone.Overwrite)
	fourth := mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 4}, zone.Overwrite, 4, 5)
	if second.Parent != first.ID || empty.Parent != second.ID || fourth.Parent != empty.ID {
		t.Errorf("more than one snapshot for a unit: %d←%d←%d←%d", first.ID, second.Parent, empty.Parent, fourth.Parent)
	}
	for id, want := range map[int64][]int64{first.ID: {1, 2}, second.ID: {3}, empty.ID: nil, fourth.ID: {4, 5}} {
		if diff := cmp.Diff(want, ids(t, d, zone.ScanRequest{Snapshot: id})); diff != "" {
			t.Errorf("snapshot %d: %s", id, diff)
		}
	}
	if empty.Rows != 0 || fourth.Rows != 2 {
		t.Errorf("rows %d, then %d", empty.Rows, fourth.Rows)
	}
}

func TestCheckOwnerStopsACommit(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	lost := errors.New("not ours any more")
	_, err := d.Commit(t.Context(), zone.CommitRequest{
		Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, CheckOwner: func(context.Context) error { return lost },
	})
	if !errors.Is(err, lost) {
		t.Errorf("error is %v", err)
	}
	if m := mark(t, d, "f"); m.Seq != 0 {
		t.Errorf("mark is %+v", m)
	}
}

func TestCancelledCommitLeavesNoDoubt(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	ctx, cancel := context.WithCancel(t.Context())
	r := zone.CommitRequest{
		Mark:       zone.Mark{Flow: "f", Epoch: 1, Seq: 1},
		CheckOwner: func(context.Context) error { cancel(); return nil },
	}
	if _, err := d.Commit(ctx, r); err == nil {
		t.Error("a cancelled commit went through")
	}
	if m := mark(t, d, "f"); m.Seq != 0 {
		t.Errorf("mark is %+v", m)
	}
	r.CheckOwner = nil
	if _, err := d.Commit(t.Context(), r); err != nil {
		t.Error(err)
	}
}

func TestCommitNeedsFlowAndSeq(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	for _, m := range []zone.Mark{{Epoch: 1, Seq: 1}, {Flow: "f", Epoch: 1}} {
		if _, err := d.Commit(t.Context(), zone.CommitRequest{Mark: m}); err == nil {
			t.Errorf("mark %+v was taken", m)
		}
	}
}
