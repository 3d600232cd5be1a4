package zone_test

import (
	"math/rand/v2"
	"os"
	"slices"
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
// upkeep by the default policy after every tenth. It reports the time of a unit with everything in, of upkeep, of scans turn by turn with
// those of a fresh table with as many rows, and of a look-up of 10,000 random keys; scans and look-ups right after upkeep, and 19 units
// later, when the last 9 are not converted.
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
	u := &upserting{b: b, d: keyedEvents(b, z, "aged"), rng: rand.New(rand.NewPCG(1, 2)), versions: make([]int64, benchRows), cache: upkeep.NewCache()}
	upsertEvents(b, u.d, 1, eventBatches(), false)
	u.until(units + 1)
	reportTime(b, "ms/unit", median(u.took))
	reportTime(b, "ms/unit-p95", percentile(u.took, 95))
	reportTime(b, "ms/upkeep", median(u.kept))
	reportTime(b, "ms/upkeep-max", slices.Max(u.kept))
	fresh := keyedEvents(b, z, "fresh")
	upsertEvents(b, fresh, 1, versionsOf(u.versions), false)
	scan, ratio := scanTurns(b, u.d, fresh)
	reportTime(b, "ms/scan", scan)
	b.ReportMetric(ratio, "scan/fresh")
	reportTime(b, "ms/lookup", lookupTime(b, u.d, u.rng.Perm(benchRows)[:changesPerUnit]))
	// The worst that readers meet: as many units as can be before the next conversion, and before small files are put together.
	u.until(units + 20)
	scan, ratio = scanTurns(b, u.d, fresh)
	reportTime(b, "ms/scan-worst", scan)
	b.ReportMetric(ratio, "scan/fresh-worst")
	reportTime(b, "ms/lookup-worst", lookupTime(b, u.d, u.rng.Perm(benchRows)[:changesPerUnit]))
}

// upserting is a table under way.
type upserting struct {
	b          *testing.B
	d          *zone.Dataset
	rng        *rand.Rand
	versions   []int64
	seq        int64
	took, kept []time.Duration
	cache      *upkeep.Cache
}

// until commits units up to a number, with upkeep after each tenth.
func (u *upserting) until(last int64) {
	for u.seq = max(u.seq, 1); u.seq < last; {
		u.seq++
		batch := changedEvents(u.rng.Perm(benchRows)[:changesPerUnit], u.seq, u.versions)
		started := time.Now()
		upsertEvents(u.b, u.d, u.seq, []arrow.RecordBatch{batch}, true)
		u.took = append(u.took, time.Since(started))
		if u.seq%10 != 1 {
			continue
		}
		started = time.Now()
		r := upkeep.Request{Policy: upkeep.Defaults(), Visible: map[string]int64{"f": u.seq}, Cache: u.cache}
		if _, err := u.d.Upkeep(u.b.Context(), r); err != nil {
			u.b.Fatal(err)
		}
		u.kept = append(u.kept, time.Since(started))
	}
}

// scanTurns scans two tables turn by turn, so that both meet the same load, and gives the first's median and the ratio of the medians.
func scanTurns(b *testing.B, aged, fresh *zone.Dataset) (time.Duration, float64) {
	b.Helper()
	var of [2][]time.Duration
	for range 7 {
		for i, d := range []*zone.Dataset{aged, fresh} {
			started := time.Now()
			_, batches, err := d.Scan(b.Context(), zone.ScanRequest{})
			if err != nil {
				b.Fatal(err)
			}
			rows := 0
			for batch, err := range batches {
				if err != nil {
					b.Fatal(err)
				}
				rows += int(batch.NumRows())
				batch.Release()
			}
			if rows != benchRows {
				b.Fatalf("%d rows, want %d", rows, benchRows)
			}
			of[i] = append(of[i], time.Since(started))
		}
	}
	return median(of[0]), float64(median(of[0])) / float64(median(of[1]))
}

func percentile(d []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)*p/100]
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
