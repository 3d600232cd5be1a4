package broker

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
)

// A log of this size takes about twenty of the frames below.
const (
	smallLog   = 1 << 20
	smallFrame = 50 << 10
)

// publishing publishes numbered frames in the background; the channel gives
// how many were taken, and the error that ended it.
func publishing(ctx context.Context, p *Publisher, from, to, size int) <-chan published {
	done := make(chan published, 1)
	go func() {
		for i := from; i < to; i++ {
			if _, err := p.Publish(ctx, numbered(i, size)); err != nil {
				done <- published{i - from, err}
				return
			}
		}
		_, err := p.Flush(ctx)
		done <- published{to - from, err}
	}()
	return done
}

type published struct {
	frames int
	err    error
}

// readAll reads the frames from..to-1 and fails on loss, doubles or disorder.
func readAll(ctx context.Context, t *testing.T, r *Reader, from, to int, each func(Message)) {
	t.Helper()
	for i := from; i < to; i++ {
		m := next(ctx, t, r)
		if n := numberOf(t, m); n != i || m.Torn {
			t.Fatalf("at sequence %d: frame %d, torn %v, expected %d", m.First, n, m.Torn, i)
		}
		if each != nil {
			each(m)
		}
	}
}

func TestFullLogSlowsThePublisherAndLosesNothing(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := startServer(ctx, t)
	b := connect(ctx, t, Settings{Server: s})
	for name, purger := range map[string]*Broker{"same process": b, "other process": connect(ctx, t, Settings{Server: s})} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := openLog(ctx, t, b, LogSettings{MaxBytes: smallLog})
			purged := openLogOf(ctx, t, purger, l)
			const frames = 500 // 24 MiB: more than the log and what may be in flight
			p := openPublisher(ctx, t, l, 1)
			done := publishing(ctx, p, 0, frames, smallFrame)
			r := openReader(ctx, t, l, 0)
			readAll(ctx, t, r, 0, frames, func(m Message) {
				if m.First%10 != 0 {
					return
				}
				if err := purged.Purge(ctx, m.Last); err != nil {
					t.Error(err)
				}
			})
			if got := <-done; got.err != nil {
				t.Fatal(got.err)
			}
			if last := flush(ctx, t, p); last != frames {
				t.Errorf("log ends at %d, expected %d", last, frames)
			}
		})
	}
}

func openLogOf(ctx context.Context, t *testing.T, b *Broker, l *Log) *Log {
	t.Helper()
	other, err := b.Log(ctx, l.Flow(), LogSettings{})
	if err != nil {
		t.Fatal(err)
	}
	return other
}

func TestContextEndsTheWaitForRoomAndTheFrameIsNotSent(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l := openLog(ctx, t, startBroker(ctx, t), LogSettings{MaxBytes: smallLog})
	p := openPublisher(ctx, t, l, 1)
	waiting, give := context.WithCancelCause(ctx)
	done := publishing(waiting, p, 0, 1000, smallFrame)
	for p.inFlight() < maxBytesInFlight-2*smallFrame {
		if ctx.Err() != nil {
			t.Fatal("the publisher never ran into the full log")
		}
	}
	reason := errors.New("enough")
	give(reason)
	got := <-done
	if !errors.Is(got.err, reason) {
		t.Fatalf("got %v, expected the context's cause", got.err)
	}
	rest := publishing(ctx, p, got.frames, got.frames+1, smallFrame)
	readAll(ctx, t, openReader(ctx, t, l, 0), 0, got.frames+1, func(m Message) {
		if err := l.Purge(ctx, m.Last); err != nil {
			t.Error(err)
		}
	})
	if got := <-rest; got.err != nil {
		t.Fatal(got.err)
	}
}

func (p *Publisher) inFlight() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes
}

func TestTakeoverFencesThePublisherBeforeIt(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l := openLog(ctx, t, startBroker(ctx, t), LogSettings{})
	// The old publisher has many frames in flight at each takeover: none of
	// them may land behind the frame that took over.
	const rounds = 20
	for epoch := uint64(1); epoch <= rounds; epoch++ {
		old := openPublisher(ctx, t, l, 2*epoch)
		done := publishing(ctx, old, 0, 1<<20, 100)
		for old.stands() == 0 {
			if ctx.Err() != nil {
				t.Fatal("the old publisher never began")
			}
		}
		young := openPublisher(ctx, t, l, 2*epoch+1)
		publish(ctx, t, young, Frame{Control: true}, numbered(1, 100))
		flush(ctx, t, young)
		if got := <-done; !errors.Is(got.err, ErrFenced) {
			t.Fatalf("the old publisher ended with %v, expected ErrFenced", got.err)
		}
		if _, err := old.Publish(ctx, numbered(1, 1)); !errors.Is(err, ErrFenced) {
			t.Fatalf("a fenced publisher took a frame: %v", err)
		}
		if _, err := old.Flush(ctx); !errors.Is(err, ErrFenced) {
			t.Fatalf("a fenced publisher flushed: %v", err)
		}
		young.Close()
	}
	if _, err := l.Publisher(ctx, 2*rounds); !errors.Is(err, ErrFenced) {
		t.Errorf("an old epoch opened a publisher: %v", err)
	}
	checkEpochsOnlyRise(ctx, t, l)
}

