package sdk

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Write implements pluginv1.PluginServer.
func (s *server) Write(stream grpc.BidiStreamingServer[pluginv1.Frame, pluginv1.Frame]) error {
	return serveCalls(s, stream, pluginv1.Kind_KIND_SINK,
		func(ctx context.Context, session *session, sink Sink, request *pluginv1.Open) (handler, error) {
			calls := &sinkCalls{session: session, sink: sink}
			return calls.handle, calls.open(ctx, request.GetWrite())
		})
}

type sinkCalls struct {
	session *session
	sink    Sink
}

// open tells the sink about its flow, and the host what the sink promises.
func (c *sinkCalls) open(ctx context.Context, write *pluginv1.Write) error {
	opened, err := c.sink.Open(ctx, OpenRequest{Flow: write.GetFlow(), Mode: WriteMode(write.GetMode()), Key: write.GetKey()})
	if err != nil {
		return err
	}
	return c.session.send(&pluginv1.Head{Kind: &pluginv1.Head_Opened{Opened: &pluginv1.Opened{
		Guarantee: string(opened.Guarantee), PreferredRows: opened.PreferredRows, PreferredBytes: opened.PreferredBytes,
		External: &pluginv1.ExternalDataset{Namespace: opened.External.Namespace, Name: opened.External.Name},
	}}})
}

func (c *sinkCalls) handle(ctx context.Context, frame *wire.Frame) error {
	var err error
	switch kind := frame.Head.GetKind().(type) {
	case *pluginv1.Head_PlanSchema:
		err = c.planSchema(ctx, kind.PlanSchema)
	case *pluginv1.Head_ApplySchema:
		err = c.applySchema(ctx, kind.ApplySchema)
	case *pluginv1.Head_Begin:
		err = c.begin(ctx, kind.Begin.GetEpoch())
	case *pluginv1.Head_Schema:
		return c.session.receiveSchema(kind.Schema, frame.Body)
	case *pluginv1.Head_Batch:
		err = c.write(ctx, kind.Batch, frame.Body)
	case *pluginv1.Head_Commit:
		err = c.commit(ctx, kind.Commit.GetMark())
	default:
		err = Fatal(fmt.Errorf("unexpected frame %T while writing", kind))
	}
	if err != nil {
		return err
	}
	return c.session.done()
}

func (c *sinkCalls) planSchema(ctx context.Context, call *pluginv1.SchemaCall) error {
	change, err := schemaChange(call.GetStream(), call.GetVersion(), call.GetSchema(), call.GetKey())
	if err != nil {
		return err
	}
	actions, err := c.sink.PlanSchema(ctx, change)
	if err != nil {
		return err
	}
	return c.session.send(&pluginv1.Head{Kind: &pluginv1.Head_Actions{Actions: actionsFrame(actions)}})
}

func actionsFrame(actions []Action) *pluginv1.Actions {
	frame := &pluginv1.Actions{}
	for _, a := range actions {
		frame.Actions = append(frame.Actions, &pluginv1.Action{Object: a.Object, Description: a.Description, Destructive: a.Destructive})
	}
	return frame
}

func (c *sinkCalls) applySchema(ctx context.Context, call *pluginv1.SchemaCall) error {
	change, err := schemaChange(call.GetStream(), call.GetVersion(), call.GetSchema(), call.GetKey())
	if err != nil {
		return err
	}
	return c.sink.ApplySchema(ctx, change)
}

func (c *sinkCalls) begin(ctx context.Context, epoch uint64) error {
	mark, err := c.sink.Begin(ctx, epoch)
	if err != nil {
		return err
	}
	return c.session.send(&pluginv1.Head{Kind: &pluginv1.Head_Mark{Mark: &pluginv1.Mark{
		Epoch: mark.Epoch, Seq: mark.Seq, Position: mark.Position,
	}}})
}

func (c *sinkCalls) write(ctx context.Context, head *pluginv1.Batch, body wire.Body) error {
	batch, err := c.session.receiveBatch(head, body)
	if err != nil {
		return err
	}
	rejections, err := c.sink.Write(ctx, batch)
	if err != nil {
		return err
	}
	return c.session.sendRejections(rejections)
}

func (c *sinkCalls) commit(ctx context.Context, mark *pluginv1.Mark) error {
	rejections, err := c.sink.Commit(ctx, Mark{Epoch: mark.GetEpoch(), Seq: mark.GetSeq(), Position: mark.GetPosition()})
	if err != nil {
		return err
	}
	return c.session.sendRejections(rejections)
}
