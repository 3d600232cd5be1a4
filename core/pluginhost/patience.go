package pluginhost

import (
	"sync"
	"time"
)

// patience measures how long the host waits for a plugin: only while the plugin owes an answer and the host is ready to take it.
// A slow consumer behind the host therefore costs the plugin nothing. When the time of the oldest answer is used up, expired is
// called once.
type patience struct {
	expired func(promise)

	mu      sync.Mutex
	owed    []promise
	hungry  bool
	stopped bool
	timer   *time.Timer
	since   time.Time
}

// promise is an answer that the plugin owes.
type promise struct {
	call  string
	limit time.Duration
	left  time.Duration
}

// owe adds an answer behind those that are owed.
func (p *patience) owe(call string, limit time.Duration) {
	p.change(func() { p.owed = append(p.owed, promise{call: call, limit: limit, left: limit}) })
}

// settle takes the oldest away.
func (p *patience) settle() {
	p.change(func() {
		if len(p.owed) > 0 {
			p.owed = p.owed[1:]
		}
	})
}

// wait says whether the host is ready to take an answer.
func (p *patience) wait(hungry bool) {
	p.change(func() { p.hungry = hungry })
}

func (p *patience) stop() {
	p.change(func() { p.stopped = true })
}

// change books the time that has passed on the oldest answer, and goes on with what is the oldest then.
func (p *patience) change(apply func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
		p.owed[0].left -= time.Since(p.since)
	}
	apply()
	if p.hungry && len(p.owed) > 0 && !p.stopped {
		p.since = time.Now()
		p.timer = time.AfterFunc(p.owed[0].left, p.fire)
	}
}

func (p *patience) fire() {
	p.mu.Lock()
	late := p.timer != nil && time.Since(p.since) >= p.owed[0].left
	var oldest promise
	if late {
		oldest, p.timer, p.stopped = p.owed[0], nil, true
	}
	p.mu.Unlock()
	if late {
		p.expired(oldest)
	}
}
