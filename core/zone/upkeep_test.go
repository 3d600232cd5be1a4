package zone_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/upkeep"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

// tight is a policy under which everything is due at once, except that files stay.
func tight() upkeep.Policy {
	return upkeep.Policy{
		Compact:   upkeep.Compact{Below: 64 << 20, Files: 2, Target: 256 << 20},
		Snapshots: upkeep.Snapshots{Keep: 1},
		Grace:     time.Hour, Orphans: time.Hour,
	}
}

// ruthless is tight without any grace.
func ruthless() upkeep.Policy {
	p := tight()
	p.Grace, p.Orphans = 0, 0
	return p
}

func keep(t *testing.T, d *zone.Dataset, p upkeep.Policy, visible map[string]int64, pinned ...upkeep.Pin) upkeep.Report {
	t.Helper()
	report, err := d.Upkeep(t.Context(), upkeep.Request{Policy: p, Visible: visible, Pinned: pinned, Sweep: true})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// units commits units of one row each, whose id is the seq.
func units(t *testing.T, d *zone.Dataset, flow string, from, to int64) []int64 {
	t.Helper()
	var out []int64
	for seq := from; seq <= to; seq++ {
		mustUnit(t, d, zone.Mark{Flow: flow, Epoch: 1, Seq: seq}, zone.Append, seq)
		out = append(out, seq)
	}
	return out
}

// seqs reads the units of the rows in the order of the scan.
func seqs(t *testing.T, d *zone.Dataset, r zone.ScanRequest) []int64 {
	t.Helper()
	return numbers(t, d, r, zone.ColumnSeq)
}

// numbers reads a column of whole numbers in the order of the scan.
func numbers(t *testing.T, d *zone.Dataset, r zone.ScanRequest, name string) []int64 {
	t.Helper()
	r.Columns = []string{name}
	_, batches, err := d.Scan(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var out []int64
	for b, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b.Column(0).(*array.Int64).Int64Values()...)
		b.Release()
	}
	return out
}

func TestUpkeepChangesNoRowAndNoMark(t *testing.T) {
	t.Parallel()
	s := server(t)
	z := zonetest.Open(t, s)
	d := create(t, z, "processing.shop.orders", orders)
	var want []int64
	for seq := int64(1); seq <= 6; seq++ { // two flows take turns
		want = append(want, seq, 100+seq)
		mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: seq}, zone.Append, seq)
		mustUnit(t, d, zone.Mark{Flow: "g", Epoch: 7, Seq: seq}, zone.Append, 100+seq)
	}
	slices.Sort(want)
	marks := reload(t, d).Head().Marks()
	visible := map[string]int64{"f": 6, "g": 6}
	report := keep(t, d, tight(), visible)
	if report.Files != (upkeep.Change{Before: 12, After: 2}) || report.Snapshots != (upkeep.Change{Before: 12, After: 1}) {
		t.Errorf("files %+v, snapshots %+v", report.Files, report.Snapshots)
	}
	if report.Compacted.Count != 12 || report.Into.Count != 2 || report.Waiting.Count != 12 || report.Removed.Count != 0 {
		t.Errorf("report %+v", report)
	}
	if diff := cmp.Diff(want, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	head := reload(t, d).Head()
	if diff := cmp.Diff(marks, head.Marks()); diff != "" || head.Kind != zone.KindUpkeep || head.Mark.Flow != "" || head.Rows != 12 {
		t.Errorf("head %+v: %s", head, diff)
	}
	r := zone.ScanRequest{Units: []zone.UnitRange{{Flow: "f", After: 3, Upto: 6}}}
	if diff := cmp.Diff([]int64{4, 5, 6}, seqs(t, d, r)); diff != "" {
		t.Error(diff)
	}
	if again := keep(t, d, tight(), visible); !again.Idle() {
		t.Errorf("a second upkeep found %+v", again)
	}
	if gone := keep(t, d, ruthless(), visible); gone.Removed.Count != 12 || gone.Waiting.Count != 0 {
		t.Errorf("after the grace: %+v", gone)
	}
	if objects, _ := zonetest.Stored(t, s, d.Location()+"/data"); objects != 2 {
		t.Errorf("%d data files are left", objects)
	}
	if objects, _ := zonetest.Stored(t, s, d.Location()+"/upkeep"); objects != 0 {
		t.Errorf("%d lists are left", objects)
	}
	if diff := cmp.Diff(want, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}

func TestDryRunDoesNothing(t *testing.T) {
	t.Parallel()
	s := server(t)
	d := create(t, zonetest.Open(t, s), "processing.shop.orders", orders)
	units(t, d, "f", 1, 8)
	before, _ := zonetest.Stored(t, s, d.Location())
	head := reload(t, d).Head()
	r := upkeep.Request{Policy: ruthless(), Visible: map[string]int64{"f": 8}, Sweep: true, DryRun: true}
	report, err := d.Upkeep(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if !report.DryRun || report.Files != (upkeep.Change{Before: 8, After: 1}) || report.Snapshots.After >= report.Snapshots.Before {
		t.Errorf("report %+v", report)
	}
	if after, _ := zonetest.Stored(t, s, d.Location()); after != before || reload(t, d).Head().ID != head.ID {
		t.Errorf("%d objects before, %d after", before, after)
	}
}

func TestUpkeepOfAnEmptyDataset(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	if report := keep(t, create(t, z, "landing.shop.orders", orders), ruthless(), nil); !report.Idle() {
		t.Errorf("report %+v", report)
	}
}

func TestPinnedSnapshotsStay(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "processing.shop.orders", orders)
	want := units(t, d, "f", 1, 4)
	pinned := reload(t, d).Head().ID
	units(t, d, "g", 1, 1)
	for range 2 {
		report := keep(t, d, ruthless(), map[string]int64{"f": 4, "g": 1}, upkeep.Pin{Snapshot: pinned})
		if report.Snapshots.After != 2 {
			t.Errorf("%d snapshots are left", report.Snapshots.After)
		}
	}
	if diff := cmp.Diff(want, ids(t, d, zone.ScanRequest{Snapshot: pinned})); diff != "" {
		t.Error(diff)
	}
}

func TestReadersAreSentOnToTheSameRows(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "processing.shop.orders", orders)
	units(t, d, "f", 1, 4)
	pinned := reload(t, d).Head().ID
	fence, err := d.Fence(t.Context(), "f", 2)
	if err != nil {
		t.Fatal(err)
	}
	units(t, d, "g", 1, 1)
	sent := map[string]int64{}
	r := upkeep.Request{
		Policy: ruthless(), Visible: map[string]int64{"f": 4, "g": 1},
		Pinned: []upkeep.Pin{{Snapshot: pinned}, {Flow: "f", Snapshot: pinned}},
		Repin: func(_ context.Context, p upkeep.Pin, to int64) (bool, error) {
			if p.Snapshot != pinned {
				t.Errorf("readers are sent on from %d, they are at %d", p.Snapshot, pinned)
			}
			sent[p.Flow] = to
			return true, nil
		},
	}
	if _, err := d.Upkeep(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	// All rows of then are those of the fence; those of f are the same at the head, where files are fewer.
	if diff := cmp.Diff(map[string]int64{"": fence.ID, "f": reload(t, d).Head().ID}, sent); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int64{1, 2, 3, 4}, ids(t, d, zone.ScanRequest{Snapshot: fence.ID})); diff != "" {
		t.Error(diff)
	}
}

