package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// ReadRequest says what a source is to read.
type ReadRequest struct {
	Streams  []string     // empty means all
	Position sdk.Position // of the last unit in the ledger; empty at the first read
	Follow   bool
	Acked    sdk.Position // the latest acknowledged position, which the source is told again
}

// Event is what a source emits: SchemaEvent, BatchEvent, RejectEvent, CheckpointEvent or ProgressEvent.
type Event interface{ event() }

// SchemaEvent begins a version of a stream; it comes before the version's first batch.
type SchemaEvent sdk.SchemaChange

// BatchEvent is rows, owned by whoever takes the event.
type BatchEvent sdk.Batch

// RejectEvent is records for quarantine.
type RejectEvent []sdk.Rejection

// CheckpointEvent is an sdk.Position that includes all events before it.
type CheckpointEvent json.RawMessage

// ProgressEvent tells people how far the source is.
type ProgressEvent sdk.Progress

func (SchemaEvent) event()     {}
func (BatchEvent) event()      {}
func (RejectEvent) event()     {}
func (CheckpointEvent) event() {}
func (ProgressEvent) event()   {}

// Read is a source that is being read. Next is for one caller; Ack, Stop and Close may be called beside it.
type Read struct {
	s       *session
	streams map[string]bool // asked for; empty means all
	done    atomic.Bool     // the end of input has been received
	stop    sync.Once
	watch   sync.WaitGroup
}

// Read launches a source and begins to read. The context bounds only the launch.
func (h *Host) Read(ctx context.Context, inst Instance, req ReadRequest) (*Read, error) {
	inst, err := inst.of(registry.Source)
	if err != nil {
		return nil, err
	}
	s, err := h.open(ctx, inst, pluginv1.Plugin_Read_FullMethodName)
	if err != nil {
		return nil, err
	}
	r := &Read{s: s, streams: map[string]bool{}}
	for _, name := range req.Streams {
		r.streams[name] = true
	}
	err = s.send(ctx, s.opening(&pluginv1.Open{Read: &pluginv1.Read{
		Streams: req.Streams, Position: req.Position, Follow: req.Follow, Acked: req.Acked,
	}}))
	if err != nil {
		err = s.why(err)
		_ = s.close()
		return nil, err
	}
	r.watch.Go(r.watchLife)
	return r, nil
}

// Next waits for the next event. At the end of input, or after Stop once the source has emitted what it held, it is io.EOF; then
// Ack may still be called, until Close. A cancelled context ends only the waiting, no event is lost.
func (r *Read) Next(ctx context.Context) (Event, error) {
	r.s.recvMu.Lock()
	defer r.s.recvMu.Unlock()
	if r.done.Load() {
		return nil, io.EOF
	}
	frame, err := r.s.next(ctx)
	if err != nil {
		return nil, err
	}
	switch kind := frame.Head.GetKind().(type) {
	case *pluginv1.Head_Done:
		r.done.Store(true)
		return nil, io.EOF
	case *pluginv1.Head_Error:
		return nil, r.s.fail(r.s.inst.from(sdkError(kind.Error)))
	}
	event, err := r.event(frame)
	if err != nil {
		return nil, r.s.abort(err)
	}
	return event, nil
}

func (r *Read) event(frame *wire.Frame) (Event, error) {
	switch kind := frame.Head.GetKind().(type) {
	case *pluginv1.Head_Schema:
		if name := kind.Schema.GetStream(); len(r.streams) > 0 && !r.streams[name] {
			return nil, r.s.inst.violation("stream %.60q was not asked for", name)
		}
		change, err := r.s.in.schema(kind.Schema, frame.Body)
		return SchemaEvent(change), err
	case *pluginv1.Head_Batch:
		batch, err := r.s.in.batch(kind.Batch, frame.Body)
		return BatchEvent(batch), err
	case *pluginv1.Head_Reject:
		rejections, err := r.s.in.rejections(kind.Reject.GetRows(), nil)
		return RejectEvent(rejections), err
	case *pluginv1.Head_Checkpoint:
		position := kind.Checkpoint.GetPosition()
		return CheckpointEvent(position), r.s.in.position(position)
	case *pluginv1.Head_Progress:
		p := kind.Progress
		return ProgressEvent{
			Stream: cut(p.GetStream()), Rows: p.GetRows(), Bytes: p.GetBytes(), TotalRows: p.GetTotalRows(),
			TotalBytes: p.GetTotalBytes(), Message: cut(p.GetMessage()), Lag: sdk.LagOf(p.GetLag()),
		}, nil
	}
	return nil, r.s.inst.violation("a frame %T while reading", frame.Head.GetKind())
}

// Ack tells the source that everything up to the position is durable. It does not wait for the source to act on it.
func (r *Read) Ack(pos sdk.Position) error {
	return r.tell("ack", &pluginv1.Head{Kind: &pluginv1.Head_Ack{Ack: &pluginv1.Ack{Position: pos}}})
}

// Stop asks the source to come to an end. Go on with Next until io.EOF. Calls after the first do nothing.
func (r *Read) Stop() error {
	var err error
	r.stop.Do(func() {
		r.s.patience.owe("stop", r.s.host.settings.Deadlines.Stop)
		err = r.tell("stop", &pluginv1.Head{Kind: &pluginv1.Head_Stop{Stop: &pluginv1.Stop{}}})
	})
	return err
}

// tell sends a small frame that is not answered. A plugin that does not take it in time is killed.
func (r *Read) tell(what string, head *pluginv1.Head) error {
	limit := r.s.host.settings.Deadlines.Answer
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, r.s.inst.late(what, limit))
	defer cancel()
	return r.s.why(r.s.send(ctx, head))
}

// Close ends the stream and the process. A source that has come to its end is given time to act on the last Ack and to close what
// it holds; one that is still reading is ended at once.
func (r *Read) Close() error {
	if !r.done.Load() {
		_ = r.s.fail(ErrClosed)
	}
	err := r.s.close()
	r.watch.Wait()
	return err
}

// watchLife asks a source that sends nothing whether its process still answers. One that waits for its system does; one that is
// stuck does not.
func (r *Read) watchLife() {
	interval := r.s.host.settings.Deadlines.Liveness
	tick := time.NewTicker(interval)
	defer tick.Stop()
	health := grpc_health_v1.NewHealthClient(r.s.Conn())
	beats := uint64(0)
	for {
		select {
		case <-r.s.quit:
			return
		case <-r.s.pumped:
			return
		case <-tick.C:
		}
		if now := r.s.beats.Load(); now != beats {
			beats = now
			continue
		}
		ctx, cancel := context.WithTimeout(r.s.stream.Context(), interval)
		_, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: goplugin.GRPCServiceName})
		late := errors.Is(ctx.Err(), context.DeadlineExceeded)
		cancel()
		if err != nil && late {
			_ = r.s.abort(r.s.inst.late(fmt.Sprintf("are you alive (silent for %v)", interval), interval))
			return
		}
	}
}
