package zone_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/upkeep"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

// What is under retention in landing stays, is reported with its date, and goes at the first upkeep after that.
func TestLandingKeepsItsLockAndIsSweptWhenThatEnds(t *testing.T) {
	t.Parallel()
	s := server(t)
	s.LandingRetention = 4 * time.Second
	z := zonetest.Open(t, s)
	d := create(t, z, "landing.shop.orders", orders)
	want := units(t, d, "f", 1, 5)
	visible := map[string]int64{"f": 5}
	locked := 0
	for _, lock := range zonetest.Versions(t, s, d.Location()) {
		if lock {
			locked++
		}
	}
	report := keep(t, d, ruthless(), visible)
	if report.Files != (upkeep.Change{Before: 5, After: 1}) || report.Removed.Count != 5 {
		t.Errorf("report %+v", report)
	}
	if report.Locked.Count == 0 || len(report.Kept) == 0 {
		t.Errorf("nothing is under retention: %+v", report)
	}
	now := 0
	for _, lock := range zonetest.Versions(t, s, d.Location()) {
		if lock {
			now++
		}
	}
	if now < locked {
		t.Errorf("%d versions were locked, %d still are", locked, now)
	}
	if diff := cmp.Diff(want, ids(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for report.Locked.Count > 0 {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the retention does not end")
		}
		report = keep(t, d, ruthless(), visible)
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
