package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/csv"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
)

func TestEachUnitBeginsEmpty(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Query: "select count(*) as n, sum(id) as total from orders", Collect: true})
	b.plan(t, input("orders", shop()))
	b.end(t)
	b.feedIn(t, "orders", shop(), threeRows)
	b.feedIn(t, "orders", shop(), threeRows)
	b.plan(t, input("orders", shop()))
	b.end(t)
	b.feedIn(t, "orders", shop(), threeRows)
	b.end(t)
	const want = `{"n":0,"total":null}
{"n":6,"total":12}
{"n":3,"total":6}`
	if diff := cmp.Diff(want, b.got(t, "orders")); diff != "" {
		t.Error(diff)
	}
}

func TestAUnitThatFailedLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	schema := columns(field("amount", arrow.BinaryTypes.String))
	b := start(t, Config{Query: "select sum(amount::integer) as total from input", Collect: true})
	b.plan(t, input("orders", schema))
	b.feedIn(t, "orders", schema, `[{"amount": "1"}, {"amount": "n/a"}]`)
	if err := b.Finish(t.Context(), b.recorder); err == nil || !strings.Contains(err.Error(), "Could not convert string 'n/a'") {
		t.Errorf("got %v", err)
	}
	b.feedIn(t, "orders", schema, `[{"amount": "2"}]`)
	b.end(t)
	if diff := cmp.Diff(`{"total":2}`, b.got(t, "orders")); diff != "" {
		t.Error(diff)
	}
}

func TestAUnitKeepsItsSchema(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Query: "select count(*) as n from orders", Collect: true})
	b.plan(t, input("orders", shop()))
	b.feedIn(t, "orders", shop(), threeRows)
	other := columns(field("id", arrow.PrimitiveTypes.Int32))
	if _, err := b.Plan(t.Context(), []sdk.SchemaChange{input("orders", other)}); err == nil {
		t.Error("a schema change within a unit was taken")
	}
	b.end(t)
	b.plan(t, input("orders", other))
	b.feedIn(t, "orders", other, `[{"id": 1}]`)
	b.end(t)
	if diff := cmp.Diff("{\"n\":3}\n{\"n\":1}", b.got(t, "orders")); diff != "" {
		t.Error(diff)
	}
}

func TestAFailedPlanCanBeRepeated(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Query: "select id from orders, customers", Collect: true})
	if _, err := b.Plan(t.Context(), []sdk.SchemaChange{input("orders", shop())}); err == nil {
		t.Fatal("an unknown table was taken")
	}
	b.plan(t, input("orders", columns(field("id", arrow.PrimitiveTypes.Int64))), input("customers", columns(field("name", arrow.BinaryTypes.String))))
}

func TestFinishIsRefusedWhereItMakesNoSense(t *testing.T) {
	t.Parallel()
	if err := start(t, Config{Query: "from input"}).Finish(t.Context(), nil); err == nil {
		t.Error("finish without collect")
	}
	if err := start(t, Config{Query: "from input", Collect: true}).Finish(t.Context(), nil); err == nil {
		t.Error("finish without a plan")
	}
	for _, collect := range []bool{false, true} {
		b := start(t, Config{Query: "from input", Collect: collect})
		err := b.Apply(t.Context(), sdk.Batch{Stream: "x", Record: parse(t, b.alloc, shop(), threeRows)}, b.recorder)
		if err == nil || !strings.Contains(err.Error(), `input "x", which was not planned`) {
			t.Errorf("collect %v: %v", collect, err)
		}
	}
}

// The rows take about 50 MB as they come and as much again while they are sorted; the limit is a third of that.
func TestInputsMayOutgrowTheMemoryLimit(t *testing.T) {
	t.Parallel()
	schema := columns(field("id", arrow.PrimitiveTypes.Int64), field("text", arrow.BinaryTypes.String))
	b := start(t, Config{Query: "select * from input order by text, id", Collect: true, MemoryLimit: leastMemory, Threads: 1})
	b.plan(t, input("orders", schema))
	const batchRows, count = 50000, 12
	for k := range count {
		builder := array.NewRecordBuilder(b.alloc, schema)
		for i := range batchRows {
			n := k*batchRows + i
			builder.Field(0).(*array.Int64Builder).Append(int64(n))
			builder.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("%016x of rows that hardly shrink, number %016x", uint64(n)*0x9E3779B97F4A7C15, uint64(n)*0xC2B2AE3D27D4EB4F))
		}
		b.give(t, "orders", builder.NewRecordBatch())
		builder.Release()
	}
	ordered := &ordered{}
	if err := b.Finish(t.Context(), ordered); err != nil {
		t.Fatal(err)
	}
	if ordered.rows != batchRows*count || ordered.faults > 0 {
		t.Errorf("%d rows, %d of them out of order", ordered.rows, ordered.faults)
	}
}

// ordered is an output that counts rows and looks at their order, keeping none.
type ordered struct {
	sdk.Output
	last         string
	rows, faults int
}

func (o *ordered) Batch(_ context.Context, b sdk.Batch) error {
	defer b.Record.Release()
	texts := b.Record.Column(1).(*array.String)
	for i := range texts.Len() {
		if texts.Value(i) < o.last {
			o.faults++
		}
		o.last = strings.Clone(texts.Value(i))
	}
	o.rows += texts.Len()
	return nil
}

func TestRealWeatherByMonth(t *testing.T) {
	t.Parallel()
	folder := os.Getenv("QANAT_TEST_DATA")
	if folder == "" {
		folder = "../../../shared/data"
	}
	file, err := os.Open(filepath.Join(folder, "weather.csv"))
	if err != nil {
		t.Skipf("the folder of test data isn't there: %v", err)
	}
	defer file.Close()
	schema := columns(
		field("location", arrow.BinaryTypes.String), field("date", arrow.FixedWidthTypes.Date32), field("precipitation", arrow.PrimitiveTypes.Float64),
		field("temp_max", arrow.PrimitiveTypes.Float64), field("temp_min", arrow.PrimitiveTypes.Float64),
		field("wind", arrow.PrimitiveTypes.Float64), field("weather", arrow.BinaryTypes.String),
	)
	b := start(t, Config{Collect: true, Query: `select location, count(*) as days, max(temp_max) as hottest, min(date) as since,
		count(*) filter (weather = 'snow') as snowy from weather group by location order by location`})
	b.plan(t, input("landing.noaa.weather", schema))
	reader := csv.NewReader(file, schema, csv.WithHeader(true), csv.WithChunk(500), csv.WithAllocator(b.alloc))
	defer reader.Release()
	for reader.Next() {
		record := reader.RecordBatch()
		record.Retain()
		b.give(t, "landing.noaa.weather", record)
	}
	if reader.Err() != nil {
		t.Fatal(reader.Err())
	}
	b.end(t)
	const want = `{"days":1461,"hottest":37.8,"location":"New York","since":"2012-01-01","snowy":93}
{"days":1461,"hottest":35.6,"location":"Seattle","since":"2012-01-01","snowy":26}`
	if diff := cmp.Diff(want, b.got(t, "landing.noaa.weather")); diff != "" {
		t.Error(diff)
	}
}
