package sdk

import (
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// reporter sends reports of progress from a goroutine of its own, so that a source never waits for the host to take them. Of a
// stream only the latest report is kept.
type reporter struct {
	session *session
	wake    chan struct{}
	done    chan struct{}

	mu     sync.Mutex
	latest map[string]Progress
	ended  bool
}

func newReporter(s *session) *reporter {
	r := &reporter{session: s, wake: make(chan struct{}, 1), done: make(chan struct{}), latest: map[string]Progress{}}
	go r.run()
	return r
}

func (r *reporter) offer(p Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	r.latest[p.Stream] = p
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run sends until end is called; what is left then goes out, too. A broken stream is the business of those who send data.
func (r *reporter) run() {
	defer close(r.done)
	for range r.wake {
		r.mu.Lock()
		reports := r.latest
		r.latest = map[string]Progress{}
		r.mu.Unlock()
		for _, stream := range slices.Sorted(maps.Keys(reports)) {
			p := reports[stream]
			_ = r.session.send(&pluginv1.Head{Kind: &pluginv1.Head_Progress{Progress: &pluginv1.Progress{
				Stream: p.Stream, Rows: p.Rows, Bytes: p.Bytes, TotalRows: p.TotalRows, TotalBytes: p.TotalBytes, Message: p.Message,
				Lag: p.Lag.proto(),
			}}})
		}
	}
}

// end waits until the last report has been sent.
func (r *reporter) end() {
	r.mu.Lock()
	r.ended = true
	close(r.wake)
	r.mu.Unlock()
	<-r.done
}

// LagOf is a lag as it travels; nil for none.
func LagOf(l *pluginv1.Lag) *Lag {
	if l == nil {
		return nil
	}
	const most = math.MaxInt64 / uint64(time.Microsecond)
	return &Lag{Bytes: l.GetBytes(), Behind: time.Duration(min(l.GetMicros(), most)) * time.Microsecond, Retained: l.GetRetained()}
}

func (l *Lag) proto() *pluginv1.Lag {
	if l == nil {
		return nil
	}
	return &pluginv1.Lag{Bytes: l.Bytes, Micros: uint64(max(l.Behind.Microseconds(), 0)), Retained: l.Retained}
}