func checkEpochsOnlyRise(ctx context.Context, t *testing.T, l *Log) {
	t.Helper()
	state, err := l.State(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r := openReader(ctx, t, l, 0)
	var epoch uint64
	for at := uint64(0); at < state.Last; {
		m := next(ctx, t, r)
		if m.Epoch < epoch || m.Torn {
			t.Fatalf("sequence %d is of epoch %d, torn %v, behind epoch %d", m.First, m.Epoch, m.Torn, epoch)
		}
		epoch, at = m.Epoch, m.Last
	}
}

// stands is how many parts are known to be stored.
func (p *Publisher) stands() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.base() - 1
}

func TestSamePlaceForTwoPublishersOfOneEpochIsFenced(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l := openLog(ctx, t, startBroker(ctx, t), LogSettings{})
	a, b := openPublisher(ctx, t, l, 1), openPublisher(ctx, t, l, 1)
	publish(ctx, t, a, numbered(1, 10))
	if _, err := b.Publish(ctx, numbered(2, 10)); !errors.Is(err, ErrFenced) {
		t.Errorf("got %v, expected ErrFenced", err)
	}
	again := openPublisher(ctx, t, l, 1)
	if seqs := publish(ctx, t, again, numbered(2, 10)); seqs[0] != 2 {
		t.Errorf("a publisher that comes after the first writes at %d, expected 2", seqs[0])
	}
}

func TestTakeoverFrameGetsIntoAFullLog(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	b := startBroker(ctx, t)
	l := openLog(ctx, t, b, LogSettings{MaxBytes: smallLog})
	old := openPublisher(ctx, t, l, 1)
	done := publishing(ctx, old, 0, 1000, 4<<10)
	for old.inFlight() < maxBytesInFlight/8 {
		if ctx.Err() != nil {
			t.Fatal("the log never filled up")
		}
	}
	young := openPublisher(ctx, t, l, 2)
	seqs := publish(ctx, t, young, Frame{Control: true})
	controls, err := l.Controls(ctx, 0)
	if err != nil || len(controls) != 1 || controls[0].First != seqs[0] {
		t.Fatalf("control frames %+v, error %v, expected one at %d", controls, err, seqs[0])
	}
	if got := <-done; !errors.Is(got.err, ErrFenced) {
		t.Errorf("the old publisher ended with %v, expected ErrFenced", got.err)
	}
}

func TestForeignMessageFencesAndIsReadAsTorn(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	b := startBroker(ctx, t)
	l := openLog(ctx, t, b, LogSettings{})
	p := openPublisher(ctx, t, l, 1)
	publish(ctx, t, p, numbered(1, 10))
	if _, err := b.js.PublishMsg(ctx, &nats.Msg{Subject: l.names.data, Data: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	publish(ctx, t, p, numbered(2, 10))
	if _, err := p.Flush(ctx); !errors.Is(err, ErrFenced) {
		t.Errorf("got %v, expected ErrFenced", err)
	}
	r := openReader(ctx, t, l, 2)
	if m := next(ctx, t, r); !m.Torn || m.Body != nil || m.First != 2 {
		t.Errorf("a foreign message was read as %+v", m)
	}
}

func TestClosedPublisherTakesNothing(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	b := startBroker(ctx, t)
	l := openLog(ctx, t, b, LogSettings{})
	p, q := openPublisher(ctx, t, l, 1), openPublisher(ctx, t, l, 1)
	publish(ctx, t, p, numbered(1, 10))
	p.Close()
	if _, err := p.Publish(ctx, numbered(2, 10)); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: got %v, expected ErrClosed", err)
	}
	r := openReader(ctx, t, l, 2)
	b.Close()
	if _, err := q.Publish(ctx, numbered(2, 10)); !errors.Is(err, ErrClosed) {
		t.Errorf("without a connection: got %v, expected ErrClosed", err)
	}
	if _, err := r.Next(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("reader without a connection: got %v, expected ErrClosed", err)
	}
}

func TestDeletedLogEndsItsPublisherAndReader(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l := openLog(ctx, t, startBroker(ctx, t), LogSettings{})
	p := openPublisher(ctx, t, l, 1)
	publish(ctx, t, p, numbered(1, 10))
	r := openReader(ctx, t, l, 2)
	if err := l.Delete(ctx); err != nil {
		t.Fatal(err)
	}
	publish(ctx, t, p, numbered(2, 10))
	if _, err := p.Flush(ctx); !errors.Is(err, ErrLogNotFound) {
		t.Errorf("publisher: got %v, expected ErrLogNotFound", err)
	}
	if _, err := r.Next(ctx); !errors.Is(err, ErrLogNotFound) {
		t.Errorf("reader: got %v, expected ErrLogNotFound", err)
	}
}

func TestPublisherNoticesThatTheLogWasCutBack(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l := openLog(ctx, t, startBroker(ctx, t), LogSettings{})
	p := openPublisher(ctx, t, l, 1)
	publish(ctx, t, p, numbered(1, 10), numbered(2, 10), numbered(3, 10))
	flush(ctx, t, p)
	if err := l.Delete(ctx); err != nil {
		t.Fatal(err)
	}
	openLogOf(ctx, t, l.broker, l)
	publish(ctx, t, p, numbered(4, 10))
	if _, err := p.Flush(ctx); !errors.Is(err, ErrLogCutBack) {
		t.Errorf("got %v, expected ErrLogCutBack", err)
	}
}
