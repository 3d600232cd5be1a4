package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/qanat-data/qanat/sdk"
)

// benchmarkRead reads files again and again, and reports rows and megabytes per second.
func benchmarkRead(b *testing.B, settings string, size int64) {
	b.Helper()
	s := newSource(b, settings)
	b.SetBytes(size)
	b.ReportAllocs()
	var rows int64
	for b.Loop() {
		rec := &counter{}
		if err := s.Read(b.Context(), sdk.ReadRequest{}, rec); err != nil {
			b.Fatal(err)
		}
		rows += rec.rows
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

func benchmarkFormat(b *testing.B, name string, parallel int) {
	b.Helper()
	const n = 200_000
	content := formats(b, n)[name]
	dir := b.TempDir()
	for i := range parallel {
		write(b, filepath.Join(dir, fmt.Sprintf("%d-%s", i, name)), content)
	}
	benchmarkRead(b, fmt.Sprintf(`{"path": %q, "stream": "s", "parallel": %d}`, filepath.Join(dir, "*"), parallel),
		int64(len(content)*parallel))
}

func BenchmarkCSV(b *testing.B)          { benchmarkFormat(b, "a.csv", 1) }
func BenchmarkCSVTwoFiles(b *testing.B)  { benchmarkFormat(b, "a.csv", 2) }
func BenchmarkJSONL(b *testing.B)        { benchmarkFormat(b, "a.jsonl", 1) }
func BenchmarkJSONArray(b *testing.B)    { benchmarkFormat(b, "a.json", 1) }
func BenchmarkParquet(b *testing.B)      { benchmarkFormat(b, "a.parquet", 1) }
func BenchmarkArrow(b *testing.B)        { benchmarkFormat(b, "a.arrow", 1) }
func BenchmarkRealParquet(b *testing.B)  { benchmarkReal(b, "flights-3m.parquet") }
func BenchmarkRealZipcodes(b *testing.B) { benchmarkReal(b, "zipcodes.csv") }

func benchmarkReal(b *testing.B, name string) {
	b.Helper()
	path := realData(b, name)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	benchmarkRead(b, fmt.Sprintf(`{"path": %q, "stream": "s"}`, path), info.Size())
}
