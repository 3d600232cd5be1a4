package zone_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/upkeep"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

// smallUnit is how many rows each of the small commits has.
const smallUnit = 100

// BenchmarkManySmallCommits commits 2,000 small units, with upkeep by the default policy after every 50, and half as many without,
// which takes ever longer. QANAT_COMMITS gives another number. Ratios within a run count: commits to the aged table and to a fresh
// one turn by turn, and the scan beside that of a table with the same rows in one unit.
func BenchmarkManySmallCommits(b *testing.B) {
	commits := 2000
	if n, err := strconv.Atoi(os.Getenv("QANAT_COMMITS")); err == nil {
		commits = n
	}
	b.Run("upkeep", func(b *testing.B) {
		for b.Loop() {
			manyCommits(b, commits, 50)
		}
	})
	b.Run("without", func(b *testing.B) {
		for b.Loop() {
			manyCommits(b, commits/2, commits)
		}
	})
}

// manyCommits ages a table and measures it.
func manyCommits(b *testing.B, commits, every int) {
	b.Helper()
	s := server(b)
	z := zonetest.Open(b, s)
	d := makeDataset(b, z, "processing.shop.many")
	took, kept := age(b, d, commits, every)
	reportTime(b, "ms/commit-first-100", median(took[:100]))
	reportTime(b, "ms/commit-last-100", median(took[commits-100:]))
	if len(kept) > 0 {
		reportTime(b, "ms/upkeep", median(kept))
	}
	whole := makeDataset(b, z, "processing.shop.whole")
	commitRows(b, whole, 1, idsFrom(0, commits*smallUnit))
	scan, wholeScan := scanTime(b, d, commits*smallUnit), scanTime(b, whole, commits*smallUnit)
	reportTime(b, "ms/scan", scan)
	b.ReportMetric(float64(scan)/float64(wholeScan), "scan/whole")
	reportStored(b, s, d.Location()+"/metadata", "metadata-objects", "metadata-MB")
	reportStored(b, s, d.Location(), "objects", "MB")
	b.ReportMetric(turns(b, d, makeDataset(b, z, "processing.shop.fresh"), int64(commits)), "commit/fresh")
}

// age commits units and looks after the table now and then.
func age(b *testing.B, d *zone.Dataset, commits, every int) (took, kept []time.Duration) {
	b.Helper()
	cache := upkeep.NewCache()
	for seq := int64(1); seq <= int64(commits); seq++ {
		rows := idsFrom((seq-1)*smallUnit, smallUnit)
		started := time.Now()
		commitRows(b, d, seq, rows)
		took = append(took, time.Since(started))
		if seq%int64(every) != 0 {
			continue
		}
		started = time.Now()
		r := upkeep.Request{Policy: upkeep.Defaults(), Visible: map[string]int64{"f": seq}, Cache: cache}
		if _, err := d.Upkeep(b.Context(), r); err != nil {
			b.Fatal(err)
		}
		kept = append(kept, time.Since(started))
	}
	return took, kept
}

// turns commits to two tables turn by turn and gives the ratio of their medians.
func turns(b *testing.B, aged, fresh *zone.Dataset, after int64) float64 {
	b.Helper()
	var of [2][]time.Duration
	for turn := range int64(50) {
		for i, d := range []*zone.Dataset{aged, fresh} {
			seq := turn + 1
			if i == 0 {
				seq += after
			}
			started := time.Now()
			commitRows(b, d, seq, idsFrom(0, smallUnit))
			of[i] = append(of[i], time.Since(started))
		}
	}
	return float64(median(of[0])) / float64(median(of[1]))
}

func reportTime(b *testing.B, unit string, d time.Duration) {
	b.Helper()
	b.ReportMetric(float64(d.Microseconds())/1000, unit)
}

func reportStored(b *testing.B, s zone.Settings, location, count, megabytes string) {
	b.Helper()
	objects, bytes := zonetest.Stored(b, s, location)
	b.ReportMetric(float64(objects), count)
	b.ReportMetric(float64(bytes)/1e6, megabytes)
}

func makeDataset(tb testing.TB, z *zone.Zones, name string) *zone.Dataset {
	tb.Helper()
	parts := strings.Split(name, ".")
	d, err := z.Create(tb.Context(), zone.Name{Zone: parts[0], Namespace: parts[1], Dataset: parts[2]}, orders, zone.CreateOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func idsFrom(first int64, n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = first + int64(i)
	}
	return out
}

func commitRows(tb testing.TB, d *zone.Dataset, seq int64, rows []int64) {
	tb.Helper()
	s, err := d.Stage(tb.Context(), zone.StageOptions{Flow: "f", Seq: seq})
	if err != nil {
		tb.Fatal(err)
	}
	batch := orderBatch(memory.DefaultAllocator, rows...)
	defer batch.Release()
	if err := s.Write(tb.Context(), batch, ""); err != nil {
		tb.Fatal(err)
	}
	files, err := s.Finish(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := d.Commit(tb.Context(), zone.CommitRequest{Files: files, Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: seq}}); err != nil {
		tb.Fatal(err)
	}
}

func scanTime(tb testing.TB, d *zone.Dataset, want int) time.Duration {
	tb.Helper()
	var best time.Duration
	for range 3 {
		started := time.Now()
		_, batches, err := d.Scan(tb.Context(), zone.ScanRequest{})
		if err != nil {
			tb.Fatal(err)
		}
		rows := 0
		for batch, err := range batches {
			if err != nil {
				tb.Fatal(err)
			}
			rows += int(batch.NumRows())
			batch.Release()
		}
		if rows != want {
			tb.Fatalf("%d rows, want %d", rows, want)
		}
		if took := time.Since(started); best == 0 || took < best {
			best = took
		}
	}
	return best
}

func median(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2]
}
