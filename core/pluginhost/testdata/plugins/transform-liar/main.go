// Command transform-liar speaks the protocol without the SDK, which would not let a plugin say what this one says. It answers every
// call honestly but for the one that its settings name: "open: hangs up" is the call and the lie.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

func main() {
	switch lie := os.Getenv("LIAR"); lie {
	case "a line without end":
		flood(os.Stdout)
	case "a network address", "another socket", "another protocol":
		fmt.Println(map[string]string{
			"a network address": "1|1|tcp|192.0.2.1:80|grpc|", "another socket": "1|1|unix|/tmp/elsewhere|grpc|",
			"another protocol": "1|99|unix|/tmp/elsewhere|grpc|",
		}[lie])
		select {}
	case "a flood on stderr":
		flood(os.Stderr)
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  sdk.Handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{sdk.ProtocolVersion: {sdk.PluginName: &adapter{}}},
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options, grpc.ForceServerCodecV2(codec{}), grpc.MaxSendMsgSize(1<<30))...)
		},
	})
	os.Exit(0)
}

// flood writes 100 MiB without an end of line.
func flood(to *os.File) {
	text := strings.Repeat("x", 1<<20)
	for range 100 {
		_, _ = to.WriteString(text)
	}
}

// raw is bytes in place of a frame.
type raw []byte

type codec struct{ wire.Codec }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if bytes, ok := v.(raw); ok {
		return mem.BufferSlice{mem.SliceBuffer(bytes)}, nil
	}
	return c.Codec.Marshal(v)
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

// Describe lies as the variable says.
func (*liar) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	out := &pluginv1.DescribeResponse{Name: "liar", Version: "1.0.0", SdkVersion: "none"}
	for _, kind := range []pluginv1.Kind{pluginv1.Kind_KIND_SOURCE, pluginv1.Kind_KIND_TRANSFORM, pluginv1.Kind_KIND_CHECK, pluginv1.Kind_KIND_SINK} {
		out.Components = append(out.Components, &pluginv1.Component{Kind: kind, ConfigSchema: []byte(`{"type":"object"}`)})
	}
	switch os.Getenv("LIAR") {
	case "another name":
		out.Name = "honest"
	case "fewer kinds":
		out.Components = out.Components[:3]
	case "a kind twice":
		out.Components = append(out.Components, out.Components[0])
	case "an unknown kind":
		out.Components[0].Kind = 99
	case "other settings":
		out.Components[0].ConfigSchema = []byte(`{"type":"array"}`)
	case "settings that are no JSON":
		out.Components[0].ConfigSchema = []byte(`{"type":`)
	case "100 MB":
		out.Components[0].Description = strings.Repeat("x", 100<<20)
	case "20 MB of settings":
		out.Components[0].ConfigSchema = []byte(`{"x":"` + strings.Repeat("x", 20<<20) + `"}`)
	case "millions of components":
		out.Components = make([]*pluginv1.Component, 2<<20)
		for i := range out.Components {
			out.Components[i] = &pluginv1.Component{}
		}
	}
	return out, nil
}

// Discover lies as the settings say.
func (*liar) Discover(_ context.Context, r *pluginv1.DiscoverRequest) (*pluginv1.DiscoverResponse, error) {
	out := &pluginv1.DiscoverResponse{}
	switch modeOf(r.GetConfig()).lie {
	case "100 MB":
		out.Streams = []*pluginv1.Stream{{Name: "a", Description: strings.Repeat("x", 100<<20)}}
	case "millions":
		out.Streams = make([]*pluginv1.Stream, 2<<20)
		for i := range out.Streams {
			out.Streams[i] = &pluginv1.Stream{}
		}
	case "twice":
		out.Streams = []*pluginv1.Stream{{Name: "a"}, {Name: "a"}}
	case "no schema":
		out.Streams = []*pluginv1.Stream{{Name: "a", Schema: []byte("no schema")}}
	}
	return out, nil
}

// mode is the call that is answered wrongly, and how.
type mode struct{ op, lie string }

func modeOf(config []byte) mode {
	var c struct {
		Mode string `json:"mode"`
	}
	_ = json.Unmarshal(config, &c)
	op, lie, _ := strings.Cut(c.Mode, ": ")
	return mode{op: op, lie: lie}
}

type bidi = grpc.BidiStreamingServer[pluginv1.Frame, pluginv1.Frame]

func (*liar) Read(s bidi) error      { return serve(s, "read") }
func (*liar) Transform(s bidi) error { return serve(s, "transform") }
func (*liar) Check(s bidi) error     { return serve(s, "check") }
func (*liar) Write(s bidi) error     { return serve(s, "write") }

func serve(stream grpc.ServerStream, kind string) error {
	var m mode
	for {
		var frame wire.Frame
		if err := stream.RecvMsg(&frame); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		op := opOf(frame.Head)
		if op == "open" {
			m = modeOf(frame.Head.GetOpen().GetConfig())
		}
		lie, known := lies[m.lie]
		if op == m.op && !known {
			return fmt.Errorf("no lie %q is known", m.lie)
		}
		answer := honest
		if op == m.op {
			answer = lie
		}
		if err := answer(stream, frame.Head, kind); errors.Is(err, errHangUp) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func opOf(head *pluginv1.Head) string {
	switch head.GetKind().(type) {
	case *pluginv1.Head_Open:
		return "open"
	case *pluginv1.Head_Plan:
		return "plan"
	case *pluginv1.Head_Batch:
		return "batch"
	case *pluginv1.Head_Finish:
		return "finish"
	case *pluginv1.Head_Result:
		return "result"
	case *pluginv1.Head_PlanSchema:
		return "plan schema"
	case *pluginv1.Head_ApplySchema:
		return "apply schema"
	case *pluginv1.Head_Begin:
		return "begin"
	case *pluginv1.Head_Commit:
		return "commit"
	case *pluginv1.Head_Stop:
		return "stop"
	}
	return ""
}

// honest is the answer to a call.
func honest(stream grpc.ServerStream, head *pluginv1.Head, stage string) error {
	var answers []*pluginv1.Head
	switch call := head.GetKind().(type) {
	case *pluginv1.Head_Open:
		if stage == "write" {
			answers = append(answers, &pluginv1.Head{Kind: &pluginv1.Head_Opened{Opened: &pluginv1.Opened{Guarantee: "exactly_once"}}})
		}
	case *pluginv1.Head_Plan:
		if stage == "transform" {
			plan := &pluginv1.TransformPlan{Cardinality: "many", Outputs: call.Plan.GetInputs()}
			answers = append(answers, &pluginv1.Head{Kind: &pluginv1.Head_TransformPlan{TransformPlan: plan}})
		}
	case *pluginv1.Head_Result:
		answers = append(answers, &pluginv1.Head{Kind: &pluginv1.Head_CheckResult{CheckResult: &pluginv1.CheckResult{Verdict: "pass"}}})
	case *pluginv1.Head_PlanSchema:
		answers = append(answers, &pluginv1.Head{Kind: &pluginv1.Head_Actions{Actions: &pluginv1.Actions{}}})
	case *pluginv1.Head_Begin:
		answers = append(answers, &pluginv1.Head{Kind: &pluginv1.Head_Mark{Mark: &pluginv1.Mark{}}})
	}
	if opOf(head) == "" || opOf(head) == "stop" || stage == "read" {
		return nil
	}
	for _, answer := range append(answers, &pluginv1.Head{Kind: &pluginv1.Head_Done{Done: &pluginv1.Done{}}}) {
		if err := stream.SendMsg(&wire.Frame{Head: answer}); err != nil {
			return err
		}
	}
	return nil
}
