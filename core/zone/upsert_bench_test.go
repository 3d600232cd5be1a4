package zone_test

import (
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/upkeep"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

// changesPerUnit is how many rows with keys from anywhere in the table each unit replaces.
const changesPerUnit = 10_000

// BenchmarkUpsert replaces rows of a table of a million: 100 units (QANAT_UNITS: another number) of 10,000 uniformly random keys,
// upkeep by the default policy after every tenth. It reports the time of a unit with everything in, of upkeep, of a scan beside that
// of a fresh table with the same rows, and of a look-up of 10,000 random keys.
func BenchmarkUpsert(b *testing.B) {
	units := int64(100)
	if n, err := strconv.ParseInt(os.Getenv("QANAT_UNITS"), 10, 64); err == nil {
		units = n
	}
	for b.Loop() {
		upserts(b, units)
	}
}

func upserts(b *testing.B, units int64) {
	z := zonetest.Open(b, server(b))
	aged, fresh := keyedEvents(b, z, "aged"), keyedEvents(b, z, "fresh")
	rng := rand.New(rand.NewPCG(1, 2))
	versions := make([]int64, benchRows)
	upsertEvents(b, aged, 1, eventBatches(), false)
	whole := scanTime(b, aged, benchRows)
	var took, kept []time.Duration
	cache := upkeep.NewCache()
	for seq := int64(2); seq < units+2; seq++ {
		batch := changedEvents(rng.Perm(benchRows)[:changesPerUnit], seq, versions)
		started := time.Now()
		upsertEvents(b, aged, seq, []arrow.RecordBatch{batch}, true)
		took = append(took, time.Since(started))
		if seq%10 != 1 {
			continue
		}
		started = time.Now()
		r := upkeep.Request{Policy: upkeep.Defaults(), Visible: map[string]int64{"f": seq}, Cache: cache}
		report, err := aged.Upkeep(b.Context(), r)
		if err != nil {
			b.Fatal(err)
		}
		kept = append(kept, time.Since(started))
		b.Logf("after %d: unit %v, upkeep %v, %d converted, %d compacted into %d, %d files", seq, median(took[len(took)-10:]), kept[len(kept)-1],
			report.Converted.Count, report.Compacted.Count, report.Into.Count, report.Files.After)
	}
	reportTime(b, "ms/unit", median(took))
	reportTime(b, "ms/upkeep", median(kept))
	scan := scanTime(b, aged, benchRows)
	upsertEvents(b, fresh, 1, versionsOf(versions), false)
	again := scanTime(b, fresh, benchRows)
	reportTime(b, "ms/scan", scan)
	reportTime(b, "ms/scan-before", whole)
	b.ReportMetric(float64(scan)/float64(again), "scan/fresh")
	reportTime(b, "ms/lookup", lookupTime(b, aged, rng.Perm(benchRows)[:changesPerUnit]))
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.Sys)/1e6, "MB-sys")
}

func keyedEvents(b *testing.B, z *zone.Zones, name string) *zone.Dataset {
	b.Helper()
	d, err := z.Create(b.Context(), zone.Name{Zone: "processing", Namespace: "bench", Dataset: name}, events, zone.CreateOptions{Key: []string{"id"}})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// changedEvents are rows with new versions.
func changedEvents(rows []int, seq int64, versions []int64) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, events)
	defer b.Release()
	for _, row := range rows {
		versions[row] = seq
		appendEvent(b, int64(row), seq)
	}
	return b.NewRecordBatch()
}

func appendEvent(b *array.RecordBuilder, row, version int64) {
	b.Field(0).(*array.Int64Builder).Append(row)
	b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(1700000000000000 + row*1000))
	b.Field(2).(*array.Float64Builder).Append(float64((row+version)*7919%100000) / 100)
	b.Field(3).(*array.StringBuilder).Append("customer-" + strconv.FormatInt(100000000000000+(row+version)*7919%1000003, 10))
	b.Field(4).(*array.StringBuilder).Append([]string{"new", "paid", "sent", "returned"}[(row+version)%4])
}

func versionsOf(versions []int64) []arrow.RecordBatch {
	var out []arrow.RecordBatch
	b := array.NewRecordBuilder(memory.DefaultAllocator, events)
	defer b.Release()
	for row, version := range versions {
		appendEvent(b, int64(row), version)
		if (row+1)%benchBatch == 0 {
			out = append(out, b.NewRecordBatch())
		}
	}
	return out
}

// upsertEvents commits a unit, rows and keys staged side by side.
func upsertEvents(b *testing.B, d *zone.Dataset, seq int64, batches []arrow.RecordBatch, replace bool) {
	b.Helper()
	o := zone.StageOptions{Flow: "f", Seq: seq}
	r := zone.CommitRequest{Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: seq}, Mode: zone.Upsert}
	var group sync.WaitGroup
	var keysFailed error
	if replace {
		group.Go(func() { r.Keys, keysFailed = stageEventKeys(b, d, o, batches) })
	}
	s, err := d.Stage(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	for _, batch := range batches {
		if err := s.Write(b.Context(), batch, ""); err != nil {
			b.Fatal(err)
		}
	}
	r.Files, err = s.Finish(b.Context())
	group.Wait()
	if err != nil || keysFailed != nil {
		b.Fatal(err, keysFailed)
	}
	if _, err := d.Commit(b.Context(), r); err != nil {
		b.Fatal(err)
	}
}

func stageEventKeys(b *testing.B, d *zone.Dataset, o zone.StageOptions, batches []arrow.RecordBatch) (zone.Files, error) {
	s, err := d.StageKeys(b.Context(), o)
	if err != nil {
		return zone.Files{}, err
	}
	for _, batch := range batches {
		if err := s.Write(b.Context(), eventKeys(batch)); err != nil {
			return zone.Files{}, err
		}
	}
	return s.Finish(b.Context())
}

func eventKeys(batch arrow.RecordBatch) arrow.RecordBatch {
	return array.NewRecordBatch(arrow.NewSchema(events.Fields()[:1], nil), batch.Columns()[:1], batch.NumRows())
}

func lookupTime(b *testing.B, d *zone.Dataset, rows []int) time.Duration {
	b.Helper()
	batch := changedEvents(rows, 0, make([]int64, benchRows))
	var best time.Duration
	for range 3 {
		started := time.Now()
		batches, err := d.Lookup(b.Context(), eventKeys(batch), 0)
		if err != nil {
			b.Fatal(err)
		}
		found := 0
		for got, err := range batches {
			if err != nil {
				b.Fatal(err)
			}
			found += int(got.NumRows())
			got.Release()
		}
		if found != len(rows) {
			b.Fatalf("%d rows found, want %d", found, len(rows))
		}
		if took := time.Since(started); best == 0 || took < best {
			best = took
		}
	}
	return best
}
