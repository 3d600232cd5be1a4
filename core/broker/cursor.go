package broker

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// Prefetch bounds what lies in memory ahead of the reader.
const (
	prefetchBytes    = 16 << 20
	prefetchMessages = 512
)

// cursor walks the messages of a log in order. Its consumer is a throw-away:
// on any doubt it takes a new one from the sequence that it needs next.
type cursor struct {
	log  *Log
	next uint64 // 0: wherever the log begins

	consumer  jetstream.Consumer
	messages  jetstream.MessagesContext
	session   context.Context // ends when the consumer can't be trusted any more
	delivered uint64          // by this consumer
	closed    bool
}

// open takes a new consumer.
func (c *cursor) open(ctx context.Context) error {
	if err := c.log.fits(ctx, c.next); err != nil {
		return err
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

// read returns the next message and its sequence.
func (c *cursor) read(ctx context.Context) (jetstream.Msg, uint64, error) {
	retry := backoff{first: lookFirst, last: lookLast}
	for {
		msg, err := c.attempt(ctx)
		switch {
		case msg != nil:
			return msg, c.next - 1, nil
		case ctx.Err() != nil:
			return nil, 0, context.Cause(ctx)
		case err == nil:
			continue
		}
		c.drop(ctx)
		if known := final(err); known != nil {
			return nil, 0, known
		}
		retry.pause(ctx, c.log.broker.link.wait())
	}
}

// attempt waits a while for a message; nil without an error means none came.
func (c *cursor) attempt(ctx context.Context) (jetstream.Msg, error) {
	if c.closed {
		return nil, ErrClosed
	}
	if c.messages == nil {
		if err := c.open(ctx); err != nil {
			return nil, err
		}
	}
	wait, cancel := context.WithTimeout(ctx, idleChecks)
	defer cancel()
	defer context.AfterFunc(c.session, cancel)()
	msg, err := c.messages.Next(jetstream.NextContext(wait))
	switch {
	case c.session.Err() != nil:
		return nil, errMissed
	case err != nil && wait.Err() != nil && ctx.Err() == nil:
		return nil, c.missed(ctx)
	case err != nil:
		return nil, err
	}
	meta, err := msg.Metadata()
	if err != nil {
		return nil, err
	}
	if meta.Sequence.Consumer != c.delivered+1 {
		return nil, errMissed
	}
	c.delivered++
	c.next = meta.Sequence.Stream + 1
	return msg, nil
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
	if c.messages == nil {
		return
	}
	c.messages.Stop()
	c.log.dropConsumer(ctx, c.consumer)
	c.messages, c.consumer = nil, nil
}

func (c *cursor) close() {
	c.closed = true
	c.drop(context.Background())
}
