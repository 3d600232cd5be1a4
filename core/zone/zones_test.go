package zone_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

func TestParseNameSaysWhatIsAllowed(t *testing.T) {
	t.Parallel()
	if n, err := zone.ParseName("landing.shop.orders_2-a"); err != nil || n != (zone.Name{Zone: "landing", Namespace: "shop", Dataset: "orders_2-a"}) {
		t.Errorf("%v, %v", n, err)
	}
	for name, want := range map[string]string{
		"landing.shop":            "zone.namespace.name",
		"landing.shop.orders.old": "zone.namespace.name",
		"archive.shop.orders":     "allowed are landing, processing, curated, serving, quarantine",
		"landing.Shop.orders":     "lower-case letters",
		"landing..orders":         "lower-case letters",
		"landing.shop.or/ders":    "lower-case letters",
	} {
		if _, err := zone.ParseName(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("landing.shop.orders")
	f.Add("a..b")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := zone.ParseName(s)
		if err == nil && (n.String() != s || !slices.Contains(zone.All(), n.Zone)) {
			t.Errorf("%q was read as %q", s, n)
		}
	})
}

func TestDatasetsAreListedAndFound(t *testing.T) {
	t.Parallel()
	settings := server(t)
	z := zonetest.Open(t, settings)
	if names, err := z.List(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("names %v, error %v", names, err)
	}
	for _, n := range []string{"processing.a.x", "landing.shop.orders", "landing.a.z", "landing.shop.customers"} {
		create(t, z, n, orders)
	}
	names, err := zonetest.Open(t, settings).List(t.Context()) // as another process would
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	var got []string
	for _, n := range names {
		got = append(got, n.String())
	}
	if diff := cmp.Diff([]string{"landing.a.z", "landing.shop.customers", "landing.shop.orders", "processing.a.x"}, got); diff != "" {
		t.Error(diff)
	}
	d, err := z.Dataset(t.Context(), names[0])
	if err != nil || d.UUID() == "" || !strings.HasSuffix(d.Location()[:len(d.Location())-9], "/a/z") || !sameColumns(d.Schema(), orders) {
		t.Errorf("dataset %+v, error %v", d, err)
	}
	if d.Head().ID != 0 {
		t.Errorf("a new dataset has snapshot %+v", d.Head())
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	create(t, z, "landing.shop.orders", orders)
	n := zone.Name{Zone: zone.Landing, Namespace: "shop", Dataset: "orders"}
	if _, err := z.Create(t.Context(), n, orders, zone.CreateOptions{}); !errors.Is(err, zone.ErrExists) {
		t.Errorf("second create: %v", err)
	}
	n.Dataset = "other"
	if _, err := z.Dataset(t.Context(), n); !errors.Is(err, zone.ErrNotFound) {
		t.Errorf("missing dataset: %v", err)
	}
	var schemaError *zone.SchemaError
	for _, f := range []arrow.Field{optional("x", arrow.PrimitiveTypes.Uint32), optional("_qanat_x", i64)} {
		if _, err := z.Create(t.Context(), n, schemaOf(f), zone.CreateOptions{}); !errors.As(err, &schemaError) {
			t.Errorf("column %v: %v", f, err)
		}
	}
	n.Zone = "attic"
	if _, err := z.Create(t.Context(), n, orders, zone.CreateOptions{}); err == nil {
		t.Error("a dataset in an unknown zone")
	}
}

func TestLandingRetentionKeepsDataAndManifests(t *testing.T) {
	t.Parallel()
	settings := server(t)
	settings.LandingRetention = time.Hour
	z := zonetest.Open(t, settings)
	d := create(t, z, "landing.shop.orders", orders)
	files := commit(t, d, 1, fromJSON(t, orders, `[{"id":1,"name":"a"}]`))
	list, err := d.Files(t.Context(), files.ID)
	if err != nil || len(list) != 1 {
		t.Fatalf("files %v, error %v", list, err)
	}
	kept := zonetest.Versions(t, settings, d.Location())
	var locked, free int
	for key, retained := range kept {
		key, _, _ := strings.Cut(key, "@")
		protected := strings.Contains(key, "/data/") || strings.HasSuffix(key, ".avro")
		if protected != retained {
			t.Errorf("%s: under retention is %v", key, retained)
		}
		if retained {
			locked++
		} else {
			free++
		}
	}
	if locked < 3 || free < 1 {
		t.Errorf("%d objects locked, %d free", locked, free)
	}
	store, err := iceio.LoadFS(t.Context(), nil, d.Location())
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Remove(list[0].Path); err != nil { // a delete marker, not a deletion
		t.Fatal(err)
	}
	if after := zonetest.Versions(t, settings, d.Location()); len(after) != len(kept) {
		t.Errorf("%d objects of %d are left", len(after), len(kept))
	}
}

func TestRetentionNeedsObjectLock(t *testing.T) {
	t.Parallel()
	settings := server(t)
	zonetest.MakePlainBucket(t, settings, zone.Landing)
	zonetest.Open(t, settings)
	settings.LandingRetention = time.Hour
	if _, err := zone.Open(t.Context(), settings); err == nil || !strings.Contains(err.Error(), "object lock") {
		t.Errorf("error is %v", err)
	}
}

func TestOpenSaysWhyItFails(t *testing.T) {
	t.Parallel()
	settings := server(t)
	settings.Objects.SecretKey = "wrong-secret"
	if _, err := zone.Open(t.Context(), settings); err == nil {
		t.Error("a wrong secret was taken")
	}
	settings = server(t)
	settings.Dialect = "cobol"
	if _, err := zone.Open(t.Context(), settings); err == nil || !strings.Contains(err.Error(), "cobol") {
		t.Errorf("error is %v", err)
	}
}

// Every commit leaves an old metadata file behind; they must not pile up, also not
// as old versions in landing.
func TestMetadataStaysBounded(t *testing.T) {
	t.Parallel()
	settings := server(t)
	z := zonetest.Open(t, settings)
	d := create(t, z, "landing.shop.orders", orders)
	const units = 25
	for seq := range int64(units) {
		if _, err := d.Commit(t.Context(), zone.CommitRequest{Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: seq + 1}}); err != nil {
			t.Fatal(err)
		}
	}
	metadata := 0
	for key := range zonetest.Versions(t, settings, d.Location()) {
		if strings.Contains(key, "metadata.json") {
			metadata++
		}
	}
	if metadata > 12 {
		t.Errorf("%d metadata files after %d commits", metadata, units)
	}
}
