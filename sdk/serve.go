package sdk

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Serve runs the plugin until the host is gone. It does not return.
func Serve(info Info, components ...Component) {
	described, err := describe(info, components)
	if err != nil {
		fmt.Fprintln(os.Stderr, "plugin:", err)
		os.Exit(1)
	}
	log := hclog.New(&hclog.LoggerOptions{Name: info.Name, Level: hclog.Trace, Output: os.Stderr, JSONFormat: true})
	go exitWithHost(os.Getppid(), time.Second)
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  Handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{ProtocolVersion: {PluginName: &adapter{server: newServer(described, components, log)}}},
		GRPCServer:       newGRPCServer,
		Logger:           log,
	})
	os.Exit(0)
}

// PluginName is the one name in go-plugin's set of plugins.
const PluginName = "plugin"

// Handshake is go-plugin's handshake, for both ends.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{MagicCookieKey: CookieKey, MagicCookieValue: CookieValue}
}

const (
	streamWindow     = 4 << 20
	connectionWindow = 16 << 20
	socketBuffer     = 512 << 10
)

func newGRPCServer(options []grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(options,
		grpc.ForceServerCodecV2(wire.Codec{}),
		grpc.MaxRecvMsgSize(wire.MaxMessage),
		grpc.MaxSendMsgSize(wire.MaxMessage),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connectionWindow),
		grpc.WriteBufferSize(socketBuffer),
		grpc.ReadBufferSize(socketBuffer),
	)...)
}

// exitWithHost ends the process when its parent has changed, so that a killed host leaves no plugin behind that holds a
// replication slot or a lock. The host asks the kernel for the same; this is the belt to those braces.
func exitWithHost(host int, every time.Duration) {
	for range time.Tick(every) {
		if os.Getppid() != host {
			os.Exit(1)
		}
	}
}

// adapter puts the server into go-plugin's terms.
type adapter struct {
	plugin.NetRPCUnsupportedPlugin
	server *server
}

// GRPCServer implements plugin.GRPCPlugin.
func (a *adapter) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	pluginv1.RegisterPluginServer(s, a.server)
	return nil
}

// GRPCClient implements plugin.GRPCPlugin; the host has its own.
func (*adapter) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("the plugin side has no client")
}

// server answers the host. Each stream is one instance of one component.
type server struct {
	pluginv1.UnimplementedPluginServer
	described  *pluginv1.DescribeResponse
	components map[pluginv1.Kind]Component
	log        hclog.Logger
	alloc      memory.Allocator
	counted    *memory.CheckedAllocator // nil unless buffers are counted
}

func newServer(described *pluginv1.DescribeResponse, components []Component, log hclog.Logger) *server {
	s := &server{described: described, components: map[pluginv1.Kind]Component{}, log: log, alloc: memory.DefaultAllocator}
	if os.Getenv(CountBuffers) != "" {
		s.counted = memory.NewCheckedAllocator(s.alloc)
		s.alloc = s.counted
	}
	for _, c := range components {
		s.components[c.kind] = c
	}
	return s
}

func (s *server) env(scratch string) Env {
	return Env{Log: s.log, Alloc: s.alloc, Scratch: scratch}
}

// open makes an instance of the kind as T.
func open[T any](ctx context.Context, s *server, kind pluginv1.Kind, config []byte, scratch string) (T, error) {
	var none T
	c, ok := s.components[kind]
	if !ok {
		return none, Fatal(fmt.Errorf("plugin %q is no %s", s.described.GetName(), kindName(kind)))
	}
	made, err := c.open(ctx, config, s.env(scratch))
	if err != nil {
		return none, err
	}
	instance, ok := made.(T)
	if !ok {
		return none, Fatal(fmt.Errorf("plugin %q: %T is no %s", s.described.GetName(), made, kindName(kind)))
	}
	return instance, nil
}

func kindName(kind pluginv1.Kind) string {
	switch kind {
	case pluginv1.Kind_KIND_SOURCE:
		return "source"
	case pluginv1.Kind_KIND_TRANSFORM:
		return "transform"
	case pluginv1.Kind_KIND_CHECK:
		return "check"
	case pluginv1.Kind_KIND_SINK:
		return "sink"
	}
	return "unknown kind"
}
