package process

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/qanat-data/qanat/sdk"
)

// Spec is what to run and how.
type Spec struct {
	Kind        string // for errors and logs
	Name        string
	Binary      string   // absolute path; nothing may change it while it runs
	Dir         string   // working directory
	Env         []string // all that the process sees, beside TMPDIR and what the handshake needs
	Scratch     string   // a folder of its own, in TMPDIR, by which also the processes that it starts are known
	Sockets     string   // a folder of its own, 0700, for the socket; short, because a socket's path has at most 107 bytes
	MemoryLimit int64    // resident bytes; 0 is no limit
	Timeout     time.Duration
	Logger      hclog.Logger
	Dial        []grpc.DialOption
}

// Process is a running plugin. Its owner must Close it, also when it has ended.
type Process struct {
	spec   Spec
	out    *output
	child  *child
	client *plugin.Client
	conn   *grpc.ClientConn
}

// Start runs a plugin and connects to it. A cancelled context kills it, but only until Start returns.
func Start(ctx context.Context, launcher *Launcher, spec Spec) (*Process, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, spec.Timeout, &DeadlineError{
		Kind: spec.Kind, Name: spec.Name, Call: "start", After: spec.Timeout,
	})
	defer cancel()
	out := &output{log: spec.Logger}
	p := &Process{spec: spec, out: out, child: newChild(launcher, spec, out)}
	p.client = plugin.NewClient(p.settings())
	err := p.connect(ctx)
	if err != nil {
		err = p.startError(ctx, err)
	}
	p.child.setReady()
	if err != nil {
		p.client.Kill()
		return nil, err
	}
	return p, nil
}

// startError ends what has failed to start and says what went wrong.
func (p *Process) startError(ctx context.Context, err error) error {
	if p.child.running() {
		select {
		case <-p.child.exited:
		case <-ctx.Done():
		case <-time.After(outputGrace):
		}
		p.child.kill(err)
		<-p.child.exited
		if over, ok := errors.AsType[*MemoryError](p.child.killed()); ok {
			return over
		}
		err = p.child.excuse(err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &StartError{Kind: p.spec.Kind, Name: p.spec.Name, Err: err, LastLog: p.out.last()}
}

// killed is why the host killed the process, nil if it did not.
func (c *child) killed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// excuse says in words for plugin authors why there was no handshake.
func (c *child) excuse(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stray != "":
		return fmt.Errorf("it printed %.200q to stdout, where the handshake was expected", c.stray)
	case c.reason == nil:
		return fmt.Errorf("it ended before the handshake: %v", c.state)
	}
	return err
}

func (p *Process) settings() *plugin.ClientConfig {
	return &plugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{sdk.ProtocolVersion: {sdk.PluginName: &connection{}}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     2 * p.spec.Timeout,    // Start's own comes first
		Logger:           hclog.NewNullLogger(), // what matters is in the errors
		SyncStdout:       &lines{emit: p.out.stdout},
		SyncStderr:       &lines{emit: p.out.stderr},
		GRPCDialOptions:  p.spec.Dial,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: p.spec.Sockets},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, sockets string) (runner.Runner, error) {
			p.child.sockets = sockets
			p.child.cmd.Env = slices.Concat(memoryEnv(p.spec.MemoryLimit), []string{scratchVariable + p.spec.Scratch}, p.spec.Env, cmd.Env)
			return p.child, nil
		},
	}
}

// memoryEnv lets Go's collector keep below the limit, so that only a real need of memory meets it.
func memoryEnv(limit int64) []string {
	if limit <= 0 {
		return nil
	}
	return []string{"GOMEMLIMIT=" + strconv.FormatInt(limit/10*9, 10)}
}

// connect performs the handshake and opens the connection. The kill is how a context ends go-plugin's calls, which take none.
func (p *Process) connect(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { p.child.kill(context.Cause(ctx)) })
	defer stop()
	protocol, err := p.client.Client()
	if err != nil {
		return err
	}
	connection, err := protocol.Dispense(sdk.PluginName)
	if err != nil {
		return err
	}
	p.conn = connection.(*grpc.ClientConn)
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

// Conn is the connection to the plugin.
func (p *Process) Conn() *grpc.ClientConn { return p.conn }

// Protocol is the version that both sides speak.
func (p *Process) Protocol() int { return p.client.NegotiatedVersion() }

// PID is the number of the process and of its group.
func (p *Process) PID() int { return p.child.cmd.Process.Pid }

// Done is closed once the process has ended, its group is dead and its output is read.
func (p *Process) Done() <-chan struct{} { return p.child.exited }

// Err is nil while the process runs. Then it is what Kill was called with, or a *CrashError if nobody called it.
func (p *Process) Err() error {
	select {
	case <-p.child.exited:
		return p.ended()
	default:
		return nil
	}
}

func (p *Process) ended() error {
	p.child.mu.Lock()
	defer p.child.mu.Unlock()
	if p.child.reason != nil {
		return p.child.reason
	}
	crash := &CrashError{Kind: p.spec.Kind, Name: p.spec.Name, ExitStatus: p.child.state.ExitCode(), LastLog: p.out.last()}
	if status, ok := p.child.state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		crash.Signal = status.Signal()
	}
	return crash
}

// Kill ends the process and its children at once, for a reason that Err will give.
func (p *Process) Kill(reason error) { p.child.kill(reason) }

// Close asks the process to end, kills what has not ended after the grace, and waits until nothing of it is left. It reports
// whether the process ended by itself. Call it once.
func (p *Process) Close(grace time.Duration) bool {
	below := p.child.below() // once the plugin is gone, nothing tells whose they were
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		p.client.Kill()
	}()
	gentle := true
	select {
	case <-p.child.exited:
	case <-time.After(grace):
		gentle = false
		p.child.kill(ErrClosed)
	}
	<-p.child.exited
	<-asked
	endAll(below)
	return gentle
}
