package strict

import (
	"context"
	"errors"
	"io"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Event is what a source emits; one of the fields is set.
type Event struct {
	Schema     *sdk.SchemaChange
	Batch      *sdk.Batch // owned by whoever takes the event
	Rejections []sdk.Rejection
	Checkpoint sdk.Position
	Progress   *sdk.Progress
}

// Read is a source that is being read. Next is for one goroutine; Ack and Stop may be called beside it.
type Read struct {
	s       *stream
	streams map[string]bool
}

// ReadRequest says what a source is to read.
type ReadRequest struct {
	Streams  []string
	Position sdk.Position
	Follow   bool
	Acked    sdk.Position
}

// Read begins to read.
func (p *Process) Read(ctx context.Context, config []byte, req ReadRequest) (*Read, error) {
	s, err := p.open(ctx, pluginv1.Plugin_Read_FullMethodName, config, &pluginv1.Open{Read: &pluginv1.Read{
		Streams: req.Streams, Position: req.Position, Follow: req.Follow, Acked: req.Acked,
	}})
	if err != nil {
		return nil, err
	}
	r := &Read{s: s, streams: map[string]bool{}}
	for _, name := range req.Streams {
		r.streams[name] = true
	}
	return r, nil
}

// Next waits for the next event. At the end of input it is io.EOF; Ack may still be called then, until Close.
func (r *Read) Next() (Event, error) {
	frame, err := r.s.receive("read")
	if errors.Is(err, io.EOF) {
		return Event{}, violation("it ended the stream before the host closed its side")
	}
	if err != nil {
		return Event{}, err
	}
	switch kind := frame.Head.GetKind().(type) {
	case *pluginv1.Head_Done:
		return Event{}, io.EOF
	case *pluginv1.Head_Schema:
		if name := kind.Schema.GetStream(); len(r.streams) > 0 && !r.streams[name] {
			return Event{}, violation("stream %.60q was not asked for", name)
		}
		change, err := r.s.schema(kind.Schema, frame.Body)
		return Event{Schema: &change}, err
	case *pluginv1.Head_Batch:
		batch, err := r.s.batch(kind.Batch, frame.Body)
		return Event{Batch: &batch}, err
	case *pluginv1.Head_Reject:
		rejections, err := r.s.rejections(kind.Reject.GetRows(), 1, 0, nil)
		return Event{Rejections: rejections}, err
	case *pluginv1.Head_Checkpoint:
		return Event{Checkpoint: kind.Checkpoint.GetPosition()}, checkPosition(kind.Checkpoint.GetPosition())
	case *pluginv1.Head_Progress:
		p := kind.Progress
		r.s.say(p.GetMessage())
		return Event{Progress: &sdk.Progress{
			Stream: p.GetStream(), Rows: p.GetRows(), Bytes: p.GetBytes(), TotalRows: p.GetTotalRows(), TotalBytes: p.GetTotalBytes(), Message: p.GetMessage(),
			Lag: sdk.LagOf(p.GetLag()),
		}}, nil
	}
	return Event{}, violation("a frame %T while reading", frame.Head.GetKind())
}

// Ack tells the source that everything up to the position is durable.
func (r *Read) Ack(pos sdk.Position) error {
	return r.s.send(&pluginv1.Head{Kind: &pluginv1.Head_Ack{Ack: &pluginv1.Ack{Position: pos}}})
}

// Stop asks the source to come to an end.
func (r *Read) Stop() error {
	return r.s.send(&pluginv1.Head{Kind: &pluginv1.Head_Stop{Stop: &pluginv1.Stop{}}})
}

// Cancel aborts the read, as a host does that is in a hurry.
func (r *Read) Cancel() { r.s.drop() }

// Interrupt makes a waiting Next return with an error; it is safe beside it. Cancel must follow.
func (r *Read) Interrupt() { r.s.cancel(context.Canceled) }

// Close ends a read that has come to its end, in order.
func (r *Read) Close() error { return r.s.hangUp() }
