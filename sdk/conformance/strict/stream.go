package strict

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// stream is the life of one instance: frames out, frames in. Sending and receiving may happen at the same time, each by one
// goroutine.
type stream struct {
	*Process
	grpc   grpc.ClientStream
	ctx    context.Context //nolint:containedctx // the stream's own, which a late answer cancels
	cancel context.CancelCauseFunc

	mu   sync.Mutex // of out
	out  map[string]*encoder
	in   map[string]*decoder
	keys map[string][]string
}

type encoder struct {
	*wire.Encoder
	version int
}

type decoder struct {
	*wire.Decoder
	version int
}

// open makes a stream and sends its first frame.
func (p *Process) open(ctx context.Context, method string, config []byte, open *pluginv1.Open) (*stream, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	raw, err := p.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		cancel(nil)
		return nil, p.broken(err)
	}
	s := &stream{
		Process: p, grpc: raw, ctx: ctx, cancel: cancel, out: map[string]*encoder{}, in: map[string]*decoder{}, keys: map[string][]string{},
	}
	open.Config, open.Scratch = config, p.scratch
	if err := s.send(&pluginv1.Head{Kind: &pluginv1.Head_Open{Open: open}}); err != nil && !errors.Is(err, errEnded) {
		s.drop()
		return nil, err
	}
	return s, nil
}

// errEnded is what a sender sees when the plugin's side has ended; why is known to the receiver.
var errEnded = errors.New("the plugin has ended the stream")

func (s *stream) send(head *pluginv1.Head) error { return s.sendFrame(&wire.Frame{Head: head}) }

func (s *stream) sendFrame(frame *wire.Frame) error {
	late := time.AfterFunc(s.spec.Limit, func() {
		s.cancel(&Late{Call: fmt.Sprintf("take a frame %T", frame.Head.GetKind()), Limit: s.spec.Limit})
	})
	defer late.Stop()
	err := s.grpc.SendMsg(frame)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return errEnded
	case s.ctx.Err() != nil:
		return context.Cause(s.ctx)
	}
	return s.broken(err)
}

// receive is the next frame; io.EOF when the plugin has ended the stream in order. An error frame is an error.
func (s *stream) receive(call string) (*wire.Frame, error) {
	late := time.AfterFunc(s.spec.Limit, func() { s.cancel(&Late{Call: call, Limit: s.spec.Limit}) })
	defer late.Stop()
	frame := &wire.Frame{}
	err := s.grpc.RecvMsg(frame)
	switch {
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	case err != nil && s.ctx.Err() != nil:
		return nil, context.Cause(s.ctx)
	case err != nil:
		return nil, s.broken(err)
	}
	if failed := frame.Head.GetError(); failed != nil {
		s.say(failed.GetMessage(), failed.GetPath())
		return nil, reported(failed)
	}
	return frame, nil
}

// drop ends the stream at once, as a host that aborts does.
func (s *stream) drop() {
	s.cancel(context.Canceled)
	s.free()
}

func (s *stream) free() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.out {
		e.Close()
	}
	for _, d := range s.in {
		d.Close()
	}
	clear(s.out)
	clear(s.in)
}

// hangUp closes the host's side and waits for the plugin's, so that it can free what it holds.
func (s *stream) hangUp() error {
	defer s.drop()
	if err := s.grpc.CloseSend(); err != nil {
		return s.broken(err)
	}
	for {
		frame, err := s.receive("close")
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if frame.Head.GetProgress() == nil {
			return violation("a frame %T after the host had closed its side", frame.Head.GetKind())
		}
	}
}

