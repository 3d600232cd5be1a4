package pluginhost

import (
	"testing"

	"github.com/qanat-data/qanat/sdk"
)

// BenchmarkReadHop measures a source's batches of 8192 rows of about 60 bytes on their way into the host.
func BenchmarkReadHop(b *testing.B) {
	const batch = 8192
	w := newWorld(b)
	r := w.read(instance("count", settings{"rows": int64(1) << 60, "batch": batch}), ReadRequest{})
	rows, bytes := int64(0), int64(0)
	for b.Loop() {
		for {
			event, err := r.Next(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if got, ok := event.(BatchEvent); ok {
				rows += got.Record.NumRows()
				bytes += batch * (5*8 + 24)
				got.Record.Release()
				break
			}
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds()/1e6, "Mrows/s")
	b.ReportMetric(float64(bytes)/b.Elapsed().Seconds()/1e6, "MB/s")
}

// BenchmarkTransformHop measures batches on their way into a transform that gives them back as they are, and out of it.
func BenchmarkTransformHop(b *testing.B) {
	w := newWorld(b)
	tr, err := w.Transform(b.Context(), instance("echo", settings{}))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = tr.Close() }()
	record := numbers(w.settings.Alloc, 8192)
	defer record.Release()
	if _, err := tr.Plan(b.Context(), []sdk.SchemaChange{change(record)}); err != nil {
		b.Fatal(err)
	}
	const ahead = 8
	sent := make(chan error, 1)
	slots := make(chan bool, ahead)
	go func() {
		defer close(sent)
		for range slots {
			if err := tr.Send(b.Context(), sdk.Batch{Stream: "rows", Version: 1, Record: record}); err != nil {
				sent <- err
				return
			}
		}
	}()
	for range ahead {
		slots <- true
	}
	n := 0
	for b.Loop() {
		got, err := tr.Receive(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		release(got.Batches)
		slots <- true
		n++
	}
	b.ReportMetric(float64(n)*8192/b.Elapsed().Seconds()/1e6, "Mrows/s")
	close(slots)
	for range ahead {
		got, err := tr.Receive(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		release(got.Batches)
	}
	if err := <-sent; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLaunch measures from the call to the first event, the digests known and the copy taken.
func BenchmarkLaunch(b *testing.B) {
	w := newWorld(b)
	inst := instance("count", settings{})
	if _, err := w.Manifest(b.Context(), "source", "count"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, err := w.Read(b.Context(), inst, ReadRequest{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		_ = r.Close()
		b.StartTimer()
	}
}
