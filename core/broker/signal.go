package broker

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// signal wakes everybody who waits. Take the channel before looking at the
// state that it tells about, else a change in between is missed.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// backoff doubles from first to last, with jitter so that several publishers
// of one full server don't ask in step.
type backoff struct {
	first, last, next time.Duration
}

func (b *backoff) reset() { b.next = 0 }

// pause waits the next delay, or until early is closed or ctx ends.
func (b *backoff) pause(ctx context.Context, early <-chan struct{}) {
	b.next = min(max(b.next*2, b.first), b.last)
	jittered := b.next/2 + rand.N(b.next/2+1) //nolint:gosec // jitter needs no secrecy
	timer := time.NewTimer(jittered)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-early:
	case <-ctx.Done():
	}
}
