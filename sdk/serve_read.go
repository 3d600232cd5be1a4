package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"google.golang.org/grpc"

	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Read implements pluginv1.PluginServer. It stays after the end of input, so that late acknowledgements still arrive, until the
// host closes its side.
func (s *server) Read(stream grpc.BidiStreamingServer[pluginv1.Frame, pluginv1.Frame]) error {
	session := newSession(s, stream)
	defer session.close()
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	request, err := session.begin()
	if err != nil {
		return err
	}
	source, err := open[Source](ctx, s, pluginv1.Kind_KIND_SOURCE, request.GetConfig(), request.GetScratch())
	if err != nil {
		return session.answer(err)
	}
	defer s.close(ctx, source)

	stop := make(chan struct{})
	acks := newAckLoop(ctx, source, session)
	reports := newReporter(session)
	listener := make(chan error, 1)
	go func() {
		err := listen(session, stop, acks)
		if err != nil {
			cancel() // the host is gone or does not keep to the protocol: reading on is in vain
		}
		listener <- err
	}()
	err = acks.first(request.GetRead().GetAcked())
	if err == nil {
		err = source.Read(ctx, ReadRequest{
			Streams: request.GetRead().GetStreams(), Position: request.GetRead().GetPosition(),
			Follow: request.GetRead().GetFollow(), Stop: stop,
		}, &emitter{session: session, reports: reports})
	}
	reports.end()
	if err := session.answer(err); err != nil {
		cancel()
	}
	err = <-listener
	acks.wait()
	return err
}

// listen takes the host's frames until it closes its side.
func listen(session *session, stop chan struct{}, acks *ackLoop) error {
	defer acks.end()
	stopped := false
	for {
		frame, err := session.receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch kind := frame.Head.GetKind().(type) {
		case *pluginv1.Head_Stop:
			if !stopped {
				close(stop)
				stopped = true
			}
		case *pluginv1.Head_Ack:
			acks.offer(kind.Ack.GetPosition())
		default:
			return fmt.Errorf("unexpected frame %T while reading", kind)
		}
	}
}

// ackLoop calls Ack one at a time with the latest position.
type ackLoop struct {
	ctx     context.Context //nolint:containedctx // the loop's goroutine lives as long as the stream whose context this is
	acker   Acker
	session *session
	latest  chan Position
	done    chan struct{}
}

func newAckLoop(ctx context.Context, source Source, session *session) *ackLoop {
	acker, _ := source.(Acker)
	loop := &ackLoop{ctx: ctx, acker: acker, session: session, latest: make(chan Position, 1), done: make(chan struct{})}
	go loop.run()
	return loop
}

func (l *ackLoop) run() {
	defer close(l.done)
	for pos := range l.latest {
		if l.acker == nil {
			continue
		}
		if err := l.acker.Ack(l.ctx, pos); err != nil {
			l.session.server.log.Warn("ack failed, the next one covers it", "error", err)
		}
	}
}

// first repeats the last acknowledgement before reading.
func (l *ackLoop) first(pos Position) error {
	if l.acker == nil || len(pos) == 0 {
		return nil
	}
	return l.acker.Ack(l.ctx, pos)
}

// offer replaces a waiting position by a later one. Only the listener calls it.
func (l *ackLoop) offer(pos Position) {
	select {
	case <-l.latest:
	default:
	}
	l.latest <- pos
}

func (l *ackLoop) end()  { close(l.latest) }
func (l *ackLoop) wait() { <-l.done }

// emitter implements Emitter over a session. Batches may come from several goroutines; a checkpoint waits for them.
type emitter struct {
	session *session
	reports *reporter
	flight  sync.RWMutex
}

func (e *emitter) Schema(ctx context.Context, c SchemaChange) error {
	e.flight.Lock()
	defer e.flight.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	return e.session.sendSchema(c)
}

func (e *emitter) Batch(ctx context.Context, b Batch) error {
	e.flight.RLock()
	defer e.flight.RUnlock()
	if err := ctx.Err(); err != nil {
		b.Record.Release()
		return err
	}
	row := wire.Oversized(b.Record, 0, wire.MaxRow)
	if row < 0 {
		return e.session.sendBatch(b)
	}
	defer b.Record.Release()
	return e.session.sendAround(b, row, func(row int) error { return e.session.sendRejections([]Rejection{tooLarge(b, row)}) })
}

func tooLarge(b Batch, row int) Rejection {
	one := b.Record.NewSlice(int64(row), int64(row+1))
	defer one.Release()
	return Rejection{
		Stream: b.Stream, Code: "row_too_large", Origin: b.Origin, Row: NoRow, Raw: rawPrefix(one),
		Reason: fmt.Sprintf("a row of %d bytes, at most %d are allowed", wire.Size(one), wire.MaxRow),
	}
}

// rawPrefix is the beginning of the row as JSON: enough to recognise it.
func rawPrefix(one arrow.RecordBatch) []byte {
	raw, err := one.MarshalJSON()
	if err != nil {
		return nil
	}
	return raw[:min(len(raw), wire.MaxRaw)]
}

func (e *emitter) Reject(ctx context.Context, r ...Rejection) error {
	e.flight.RLock()
	defer e.flight.RUnlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	return e.session.sendRejections(r)
}

func (e *emitter) Checkpoint(ctx context.Context, pos Position) error {
	e.flight.Lock()
	defer e.flight.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(pos) > MaxPosition {
		return Fatal(fmt.Errorf("a position of %d bytes, at most %d are allowed", len(pos), MaxPosition))
	}
	return e.session.send(&pluginv1.Head{Kind: &pluginv1.Head_Checkpoint{Checkpoint: &pluginv1.Checkpoint{Position: pos}}})
}

// Progress leaves the report to the reporter.
func (e *emitter) Progress(p Progress) { e.reports.offer(p) }
