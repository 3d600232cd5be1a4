package zone_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

// objectsOf lists the data files below a dataset on the server.
func objectsOf(t *testing.T, d *zone.Dataset) []string {
	t.Helper()
	store, err := iceio.LoadFS(t.Context(), nil, d.Location())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	err = store.(iceio.ListableIO).WalkDir(d.Location()+"/data", func(path string, _ fs.DirEntry, err error) error {
		out = append(out, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestScanOfUnitRangesIsExact(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "processing.shop.orders", orders)
	for seq := range int64(4) {
		mustUnit(t, d, zone.Mark{Flow: "orders/clean-with-a-long-name", Epoch: 1, Seq: seq + 1}, zone.Append, 10+seq)
		mustUnit(t, d, zone.Mark{Flow: "orders/clean-with-a-long-name-2", Epoch: 1, Seq: seq + 1}, zone.Append, 20+seq)
	}
	a, b := "orders/clean-with-a-long-name", "orders/clean-with-a-long-name-2"
	for name, c := range map[string]struct {
		units []zone.UnitRange
		want  []int64
	}{
		"all":        {nil, []int64{10, 11, 12, 13, 20, 21, 22, 23}},
		"one flow":   {[]zone.UnitRange{{Flow: a, After: 1, Upto: 3}}, []int64{11, 12}},
		"any flow":   {[]zone.UnitRange{{After: 2, Upto: 3}}, []int64{12, 22}},
		"two ranges": {[]zone.UnitRange{{Flow: a, After: 0, Upto: 1}, {Flow: b, After: 3, Upto: 4}}, []int64{10, 23}},
		"overlap":    {[]zone.UnitRange{{Flow: a, After: 0, Upto: 2}, {Flow: a, After: 1, Upto: 3}}, []int64{10, 11, 12}},
		"nothing":    {[]zone.UnitRange{{Flow: a, After: 4, Upto: 9}}, nil},
		"empty":      {[]zone.UnitRange{{Flow: a, After: 2, Upto: 2}}, nil},
		"other flow": {[]zone.UnitRange{{Flow: "x", After: 0, Upto: 9}}, nil},
	} {
		if diff := cmp.Diff(c.want, ids(t, d, zone.ScanRequest{Units: c.units})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A rewrite may put several units into one file: rows must then be picked one by one.
func TestScanPicksRowsOutOfMixedFiles(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, zone.Append, 1, 2)
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 2}, zone.Append, 3)
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 3}, zone.Append, 4)
	compact(t, d)
	files, err := d.Files(t.Context(), 0)
	if err != nil || len(files) != 1 || files[0].Rows != 4 || files[0].Exact {
		t.Fatalf("files %+v, error %v", files, err)
	}
	if diff := cmp.Diff([]int64{3, 4}, ids(t, d, zone.ScanRequest{Units: []zone.UnitRange{{After: 1, Upto: 3}}})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int64{1, 2, 3, 4}, ids(t, d, zone.ScanRequest{Units: []zone.UnitRange{{After: 0, Upto: 3}}})); diff != "" {
		t.Error(diff)
	}
}

func TestScanReadsUnitsInOrder(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	var want []string
	for seq := range int64(6) {
		mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: seq + 1}, zone.Append, seq)
		want = append(want, `{"id":`+string(rune('0'+seq))+`,"name":"n"}`)
	}
	if diff := cmp.Diff(want, rows(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}

func TestScanStoppedEarlyGivesEverythingBack(t *testing.T) {
	t.Parallel()
	z, alloc := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	b := wide(alloc, 100_000)
	defer b.Release()
	commit(t, d, 1, b)
	commit(t, d, 2, b)
	for _, units := range [][]zone.UnitRange{nil, {{After: 0, Upto: 1}}} {
		_, batches, err := d.Scan(t.Context(), zone.ScanRequest{Units: units})
		if err != nil {
			t.Fatal(err)
		}
		for b, err := range batches {
			if err != nil {
				t.Fatal(err)
			}
			b.Release()
			break
		}
	}
}

func TestCancelledScanEndsWithItsError(t *testing.T) {
	t.Parallel()
	z, alloc := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	b := wide(alloc, 100_000)
	defer b.Release()
	commit(t, d, 1, b)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, batches, err := d.Scan(ctx, zone.ScanRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for b, err := range batches {
		cancel()
		if b != nil {
			b.Release()
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("scan ended with %v", last)
	}
}

func TestScanOfAnEmptyDataset(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	schema, batches, err := d.Scan(t.Context(), zone.ScanRequest{Units: []zone.UnitRange{{Upto: 5}}})
	if err != nil || !sameColumns(schema, orders) {
		t.Fatalf("schema %s, error %v", schema, err)
	}
	for range batches {
		t.Error("a batch of nothing")
	}
}

func TestScanRefusesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	for name, r := range map[string]zone.ScanRequest{
		"column": {Columns: []string{"nope"}}, "snapshot": {Snapshot: 42}, "branch": {Branch: "held/f"},
	} {
		if _, _, err := d.Scan(t.Context(), r); !errors.Is(err, zone.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSnapshotKeepsItsOwnSchema(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	old := mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, zone.Append, 1)
	d, _, err := d.Evolve(t.Context(), schemaOf(append(orders.Fields(), optional("price", i64))...))
	if err != nil {
		t.Fatal(err)
	}
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 2}, zone.Append, 2)
	if diff := cmp.Diff([]string{`{"id":1,"name":"n"}`}, rows(t, d, zone.ScanRequest{Snapshot: old.ID})); diff != "" {
		t.Error(diff)
	}
}

func TestFetchCopiesOnce(t *testing.T) {
	t.Parallel()
	settings := server(t)
	settings.Objects.LocalRoot = "" // as an external server
	z := zonetest.Open(t, settings)
	d := create(t, z, "landing.shop.orders", orders)
	b := wide(memory.DefaultAllocator, 1000)
	defer b.Release()
	commit(t, d, 1, b)
	files, err := d.Files(t.Context(), 0)
	if err != nil || len(files) != 1 || files[0].Local != "" {
		t.Fatalf("files %v, error %v", files, err)
	}
	dir := t.TempDir()
	path, err := z.Fetch(t.Context(), files[0], dir)
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.Stat(path)
	if err != nil || first.Size() != files[0].Bytes {
		t.Fatalf("copy %v, error %v", first, err)
	}
	if _, err := z.Fetch(t.Context(), files[0], dir); err != nil {
		t.Fatal(err)
	}
	second, err := os.Stat(path)
	if err != nil || !os.SameFile(first, second) {
		t.Errorf("copied again, error %v", err)
	}
	for _, bad := range []string{"s3://b/../../x", "/etc/passwd", "s3://"} {
		if _, err := z.Fetch(t.Context(), zone.File{Path: bad}, dir); err == nil {
			t.Errorf("%q was fetched", bad)
		}
	}
}

// compact rewrites a dataset into one file, as upkeep would.
func compact(t *testing.T, d *zone.Dataset) {
	t.Helper()
	tbl, err := zone.LoadTable(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	scan := tbl.Scan()
	schema, batches, err := scan.ToArrowRecords(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var added, gone []iceberg.DataFile
	for f, err := range table.WriteRecords(t.Context(), tbl, schema, batches) {
		if err != nil {
			t.Fatal(err)
		}
		added = append(added, f)
	}
	tasks, err := scan.PlanFiles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		gone = append(gone, task.File)
	}
	props := iceberg.Properties{}
	for key, value := range tbl.CurrentSnapshot().Summary.Properties {
		if strings.HasPrefix(key, "qanat.head.") {
			props[key] = value
		}
	}
	tx := tbl.NewTransaction()
	if err := tx.ReplaceDataFilesWithDataFiles(t.Context(), gone, added, props); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}
