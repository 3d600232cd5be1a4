package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// serveLies speaks the protocol without the SDK, which would not let a plugin say what this one says.
func serveLies() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  sdk.Handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{sdk.ProtocolVersion: {sdk.PluginName: &adapter{}}},
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options, grpc.ForceServerCodecV2(wire.Codec{}), grpc.MaxSendMsgSize(1<<30))...)
		},
	})
	os.Exit(0)
}

type adapter struct{ plugin.NetRPCUnsupportedPlugin }

func (*adapter) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	pluginv1.RegisterPluginServer(s, &liar{})
	return nil
}

func (*adapter) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("no client")
}

type liar struct {
	pluginv1.UnimplementedPluginServer
}

// Describe is what the SDK would say for this binary, so that the lies begin only on the streams.
func (*liar) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	var described pluginv1.DescribeResponse
	return &described, json.Unmarshal([]byte(os.Getenv("DESCRIBED")), &described)
}

func (*liar) Read(stream grpc.BidiStreamingServer[pluginv1.Frame, pluginv1.Frame]) error {
	var first wire.Frame
	if err := stream.RecvMsg(&first); err != nil {
		return err
	}
	var c config
	if err := json.Unmarshal(first.Head.GetOpen().GetConfig(), &c); err != nil {
		return err
	}
	for _, frame := range lies(c.Mode) {
		if err := stream.SendMsg(frame); err != nil {
			return err
		}
	}
	if c.Mode == "hangs up" {
		return nil
	}
	var rest wire.Frame
	for {
		if err := stream.RecvMsg(&rest); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func lies(mode string) []*wire.Frame {
	version := uint32(1)
	good := []*wire.Frame{schemaFrame("rows", 1), batchFrame("rows", 1, 3)}
	switch mode {
	case "row count":
		return []*wire.Frame{schemaFrame("rows", 1), batchFrame("rows", 1, 4)}
	case "no schema":
		return []*wire.Frame{batchFrame("rows", version, 3)}
	case "other version":
		return []*wire.Frame{schemaFrame("rows", 1), batchFrame("rows", 2, 3)}
	case "version back":
		return append(good, schemaFrame("rows", 1))
	case "version zero":
		return []*wire.Frame{schemaFrame("rows", 0)}
	case "other stream":
		return []*wire.Frame{schemaFrame("secrets", 1)}
	case "bad key":
		frame := schemaFrame("rows", 1)
		frame.Head.GetSchema().Key = []string{"nope"}
		return []*wire.Frame{frame}
	case "garbage":
		frame := batchFrame("rows", 1, 3)
		frame.Body = wire.Bytes([]byte(strings.Repeat("garbage", 100)))
		return []*wire.Frame{schemaFrame("rows", 1), frame}
	case "answer to nothing":
		return []*wire.Frame{{Head: &pluginv1.Head{Kind: &pluginv1.Head_Mark{Mark: &pluginv1.Mark{}}}}}
	case "empty frame":
		return []*wire.Frame{{Head: &pluginv1.Head{}}}
	case "too large":
		return []*wire.Frame{{Head: &pluginv1.Head{}, Body: wire.Bytes(make([]byte, wire.MaxMessage+1))}}
	case "long position":
		return []*wire.Frame{{Head: &pluginv1.Head{Kind: &pluginv1.Head_Checkpoint{Checkpoint: &pluginv1.Checkpoint{
			Position: []byte(`"` + strings.Repeat("x", sdk.MaxPosition) + `"`),
		}}}}}
	case "no code":
		return []*wire.Frame{{Head: &pluginv1.Head{Kind: &pluginv1.Head_Reject{Reject: &pluginv1.Reject{
			Rows: []*pluginv1.Rejection{{Reason: "because"}},
		}}}}}
	}
	return nil
}

func record() arrow.RecordBatch {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	b.Field(0).(*array.Int64Builder).AppendValues([]int64{1, 2, 3}, nil)
	return b.NewRecordBatch()
}

func schemaFrame(stream string, version uint32) *wire.Frame {
	message, err := wire.EncodeSchema(record().Schema())
	if err != nil {
		panic(err)
	}
	return &wire.Frame{
		Head: &pluginv1.Head{Kind: &pluginv1.Head_Schema{Schema: &pluginv1.Schema{Stream: stream, Version: version}}},
		Body: wire.Bytes(message),
	}
}

func batchFrame(stream string, version uint32, rows uint64) *wire.Frame {
	body, err := wire.NewEncoder(record().Schema()).Encode(record())
	if err != nil {
		panic(err)
	}
	return &wire.Frame{
		Head: &pluginv1.Head{Kind: &pluginv1.Head_Batch{Batch: &pluginv1.Batch{Stream: stream, Version: version, Rows: rows}}},
		Body: body,
	}
}