// sendBatch sends the rows in parts that fit, calling after for each part that was sent.
func (s *stream) sendBatch(b sdk.Batch, after func(rows int64) error) error {
	e, err := s.encoder(b)
	if err != nil {
		return err
	}
	return wire.Cut(b.Record, func(part arrowBatch) error {
		s.mu.Lock()
		body, err := e.Encode(part)
		s.mu.Unlock()
		if err != nil {
			return err
		}
		err = s.sendFrame(&wire.Frame{
			Head: &pluginv1.Head{Kind: &pluginv1.Head_Batch{Batch: &pluginv1.Batch{
				Stream: b.Stream, Version: uint32(b.Version), Rows: uint64(part.NumRows()), Origin: b.Origin, //nolint:gosec // small and positive
			}}},
			Body: body,
		})
		if err != nil && !errors.Is(err, errEnded) {
			return err
		}
		return after(part.NumRows())
	})
}

// encoder returns the one for the batch, announcing the schema if its version is new.
func (s *stream) encoder(b sdk.Batch) (*encoder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, known := s.out[b.Stream]
	if known && last.version == b.Version {
		return last, nil
	}
	message, err := wire.EncodeSchema(b.Record.Schema())
	if err != nil {
		return nil, err
	}
	err = s.sendFrame(&wire.Frame{
		Head: &pluginv1.Head{Kind: &pluginv1.Head_Schema{Schema: &pluginv1.Schema{
			Stream: b.Stream, Version: uint32(b.Version), Key: s.keys[b.Stream], //nolint:gosec // small and positive
		}}},
		Body: wire.Bytes(message),
	})
	if err != nil && !errors.Is(err, errEnded) {
		return nil, err
	}
	if known {
		last.Close()
	}
	e := &encoder{Encoder: wire.NewEncoder(b.Record.Schema()), version: b.Version}
	s.out[b.Stream] = e
	return e, nil
}

// schema begins a version of an incoming stream.
func (s *stream) schema(head *pluginv1.Schema, body wire.Body) (sdk.SchemaChange, error) {
	name, version := head.GetStream(), int64(head.GetVersion())
	if err := checkName(name); err != nil {
		return sdk.SchemaChange{}, err
	}
	last, known := s.in[name]
	if version < 1 || version > math.MaxInt32 || known && version <= int64(last.version) {
		return sdk.SchemaChange{}, violation("stream %q: schema version %d, expected one after the last", name, version)
	}
	d, err := wire.NewDecoder(body.Join(), alloc)
	if err != nil {
		return sdk.SchemaChange{}, violation("stream %q: %v", name, err)
	}
	if err := checkColumns(d.Schema(), head.GetKey()); err != nil {
		d.Close()
		return sdk.SchemaChange{}, violation("stream %q: %v", name, err)
	}
	if known {
		last.Close()
	}
	s.in[name] = &decoder{Decoder: d, version: int(version)}
	return sdk.SchemaChange{Stream: name, Version: int(version), Schema: d.Schema(), Key: head.GetKey()}, nil
}

// batch decodes rows of a version that has begun, and validates all of their values. The caller owns the record.
func (s *stream) batch(head *pluginv1.Batch, body wire.Body) (sdk.Batch, error) {
	d, known := s.in[head.GetStream()]
	if !known || int64(d.version) != int64(head.GetVersion()) {
		return sdk.Batch{}, violation("stream %q: a batch of schema version %d, whose schema did not come before it", head.GetStream(), head.GetVersion())
	}
	record, err := d.Decode(body.Join())
	if err != nil {
		return sdk.Batch{}, violation("stream %q: %v", head.GetStream(), err)
	}
	if rows := record.NumRows(); uint64(rows) != head.GetRows() { //nolint:gosec // rows are never negative
		record.Release()
		return sdk.Batch{}, violation("stream %q: a batch of %d rows was announced with %d", head.GetStream(), rows, head.GetRows())
	}
	if n := wire.Oversized(record, 0, wire.MaxRow+1); n >= 0 {
		record.Release()
		return sdk.Batch{}, violation("stream %q: row %d is larger than the %d bytes that a row may have", head.GetStream(), n, wire.MaxRow)
	}
	return sdk.Batch{Stream: head.GetStream(), Version: d.version, Origin: head.GetOrigin(), Record: record}, nil
}
