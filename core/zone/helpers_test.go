package zone_test

import (
	"context"
	"flag"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

var orders = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

func orderBatch(alloc memory.Allocator, ids ...int64) arrow.RecordBatch {
	b := array.NewRecordBuilder(alloc, orders)
	defer b.Release()
	for _, id := range ids {
		b.Field(0).(*array.Int64Builder).Append(id)
		b.Field(1).(*array.StringBuilder).Append("n")
	}
	return b.NewRecordBatch()
}

// crowd lets more tests run side by side than there are processors, as they wait for disks and servers most of the time, and collects
// garbage less often: a third of the time goes into looking through the servers of the tests, which stay.
func crowd() {
	debug.SetGCPercent(400)
	if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
}

// checked opens zones whose Arrow memory must all be given back.
func checked(t *testing.T) (*zone.Zones, memory.Allocator) {
	t.Helper()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	t.Cleanup(func() { alloc.AssertSize(t, 0) })
	return zonetest.Open(t, server(t, zonetest.WithAllocator(alloc))), alloc
}

func create(t *testing.T, z *zone.Zones, name string, schema *arrow.Schema) *zone.Dataset {
	t.Helper()
	n, err := zone.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	d, err := z.Create(t.Context(), n, schema, zone.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func stage(t *testing.T, d *zone.Dataset, flow string, seq int64, batches ...arrow.RecordBatch) zone.Files {
	t.Helper()
	s, err := d.Stage(t.Context(), zone.StageOptions{Flow: flow, Seq: seq, IngestedAt: time.Unix(1700000000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if err := s.Write(t.Context(), b, "test://source"); err != nil {
			t.Fatal(err)
		}
	}
	files, err := s.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// unit stages ids and commits them.
func unit(t *testing.T, d *zone.Dataset, mark zone.Mark, mode zone.Mode, ids ...int64) (zone.Snapshot, error) {
	t.Helper()
	var batches []arrow.RecordBatch
	if len(ids) > 0 {
		b := orderBatch(memory.DefaultAllocator, ids...)
		defer b.Release()
		batches = append(batches, b)
	}
	return d.Commit(t.Context(), zone.CommitRequest{Files: stage(t, d, mark.Flow, mark.Seq, batches...), Mark: mark, Mode: mode})
}

func mustUnit(t *testing.T, d *zone.Dataset, mark zone.Mark, mode zone.Mode, ids ...int64) zone.Snapshot {
	t.Helper()
	s, err := unit(t, d, mark, mode, ids...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ids reads the id column, sorted.
func ids(t *testing.T, d *zone.Dataset, r zone.ScanRequest) []int64 {
	t.Helper()
	out := numbers(t, d, r, "id")
	slices.Sort(out)
	return out
}

func reload(t *testing.T, d *zone.Dataset) *zone.Dataset {
	t.Helper()
	now, err := d.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func mark(t *testing.T, d *zone.Dataset, flow string) zone.Mark {
	t.Helper()
	m, _ := reload(t, d).Mark(flow)
	return m
}

// fencing is an owner check that, once, lets another runner take a flow over.
func fencing(t *testing.T, d *zone.Dataset, flow string, epoch uint64) func(context.Context) error {
	t.Helper()
	done := false
	return func(ctx context.Context) error {
		if done {
			return nil
		}
		done = true
		_, err := d.Fence(ctx, flow, epoch)
		return err
	}
}

// hold commits a unit to the flow's branch.
func hold(t *testing.T, d *zone.Dataset, m zone.Mark, mode zone.Mode, ids ...int64) zone.Snapshot {
	t.Helper()
	b := orderBatch(memory.DefaultAllocator, ids...)
	defer b.Release()
	s, err := d.Commit(t.Context(), zone.CommitRequest{
		Files: stage(t, d, m.Flow, m.Seq, b), Mark: m, Mode: mode, Branch: "held/" + m.Flow,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
