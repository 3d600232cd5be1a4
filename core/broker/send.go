package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// ackTimeout ends the wait for an answer while the connection looks fine.
	ackTimeout = 10 * time.Second
	// stallTimeout ends a publisher whose server is there and answers, but
	// neither stores nor says that the log is full.
	stallTimeout = 2 * time.Minute

	fullFirst, fullLast = 20 * time.Millisecond, 200 * time.Millisecond
	lookFirst, lookLast = 50 * time.Millisecond, time.Second
	consumerIdle        = time.Minute
	idleChecks          = time.Second
)

var errUnanswered = errors.New("no answer")

// run sends the window until the publisher ends: each turn of the loop sends
// in one generation, up to a fault, and then mends it.
func (p *Publisher) run(ctx context.Context) {
	defer close(p.done)
	defer func() { _ = p.acks.Unsubscribe() }() // fails only on a closed connection
	mend := mender{p: p, full: backoff{first: fullFirst, last: fullLast}, look: backoff{first: lookFirst, last: lookLast}}
	defer p.healed()
	for {
		f, stored := p.send(ctx)
		if ctx.Err() != nil {
			return
		}
		if err := mend.mend(ctx, f, stored); err != nil {
			p.fail(err)
			return
		}
	}
}

// send sends what is due until a fault, and tells whether anything was stored.
func (p *Publisher) send(ctx context.Context) (fault, bool) {
	session := p.log.broker.session()
	p.mu.Lock()
	start := p.base()
	p.mu.Unlock()
	timer := time.NewTimer(ackTimeout)
	defer timer.Stop()
	for {
		f, waiting := p.sendDue()
		if f.kind == faultNone {
			timer.Reset(ackTimeout)
			f = p.listen(ctx, session.Done(), timer.C, waiting)
		}
		if f.kind != faultNone {
			return f, p.retire() > start
		}
	}
}

// sendDue sends what may be sent now and tells whether answers are outstanding.
func (p *Publisher) sendDue() (fault, bool) {
	for {
		p.mu.Lock()
		if p.err != nil {
			p.fault = fault{kind: faultFatal, err: p.err}
		}
		msg, ok := p.due()
		f, waiting := p.fault, p.sent > 0
		p.mu.Unlock()
		if !ok {
			return f, waiting
		}
		if err := p.log.broker.conn.PublishMsg(msg); err != nil {
			return fault{kind: kindOf(err), err: err}, waiting
		}
	}
}

// listen waits until there is something to look at.
func (p *Publisher) listen(ctx context.Context, lost <-chan struct{}, timeout <-chan time.Time, waiting bool) fault {
	if !waiting {
		timeout = nil
	}
	select {
	case <-p.wake:
		return fault{}
	case <-lost:
		return fault{kind: faultUnsure, err: nats.ErrDisconnected}
	case <-timeout:
		return fault{kind: faultUnsure, err: fmt.Errorf("%w within %s", errUnanswered, ackTimeout)}
	case <-ctx.Done():
		return fault{kind: faultFatal, err: ctx.Err()}
	}
}

// retire ends a generation: what it still has in flight is to be sent again,
// and answers to it are void. It returns the oldest sequence not stored.
func (p *Publisher) retire() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.generation++
	p.sent = 0
	p.probing = true
	p.fault = fault{}
	return p.base()
}

func kindOf(err error) faultKind {
	if errors.Is(err, nats.ErrMaxPayload) || final(err) != nil {
		return faultFatal
	}
	return faultUnsure
}
