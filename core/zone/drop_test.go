package zone_test

import (
	"errors"
	"testing"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

func TestDropLeavesNothingAndTouchesNoOtherDataset(t *testing.T) {
	t.Parallel()
	settings := server(t)
	z := zonetest.Open(t, settings)
	kept := create(t, z, "processing.shop.orders", orders)
	gone := create(t, z, "processing.shop.orders__replay", orders)
	for _, d := range []*zone.Dataset{kept, gone} {
		mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, zone.Append, 1, 2)
	}
	if err := z.Drop(t.Context(), gone.Name()); err != nil {
		t.Fatal(err)
	}
	if left := zonetest.Versions(t, settings, gone.Location()); len(left) > 0 {
		t.Errorf("objects left: %v", left)
	}
	if _, err := gone.Reload(t.Context()); !errors.Is(err, zone.ErrNotFound) {
		t.Errorf("it is still there: %v", err)
	}
	same(t, kept, zone.ScanRequest{}, 1, 2)
	if err := z.Drop(t.Context(), gone.Name()); !errors.Is(err, zone.ErrNotFound) {
		t.Errorf("dropped twice: %v", err)
	}
	if err := z.Purge(t.Context(), gone.Location()); err != nil {
		t.Errorf("purged again: %v", err)
	}
	fresh := create(t, z, "processing.shop.orders__replay", orders)
	mustUnit(t, fresh, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, zone.Append, 3)
	same(t, fresh, zone.ScanRequest{}, 3)
}

func TestPurgeRefusesWhatIsNotLeftOver(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	used := create(t, z, "processing.shop.orders", orders)
	raw := create(t, z, "landing.shop.orders", orders)
	mustUnit(t, used, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, zone.Append, 1)
	for _, location := range []string{used.Location(), raw.Location(), used.Location() + "/data", "s3://elsewhere/shop/orders", ""} {
		if err := z.Purge(t.Context(), location); err == nil {
			t.Errorf("%q was purged", location)
		}
	}
	same(t, used, zone.ScanRequest{}, 1)
}

func TestLandingIsNotDropped(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, zone.Append, 1)
	if err := z.Drop(t.Context(), d.Name()); err == nil {
		t.Error("it was dropped")
	}
	same(t, d, zone.ScanRequest{}, 1)
}