func TestOrphansGoWhenTheyAreOldEnough(t *testing.T) {
	t.Parallel()
	s := server(t)
	d := create(t, zonetest.Open(t, s), "processing.shop.orders", orders)
	units(t, d, "f", 1, 2)
	b := orderBatch(memory.DefaultAllocator, 3)
	defer b.Release()
	files := stage(t, d, "f", 3, b) // a unit that is being written
	visible := map[string]int64{"f": 2}
	if report := keep(t, d, tight(), visible); report.Orphans.Count != 0 || len(report.Kept) == 0 {
		t.Errorf("report %+v", report)
	}
	if _, err := d.Commit(t.Context(), zone.CommitRequest{Files: files, Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: 3}}); err != nil {
		t.Fatal(err)
	}
	stage(t, d, "f", 4, b)
	if report := keep(t, d, ruthless(), visible); report.Orphans.Count != 1 {
		t.Errorf("report %+v", report)
	}
	if diff := cmp.Diff([]int64{1, 2, 3}, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}

func TestManyCommitsLeaveLittleBehind(t *testing.T) {
	t.Parallel()
	s := server(t)
	d := create(t, zonetest.Open(t, s), "processing.shop.orders", orders)
	cache := upkeep.NewCache()
	p := upkeep.Defaults()
	p.Snapshots.Settle, p.Snapshots.YoungerThan = 0, 0 // this test is faster than any table that they are for
	const commits = 100
	for seq := int64(1); seq <= commits; seq++ {
		commitRows(t, d, seq, idsFrom(seq*10, 10))
		if seq%50 == 0 {
			r := upkeep.Request{Policy: p, Visible: map[string]int64{"f": seq}, Cache: cache}
			if _, err := d.Upkeep(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	report := keep(t, d, p, map[string]int64{"f": commits})
	if report.Files.After > 20 || report.Manifests.After > 20 || report.Snapshots.After > 25 {
		t.Errorf("a scan plans %d files of %d manifests; %d snapshots", report.Files.After, report.Manifests.After, report.Snapshots.After)
	}
	objects, bytes := zonetest.Stored(t, s, d.Location()+"/metadata")
	if objects > 120 || bytes > 1<<20 {
		t.Errorf("%d objects of metadata, %d bytes", objects, bytes)
	}
	if got := ids(t, d, zone.ScanRequest{}); len(got) != commits*10 {
		t.Errorf("%d rows", len(got))
	}
}

// Manifests are merged where files are not.
func TestManifestsAreMergedWithoutCompaction(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "processing.shop.orders", orders)
	want := units(t, d, "f", 1, 34)
	p := tight()
	p.Compact.Off = true
	report := keep(t, d, p, map[string]int64{"f": 33})
	if report.Manifests != (upkeep.Change{Before: 34, After: 1}) || report.Files.After != 34 {
		t.Errorf("report %+v", report)
	}
	if m := mark(t, d, "f"); m.Seq != 34 {
		t.Errorf("mark %+v", m)
	}
	if diff := cmp.Diff(want, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	if _, err := d.Undo(t.Context(), "f", 1, 33); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want[:33], ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}
