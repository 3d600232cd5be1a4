package sdk

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is the runtime's end of a plugin that is served on a socket as in production, but for the process around it.
type host struct {
	t      *testing.T
	client pluginv1.PluginClient
	alloc  *memory.CheckedAllocator // of the host's own end
	env    Env                      // that the plugin gets
}

// serve starts a plugin of these components. At the end of the test nothing may be left in either allocator.
func serve(t *testing.T, components ...Component) *host {
	t.Helper()
	described, err := describe(Info{Name: "shop", Version: "1.2.3", Description: "a shop", Publisher: "tests"}, components)
	if err != nil {
		t.Fatal(err)
	}
	plugin := newServer(described, components, hclog.NewNullLogger())
	pluginAlloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
	plugin.alloc = pluginAlloc
	h := &host{t: t, alloc: memory.NewCheckedAllocator(memory.DefaultAllocator), env: plugin.env("")}
	t.Cleanup(func() { pluginAlloc.AssertSize(t, 0); h.alloc.AssertSize(t, 0) })

	server := newGRPCServer(nil)
	pluginv1.RegisterPluginServer(server, plugin)
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(
		grpc.ForceCodecV2(wire.Codec{}), grpc.MaxCallRecvMsgSize(wire.MaxMessage), grpc.MaxCallSendMsgSize(wire.MaxMessage),
	))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		server.GracefulStop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	h.client = pluginv1.NewPluginClient(conn)
	return h
}

// call is one stream.
type call struct {
	*host
	stream   grpc.BidiStreamingClient[pluginv1.Frame, pluginv1.Frame]
	cancel   context.CancelFunc
	decoders map[string]*wire.Decoder
}

type method func(ctx context.Context, opts ...grpc.CallOption) (grpc.BidiStreamingClient[pluginv1.Frame, pluginv1.Frame], error)

// call begins a stream with an Open frame, or none if it is nil.
func (h *host) call(m method, open *pluginv1.Open) *call {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	stream, err := m(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	c := &call{host: h, stream: stream, cancel: cancel, decoders: map[string]*wire.Decoder{}}
	h.t.Cleanup(func() {
		cancel()
		for _, d := range c.decoders {
			d.Close()
		}
	})
	if open != nil {
		c.send(&pluginv1.Head{Kind: &pluginv1.Head_Open{Open: open}})
	}
	return c
}

func (c *call) send(head *pluginv1.Head) { c.sendBody(head, wire.Body{}) }

func (c *call) sendBody(head *pluginv1.Head, body wire.Body) {
	c.t.Helper()
	if err := c.stream.SendMsg(&wire.Frame{Head: head, Body: body}); err != nil && !errors.Is(err, io.EOF) {
		c.t.Fatal(err)
	}
}

// got is one frame from the plugin; a batch has its rows as JSON.
type got struct {
	*pluginv1.Head
	rows   string
	n      int64
	schema *arrow.Schema
}

// receive returns the next frame, or the error that ended the stream.
func (c *call) receive() (got, error) {
	var frame wire.Frame
	if err := c.stream.RecvMsg(&frame); err != nil {
		return got{}, err
	}
	g := got{Head: frame.Head}
	switch kind := frame.Head.GetKind().(type) {
	case *pluginv1.Head_Schema:
		d, err := wire.NewDecoder(frame.Body.Join(), c.alloc)
		if err != nil {
			return g, err
		}
		if last, ok := c.decoders[kind.Schema.GetStream()]; ok {
			last.Close()
		}
		c.decoders[kind.Schema.GetStream()] = d
		g.schema = d.Schema()
	case *pluginv1.Head_Batch:
		record, err := c.decoders[kind.Batch.GetStream()].Decode(frame.Body.Join())
		if err != nil {
			return g, err
		}
		defer record.Release()
		g.n = record.NumRows()
		if g.n < 100 {
			raw, err := record.MarshalJSON()
			if err != nil {
				return g, err
			}
			g.rows = strings.Join(strings.Fields(string(raw)), "")
		}
	}
	return g, nil
}

// next is receive for frames that must come.
func (c *call) next() got {
	c.t.Helper()
	g, err := c.receive()
	if err != nil {
		c.t.Fatal(err)
	}
	return g
}

// until collects the frames of one answer: up to Done or Error, which comes last.
func (c *call) until() []got {
	c.t.Helper()
	var frames []got
	for {
		g := c.next()
		frames = append(frames, g)
		if g.GetDone() != nil || g.GetError() != nil {
			return frames
		}
	}
}

// done is until for answers without an error; Done itself is left out.
func (c *call) done() []got {
	c.t.Helper()
	frames := c.until()
	last := frames[len(frames)-1]
	if err := last.GetError(); err != nil {
		c.t.Fatalf("the plugin answers %v", err)
	}
	return frames[:len(frames)-1]
}

// fails is until for answers that are one error alone.
func (c *call) fails(code pluginv1.Error_Code, says string) *pluginv1.Error {
	c.t.Helper()
	frames := c.until()
	err := frames[len(frames)-1].GetError()
	if err.GetCode() != code || !strings.Contains(err.GetMessage(), says) {
		c.t.Fatalf("got %v, want %v that says %q", frames, code, says)
	}
	return err
}

// end closes the host's side and expects the plugin to end the stream in good order.
func (c *call) end() {
	c.t.Helper()
	if err := c.stream.CloseSend(); err != nil {
		c.t.Fatal(err)
	}
	if g, err := c.receive(); !errors.Is(err, io.EOF) {
		c.t.Fatalf("after the end: %v, %v", g.Head, err)
	}
}

var numbers = arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)

