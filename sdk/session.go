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

// session is one stream of the protocol seen from the plugin: frames in, frames out, and the codecs of the streams and versions
// that travel in each direction. Sending is safe for concurrent use, receiving is for one goroutine.
type session struct {
	grpc.ServerStream
	server *server

	decoders map[string]*decoder

	mu       sync.Mutex
	encoders map[string]*encoder
}

type encoder struct {
	*wire.Encoder
	version int
}

type decoder struct {
	*wire.Decoder
	version int
	change  SchemaChange
}

func newSession(s *server, stream grpc.ServerStream) *session {
	return &session{ServerStream: stream, server: s, decoders: map[string]*decoder{}, encoders: map[string]*encoder{}}
}

func (s *session) close() {
	for _, d := range s.decoders {
		d.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.encoders {
		e.Close()
	}
	s.server.countBuffers()
}

// receive returns the next frame; io.EOF when the host has closed its side.
func (s *session) receive() (*wire.Frame, error) {
	frame := &wire.Frame{}
	if err := s.RecvMsg(frame); err != nil {
		return nil, err
	}
	return frame, nil
}

// begin receives the Open frame.
func (s *session) begin() (*pluginv1.Open, error) {
	frame, err := s.receive()
	if err != nil {
		return nil, err
	}
	open := frame.Head.GetOpen()
	if open == nil {
		return nil, fmt.Errorf("the first frame is %T, expected Open", frame.Head.GetKind())
	}
	return open, nil
}

func (s *session) send(head *pluginv1.Head) error {
	return s.sendFrame(&wire.Frame{Head: head})
}

func (s *session) sendFrame(frame *wire.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.SendMsg(frame)
}

func (s *session) done() error {
	return s.send(&pluginv1.Head{Kind: &pluginv1.Head_Done{Done: &pluginv1.Done{}}})
}

// answer ends a call: Done, or the error. It returns the error only if the host can't be told.
func (s *session) answer(err error) error {
	if err == nil {
		return s.done()
	}
	return s.send(&pluginv1.Head{Kind: &pluginv1.Head_Error{Error: errorFrame(err)}})
}

// sendSchema begins a version of an outgoing stream.
func (s *session) sendSchema(c SchemaChange) error {
	message, err := wire.EncodeSchema(c.Schema)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.encoders[c.Stream]; ok {
		if c.Version <= last.version {
			return Fatal(fmt.Errorf("stream %q: schema version %d follows version %d", c.Stream, c.Version, last.version))
		}
		last.Close()
	}
	s.encoders[c.Stream] = &encoder{Encoder: wire.NewEncoder(c.Schema), version: c.Version}
	return s.SendMsg(&wire.Frame{
		Head: &pluginv1.Head{Kind: &pluginv1.Head_Schema{Schema: &pluginv1.Schema{
			Stream: c.Stream, Version: uint32(c.Version), Key: c.Key, //nolint:gosec // versions are small positive numbers
		}}},
		Body: wire.Bytes(message),
	})
}

// sendBatch cuts the rows into frames. The record is released.
func (s *session) sendBatch(b Batch) error {
	defer b.Record.Release()
	return wire.Cut(b.Record, func(part arrow.RecordBatch) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		e, ok := s.encoders[b.Stream]
		if !ok || e.version != b.Version {
			return Fatal(fmt.Errorf("stream %q: a batch of schema version %d without that version's schema before it", b.Stream, b.Version))
		}
		body, err := e.Encode(part)
		if err != nil {
			return Fatal(fmt.Errorf("stream %q version %d: %w", b.Stream, b.Version, err))
		}
		return s.SendMsg(&wire.Frame{
			Head: &pluginv1.Head{Kind: &pluginv1.Head_Batch{Batch: &pluginv1.Batch{
				Stream: b.Stream, Version: uint32(b.Version), //nolint:gosec // versions are small positive numbers
				Rows: uint64(part.NumRows()), Origin: b.Origin, //nolint:gosec // rows are never negative
			}}},
			Body: body,
		})
	})
}

