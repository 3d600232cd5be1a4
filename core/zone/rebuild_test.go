package zone_test

import (
	"context"
	"errors"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
)

// again stages ids as rows of a unit that is made again.
func again(t *testing.T, d *zone.Dataset, flow string, seq int64, ids ...int64) zone.Files {
	t.Helper()
	b := orderBatch(memory.DefaultAllocator, ids...)
	defer b.Release()
	return stage(t, d, flow, seq, b)
}

// twoFlows is a dataset with units 1 to 4 of flows a (ids 11 to 14) and b (21 to 24).
func twoFlows(t *testing.T) *zone.Dataset {
	t.Helper()
	z, _ := checked(t)
	d := create(t, z, "processing.shop.orders", orders)
	for seq := range int64(4) {
		mustUnit(t, d, zone.Mark{Flow: "a", Epoch: 1, Seq: seq + 1}, zone.Append, 11+seq)
		mustUnit(t, d, zone.Mark{Flow: "b", Epoch: 1, Seq: seq + 1}, zone.Append, 21+seq)
	}
	return d
}

func rebuild(t *testing.T, d *zone.Dataset, files zone.Files, units ...zone.UnitRange) zone.Snapshot {
	t.Helper()
	s, err := d.Rebuild(t.Context(), zone.RebuildRequest{Mark: zone.Mark{Flow: "a", Epoch: 1, Seq: 5}, Units: units, Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func of(flow string, after, upto int64) zone.ScanRequest {
	return zone.ScanRequest{Units: []zone.UnitRange{{Flow: flow, After: after, Upto: upto}}}
}

func same(t *testing.T, d *zone.Dataset, r zone.ScanRequest, want ...int64) {
	t.Helper()
	if diff := cmp.Diff(want, ids(t, d, r)); diff != "" {
		t.Error(diff)
	}
}

// Whether units have files of their own or share one, only the rows of the replaced ones go.
func TestRebuildReplacesTheFlowsUnitsAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*testing.T, *zone.Dataset){
		"units have files of their own": func(*testing.T, *zone.Dataset) {}, "all share one file": compact,
	} {
		t.Run(name, func(t *testing.T) {
			d := twoFlows(t)
			before(t, d)
			s := rebuild(t, d, again(t, d, "a", 2, 102, 103), zone.UnitRange{After: 1, Upto: 3})
			if s.Kind != zone.KindReplay || s.Mark != (zone.Mark{Flow: "a", Epoch: 1, Seq: 5}) {
				t.Errorf("the snapshot is %+v", s)
			}
			same(t, d, zone.ScanRequest{}, 11, 14, 21, 22, 23, 24, 102, 103)
			same(t, d, of("a", 1, 2), 102, 103)
			same(t, d, of("a", 2, 3))
			same(t, d, of("a", 3, 9), 14) // whoever has read up to unit 3 finds nothing of what was made again
			same(t, d, of("b", 0, 9), 21, 22, 23, 24)
			if m := mark(t, d, "b"); m != (zone.Mark{Flow: "b", Epoch: 1, Seq: 4}) {
				t.Errorf("the other flow's mark is %+v", m)
			}
		})
	}
}

func TestRebuildOfSeveralRangesAndWithoutRows(t *testing.T) {
	t.Parallel()
	d := twoFlows(t)
	compact(t, d)
	rebuild(t, d, zone.Files{}, zone.UnitRange{After: 0, Upto: 1}, zone.UnitRange{After: 2, Upto: 4})
	same(t, d, zone.ScanRequest{}, 12, 21, 22, 23, 24)
}

func TestRebuildOfNothingStillLeavesItsMark(t *testing.T) {
	t.Parallel()
	d := twoFlows(t)
	rebuild(t, d, zone.Files{}, zone.UnitRange{After: 7, Upto: 9})
	same(t, d, of("a", 0, 9), 11, 12, 13, 14)
	if m := mark(t, d, "a"); m.Seq != 5 {
		t.Errorf("mark is %+v", m)
	}
	if _, err := d.Undo(t.Context(), "a", 1, 4); err != nil {
		t.Error(err)
	}
	same(t, d, of("a", 0, 9), 11, 12, 13, 14)
}

func TestRebuildIsDoneOnceAndFencedLikeAUnit(t *testing.T) {
	t.Parallel()
	d := twoFlows(t)
	first := rebuild(t, d, again(t, d, "a", 1, 101), zone.UnitRange{Upto: 1})
	mustUnit(t, d, zone.Mark{Flow: "b", Epoch: 1, Seq: 5}, zone.Append, 25)
	second := rebuild(t, d, again(t, d, "a", 1, 101), zone.UnitRange{Upto: 1})
	if first.ID != second.ID {
		t.Errorf("done twice: %+v and %+v", first, second)
	}
	if _, err := d.Fence(t.Context(), "a", 2); err != nil {
		t.Fatal(err)
	}
	_, err := d.Rebuild(t.Context(), zone.RebuildRequest{Mark: zone.Mark{Flow: "a", Epoch: 1, Seq: 6}, Units: []zone.UnitRange{{Upto: 4}}})
	if !errors.Is(err, zone.ErrFenced) {
		t.Errorf("an old owner: %v", err)
	}
	same(t, d, zone.ScanRequest{}, 12, 13, 14, 21, 22, 23, 24, 25, 101)
}

// Another flow commits between load and commit, with all files shared: the rest that was written again is used again.
func TestRebuildGoesOnTopOfAnotherFlowsCommit(t *testing.T) {
	t.Parallel()
	d := twoFlows(t)
	compact(t, d)
	other := false
	_, err := d.Rebuild(t.Context(), zone.RebuildRequest{
		Mark: zone.Mark{Flow: "a", Epoch: 1, Seq: 5}, Units: []zone.UnitRange{{After: 1, Upto: 4}}, Files: again(t, d, "a", 2, 102),
		CheckOwner: func(ctx context.Context) error {
			if other {
				return nil
			}
			other = true
			return appendBeside(ctx, d, zone.Mark{Flow: "b", Epoch: 1, Seq: 5}, 25)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, d, zone.ScanRequest{}, 11, 21, 22, 23, 24, 25, 102)
}

// appendBeside commits a unit while the dataset's lock is held by this process, as another process would.
func appendBeside(ctx context.Context, d *zone.Dataset, m zone.Mark, ids ...int64) error {
	other, err := zone.Beside(ctx, d)
	if err != nil {
		return err
	}
	s, err := other.Stage(ctx, zone.StageOptions{Flow: m.Flow, Seq: m.Seq})
	if err != nil {
		return err
	}
	b := orderBatch(memory.DefaultAllocator, ids...)
	defer b.Release()
	if err := s.Write(ctx, b, ""); err != nil {
		return err
	}
	files, err := s.Finish(ctx)
	if err != nil {
		return err
	}
	_, err = other.Commit(ctx, zone.CommitRequest{Files: files, Mark: m})
	return err
}

func TestUndoTakesARebuildBackAndKeepsWhatCameSince(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*testing.T, *zone.Dataset){
		"units have files of their own": func(*testing.T, *zone.Dataset) {}, "all share one file": compact,
	} {
		for size, rows := range map[string][]int64{"with rows": {101}, "without rows": nil} {
			t.Run(name+", "+size, func(t *testing.T) {
				d := twoFlows(t)
				before(t, d)
				files := zone.Files{}
				if rows != nil {
					files = again(t, d, "a", 1, rows...)
				}
				rebuild(t, d, files, zone.UnitRange{Upto: 3})
				mustUnit(t, d, zone.Mark{Flow: "b", Epoch: 1, Seq: 5}, zone.Append, 25)
				if _, err := d.Fence(t.Context(), "a", 2); err != nil {
					t.Fatal(err)
				}
				if _, err := d.Undo(t.Context(), "a", 2, 4); err != nil {
					t.Fatal(err)
				}
				same(t, d, zone.ScanRequest{}, 11, 12, 13, 14, 21, 22, 23, 24, 25)
				if m := mark(t, d, "a"); m != (zone.Mark{Flow: "a", Epoch: 2, Seq: 4}) {
					t.Errorf("mark is %+v", m)
				}
				_, err := d.Rebuild(t.Context(), zone.RebuildRequest{
					Mark: zone.Mark{Flow: "a", Epoch: 2, Seq: 5}, Units: []zone.UnitRange{{Upto: 1}}, Files: again(t, d, "a", 1, 7),
				})
				if err != nil {
					t.Fatal(err)
				}
				same(t, d, of("a", 0, 9), 7, 12, 13, 14)
			})
		}
	}
}

func TestUndoOfARebuildWhoseFilesWereWrittenAgainIsRefused(t *testing.T) {
	t.Parallel()
	d := twoFlows(t)
	rebuild(t, d, again(t, d, "a", 1, 101), zone.UnitRange{Upto: 1})
	compact(t, d)
	if _, err := d.Undo(t.Context(), "a", 1, 4); err == nil {
		t.Error("it was undone")
	}
	same(t, d, of("a", 0, 1), 101)
}

func TestUnitsGoOnAfterARebuildAndAreUndoneAlone(t *testing.T) {
	t.Parallel()
	d := twoFlows(t)
	rebuild(t, d, again(t, d, "a", 1, 101), zone.UnitRange{Upto: 1})
	mustUnit(t, d, zone.Mark{Flow: "a", Epoch: 1, Seq: 6}, zone.Append, 16)
	if _, err := d.Undo(t.Context(), "a", 1, 5); err != nil {
		t.Fatal(err)
	}
	same(t, d, of("a", 0, 9), 12, 13, 14, 101)
}

func TestRebuildOfLandingIsRefused(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	mustUnit(t, d, zone.Mark{Flow: "a", Epoch: 1, Seq: 1}, zone.Append, 1)
	_, err := d.Rebuild(t.Context(), zone.RebuildRequest{Mark: zone.Mark{Flow: "a", Epoch: 1, Seq: 2}, Units: []zone.UnitRange{{Upto: 1}}})
	if err == nil {
		t.Error("landing was replaced")
	}
	same(t, d, zone.ScanRequest{}, 1)
}
