package zone_test

import (
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
)

// Changes are nothing without their order, so those who read a dataset unit by unit get rows in the order of units, and the rows of a
// unit in the order in which they were written, whatever upkeep and replays have done to the files.

func TestRowsKeepTheOrderOfTheirUnits(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	visible := map[string]int64{"f": 0}
	var want []int64
	for round := range int64(5) {
		units(t, d, "f", round*4+1, round*4+4)
		visible["f"] = round*4 + 4
		p := tight()
		p.Compact.Files = 3
		keep(t, d, p, visible)
		for seq := round*4 + 1; seq <= round*4+4; seq++ {
			want = append(want, seq)
		}
		if diff := cmp.Diff(want, seqs(t, d, zone.ScanRequest{})); diff != "" {
			t.Fatalf("round %d: %s", round, diff)
		}
	}
}

// A reader that lags behind finds some of the units that it is to read next in a file with units that it has read, and the others in
// files of their own.
func TestRowsKeepTheOrderOfTheirUnitsForThoseWhoLag(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	for _, name := range []string{"landing.shop.orders", "processing.shop.orders"} {
		d := create(t, z, name, orders)
		all := units(t, d, "f", 1, 6)
		keep(t, d, tight(), map[string]int64{"f": 6})
		all = append(all, units(t, d, "f", 7, 9)...)
		keep(t, d, tight(), map[string]int64{"f": 6}) // the later ones are not committed yet
		for after := range int64(9) {
			for upto := after + 1; upto <= 9; upto++ {
				r := zone.ScanRequest{Units: []zone.UnitRange{{Flow: "f", After: after, Upto: upto}}}
				if diff := cmp.Diff(all[after:upto], seqs(t, d, r)); diff != "" {
					t.Errorf("%s, units %d to %d: %s", name, after+1, upto, diff)
				}
			}
		}
	}
}

// A replay of units that share a file with others puts the rows that it makes between theirs.
func TestRowsKeepTheOrderOfTheirUnitsWhenSomeAreReplaced(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "processing.shop.orders", orders)
	units(t, d, "a", 1, 8)
	keep(t, d, tight(), map[string]int64{"a": 8})
	come := again(t, d, "a", 3, 3).With(again(t, d, "a", 4, 4)).With(again(t, d, "a", 7, 7))
	mark := zone.Mark{Flow: "a", Epoch: 1, Seq: 9}
	r := zone.RebuildRequest{Mark: mark, Units: []zone.UnitRange{{After: 2, Upto: 4}, {After: 6, Upto: 7}}, Files: come}
	if _, err := d.Rebuild(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	want := []int64{1, 2, 3, 4, 5, 6, 7, 8}
	for range 2 {
		if diff := cmp.Diff(want, seqs(t, d, zone.ScanRequest{})); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want[1:], seqs(t, d, of("a", 1, 8))); diff != "" {
			t.Error(diff)
		}
		keep(t, d, tight(), map[string]int64{"a": 9})
	}
}

// A unit has a file for each schema that it went through, and many when its source changes its mind all the time.
func TestRowsOfAUnitKeepTheirOrder(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	units(t, d, "f", 1, 1)
	s, err := d.Stage(t.Context(), zone.StageOptions{Flow: "f", Seq: 2, IngestedAt: time.Unix(0, 0), Ordered: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []int64{1}
	for id := range int64(12) {
		b := orderBatch(memory.DefaultAllocator, 100-id)
		if err := s.Write(t.Context(), b, ""); err != nil {
			t.Fatal(err)
		}
		b.Release()
		want = append(want, 100-id)
		if _, err := s.Evolve(t.Context(), orders); err != nil {
			t.Fatal(err)
		}
	}
	files, err := s.Finish(t.Context())
	if err != nil || files.Count() != 12 {
		t.Fatalf("%d files, %v", files.Count(), err)
	}
	if _, err := d.Commit(t.Context(), zone.CommitRequest{Files: files, Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: 2}}); err != nil {
		t.Fatal(err)
	}
	want = append(want, units(t, d, "f", 3, 4)...)
	sameOrder := func() {
		t.Helper()
		if diff := cmp.Diff(want, numbers(t, d, zone.ScanRequest{}, "id")); diff != "" {
			t.Error(diff)
		}
	}
	sameOrder()
	p := tight()
	p.Compact.Target = files.Bytes / 4 // some files of the unit are put together, some with other units
	for range 3 {
		keep(t, d, p, map[string]int64{"f": 4})
		sameOrder()
		p.Compact.Target *= 2
	}
	if now, err := d.Files(t.Context(), 0); err != nil || len(now) > 3 {
		t.Errorf("%d files are left, %v", len(now), err)
	}
}
