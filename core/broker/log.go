package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// DefaultMaxBytes is what a log holds unless its settings say otherwise.
const DefaultMaxBytes = 512 << 20

// LogSettings shape a log. Zero values take the default when the log is
// created and leave an existing log as it is.
type LogSettings struct {
	// MaxBytes is where back-pressure begins.
	MaxBytes int64
	// Replicas of the log in a cluster; 1 on a single server.
	Replicas int
}

// State is how full a log is. Last is the sequence of the newest frame's last
// part ever stored, also when it was purged since.
type State struct {
	First, Last     uint64
	Messages, Bytes uint64
	MaxBytes        int64
}

// Log is the durable hand-over of one flow. It is safe for concurrent use.
type Log struct {
	broker *Broker
	flow   string
	names  names
	recent recent
}

// Log opens the log of a flow, and creates it if there is none.
func (b *Broker) Log(ctx context.Context, flow string, s LogSettings) (*Log, error) {
	names, err := namesOf(b.prefix, flow)
	if err != nil {
		return nil, err
	}
	if s.MaxBytes != 0 && s.MaxBytes < minLogBytes {
		return nil, fmt.Errorf("log of flow %q: max bytes is %d, expected at least %d", flow, s.MaxBytes, minLogBytes)
	}
	l := &Log{broker: b, flow: flow, names: names}
	if err := b.api(ctx, func(ctx context.Context) error { return l.open(ctx, s) }); err != nil {
		return nil, fmt.Errorf("open log of flow %q: %w", flow, b.blame(err))
	}
	return l, nil
}

func (l *Log) open(ctx context.Context, s LogSettings) error {
	stream, err := l.broker.js.Stream(ctx, l.names.stream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		_, err = l.broker.js.CreateOrUpdateStream(ctx, l.config(s))
	case err == nil && s.differ(stream.CachedInfo().Config):
		_, err = l.broker.js.UpdateStream(ctx, s.applied(stream.CachedInfo().Config))
	}
	return err
}

// Flow is the name that the log was opened by.
func (l *Log) Flow() string { return l.flow }

// State asks the server how full the log is.
func (l *Log) State(ctx context.Context) (State, error) {
	info, err := l.info(ctx)
	if err != nil {
		return State{}, l.wrap("read the state of", err)
	}
	s := info.State
	return State{First: s.FirstSeq, Last: s.LastSeq, Messages: s.Msgs, Bytes: s.Bytes, MaxBytes: info.Config.MaxBytes}, nil
}

// Purge removes what is at or below a sequence, except the newest message of
// the log: publishers tell from it what the log ends with.
func (l *Log) Purge(ctx context.Context, upto uint64) error {
	if err := l.broker.api(ctx, func(ctx context.Context) error { return l.purge(ctx, upto) }); err != nil {
		return l.wrap("purge", err)
	}
	l.broker.purged(l.names.stream).fire()
	return nil
}

func (l *Log) purge(ctx context.Context, upto uint64) error {
	stream, err := l.broker.js.Stream(ctx, l.names.stream)
	if err != nil {
		return err
	}
	state := stream.CachedInfo().State
	keep := min(upto, state.LastSeq-min(state.LastSeq, 1)) + 1
	if state.Msgs == 0 || keep <= state.FirstSeq {
		return nil
	}
	return stream.Purge(ctx, jetstream.WithPurgeSequence(keep))
}

// Delete removes the log. A log that does not exist is no error.
func (l *Log) Delete(ctx context.Context) error {
	err := l.broker.api(ctx, func(ctx context.Context) error { return l.broker.js.DeleteStream(ctx, l.names.stream) })
	if err != nil && !errors.Is(err, ErrLogNotFound) {
		return l.wrap("delete", err)
	}
	return nil
}

func (l *Log) config(s LogSettings) jetstream.StreamConfig {
	return s.applied(jetstream.StreamConfig{
		Name:        l.names.stream,
		Description: "log of Qanat flow " + l.flow,
		Subjects:    []string{l.names.data, l.names.control},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew,
		MaxBytes:    DefaultMaxBytes,
		Replicas:    1,
		// Order is kept by expected sequences and ids. The server can't turn
		// de-duplication off; this is the least that it takes.
		Duplicates: 100 * time.Millisecond,
		DenyDelete: true,
	})
}

func (s LogSettings) differ(c jetstream.StreamConfig) bool {
	applied := s.applied(c)
	return applied.MaxBytes != c.MaxBytes || applied.Replicas != c.Replicas
}

func (s LogSettings) applied(c jetstream.StreamConfig) jetstream.StreamConfig {
	if s.MaxBytes != 0 {
		c.MaxBytes = s.MaxBytes
	}
	if s.Replicas != 0 {
		c.Replicas = s.Replicas
	}
	return c
}

// takeoverRoom is added to a full log so that a takeover frame gets in.
const takeoverRoom = 64 << 10

// widen makes room for a takeover frame in a log that is full: its reader may
// be gone and only come back after the takeover. Log takes the room back.
func (l *Log) widen(ctx context.Context) error {
	return l.broker.api(ctx, func(ctx context.Context) error {
		stream, err := l.broker.js.Stream(ctx, l.names.stream)
		if err != nil {
			return err
		}
		info := stream.CachedInfo()
		config := info.Config
		config.MaxBytes = max(config.MaxBytes, int64(info.State.Bytes)) + takeoverRoom //nolint:gosec // a store is far below 2^63 bytes
		_, err = l.broker.js.UpdateStream(ctx, config)
		return err
	})
}

func (l *Log) info(ctx context.Context) (info *jetstream.StreamInfo, err error) {
	err = l.broker.api(ctx, func(ctx context.Context) error {
		stream, err := l.broker.js.Stream(ctx, l.names.stream)
		if err == nil {
			info = stream.CachedInfo()
		}
		return err
	})
	return info, err
}

func (l *Log) wrap(verb string, err error) error {
	return fmt.Errorf("%s the log of flow %q: %w", verb, l.flow, l.broker.blame(err))
}
