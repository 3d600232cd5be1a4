package flow_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

const benchUnits, benchUnitRows = 5, 1_000_000

// BenchmarkGeneratorToLanding runs the generator plugin through the log into landing, units of 1 M rows, and then has iceberg-go
// alone write the same rows to the same S3 server from memory, in one process.
func BenchmarkGeneratorToLanding(b *testing.B) {
	p, err := open(b.Context(), b.TempDir(), memory.DefaultAllocator)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := p.close(context.Background()); err != nil {
			b.Error(err)
		}
	}()
	settings := p.landing()
	settings.Source.Instance.Config = fmt.Appendf(nil, `{"stream":"events","seed":7,"rows":%d,"checkpoint_rows":%d}`,
		benchUnits*benchUnitRows, benchUnitRows)
	settings.Commit = flow.Thresholds{Rows: benchUnitRows}
	var ours, theirs time.Duration
	var core, plugin int64
	for i := range b.N {
		settings.Name = fmt.Sprintf("bench%d.landing", i)
		settings.Target.Dataset = fixed(zone.Name{Zone: zone.Landing, Namespace: "bench", Dataset: fmt.Sprintf("events%d", i)})
		peaks := watchMemory()
		began := time.Now()
		if err := flow.Run(b.Context(), settings, p.runtime, make(chan struct{})); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(began)
		c, pl := peaks()
		core, plugin = max(core, c), max(plugin, pl)
		theirs += plain(b, p, settings, i)
	}
	rows := float64(b.N) * benchUnits * benchUnitRows
	b.ReportMetric(rows/ours.Seconds()/1e6, "Mrows/s")
	b.ReportMetric(rows/theirs.Seconds()/1e6, "iceberg-go-Mrows/s")
	b.ReportMetric(100*theirs.Seconds()/ours.Seconds(), "%-of-iceberg-go")
	b.ReportMetric(float64(core)/(1<<20), "core-MiB")
	b.ReportMetric(float64(plugin)/(1<<20), "plugin-MiB")
}

// plain writes as many units of the first million landed rows.
func plain(b *testing.B, p *parts, settings *flow.Settings, i int) time.Duration {
	b.Helper()
	name, err := settings.Target.Dataset("")
	if err != nil {
		b.Fatal(err)
	}
	dataset, err := p.runtime.Zones.Dataset(b.Context(), name)
	if err != nil {
		b.Fatal(err)
	}
	_, stream, err := dataset.Scan(b.Context(), zone.ScanRequest{Units: []zone.UnitRange{{Upto: 1}}})
	if err != nil {
		b.Fatal(err)
	}
	var batches []arrow.RecordBatch
	for batch, err := range stream {
		if err != nil {
			b.Fatal(err)
		}
		batches = append(batches, batch)
	}
	bucket, _, _ := strings.Cut(strings.TrimPrefix(dataset.Location(), "s3://"), "/")
	table, err := zonetest.NewPlain(b.Context(), p.instance.DB(), bucket, batches[0].Schema(), i)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	for range benchUnits {
		if err := table.Unit(b.Context(), batches); err != nil {
			b.Fatal(err)
		}
	}
	took := time.Since(began)
	for _, batch := range batches {
		batch.Release()
	}
	return took
}

// watchMemory samples the resident memory of this process and of its children until the returned function is called.
func watchMemory() func() (core, plugins int64) {
	var core, plugins atomic.Int64
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-quit:
				return
			case <-ticker.C:
			}
			core.Store(max(core.Load(), resident(os.Getpid())))
			var sum int64
			for _, pid := range children() {
				sum += resident(pid)
			}
			plugins.Store(max(plugins.Load(), sum))
		}
	}()
	return func() (int64, int64) {
		close(quit)
		<-done
		return core.Load(), plugins.Load()
	}
}

func resident(pid int) int64 {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := strings.Fields(string(statm))
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

func children() []int {
	var pids []int
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	for _, task := range tasks {
		list, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		if err != nil {
			continue
		}
		for text := range strings.FieldsSeq(string(list)) {
			if pid, err := strconv.Atoi(text); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