// sendAround sends the rows that are not too large to travel, and has the others rejected, of which the first is given. The record
// stays the caller's.
func (s *session) sendAround(b Batch, large int, reject func(row int) error) error {
	rows := int(b.Record.NumRows())
	for from := 0; from < rows; from = large + 1 {
		if from > 0 {
			large = wire.Oversized(b.Record, from, wire.MaxRow)
		}
		if large < 0 {
			large = rows
		}
		if large > from {
			part := b
			part.Record = b.Record.NewSlice(int64(from), int64(large))
			if err := s.sendBatch(part); err != nil {
				return err
			}
		}
		if large < rows {
			if err := reject(large); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *session) sendRejections(rejections []Rejection) error {
	const perFrame = 256
	for from := 0; from < len(rejections); from += perFrame {
		reject := &pluginv1.Reject{}
		for _, r := range rejections[from:min(from+perFrame, len(rejections))] {
			reject.Rows = append(reject.Rows, &pluginv1.Rejection{
				Stream: r.Stream, Code: r.Code, Reason: r.Reason, Raw: r.Raw[:min(len(r.Raw), wire.MaxRaw)], Origin: r.Origin, Row: int64(r.Row),
			})
		}
		if err := s.send(&pluginv1.Head{Kind: &pluginv1.Head_Reject{Reject: reject}}); err != nil {
			return err
		}
	}
	return nil
}

// receiveSchema begins a version of an incoming stream.
func (s *session) receiveSchema(head *pluginv1.Schema, body wire.Body) error {
	d, err := wire.NewDecoder(body.Join(), s.server.alloc)
	if err != nil {
		return err
	}
	if last, ok := s.decoders[head.GetStream()]; ok {
		last.Close()
	}
	version := int(head.GetVersion())
	s.decoders[head.GetStream()] = &decoder{Decoder: d, version: version, change: SchemaChange{
		Stream: head.GetStream(), Version: version, Schema: d.Schema(), Key: head.GetKey(),
	}}
	return nil
}

// receiveBatch decodes an incoming batch; the caller owns its record.
func (s *session) receiveBatch(head *pluginv1.Batch, body wire.Body) (Batch, error) {
	d, ok := s.decoders[head.GetStream()]
	if !ok || d.version != int(head.GetVersion()) {
		return Batch{}, fmt.Errorf("stream %q: a batch of version %d came without its schema", head.GetStream(), head.GetVersion())
	}
	record, err := d.Decode(body.Join())
	if err != nil {
		return Batch{}, fmt.Errorf("stream %q: %w", head.GetStream(), err)
	}
	return Batch{Stream: head.GetStream(), Version: d.version, Origin: head.GetOrigin(), Record: record}, nil
}

// schemaChange reads an input or a schema call.
func schemaChange(name string, version uint32, message []byte, key []string) (SchemaChange, error) {
	schema, err := wire.DecodeSchema(message)
	if err != nil {
		return SchemaChange{}, fmt.Errorf("schema of %q: %w", name, err)
	}
	return SchemaChange{Stream: name, Version: int(version), Schema: schema, Key: key}, nil
}

// handler answers one frame of the host.
type handler func(ctx context.Context, frame *wire.Frame) error

// serveCalls is the life of a transform, a check or a sink: open, then calls one after the other until the host closes its side
// or a call fails.
func serveCalls[T closer](
	s *server, stream grpc.ServerStream, kind pluginv1.Kind,
	begin func(context.Context, *session, T, *pluginv1.Open) (handler, error),
) error {
	session := newSession(s, stream)
	defer session.close()
	ctx := stream.Context()
	request, err := session.begin()
	if err != nil {
		return err
	}
	instance, err := open[T](ctx, s, kind, request.GetConfig(), request.GetScratch())
	if err != nil {
		return session.answer(err)
	}
	defer s.close(ctx, instance)
	handle, err := begin(ctx, session, instance, request)
	if err != nil {
		return session.answer(err)
	}
	if err := session.done(); err != nil {
		return err
	}
	return session.serve(func(frame *wire.Frame) error { return handle(ctx, frame) })
}

// serve answers the host's calls one after the other until it closes its side or a call fails.
func (s *session) serve(handle func(*wire.Frame) error) error {
	for {
		frame, err := s.receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := handle(frame); err != nil {
			return s.answer(err)
		}
	}
}
