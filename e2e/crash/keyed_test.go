package crash_test

import (
	"fmt"
	"testing"
)

// A unit of several datasets with a key may be left with any part of it: in some of the datasets, and of one only the changes. It is
// made anew with the same rows and the same changes.
func TestUnitsThatOnlySomeDatasetsHoldAreMadeAnew(t *testing.T) {
	t.Parallel()
	for i, s := range keyedZombies() {
		s.steady = true
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			c := s.undisturbed(t)
			recipes := halves()[1-i : 2-i] // one for each in the quick part
			if slow() {
				recipes = append(halves(), moreHalves()...)
			}
			for _, r := range recipes {
				s.cook(t, r, c)
			}
		})
	}
}

// halves lead to units of four datasets that are there in part.
func halves() []recipe {
	return []recipe{{
		name:  "of a dataset in the middle of the second unit there are only the changes",
		steps: []step{{at: "after-changes:6"}},
	}, {
		name:  "of the second unit the last rows are missing, and another definition takes back all of it",
		steps: []step{{at: "after-changes:8"}, {at: "after-undo:2", env: "other"}, {at: "after-undo:2", env: "other"}},
	}}
}

func moreHalves() []recipe {
	return []recipe{{
		name:  "the first dataset holds the second unit",
		steps: []step{{at: "before-changes:6"}, {at: "before-changes:2"}, {at: "after-changes:4"}, {at: "before-ledger:1"}},
	}, {
		name:  "nothing of the second unit is there but the first changes",
		steps: []step{{at: "after-changes:5"}, {at: "after-changes:1"}, {at: "after-undo:1"}},
	}, {
		name:  "the log is lost with half of the second unit",
		steps: []step{{at: "after-changes:7"}, {at: "after-undo:3", lose: true}, {at: "before-changes:2", lose: true}},
	}, {
		name:  "all is there but the ledger row, and another definition",
		steps: []step{{at: "before-ledger:2"}, {at: "before-enter-first:1", env: "other"}, {at: "before-forget-rest:1", env: "other"}},
	}, {
		name:  "nothing of the first unit is there but the last changes",
		steps: []step{{at: "after-changes:4"}, {at: "after-undo:1"}, {at: "after-changes:1"}},
	}}
}

// TestZombieThatCommitsRowsWithAKeyChangesNothing stops a runner in the middle of a unit that some datasets hold already.
func TestZombieThatCommitsRowsWithAKeyChangesNothing(t *testing.T) {
	t.Parallel()
	s := keyedZombies()[0]
	c := s.undisturbed(t)
	within := func(of, point string) string { return fmt.Sprintf("%s:%d", point, c.passesUntil(of, point)+1) }
	type zombie struct{ at, wake string }
	all := []zombie{
		{within("before-changes:6", "after-owner-check"), "before-changes:1"}, // of the changes
		{within("after-changes:6", "before-snapshot"), "after-changes:1"},     // of the rows
	}
	if slow() {
		all = append(all, zombie{"before-changes:6", unfenced}, zombie{"after-changes:6", "after-changes:2"},
			zombie{within("before-changes:6", "before-snapshot"), unfenced}, zombie{within("after-changes:6", "after-owner-check"), unfenced})
	}
	for _, z := range all {
		s.wake(t, c, z.at, z.wake)
	}
}
