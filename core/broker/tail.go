package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// tail is what a log ends with.
type tail struct {
	last uint64
	// mark of the message at last; known is false if there is none (an empty
	// log) or it is not Qanat's.
	mark  mark
	known bool
	// lost says that the message at last is gone, though nobody purges a log's newest one: the server came back from a crash
	// with its numbers and without its end.
	lost bool
}

const tailTries = 5

// tail reads what the log ends with, from its leader.
func (l *Log) tail(ctx context.Context) (tail, error) {
	before := uint64(0)
	for range tailTries {
		info, err := l.info(ctx)
		if err != nil {
			return tail{}, err
		}
		t := tail{last: info.State.LastSeq}
		if info.State.Msgs == 0 {
			return t, nil
		}
		header, err := l.peek(ctx, t.last)
		if err != nil {
			return tail{}, err
		}
		if header != nil {
			t.mark, t.known = parseMark(header.Get(headerMark))
			return t, nil
		}
		if t.last == before { // nothing was added and purged meanwhile
			t.lost = true
			return t, nil
		}
		before = t.last
	}
	return tail{}, fmt.Errorf("the log's newest message could not be read in %d tries", tailTries)
}

// peek reads the headers of one message: bodies are too large for the request
// that reads a single message whole. It returns nil if the message is gone.
func (l *Log) peek(ctx context.Context, seq uint64) (header nats.Header, err error) {
	config := l.consumer(seq)
	config.HeadersOnly = true
	err = l.broker.api(ctx, func(ctx context.Context) error {
		cons, err := l.broker.js.CreateConsumer(ctx, l.names.stream, config)
		if err != nil {
			return err
		}
		defer l.dropConsumer(ctx, cons)
		header = nil
		return each(ctx, cons, 1, func(msg jetstream.Msg, at uint64) bool {
			if at == seq {
				header = msg.Headers()
			}
			return false
		})
	})
	return header, err
}

// each visits the messages that a consumer has now, fetched in batches, until visit returns false.
//
// What the server counts as pending is a hint only: after it was killed it may count messages that were purged or lost. The end is
// reached when nothing comes, and, where more was counted, not even to a request that waits.
func each(ctx context.Context, cons jetstream.Consumer, batch int, visit func(msg jetstream.Msg, seq uint64) bool) error {
	pending := cons.CachedInfo().NumPending
	for waited := false; ; {
		messages, err := request(ctx, cons, batch, waited)
		if err != nil {
			return err
		}
		came := false
		for msg := range messages.Messages() {
			meta, err := msg.Metadata()
			if err != nil {
				return err
			}
			came, pending = true, meta.NumPending
			if !visit(msg, meta.Sequence.Stream) {
				return nil
			}
		}
		if err := messages.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
			return err
		}
		if !came && (waited || pending == 0) {
			return ctx.Err() // a connection that was lost gives nothing, too
		}
		waited = !came
	}
}

// requestWait is how long a request waits for messages that the server counted and did not send at once.
const requestWait = 2 * time.Second

func request(ctx context.Context, cons jetstream.Consumer, batch int, wait bool) (jetstream.MessageBatch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if wait {
		return cons.Fetch(batch, jetstream.FetchMaxWait(requestWait))
	}
	return cons.FetchNoWait(batch)
}

// consumer configures an ordered consumer without acks; 0 begins at the oldest message.
func (l *Log) consumer(from uint64) jetstream.ConsumerConfig {
	config := jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverAllPolicy,
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: consumerIdle,
		MemoryStorage:     true,
		Replicas:          1,
	}
	if from > 0 {
		config.DeliverPolicy = jetstream.DeliverByStartSequencePolicy
		config.OptStartSeq = from
	}
	return config
}

// dropConsumer frees the server of a consumer. What it can't drop, the server
// drops itself after consumerIdle.
func (l *Log) dropConsumer(ctx context.Context, cons jetstream.Consumer) {
	if !l.broker.conn.IsConnected() {
		return
	}
	err := l.broker.once(context.WithoutCancel(ctx), func(ctx context.Context) error {
		return l.broker.js.DeleteConsumer(ctx, l.names.stream, cons.CachedInfo().Name)
	})
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		l.broker.logger.Debug("a consumer was left to expire", "flow", l.flow, "error", err)
	}
}
