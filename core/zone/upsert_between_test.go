package zone_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/upkeep"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

// Between the moment that upkeep looks at a dataset and the one in which it commits, others may have changed everything.
func TestWhatOthersDoMeanwhileIsNotLost(t *testing.T) {
	t.Parallel()
	z := zonetest.Open(t, server(t))
	converting, compacting := tight(), tight()
	converting.Convert, converting.Compact.Off = 1, true
	compacting.Convert = -1
	for name, policy := range map[string]upkeep.Policy{"convert": converting, "compact": compacting} {
		for what, e := range map[string]func(t *testing.T, d *zone.Dataset, now, before balances) balances{
			"upsert": func(t *testing.T, d *zone.Dataset, now, _ balances) balances {
				e := edit{set: balances{{"old", 1}: 9, {"x", 50}: 9}, gone: []account{{"old", 2}, {"x", 9}}}
				mustEdit(t, d, at("f", 1, 5), e)
				return e.apply(now)
			},
			"truncate": func(t *testing.T, d *zone.Dataset, now, _ balances) balances {
				e := edit{set: balances{{"x", 3}: 9}, truncate: true}
				mustEdit(t, d, at("f", 1, 5), e)
				return e.apply(now)
			},
			"undo": func(t *testing.T, d *zone.Dataset, _, before balances) balances {
				if _, err := d.Undo(t.Context(), "f", 1, 3); err != nil {
					t.Fatal(err)
				}
				return before
			},
			"conversion": func(t *testing.T, d *zone.Dataset, now, _ balances) balances {
				keep(t, d, converting, map[string]int64{"f": 3})
				return now
			},
			"compaction": func(t *testing.T, d *zone.Dataset, now, _ balances) balances {
				keep(t, d, compacting, map[string]int64{"f": 3})
				return now
			},
			"upsert, then conversion": func(t *testing.T, d *zone.Dataset, now, _ balances) balances {
				e := edit{gone: []account{{"old", 3}, {"x", 20}}}
				mustEdit(t, d, at("f", 1, 5), e)
				keep(t, d, converting, map[string]int64{"f": 3})
				return e.apply(now)
			},
		} {
			t.Run(name+" beside "+what, func(t *testing.T) {
				t.Parallel()
				d := createKeyed(t, z, "processing.bank."+strings.NewReplacer(" ", "_", ",", "").Replace(name+what))
				first := generation(1)
				for i := range int64(10) {
					first.set[account{"old", i}] = 1
				}
				mustEdit(t, d, at("f", 1, 1), first)
				before := generations(t, d, 2, 2, first.apply(nil))
				keep(t, d, converting, map[string]int64{"f": 2}) // there are vectors, and keys since
				before = generations(t, d, 3, 3, before)
				now := generations(t, d, 4, 4, before)
				if name == "compact" && strings.HasPrefix(what, "upsert, ") {
					keep(t, d, converting, map[string]int64{"f": 4}) // vectors alone tell that more rows are deleted
				}
				visible := int64(4)
				if what == "undo" {
					visible = 3
				}
				want := meanwhile(t, d, policy, visible, func(other *zone.Dataset) balances { return e(t, other, now, before) })
				if diff := cmp.Diff(want, balancesOf(t, d, zone.ScanRequest{})); diff != "" {
					t.Error(diff)
				}
				keep(t, d, ruthless(), map[string]int64{"f": 9})
				if diff := cmp.Diff(want, balancesOf(t, d, zone.ScanRequest{})); diff != "" {
					t.Errorf("after more upkeep: %s", diff)
				}
			})
		}
	}
}

// meanwhile does some upkeep, and something else just before its first commit.
func meanwhile(t *testing.T, d *zone.Dataset, p upkeep.Policy, visible int64, do func(*zone.Dataset) balances) (rows balances) {
	t.Helper()
	other, table := another(t, d), zone.UpkeepTable(d)
	lock := table.Lock
	table.Lock = func() func() {
		if rows == nil {
			rows = do(other)
		}
		return lock()
	}
	if _, err := upkeep.Run(t.Context(), table, upkeep.Request{Policy: p, Visible: map[string]int64{"f": visible}}); err != nil {
		t.Fatal(err)
	}
	if rows == nil {
		t.Fatal("upkeep had nothing to do")
	}
	return rows
}
