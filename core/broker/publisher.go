package broker

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// In flight means sent or queued, and not yet known to be stored.
const (
	maxBytesInFlight = 16 << 20
	maxPartsInFlight = 512
)

// Publisher writes one flow's log in order, exactly once, as long as no other
// publisher takes over. It is safe for concurrent use. DESIGN.md tells how.
type Publisher struct {
	log    *Log
	epoch  uint64
	id     string
	limits limits
	inbox  string
	acks   *nats.Subscription
	stop   context.CancelFunc
	done   chan struct{}

	wake  chan struct{} // capacity 1: the run loop has something to look at
	moved signal        // something was stored, or the publisher failed

	mu         sync.Mutex
	window     []*pending // what is in flight, by sequence without holes
	sent       int        // how many of the window were sent in this generation
	bytes      int
	next       uint64 // sequence of the next part
	prev       string // id of the part before it
	frames     uint64
	begun      bool   // the first frame is stored: no other order is possible now
	probing    bool   // send only the oldest part, and wait what becomes of it
	generation uint64 // acks of earlier generations are void
	fault      fault
	err        error
	ail        ailment // what keeps parts from being stored
	ailing     bool
}

// Publisher starts the writer of this log for an epoch. It fails with
// ErrFenced if the log ends with a frame of a higher epoch.
//
// The first frame is special: Publish returns when it is stored, because it is
// what fences older publishers out. The caller closes the publisher.
func (l *Log) Publisher(ctx context.Context, epoch uint64) (*Publisher, error) {
	info, err := l.info(ctx)
	if err != nil {
		return nil, l.wrap("publish to", err)
	}
	end, err := l.tail(ctx)
	if err != nil {
		return nil, l.wrap("publish to", err)
	}
	if end.known && end.mark.epoch > epoch {
		return nil, l.wrap("publish to", fmt.Errorf("%w: epoch %d is below %d", ErrFenced, epoch, end.mark.epoch))
	}
	conn := l.broker.conn
	p := &Publisher{
		log: l, epoch: epoch, id: nuid.Next(),
		limits:  limitsOf(conn.MaxPayload(), info.Config.MaxBytes),
		inbox:   conn.NewInbox(),
		done:    make(chan struct{}),
		wake:    make(chan struct{}, 1),
		next:    end.last + 1,
		probing: true,
	}
	if p.acks, err = conn.Subscribe(p.inbox+".>", p.onAck); err != nil {
		return nil, l.wrap("publish to", err)
	}
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = stop
	go p.run(runCtx)
	return p, nil
}

// Publish queues a frame and returns the stream sequence that its first part
// will have. It blocks while too much is in flight, which is how a full log
// slows its writer down; ctx ends that wait, and then the frame is not sent.
// The bodies may be reused as soon as Publish returns. Stored is only what
// Flush has confirmed, and the publisher's first frame.
func (p *Publisher) Publish(ctx context.Context, f Frame) (uint64, error) {
	header := encodeHeader(f.Header)
	bodies, err := p.limits.cut(f.Body, len(header))
	if err != nil {
		return 0, p.log.wrap("publish to", err)
	}
	first, err := p.enqueue(ctx, f.Control, header, bodies)
	if err != nil {
		return 0, p.log.wrap("publish to", err)
	}
	return first, nil
}

// Flush waits until everything published is stored and returns the last
// sequence stored.
func (p *Publisher) Flush(ctx context.Context) (uint64, error) {
	if err := p.await(ctx, func() bool { return len(p.window) == 0 }); err != nil {
		return 0, p.log.wrap("flush", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next - 1, nil
}

// Close ends the publisher and waits for its goroutine. Frames that were not
// flushed may or may not be stored.
func (p *Publisher) Close() {
	p.fail(ErrClosed)
	p.stop()
	<-p.done
}

func (p *Publisher) enqueue(ctx context.Context, control bool, header string, bodies [][]byte) (uint64, error) {
	size := 0
	for _, body := range bodies {
		size += len(body) + len(header) + markRoom
	}
	var first *pending
	var opening bool
	err := p.await(ctx, func() bool {
		opening = p.frames == 0
		if !p.room(size, len(bodies)) {
			return false
		}
		first = p.append(control, header, bodies)
		return true
	})
	if err != nil {
		return 0, err
	}
	p.nudge()
	if !opening {
		return first.seq, nil
	}
	if err := p.await(ctx, func() bool { return p.begun && len(p.window) == 0 }); err != nil {
		// The frame may still get in or not; nobody could go on from here.
		p.fail(err)
		return 0, err
	}
	return first.seq, nil
}

// await blocks until the condition, which is called with the lock held, is true.
func (p *Publisher) await(ctx context.Context, condition func() bool) error {
	for {
		moved := p.moved.wait()
		p.mu.Lock()
		err := p.err
		met := err == nil && condition()
		p.mu.Unlock()
		if met || err != nil {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// fail makes the publisher end with its first error.
func (p *Publisher) fail(err error) {
	p.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	p.mu.Unlock()
	p.moved.fire()
	p.nudge()
}

func (p *Publisher) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
