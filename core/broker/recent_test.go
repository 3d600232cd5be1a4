package broker

import (
	"context"
	"math/rand/v2"
	"testing"
)

// consumers is how many readers the server has to serve.
func consumers(ctx context.Context, t *testing.T, l *Log) int {
	t.Helper()
	info, err := l.info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Consumers
}

func TestReaderThatFollowsItsPublisherAsksTheServerForNothing(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l := openLog(ctx, t, startBroker(ctx, t), LogSettings{})
	p := openPublisher(ctx, t, l, 1)
	first := publish(ctx, t, p, numbered(0, 10))[0]
	r := openReader(ctx, t, l, first+1)
	for n := 1; n < 200; n++ {
		publish(ctx, t, p, numbered(n, 100_000))
		if m := next(ctx, t, r); numberOf(t, m) != n || m.Epoch != 1 || len(m.Body) != 100_000 || m.Time.IsZero() {
			t.Fatalf("frame %d came as %+v", n, m.Header)
		}
		if c := consumers(ctx, t, l); c != 0 {
			t.Fatalf("%d consumers after frame %d", c, n)
		}
	}
}

// Readers lag, catch up, overtake one another and purge, while frames of one and of several parts come.
func TestReadersMissNothingWhereverTheyStand(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l := openLog(ctx, t, startBroker(ctx, t), LogSettings{})
	p := openPublisher(ctx, t, l, 1)
	random := rand.New(rand.NewPCG(1, 2))
	publish(ctx, t, p, numbered(0, 10))
	readers, at := make([]*Reader, 3), make([]int, 3)
	for i := range readers {
		readers[i] = openReader(ctx, t, l, 1)
	}
	read := func(i, upto int) {
		for ; at[i] < upto; at[i]++ {
			if n := numberOf(t, next(ctx, t, readers[i])); n != at[i] {
				t.Fatalf("reader %d got frame %d, expected %d", i, n, at[i])
			}
		}
	}
	written := 1
	for range 40 {
		for range random.IntN(8) {
			size := random.IntN(4 << 20)
			if random.IntN(20) == 0 {
				size = 9 << 20 // two parts
			}
			publish(ctx, t, p, numbered(written, size))
			written++
		}
		i := random.IntN(len(readers))
		read(i, at[i]+random.IntN(written-at[i]+1))
		if random.IntN(4) == 0 { // the log takes half a gigabyte
			for i := range readers {
				read(i, written)
			}
			if err := l.Purge(ctx, flush(ctx, t, p)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range readers {
		read(i, written)
	}
}

// A reader that stands at the end of its own publisher's frames finds those of somebody else.
func TestReaderFindsTheTakeoverOfAnotherProcess(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := startServer(ctx, t)
	l := openLog(ctx, t, connect(ctx, t, Settings{Server: s}), LogSettings{})
	p := openPublisher(ctx, t, l, 1)
	r := openReader(ctx, t, l, publish(ctx, t, p, numbered(0, 10))[0]+1)
	publish(ctx, t, p, numbered(1, 10))
	if n := numberOf(t, next(ctx, t, r)); n != 1 {
		t.Fatalf("frame %d came first", n)
	}
	other := openPublisher(ctx, t, openLogOf(ctx, t, connect(ctx, t, Settings{Server: s}), l), 2)
	for n := 2; n < 5; n++ {
		publish(ctx, t, other, numbered(n, 10))
		if m := next(ctx, t, r); numberOf(t, m) != n || m.Epoch != 2 {
			t.Errorf("frame %d of epoch %d came, expected %d", numberOf(t, m), m.Epoch, n)
		}
	}
}

func TestRecentPartsAreBounded(t *testing.T) {
	t.Parallel()
	var r recent
	add := func(seq uint64, size int) { r.add(part{seq: seq, body: make([]byte, size)}) }
	add(1, 10)
	if _, found, passed := r.take(1); found || passed || r.bytes != 0 {
		t.Error("a part was kept for nobody")
	}
	r.attach()
	for seq := uint64(2); seq < 100; seq++ {
		add(seq, 1<<20)
		if r.bytes > recentBytes {
			t.Fatalf("%d bytes are kept", r.bytes)
		}
	}
	if _, found, passed := r.take(2); found || !passed {
		t.Error("a part that had to go is there, or those behind it are not")
	}
	if p, found, _ := r.take(98); !found || p.seq != 98 {
		t.Error("a part of the last is not there")
	}
	add(200, 10) // others wrote in between
	if _, found, passed := r.take(99); found || !passed {
		t.Error("a part from before a hole is there")
	}
	if r.detach(); r.bytes != 0 || len(r.parts) != 0 {
		t.Errorf("%d bytes are left", r.bytes)
	}
}
