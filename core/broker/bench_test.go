package broker

import (
	"strconv"
	"testing"
)

// Both benchmarks move 1 MiB frames through an embedded server over the
// in-process connection, with file storage.
const benchFrame = 1 << 20

func BenchmarkPublish(b *testing.B) {
	ctx := testContext(b)
	l := openLog(ctx, b, startBroker(ctx, b), LogSettings{MaxBytes: 1 << 40})
	p := openPublisher(ctx, b, l, 1)
	frame := numbered(1, benchFrame)
	b.SetBytes(benchFrame)
	for i := 0; b.Loop(); i++ {
		seqs := publish(ctx, b, p, frame)
		if i%256 != 255 {
			continue
		}
		if err := l.Purge(ctx, seqs[0]-64); err != nil {
			b.Fatal(err)
		}
	}
	flush(ctx, b, p)
}

func BenchmarkRead(b *testing.B) {
	ctx := testContext(b)
	l := openLog(ctx, b, startBroker(ctx, b), LogSettings{MaxBytes: 1 << 40})
	p := openPublisher(ctx, b, l, 1)
	const frames = 512
	for range frames {
		publish(ctx, b, p, numbered(1, benchFrame))
	}
	flush(ctx, b, p)
	b.SetBytes(benchFrame)
	var r *Reader
	for i := 0; b.Loop(); i++ {
		if i%frames == 0 {
			r = openReader(ctx, b, l, 1)
		}
		if m := next(ctx, b, r); len(m.Body) != benchFrame {
			b.Fatalf("frame %s has %d bytes", strconv.FormatUint(m.First, 10), len(m.Body))
		}
	}
}

func BenchmarkPublishAndRead(b *testing.B) {
	ctx := testContext(b)
	l := openLog(ctx, b, startBroker(ctx, b), LogSettings{})
	p := openPublisher(ctx, b, l, 1)
	r := openReader(ctx, b, l, 0)
	frame := numbered(1, benchFrame)
	b.SetBytes(benchFrame)
	const ahead = 16
	for i := 0; b.Loop(); i++ {
		publish(ctx, b, p, frame)
		if i < ahead {
			continue
		}
		m := next(ctx, b, r)
		if m.First%64 != 0 {
			continue
		}
		if err := l.Purge(ctx, m.Last); err != nil {
			b.Fatal(err)
		}
	}
}
