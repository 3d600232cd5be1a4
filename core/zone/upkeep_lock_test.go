package zone_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/upkeep"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

func locked(t *testing.T, s zone.Settings, d *zone.Dataset) int {
	t.Helper()
	n := 0
	for _, lock := range zonetest.Versions(t, s, d.Location()) {
		if lock {
			n++
		}
	}
	return n
}

// Landing's files keep their lock through upkeep, and that they stay is no error.
func TestUpkeepLeavesWhatIsUnderRetention(t *testing.T) {
	t.Parallel()
	s := server(t)
	s.LandingRetention = time.Hour
	d := create(t, zonetest.Open(t, s), "landing.shop.orders", orders)
	want := units(t, d, "f", 1, 5)
	before := locked(t, s, d)
	report := keep(t, d, ruthless(), map[string]int64{"f": 5})
	if report.Files != (upkeep.Change{Before: 5, After: 1}) || report.Removed.Count != 5 {
		t.Errorf("report %+v", report)
	}
	if after := locked(t, s, d); after < before {
		t.Errorf("%d versions were locked, %d still are", before, after)
	}
	if report.Locked.Count == 0 || !strings.Contains(strings.Join(report.Kept, "\n"), "under retention, the last until "+time.Now().Format("2006-")) {
		t.Errorf("what is kept: %q", report.Kept)
	}
	if diff := cmp.Diff(want, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}

// Once the retention is over, the versions go, and their markers.
func TestVersionsAreSweptWhenTheirRetentionIsOver(t *testing.T) {
	t.Parallel()
	s := server(t)
	s.LandingRetention = 2 * time.Second
	d := create(t, zonetest.Open(t, s), "landing.shop.orders", orders)
	want := units(t, d, "f", 1, 5)
	report := keep(t, d, ruthless(), map[string]int64{"f": 5})
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for report.Locked.Count > 0 {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the retention does not end")
		}
		report = keep(t, d, ruthless(), map[string]int64{"f": 5})
	}
	objects, _ := zonetest.Stored(t, s, d.Location())
	if versions := zonetest.Versions(t, s, d.Location()); len(versions) != objects {
		t.Errorf("%d objects have %d versions", objects, len(versions))
	}
	if n, _ := zonetest.Stored(t, s, d.Location()+"/data"); n != 1 {
		t.Errorf("%d data files are left", n)
	}
	if diff := cmp.Diff(want, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}