// record is a batch of numbers.
func record(alloc memory.Allocator, values ...int64) arrow.RecordBatch {
	b := array.NewInt64Builder(alloc)
	defer b.Release()
	b.AppendValues(values, nil)
	column := b.NewInt64Array()
	defer column.Release()
	return array.NewRecordBatch(numbers, []arrow.Array{column}, int64(len(values)))
}

// textRecord is a batch of texts of these lengths.
func textRecord(alloc memory.Allocator, lengths ...int) arrow.RecordBatch {
	b := array.NewStringBuilder(alloc)
	defer b.Release()
	for _, n := range lengths {
		b.Append(strings.Repeat("x", n))
	}
	column := b.NewStringArray()
	defer column.Release()
	return array.NewRecordBatch(texts, []arrow.Array{column}, int64(len(lengths)))
}

var texts = arrow.NewSchema([]arrow.Field{{Name: "s", Type: arrow.BinaryTypes.String}}, nil)

// sendInput sends a schema and batches of it, each of which the plugin answers.
func (c *call) sendInput(stream string, version uint32, schema *arrow.Schema) *wire.Encoder {
	c.t.Helper()
	message, err := wire.EncodeSchema(schema)
	if err != nil {
		c.t.Fatal(err)
	}
	c.sendBody(&pluginv1.Head{Kind: &pluginv1.Head_Schema{Schema: &pluginv1.Schema{Stream: stream, Version: version, Key: []string{"n"}}}}, wire.Bytes(message))
	encoder := wire.NewEncoder(schema)
	c.t.Cleanup(encoder.Close)
	return encoder
}

func (c *call) sendRecord(stream string, version uint32, encoder *wire.Encoder, r arrow.RecordBatch) {
	c.t.Helper()
	defer r.Release()
	body, err := encoder.Encode(r)
	if err != nil {
		c.t.Fatal(err)
	}
	c.sendBody(&pluginv1.Head{Kind: &pluginv1.Head_Batch{Batch: &pluginv1.Batch{Stream: stream, Version: version, Rows: uint64(r.NumRows()), Origin: "f.csv"}}}, body)
}

// schemaMessage is a schema as calls carry it.
func schemaMessage(t *testing.T, schema *arrow.Schema) []byte {
	t.Helper()
	message, err := wire.EncodeSchema(schema)
	if err != nil {
		t.Fatal(err)
	}
	return message
}
