package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// DefaultJournalBytes is what a journal holds.
const DefaultJournalBytes = 256 << 20

// Journal is a list of what was noted, which many processes may add to. When it is full, the oldest entries go. It is safe for concurrent
// use.
type Journal struct {
	broker  *Broker
	name    string
	stream  string
	subject string
}

// Entry is one note of a journal.
type Entry struct {
	ID   string
	Time time.Time // when it was stored
	Body []byte
}

// Journal opens a journal, and makes it if it is not there. A name has letters, digits, '-' and '_'.
func (b *Broker) Journal(ctx context.Context, name string) (*Journal, error) {
	j := &Journal{broker: b, name: name, stream: b.prefix + "-journal-" + escape(name), subject: b.prefix + ".journal." + escape(name)}
	err := b.api(ctx, func(ctx context.Context) error {
		_, err := b.js.Stream(ctx, j.stream)
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
		_, err = b.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: j.stream, Description: "journal of Qanat: " + name, Subjects: []string{j.subject}, Retention: jetstream.LimitsPolicy,
			Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld, MaxBytes: DefaultJournalBytes, Replicas: 1,
			Duplicates: 2 * time.Minute, DenyDelete: true,
		})
		return err
	})
	if err != nil {
		return nil, j.wrap("open", err)
	}
	return j, nil
}

// Add notes something, and returns when it is stored. An entry whose id came within the last two minutes is there already.
func (j *Journal) Add(ctx context.Context, id string, body []byte) error {
	err := j.broker.api(ctx, func(ctx context.Context) error {
		_, err := j.broker.js.Publish(ctx, j.subject, body, jetstream.WithMsgID(id))
		return err
	})
	if err != nil {
		return j.wrap("write to", err)
	}
	return nil
}

const entriesPerFetch = 256

// Read visits the entries from a time on (zero: all) to what is there now, in their order, until visit returns false.
func (j *Journal) Read(ctx context.Context, from time.Time, visit func(Entry) bool) error {
	config := jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: consumerIdle,
		MemoryStorage: true, Replicas: 1,
	}
	if !from.IsZero() {
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &from
	}
	for {
		entries, last, err := j.fetch(ctx, config)
		if err != nil {
			return j.wrap("read", err)
		}
		for _, e := range entries {
			if !visit(e) {
				return nil
			}
		}
		if len(entries) < entriesPerFetch {
			return nil
		}
		config.DeliverPolicy, config.OptStartTime, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, nil, last+1
	}
}

// fetch reads some entries, and tells the sequence of the last.
func (j *Journal) fetch(ctx context.Context, config jetstream.ConsumerConfig) (entries []Entry, last uint64, err error) {
	err = j.broker.api(ctx, func(ctx context.Context) error {
		entries = nil
		cons, err := j.broker.js.CreateConsumer(ctx, j.stream, config)
		if err != nil {
			return err
		}
		defer func() { _ = j.broker.js.DeleteConsumer(context.WithoutCancel(ctx), j.stream, cons.CachedInfo().Name) }()
		return each(ctx, cons, entriesPerFetch, func(msg jetstream.Msg, seq uint64) bool {
			e := Entry{ID: msg.Headers().Get(jetstream.MsgIDHeader), Body: msg.Data()}
			if meta, err := msg.Metadata(); err == nil {
				e.Time = meta.Timestamp
			}
			entries, last = append(entries, e), seq
			return len(entries) < entriesPerFetch
		})
	})
	return entries, last, err
}

func (j *Journal) wrap(verb string, err error) error {
	return fmt.Errorf("%s the journal %q: %w", verb, j.name, j.broker.blame(err))
}
