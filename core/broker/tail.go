package broker

import (
	"context"
	"errors"
	"fmt"

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
}

const tailTries = 5

// tail reads what the log ends with, from its leader.
func (l *Log) tail(ctx context.Context) (tail, error) {
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
		// Purged meanwhile, so the log has grown: look again.
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
		if cons.CachedInfo().NumPending == 0 {
			return nil
		}
		return fetch(ctx, cons, 1, func(msg jetstream.Msg, at uint64) {
			if at == seq {
				header = msg.Headers()
			}
		})
	})
	return header, err
}

// fetch takes exactly n messages from a consumer.
func fetch(ctx context.Context, cons jetstream.Consumer, n int, each func(msg jetstream.Msg, seq uint64)) error {
	batch, err := cons.Fetch(n, jetstream.FetchContext(ctx))
	if err != nil {
		return err
	}
	for msg := range batch.Messages() {
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		each(msg, meta.Sequence.Stream)
		n--
	}
	if n > 0 {
		return errors.Join(batch.Error(), errShort)
	}
	return nil
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
