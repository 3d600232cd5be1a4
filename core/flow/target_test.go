package flow

import (
	"context"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/instance"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/objects"
	"github.com/qanat-data/qanat/sdk"
)

func testRuntime(t *testing.T) *Runtime {
	dir := t.TempDir()
	in, err := instance.Open(t.Context(), instance.Settings{
		Dir: dir, Logger: hclog.NewNullLogger(),
		Objects: objects.Settings{BucketPrefix: fmt.Sprintf("t%x-", crc32.ChecksumIEEE([]byte(dir)))},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(context.Background()) })
	book, err := ledger.Open(t.Context(), in.DB(), ledger.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	return &Runtime{Zones: in.Zones(), Broker: in.Broker(), Ledger: book, Log: hclog.NewNullLogger(), Alloc: memory.DefaultAllocator, Owner: tenure.NewOwner(), Progress: progress.New("f")}
}

var testName = zone.Name{Zone: zone.Processing, Namespace: "r", Dataset: "s"}

// Unit 1 has only a batch without rows (all rejected by a check); the rows of unit 2 must carry seq 2.
func TestAnEmptyBatchDoesNotBeginTheNextUnitsStage(t *testing.T) {
	r := testRuntime(t)
	s := &Settings{Name: "f", Target: TargetSettings{Dataset: func(string) (zone.Name, error) { return testName, nil }}}
	epoch, err := r.Ledger.TakeOver(t.Context(), "f", r.Owner, 0, ledger.Owner{})
	if err != nil {
		t.Fatal(err)
	}
	target := newDatasetTarget(s, r)
	if _, err := target.prepare(t.Context(), epoch, 0, nil); err != nil {
		t.Fatal(err)
	}
	c := sdk.SchemaChange{Stream: "s", Version: 1, Schema: testBatch(0).Record.Schema()}
	for i, rows := range []int{0, 3} {
		seq := int64(i + 1)
		if err := target.schema(t.Context(), seq, c); err != nil {
			t.Fatal(err)
		}
		if _, err := target.write(t.Context(), *testBatch(rows)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := target.commit(t.Context(), &unit{closeFrame: closeFrame{Seq: seq, Rows: map[string]int64{"s": int64(rows)}, closing: closing{Decision: promote}}, flow: "f", epoch: epoch}); err != nil {
			t.Fatal(err)
		}
	}
	d, err := r.Zones.Dataset(t.Context(), testName)
	if err != nil {
		t.Fatal(err)
	}
	_, batches, err := d.Scan(t.Context(), zone.ScanRequest{Columns: []string{"_qanat_seq"}})
	if err != nil {
		t.Fatal(err)
	}
	for b, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range b.Column(0).(*array.Int64).Int64Values() {
			if v != 2 {
				t.Errorf("a row of unit 2 has _qanat_seq %d", v)
			}
		}
		b.Release()
	}
	_, batches, err = d.Scan(t.Context(), zone.ScanRequest{Units: []zone.UnitRange{{Flow: "f", After: 1, Upto: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for b, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		n += b.NumRows()
		b.Release()
	}
	if n != 3 {
		t.Errorf("a downstream flow at unit 1 reads %d of the 3 rows of unit 2", n)
	}
}

func TestNullsInRequiredColumnsAreRefusedBeforeTheLog(t *testing.T) {
	r := testRuntime(t)
	shaper := newShaper(TargetSettings{Dataset: func(string) (zone.Name, error) { return testName, nil }}, r)
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Field(0).AppendNull()
	if _, err := shaper.shape(t.Context(), item{schema: &sdk.SchemaChange{Stream: "s", Version: 1, Schema: schema}}); err != nil {
		t.Fatal(err)
	}
	_, err := shaper.shape(t.Context(), item{batch: &sdk.Batch{Stream: "s", Version: 1, Record: b.NewRecordBatch()}})
	if err == nil || !strings.Contains(err.Error(), `column "id" is required`) {
		t.Errorf("%v, want a refusal that names the column", err)
	}
}
