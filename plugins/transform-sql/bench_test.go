package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

// BenchmarkBatches measures a light projection of five columns at the batch sizes that sources make, with clean rows and with one
// bad row in a hundred.
func BenchmarkBatches(b *testing.B) {
	for _, rows := range []int{8192, 65536} {
		for _, dirty := range []int{0, 100} {
			b.Run(fmt.Sprintf("rows=%d/dirty=%d", rows, dirty), func(b *testing.B) {
				measure(b, Config{Query: "select id, lower(email) as email, amount::decimal(12,2) as amount, input.at from input where id >= 0"}, rows, dirty)
			})
		}
	}
}

// BenchmarkCollect measures loading and a group by over units of 20 batches.
func BenchmarkCollect(b *testing.B) {
	measure(b, Config{Query: "select kind, count(*) as n, max(id) as last from input group by kind", Collect: true}, 65536, 0)
}

// BenchmarkChanges measures changes of five columns, as they come with and without whole old rows.
func BenchmarkChanges(b *testing.B) {
	for _, old := range []bool{false, true} {
		b.Run(fmt.Sprintf("rows=8192/before=%v", old), func(b *testing.B) {
			record := ordersChanged(b, 8192, old)
			defer record.Release()
			run(b, Config{Query: "select id, lower(email) as email, amount::decimal(12,2) as amount, input.at from input where id % 10 > 0"}, record, "id")
		})
	}
}

func ordersChanged(b *testing.B, rows int, old bool) arrow.RecordBatch {
	plain := orders(rows, 0)
	defer plain.Release()
	builder := change.NewBuilder(memory.DefaultAllocator, plain.Schema(), []string{"id"})
	defer builder.Release()
	for range rows {
		for i := range int(plain.NumCols()) {
			builder.Column(i).AppendNull()
		}
		builder.Append(change.Change{Op: change.Update, TxSeq: 1})
	}
	record, err := builder.Batch()
	if err != nil {
		b.Fatal(err)
	}
	defer record.Release()
	columns := slices.Concat(plain.Columns(), record.Columns()[plain.NumCols():])
	if old {
		whole, err := array.NewStructArray(plain.Columns(), []string{"id", "at", "email", "amount", "kind"})
		if err != nil {
			b.Fatal(err)
		}
		columns[int(plain.NumCols())+4] = whole
	}
	return array.NewRecordBatch(record.Schema(), columns, int64(rows))
}

func measure(b *testing.B, c Config, rows, dirty int) {
	record := orders(rows, dirty)
	defer record.Release()
	run(b, c, record)
}

func run(b *testing.B, c Config, record arrow.RecordBatch, key ...string) {
	made, err := New(b.Context(), c, sdk.Env{Log: hclog.NewNullLogger(), Alloc: memory.DefaultAllocator, Scratch: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer made.Close(b.Context())
	in := input("orders", record.Schema())
	in.Key = key
	if _, err := made.Plan(b.Context(), []sdk.SchemaChange{in}); err != nil {
		b.Fatal(err)
	}
	var recorder plugintest.Recorder
	calls := 0
	for b.Loop() {
		record.Retain()
		if err := made.Apply(b.Context(), sdk.Batch{Stream: "orders", Record: record}, &recorder); err != nil {
			b.Fatal(err)
		}
		if calls++; c.Collect && calls%20 == 0 {
			if err := made.Finish(b.Context(), &recorder); err != nil {
				b.Fatal(err)
			}
		}
		recorder.Release()
	}
	b.ReportMetric(float64(record.NumRows())*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func orders(rows, dirty int) arrow.RecordBatch {
	schema := columns(
		field("id", arrow.PrimitiveTypes.Int64), field("at", arrow.FixedWidthTypes.Timestamp_us), field("email", arrow.BinaryTypes.String),
		field("amount", arrow.BinaryTypes.String), field("kind", arrow.BinaryTypes.String),
	)
	builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer builder.Release()
	for i := range rows {
		builder.Field(0).(*array.Int64Builder).Append(int64(i))
		builder.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(i))
		builder.Field(2).(*array.StringBuilder).Append(fmt.Sprintf("User-%d@Example.com", i))
		amount := fmt.Sprintf("%d.25", i%1000)
		if dirty > 0 && i%dirty == dirty/2 {
			amount = "n/a"
		}
		builder.Field(3).(*array.StringBuilder).Append(amount)
		builder.Field(4).(*array.StringBuilder).Append(fmt.Sprintf("kind %d", i%10))
	}
	return builder.NewRecordBatch()
}
