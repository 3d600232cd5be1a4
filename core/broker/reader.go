package broker

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Reader follows a log in order. It keeps no position on the server: who reads
// again says from where. It must be used by one goroutine at a time, and bodies of messages must not be written to.
type Reader struct {
	cursor cursor
	frames assembler
}

// Read opens a reader over all frames from a stream sequence on; 0 means from
// the oldest message there is. It fails with ErrLogCutBack if the log ends
// before from-1. The caller closes the reader.
func (l *Log) Read(ctx context.Context, from uint64) (*Reader, error) {
	r := &Reader{cursor: cursor{log: l, next: from}}
	l.recent.attach()
	if err := r.cursor.open(ctx); err != nil {
		r.Close()
		return nil, l.wrap("read", err)
	}
	return r, nil
}

// Next returns the next frame and blocks until there is one or ctx ends. It
// gets over lost connections and restarted servers. A *GapError reports
// messages that were purged ahead of the reader; calling Next again goes on
// behind them. Other errors, except the context's, are final.
func (r *Reader) Next(ctx context.Context) (Message, error) {
	for {
		f, ok := r.frames.pop()
		switch {
		case ok && f.gap != nil:
			return Message{}, f.gap
		case ok:
			return f.message, nil
		}
		expected := r.cursor.next
		p, err := r.cursor.read(ctx)
		if err != nil {
			return Message{}, r.cursor.log.wrap("read", err)
		}
		if expected != 0 && p.seq > expected {
			r.frames.skip(expected, p.seq-1)
		}
		r.frames.take(p)
	}
}

// Close ends the reader.
func (r *Reader) Close() { r.cursor.close() }

// Controls returns all control frames from a stream sequence (0: the oldest) to
// the current end, without reading the data between them.
func (l *Log) Controls(ctx context.Context, from uint64) ([]Message, error) {
	var frames assembler
	err := l.broker.api(ctx, func(ctx context.Context) error {
		frames = assembler{}
		return l.controls(ctx, from, &frames)
	})
	if err != nil {
		return nil, l.wrap("read the control frames of", err)
	}
	frames.flush()
	messages := make([]Message, 0, len(frames.ready))
	for _, f := range frames.ready {
		messages = append(messages, f.message)
	}
	return messages, nil
}

const controlsPerFetch = 256

func (l *Log) controls(ctx context.Context, from uint64, frames *assembler) error {
	config := l.consumer(from)
	config.FilterSubject = l.names.control
	cons, err := l.broker.js.CreateConsumer(ctx, l.names.stream, config)
	if err != nil {
		return err
	}
	defer l.dropConsumer(ctx, cons)
	return each(ctx, cons, controlsPerFetch, func(msg jetstream.Msg, seq uint64) bool {
		frames.take(l.part(msg, seq))
		return true
	})
}

func (l *Log) part(msg jetstream.Msg, seq uint64) part {
	p := part{seq: seq, control: msg.Subject() == l.names.control, header: msg.Headers().Get(headerUser), body: msg.Data()}
	p.mark, p.ours = parseMark(msg.Headers().Get(headerMark))
	if meta, err := msg.Metadata(); err == nil {
		p.time = meta.Timestamp
	}
	return p
}

// fits tells whether a reader that wants to go on from a sequence stands on this log, and whether there is something for it to read.
func (l *Log) fits(ctx context.Context, next uint64) (more bool, err error) {
	info, err := l.info(ctx)
	if err != nil {
		return false, err
	}
	last := info.State.LastSeq
	if next > last+1 {
		return false, fmt.Errorf("%w: it ends at %d, the reader is at %d", ErrLogCutBack, last, next)
	}
	return next <= last, nil
}
