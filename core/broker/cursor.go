package broker

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Prefetch bounds what lies in memory ahead of the reader.
const (
	prefetchBytes    = 16 << 20
	prefetchMessages = 512
)

// cursor walks the messages of a log in order: those that this process has just stored from memory, others from the server. Its
// consumer there is a throw-away: on any doubt it takes a new one from the sequence that it needs next, and none as long as it stands
// at the log's end.
type cursor struct {
	log  *Log
	next uint64 // 0: wherever the log begins

	atEnd     bool // there was nothing to read from the server
	consumer  jetstream.Consumer
	messages  jetstream.MessagesContext
	session   context.Context // ends when the consumer can't be trusted any more
	delivered uint64          // by this consumer
	closed    bool
}

// open looks at the log, and takes a new consumer if it has something to read.
func (c *cursor) open(ctx context.Context) error {
	more, err := c.log.fits(ctx, c.next)
	if err != nil {
		return err
	}
	if c.atEnd = !more && c.next > 0; c.atEnd {
		return nil
	}
	return c.log.broker.api(ctx, func(ctx context.Context) error {
		session := c.log.broker.session()
		cons, err := c.log.broker.js.CreateConsumer(ctx, c.log.names.stream, c.log.consumer(c.next))
		if err != nil {
			return err
		}
		messages, err := cons.Messages(jetstream.PullMaxMessagesWithBytesLimit(prefetchMessages, prefetchBytes))
		if err != nil {
			c.log.dropConsumer(ctx, cons)
			return err
		}
		c.consumer, c.messages, c.session, c.delivered = cons, messages, session, 0
		return nil
	})
}

// read returns the next part.
func (c *cursor) read(ctx context.Context) (part, error) {
	retry := backoff{first: lookFirst, last: lookLast}
	for {
		p, came, err := c.attempt(ctx)
		switch {
		case came:
			c.next = p.seq + 1
			return p, nil
		case ctx.Err() != nil:
			return part{}, context.Cause(ctx)
		case err == nil:
			continue
		}
		c.drop(ctx)
		if known := final(err); known != nil {
			return part{}, known
		}
		retry.pause(ctx, c.log.broker.link.wait())
	}
}

// attempt waits a while for a part; without one and an error none came.
func (c *cursor) attempt(ctx context.Context) (p part, came bool, err error) {
	if c.closed {
		return part{}, false, ErrClosed
	}
	moved := c.log.recent.moved.wait()
	p, came, passed := c.log.recent.take(c.next)
	switch {
	case came:
		c.drop(ctx)
		c.atEnd = true
		return p, true, nil
	case c.messages != nil:
		return c.receive(ctx)
	case c.atEnd && !passed:
		return part{}, false, c.idle(ctx, moved)
	}
	return part{}, false, c.open(ctx)
}

// idle waits a while for something to be stored.
func (c *cursor) idle(ctx context.Context, moved <-chan struct{}) error {
	silence := time.NewTimer(idleChecks)
	defer silence.Stop()
	select {
	case <-moved:
		return nil
	case <-ctx.Done():
		return nil
	case <-c.log.broker.session().Done():
	case <-silence.C:
	}
	return c.missed(ctx)
}

// receive waits a while for a part from the server.
func (c *cursor) receive(ctx context.Context) (p part, came bool, err error) {
	wait, cancel := context.WithTimeout(ctx, idleChecks)
	defer cancel()
	defer context.AfterFunc(c.session, cancel)()
	msg, err := c.messages.Next(jetstream.NextContext(wait))
	switch {
	case c.session.Err() != nil:
		return part{}, false, errMissed
	case err != nil && wait.Err() != nil && ctx.Err() == nil:
		return part{}, false, c.missed(ctx)
	case err != nil:
		return part{}, false, err
	}
	meta, err := msg.Metadata()
	if err != nil {
		return part{}, false, err
	}
	if meta.Sequence.Consumer != c.delivered+1 {
		return part{}, false, errMissed
	}
	c.delivered++
	return c.log.part(msg, meta.Sequence.Stream), true, nil
}

var errMissed = errors.New("messages were lost on their way from the server")

// missed tells, after a silence, whether the log holds what did not come: a
// connection that broke or a full buffer lose messages without a trace.
func (c *cursor) missed(ctx context.Context) error {
	info, err := c.log.info(ctx)
	if err != nil {
		return err
	}
	s := info.State
	if s.LastSeq+1 < c.next || s.Msgs > 0 && s.LastSeq >= c.next {
		return errMissed
	}
	return nil
}

// drop gives the consumer up; the next read takes a new one.
func (c *cursor) drop(ctx context.Context) {
	c.atEnd = false
	if c.messages == nil {
		return
	}
	c.messages.Stop()
	c.log.dropConsumer(ctx, c.consumer)
	c.messages, c.consumer = nil, nil
}

func (c *cursor) close() {
	if c.closed {
		return
	}
	c.closed = true
	c.drop(context.Background())
	c.log.recent.detach()
}
