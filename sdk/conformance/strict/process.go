package strict

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Spec is what to run and how.
type Spec struct {
	Binary  string        // absolute path
	Dir     string        // working directory
	Env     []string      // all that the process sees, beside what the handshake needs
	Limit   time.Duration // for the start and for each answer
	Orphan  bool          // run it below a shell, so that Orphan can take its parent away
	Scratch bool          // point TMPDIR to its scratch folder, as the runtime does
}

// Process is a running plugin. Its owner must Close it, also when it has ended.
type Process struct {
	*Output
	spec     Spec
	child    *child
	plugin   *plugin.Client
	protocol plugin.ClientProtocol
	conn     *grpc.ClientConn
	client   pluginv1.PluginClient
	folder   string
	scratch  string
}

// Start runs a plugin and connects to it. A cancelled context kills it, but only until Start returns.
func Start(ctx context.Context, spec Spec) (*Process, error) {
	folder, err := os.MkdirTemp(shortTemp(), "qc-")
	if err != nil {
		return nil, err
	}
	p := &Process{Output: &Output{}, spec: spec, folder: folder, scratch: filepath.Join(folder, "scratch")}
	if err := os.Mkdir(p.scratch, 0o700); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	p.child = newChild(spec, p.Output)
	p.plugin = plugin.NewClient(p.settings())
	ctx, cancel := context.WithTimeoutCause(ctx, spec.Limit, &Late{Call: "start", Limit: spec.Limit})
	defer cancel()
	if err := p.connect(ctx); err != nil {
		return nil, errors.Join(p.notStarted(ctx, err), os.RemoveAll(folder))
	}
	return p, nil
}

// shortTemp is where the path of a socket stays within its 107 bytes.
func shortTemp() string {
	const longest = 40
	if dir := os.TempDir(); len(dir) <= longest {
		return dir
	}
	return "/tmp"
}

// notStarted ends what has failed to start and says what went wrong.
func (p *Process) notStarted(ctx context.Context, err error) error {
	if p.child.first != nil {
		select {
		case <-p.child.exited:
		case <-ctx.Done():
		case <-time.After(outputGrace):
		}
		p.child.kill()
		<-p.child.exited
		p.child.mu.Lock()
		if p.child.stray != "" {
			err = fmt.Errorf("it printed %.200q to stdout, where the handshake was expected", p.child.stray)
		}
		p.child.mu.Unlock()
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	p.plugin.Kill()
	return &StartError{Binary: p.spec.Binary, Err: err, Last: p.Last()}
}

func (p *Process) settings() *plugin.ClientConfig {
	return &plugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{sdk.ProtocolVersion: {sdk.PluginName: &connection{}}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     2 * p.spec.Limit, // Start's own comes first
		Logger:           hclog.NewNullLogger(),
		SyncStdout:       pen{p.Output, &p.printed},
		SyncStderr:       pen{p.Output, &p.logged},
		GRPCDialOptions:  dialOptions(),
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: p.folder},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, sockets string) (runner.Runner, error) {
			p.child.socket = sockets
			p.child.cmd.Env = slices.Concat(p.spec.Env, cmd.Env)
			if p.spec.Scratch {
				p.child.cmd.Env = append(p.child.cmd.Env, "TMPDIR="+p.scratch)
			}
			return p.child, nil
		},
	}
}

// The windows are those of the runtime's host, so that back-pressure sets in where it does there.
const (
	streamWindow     = 4 << 20
	connectionWindow = 16 << 20
	socketBuffer     = 512 << 10
)

func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(wire.Codec{}), grpc.MaxCallRecvMsgSize(wire.MaxMessage), grpc.MaxCallSendMsgSize(wire.MaxMessage),
		),
		grpc.WithInitialWindowSize(streamWindow), grpc.WithInitialConnWindowSize(connectionWindow),
		grpc.WithWriteBufferSize(socketBuffer), grpc.WithReadBufferSize(socketBuffer),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
	}
}

func (p *Process) connect(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { p.child.kill() })
	defer stop()
	var err error
	if p.protocol, err = p.plugin.Client(); err != nil {
		return err
	}
	made, err := p.protocol.Dispense(sdk.PluginName)
	if err != nil {
		return err
	}
	p.conn = made.(*grpc.ClientConn)
	p.client = pluginv1.NewPluginClient(p.conn)
	return context.Cause(ctx)
}

// connection is the host's side in go-plugin's terms: what it dispenses is the connection itself.
type connection struct {
	plugin.NetRPCUnsupportedPlugin
}

// GRPCServer implements plugin.GRPCPlugin; the plugin has its own.
func (*connection) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("the host serves nothing")
}

// GRPCClient implements plugin.GRPCPlugin.
func (*connection) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

// Alive says whether the process still runs.
func (p *Process) Alive() bool {
	select {
	case <-p.child.exited:
		return false
	default:
		return true
	}
}

// Exited is closed once the process has ended and its output is read.
func (p *Process) Exited() <-chan struct{} { return p.child.exited }

// crash describes the end of a process that was needed.
func (p *Process) crash() error { return &Crash{How: p.child.how(), Last: p.Last()} }

// Kill ends the process with SIGKILL and waits until it is gone.
func (p *Process) Kill() {
	p.child.kill()
	<-p.child.exited
}

// Bereave kills the parent of a process that was started as an orphan to be, and leaves the process alone.
func (p *Process) Bereave() error { return p.child.cmd.Process.Kill() }

// Goroutines ends the process in the way in which Go programs show their goroutines, and returns what they show; "" if the
// process showed nothing, because it isn't a Go program.
func (p *Process) Goroutines() string {
	before := len(p.Logged())
	_ = syscall.Kill(p.child.pid, syscall.SIGQUIT)
	select {
	case <-p.child.exited:
	case <-time.After(p.spec.Limit):
	}
	p.Kill()
	return p.Logged()[before:]
}

// Shutdown asks the process to end and reports how long it took; more than the limit, or not at all, is *Late.
func (p *Process) Shutdown(limit time.Duration) (time.Duration, error) {
	begun := time.Now()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		_ = p.protocol.Close()
	}()
	var err error
	select {
	case <-p.child.exited:
	case <-time.After(limit):
		err = &Late{Call: "shutdown", Limit: limit}
		p.child.kill()
		<-p.child.exited
	}
	took := time.Since(begun)
	<-asked
	return took, err
}

// Close ends the process, if it still runs, and removes its folders.
func (p *Process) Close() {
	p.child.kill()
	<-p.child.exited
	p.plugin.Kill()
	_ = os.RemoveAll(p.folder)
}
