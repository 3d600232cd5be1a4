package zone_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
)

func wide(alloc memory.Allocator, rows int) arrow.RecordBatch {
	list := make([]int64, rows)
	for i := range list {
		list[i] = int64(i)
	}
	return orderBatch(alloc, list...)
}

func begin(t *testing.T, d *zone.Dataset) *zone.Stage {
	t.Helper()
	s, err := d.Stage(t.Context(), zone.StageOptions{Flow: "f", Seq: 1, IngestedAt: time.Unix(1700000000, 123000)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStageWritesNothingVisibleUntilCommit(t *testing.T) {
	t.Parallel()
	z, alloc := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	b := wide(alloc, 10)
	defer b.Release()
	files := stage(t, d, "f", 1, b)
	if files.Rows != 10 || files.Count() != 1 || files.Bytes == 0 {
		t.Errorf("files %+v", files)
	}
	if got := ids(t, d, zone.ScanRequest{}); len(got) != 0 {
		t.Errorf("rows are visible: %v", got)
	}
	if err := d.Discard(t.Context(), files); err != nil {
		t.Error(err)
	}
	if left := objectsOf(t, d); len(left) != 0 {
		t.Errorf("objects left: %v", left)
	}
}

func TestLargeUnitUsesTwoFilesAndLosesNoRow(t *testing.T) {
	t.Parallel()
	z, alloc := checked(t)
	d := create(t, z, "processing.shop.orders", orders)
	b := wide(alloc, 300_000) // also cut into shorter batches
	defer b.Release()
	files := stage(t, d, "f", 1, b, b)
	if files.Rows != 600_000 || files.Count() != 2 {
		t.Errorf("%d rows in %d files", files.Rows, files.Count())
	}
	if _, err := d.Commit(t.Context(), zone.CommitRequest{Files: files, Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: 1}}); err != nil {
		t.Fatal(err)
	}
	got := ids(t, d, zone.ScanRequest{})
	sum := int64(0)
	for _, id := range got {
		sum += id
	}
	if len(got) != 600_000 || sum != 2*(299_999*300_000/2) {
		t.Errorf("%d rows, sum %d", len(got), sum)
	}
}

func TestEmptyUnitHasNoFileAndNoWriter(t *testing.T) {
	t.Parallel()
	z, alloc := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	s := begin(t, d)
	empty := wide(alloc, 0)
	defer empty.Release()
	if err := s.Write(t.Context(), empty, ""); err != nil {
		t.Fatal(err)
	}
	files, err := s.Finish(t.Context())
	if err != nil || files.Count() != 0 || files.Rows != 0 {
		t.Errorf("files %+v, error %v", files, err)
	}
	if left := objectsOf(t, d); len(left) != 0 {
		t.Errorf("objects left: %v", left)
	}
}

func TestSystemColumnsTellTheUnit(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	one := schemaOf(required("id", i64))
	for name, want := range map[string]string{
		"landing.shop.orders":    `{"_qanat_ingested_at":"2023-11-14T22:13:20.000123Z","_qanat_seq":1,"_qanat_source":"file:///a","id":7}`,
		"processing.shop.orders": `{"_qanat_flow":"f","_qanat_seq":1,"id":7}`,
		"curated.shop.orders":    `{"_qanat_flow":"f","_qanat_seq":1,"id":7}`,
		"serving.shop.orders":    `{"_qanat_flow":"f","_qanat_seq":1,"id":7}`,
		"quarantine.shop.orders": `{"_qanat_flow":"f","_qanat_ingested_at":"2023-11-14T22:13:20.000123Z","_qanat_seq":1,"id":7}`,
	} {
		d := create(t, z, name, one)
		s := begin(t, d)
		if err := s.Write(t.Context(), fromJSON(t, one, `[{"id":7}]`), "file:///a"); err != nil {
			t.Fatal(err)
		}
		files, err := s.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Commit(t.Context(), zone.CommitRequest{Files: files, Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: 1}}); err != nil {
			t.Fatal(err)
		}
		got := rows(t, d, zone.ScanRequest{Columns: fieldNames(d.FullSchema())})
		if diff := cmp.Diff([]string{want}, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if diff := cmp.Diff([]string{`{"id":7}`}, rows(t, d, zone.ScanRequest{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestBatchesMayLackColumnsOrBeNarrower(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", schemaOf(required("id", i64), optional("name", text), optional("v", arrow.PrimitiveTypes.Float64)))
	s := begin(t, d)
	for _, b := range []arrow.RecordBatch{
		fromJSON(t, schemaOf(optional("v", arrow.PrimitiveTypes.Float32), required("id", i32)), `[{"v":1.5,"id":1}]`),
		fromJSON(t, schemaOf(required("id", i64)), `[{"id":2}]`),
		fromJSON(t, schemaOf(optional("name", text), optional("id", i64)), `[{"name":"x","id":3}]`),
	} {
		if err := s.Write(t.Context(), b, ""); err != nil {
			t.Fatal(err)
		}
	}
	files, err := s.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Commit(t.Context(), zone.CommitRequest{Files: files, Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: 1}}); err != nil {
		t.Fatal(err)
	}
	want := []string{`{"id":1,"name":null,"v":1.5}`, `{"id":2,"name":null,"v":null}`, `{"id":3,"name":"x","v":null}`}
	if diff := cmp.Diff(want, rows(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}

func TestStageRefusesBatchesThatDoNotFit(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	for name, c := range map[string]struct {
		schema *arrow.Schema
		rows   string
		want   string
	}{
		"type":     {schemaOf(required("id", text)), `[{"id":"x"}]`, `"id"`},
		"unknown":  {schemaOf(required("id", i64), optional("extra", i64)), `[{"id":1}]`, `"extra"`},
		"missing":  {schemaOf(optional("name", text)), `[{"name":"x"}]`, "required"},
		"null":     {schemaOf(optional("id", i64)), `[{"id":null}]`, "1 of 1 rows are null"},
		"reserved": {schemaOf(required("id", i64), optional("_qanat_seq", i64)), `[{"id":1}]`, `"_qanat_seq"`},
	} {
		s := begin(t, d)
		err := s.Write(t.Context(), fromJSON(t, c.schema, c.rows), "")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Abort(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestAbortRemovesWhatWasWritten(t *testing.T) {
	t.Parallel()
	z, alloc := checked(t)
	d := create(t, z, "processing.shop.orders", orders)
	s := begin(t, d)
	b := wide(alloc, 200_000)
	defer b.Release()
	for range 3 {
		if err := s.Write(t.Context(), b, ""); err != nil {
			t.Fatal(err)
		}
	}
	to := schemaOf(append(orders.Fields(), optional("price", i64))...)
	if _, err := s.Evolve(t.Context(), to); err != nil { // some files are finished by then
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), b, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := objectsOf(t, d); len(left) != 0 {
		t.Errorf("objects left: %v", left)
	}
	if err := s.Write(t.Context(), b, ""); err == nil {
		t.Error("an aborted stage takes batches")
	}
	if _, err := s.Finish(t.Context()); err == nil {
		t.Error("an aborted stage finishes")
	}
}

func TestCancelledStageReportsItAndLeavesNothing(t *testing.T) {
	t.Parallel()
	z, alloc := checked(t)
	d := create(t, z, "processing.shop.orders", orders)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := d.Stage(ctx, zone.StageOptions{Flow: "f", Seq: 1})
	if err != nil {
		t.Fatal(err)
	}
	b := wide(alloc, 100_000)
	defer b.Release()
	if err := s.Write(ctx, b, ""); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := s.Finish(context.WithoutCancel(ctx)); !errors.Is(err, context.Canceled) {
		t.Errorf("finish: %v", err)
	}
	if left := objectsOf(t, d); len(left) != 0 {
		t.Errorf("objects left: %v", left)
	}
}

func TestAbortAfterFinishKeepsTheFiles(t *testing.T) {
	t.Parallel()
	z, alloc := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	s := begin(t, d)
	b := wide(alloc, 5)
	defer b.Release()
	if err := s.Write(t.Context(), b, ""); err != nil {
		t.Fatal(err)
	}
	files, err := s.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := objectsOf(t, d); len(left) != files.Count() {
		t.Errorf("objects left: %v", left)
	}
}

func TestStageNeedsFlowAndSeq(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	for _, o := range []zone.StageOptions{{Seq: 1}, {Flow: "f"}} {
		if _, err := d.Stage(t.Context(), o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
