package broker

import (
	"context"
	"fmt"
	"time"
)

// mender brings a publisher from a fault to where it can send again.
type mender struct {
	p          *Publisher
	full, look backoff
	stuckSince time.Time
}

// mend returns nil when the window can be sent from its oldest part on, and an
// error that ends the publisher otherwise. A full log is no error, however
// long it stays full.
func (m *mender) mend(ctx context.Context, f fault, stored bool) error {
	if stored {
		m.full.reset()
		m.look.reset()
		m.stuckSince = time.Time{}
	}
	switch f.kind {
	case faultFull:
		m.stuckSince = time.Time{}
		if isShared(f.err) {
			m.p.ails(f.err)
		}
		m.awaitRoom(ctx)
		return nil
	case faultUnsure:
		return m.reconcile(ctx, f.err)
	default:
		if known := final(f.err); known != nil {
			return known
		}
		return f.err
	}
}

// awaitRoom waits for a purge. A purge of this process is heard of at once,
// one of another process is found by trying.
func (m *mender) awaitRoom(ctx context.Context) {
	l := m.p.log
	purged := l.broker.purged(l.names.stream).wait()
	if m.p.takingOver() {
		err := l.widen(ctx)
		if err == nil {
			return
		}
		l.broker.logger.Warn("a full log could not be widened for a takeover", "flow", l.flow, "error", err)
	}
	m.full.pause(ctx, purged)
}

// reconcile looks at what the log ends with and takes from it what is stored.
func (m *mender) reconcile(ctx context.Context, cause error) error {
	for ctx.Err() == nil {
		if err := m.stuck(cause); err != nil {
			return err
		}
		link := m.p.log.broker.link.wait()
		end, err := m.p.log.tail(ctx)
		if err == nil {
			return m.settle(ctx, end)
		}
		if known := final(err); known != nil {
			return known
		}
		cause = err
		m.look.pause(ctx, link)
	}
	return nil
}

// settle ends a fault. Nothing stored means that the next try may meet the
// same fault at once, so it waits a little.
func (m *mender) settle(ctx context.Context, end tail) error {
	progress, err := m.p.settle(end)
	switch {
	case err != nil:
		return err
	case progress:
		m.look.reset()
		m.stuckSince = time.Time{}
	default:
		m.look.pause(ctx, nil)
	}
	m.p.moved.fire()
	return nil
}

// stuck bounds how long a server that is there may take nothing; one that is
// not there is waited for, as the publisher's callers bring their own deadlines.
func (m *mender) stuck(cause error) error {
	m.p.ails(cause)
	switch {
	case !m.p.log.broker.conn.IsConnected():
		m.stuckSince = time.Time{}
	case m.stuckSince.IsZero():
		m.stuckSince = time.Now()
	case time.Since(m.stuckSince) > stallTimeout:
		return fmt.Errorf("%w since %s: %w", ErrStalled, stallTimeout, cause)
	}
	return nil
}

// takingOver tells whether the oldest part is of a control frame that opens the publisher.
func (p *Publisher) takingOver() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.begun && len(p.window) > 0 && p.window[0].control
}

// settle compares the window with what the log ends with.
func (p *Publisher) settle(end tail) (progress bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	base := p.base()
	switch {
	case end.lost && p.begun:
		return false, fmt.Errorf("%w: the message at its end, %d, is gone", ErrLogCutBack, end.last)
	case end.last+1 < base && p.begun:
		return false, fmt.Errorf("%w: it ends at %d, sequence %d was confirmed", ErrLogCutBack, end.last, base-1)
	case end.last+1 == base:
		return false, nil
	case end.known && end.mark.publisher == p.id && end.last < p.next:
		p.stored(end.last)
		p.probing = true
		return true, nil
	case !p.begun && (end.last < base || end.known && end.mark.epoch < p.epoch):
		p.shift(end.last)
		return true, nil
	case end.known:
		return false, fmt.Errorf("%w: epoch %d has written sequence %d", ErrFenced, end.mark.epoch, end.last)
	default:
		return false, fmt.Errorf("%w: sequence %d was not written by Qanat", ErrFenced, end.last)
	}
}
