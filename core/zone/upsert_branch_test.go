package zone_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
)

// holdEdit commits a unit to a branch.
func holdEdit(t *testing.T, d *zone.Dataset, mark zone.Mark, e edit) {
	t.Helper()
	r := stageEdit(t, d, mark, e)
	r.Branch = "held/f"
	if _, err := d.Commit(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func TestAHeldUpsertIsReleased(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	a, b := account{"x", 1}, account{"x", 2}
	before := edit{set: balances{a: 1, b: 1}}
	for name, e := range map[string]edit{
		"upsert": {set: balances{a: 2}, gone: []account{b}}, "truncate": {set: balances{b: 2}, truncate: true}, "nothing": {},
		"keys": {gone: []account{a}}, "empty": {truncate: true},
	} {
		for moved, move := range map[string]func(d *zone.Dataset) error{
			"stayed": func(*zone.Dataset) error { return nil },
			"fenced": func(d *zone.Dataset) error { _, err := d.Fence(t.Context(), "f", 2); return err },
			"kept": func(d *zone.Dataset) error {
				p := tight()
				p.Convert = 1
				keep(t, d, p, map[string]int64{"f": 2})
				return nil
			},
		} {
			if strings.HasPrefix(t.Name(), otherCatalogs) && (name != "upsert" || moved == "kept") {
				continue // a catalog sees a branch take main's place, or a commit; what of is all the same to it
			}
			d := createKeyed(t, z, "processing.bank."+name+moved)
			mustEdit(t, d, at("f", 1, 1), edit{set: balances{a: 0}})
			mustEdit(t, d, at("f", 1, 2), before)
			holdEdit(t, d, at("f", 1, 3), e)
			if err := move(d); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before.set, balancesOf(t, d, zone.ScanRequest{})); diff != "" {
				t.Errorf("%s, %s: main before: %s", name, moved, diff)
			}
			s, err := d.Release(t.Context(), "held/f", at("f", 2, 3))
			if err != nil || s.Mark.Seq != 3 {
				t.Errorf("%s, %s: snapshot %+v, error %v", name, moved, s, err)
			}
			if diff := cmp.Diff(e.apply(before.set), balancesOf(t, d, zone.ScanRequest{})); diff != "" {
				t.Errorf("%s, %s: %s", name, moved, diff)
			}
		}
	}
}

// Another unit may have changed the rows that the held one's keys were of.
func TestAHeldUpsertIsNotReleasedOverAnotherUnit(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := createKeyed(t, z, "processing.bank.accounts")
	a := account{"x", 1}
	mustEdit(t, d, at("f", 1, 1), edit{set: balances{a: 1}})
	holdEdit(t, d, at("f", 1, 2), edit{set: balances{a: 2}})
	mustEdit(t, d, at("g", 1, 1), edit{set: balances{a: 3}})
	if _, err := d.Release(t.Context(), "held/f", at("f", 1, 2)); err == nil {
		t.Error("it was released")
	}
	if diff := cmp.Diff(balances{a: 3}, balancesOf(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}

func TestUnitsOfADatasetWithAKeyAreReplacedAllAtOnce(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := createKeyed(t, z, "processing.bank.accounts")
	a, b := account{"x", 1}, account{"x", 2}
	mustEdit(t, d, at("f", 1, 1), edit{set: balances{a: 1, b: 1}})
	mustEdit(t, d, at("f", 1, 2), edit{set: balances{a: 2}})
	files := stageEdit(t, d, at("f", 1, 1), edit{set: balances{a: 7}, truncate: true}).Files
	r := zone.RebuildRequest{Mark: at("f", 1, 3), Units: []zone.UnitRange{{Upto: 1}}, Files: files}
	if _, err := d.Rebuild(t.Context(), r); err == nil {
		t.Error("one of two units was replaced")
	}
	r.Units[0].Upto = 2
	if _, err := d.Rebuild(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(balances{a: 7}, balancesOf(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	if _, err := d.Undo(t.Context(), "f", 1, 2); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(balances{a: 2, b: 1}, balancesOf(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}
