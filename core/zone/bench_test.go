package zone_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

const (
	benchBatch = 8192
	benchRows  = 1 << 20
)

var events = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}},
	{Name: "amount", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "customer", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "status", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

// eventBatches are a million rows of about 60 bytes.
func eventBatches() []arrow.RecordBatch {
	var out []arrow.RecordBatch
	b := array.NewRecordBuilder(memory.DefaultAllocator, events)
	defer b.Release()
	status := []string{"new", "paid", "sent", "returned"}
	for row := range int64(benchRows) {
		b.Field(0).(*array.Int64Builder).Append(row)
		b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(1700000000000000 + row*1000))
		b.Field(2).(*array.Float64Builder).Append(float64(row*7919%100000) / 100)
		b.Field(3).(*array.StringBuilder).Append(fmt.Sprintf("customer-%015d", row*7919%1000003))
		b.Field(4).(*array.StringBuilder).Append(status[row%4])
		if (row+1)%benchBatch == 0 {
			out = append(out, b.NewRecordBatch())
		}
	}
	return out
}

// BenchmarkStage writes a million rows as a landing unit, beside iceberg-go writing
// the same rows to a table of its own with two WriteRecords, turn by turn.
func BenchmarkStage(b *testing.B) {
	z := zonetest.Open(b, server(b))
	batches := eventBatches()
	n, _ := zone.ParseName("landing.bench.events")
	d, err := z.Create(b.Context(), n, events, zone.CreateOptions{})
	if err != nil {
		b.Fatal(err)
	}
	plain := zone.PlainTable(b, z, d, events)
	var ours, theirs time.Duration
	var bytes int64
	for i := range int64(b.N) {
		start := time.Now()
		plain = plainUnit(b, plain, batches)
		theirs += time.Since(start)
		start = time.Now()
		bytes = landingUnit(b, d, i+1, batches).Bytes
		ours += time.Since(start)
	}
	rows := float64(b.N) * benchRows
	b.ReportMetric(rows/ours.Seconds()/1e6, "Mrows/s")
	b.ReportMetric(rows/theirs.Seconds()/1e6, "plain-Mrows/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "ratio")
	b.ReportMetric(float64(bytes)/benchRows, "B/row")
}

func landingUnit(b *testing.B, d *zone.Dataset, seq int64, batches []arrow.RecordBatch) zone.Files {
	s, err := d.Stage(b.Context(), zone.StageOptions{Flow: "f", Seq: seq, IngestedAt: time.Now()})
	if err != nil {
		b.Fatal(err)
	}
	for _, batch := range batches {
		if err := s.Write(b.Context(), batch, "file:///data/events.csv"); err != nil {
			b.Fatal(err)
		}
	}
	files, err := s.Finish(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if _, err := d.Commit(b.Context(), zone.CommitRequest{Files: files, Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: seq}}); err != nil {
		b.Fatal(err)
	}
	return files
}

func plainUnit(b *testing.B, tbl *table.Table, batches []arrow.RecordBatch) *table.Table {
	var files [2][]iceberg.DataFile
	var errs [2]error
	var group sync.WaitGroup
	half := len(batches) / 2
	for i, part := range [][]arrow.RecordBatch{batches[:half], batches[half:]} {
		group.Go(func() {
			feed := func(yield func(arrow.RecordBatch, error) bool) {
				for _, batch := range part {
					batch.Retain()
					if !yield(batch, nil) {
						return
					}
				}
			}
			for f, err := range table.WriteRecords(b.Context(), tbl, events, feed) {
				if err != nil {
					errs[i] = err
					return
				}
				files[i] = append(files[i], f)
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			b.Fatal(err)
		}
	}
	tx := tbl.NewTransaction()
	if err := tx.AddDataFiles(b.Context(), append(files[0], files[1]...), nil); err != nil {
		b.Fatal(err)
	}
	next, err := tx.Commit(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return next
}
