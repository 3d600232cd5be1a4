package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"
)

// child is the operating system's side of a plugin. It implements go-plugin's runner.Runner, whose own one passes the host's
// stdin on, knows no process groups and waits for ever for children that keep a pipe open.
type child struct {
	launcher *Launcher
	spec     Spec
	out      *output
	cmd      *exec.Cmd
	sockets  string         // the only folder that the plugin's socket may be in
	first    *io.PipeReader // the first line of stdout
	exited   chan struct{}  // closed when the process is gone and its output is read
	leash    *os.File

	mu     sync.Mutex
	pid    int              // 0 before it runs
	state  *os.ProcessState // once it has ended
	reason error            // why the host killed it
	ready  bool             // it is connected, or its start has been given up
	stray  string           // what it printed instead of the handshake
}

var _ runner.Runner = (*child)(nil)

func newChild(launcher *Launcher, spec Spec, out *output) *child {
	return &child{launcher: launcher, spec: spec, out: out, exited: make(chan struct{}), cmd: &exec.Cmd{
		Path: spec.Binary, Args: []string{spec.Kind + "-" + spec.Name}, Dir: spec.Dir,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	}}
}

// Start implements runner.Runner.
func (c *child) Start(context.Context) error {
	plugins, hosts, err := leash()
	if err != nil {
		return err
	}
	defer func() { _ = plugins.Close() }()
	c.cmd.ExtraFiles = []*os.File{plugins}
	stdout, stderr, err := c.pipes()
	if err != nil {
		return errors.Join(err, hosts.Close())
	}
	err = c.launcher.do(c.fork)
	_ = errors.Join(c.cmd.Stdout.(io.Closer).Close(), c.cmd.Stderr.(io.Closer).Close())
	if err != nil {
		return errors.Join(err, stdout.Close(), stderr.Close(), hosts.Close())
	}
	if err := tie(plugins, c.cmd.Process.Pid); err != nil {
		c.out.log.Warn("children of the plugin may outlive a killed host", "error", err)
	}
	c.leash = hosts
	first, rest := io.Pipe()
	c.first = first
	go c.reap(stdout, stderr, rest)
	if c.spec.MemoryLimit > 0 {
		go c.watchMemory(c.cmd.Process.Pid)
	}
	return nil
}

// fork runs on the launcher's thread.
func (c *child) fork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != nil {
		return c.reason
	}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	c.pid = c.cmd.Process.Pid
	return nil
}

// pipes gives the command its two outputs and returns the reading ends.
func (c *child) pipes() (stdout, stderr *os.File, err error) {
	stdout, outEnd, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("make a pipe: %w", err)
	}
	stderr, errEnd, err := os.Pipe()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("make a pipe: %w", err), stdout.Close(), outEnd.Close())
	}
	c.cmd.Stdout, c.cmd.Stderr = outEnd, errEnd
	return stdout, stderr, nil
}

// outputGrace bounds how long output is read after the group is dead: a child that has left the group may hold a pipe open.
const outputGrace = time.Second

// reap reads the outputs, waits for the end of the process, kills what is left of its group, and collects the exit status.
func (c *child) reap(stdout, stderr *os.File, first *io.PipeWriter) {
	defer close(c.exited)
	var reading sync.WaitGroup
	reading.Go(func() { c.readStdout(stdout, first) })
	reading.Go(func() { copyLines(stderr, c.out.stderr) })

	_ = awaitExit(c.cmd.Process.Pid)
	killGroup(c.cmd.Process.Pid)
	c.collect()
	EndStrays(c.spec.Scratch)
	late := time.AfterFunc(outputGrace, func() { _ = errors.Join(stdout.Close(), stderr.Close()) })
	reading.Wait()
	late.Stop()
	_ = errors.Join(stdout.Close(), stderr.Close(), c.leash.Close())
}

// collect takes the exit status. From then on the process number may be another's.
func (c *child) collect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.cmd.Wait() // the status says it
	c.state = c.cmd.ProcessState
}

// readStdout hands go-plugin the handshake line and keeps the rest from it: its scanner stops at a long line, which would leave
// the plugin blocked on a full pipe.
func (c *child) readStdout(stdout io.Reader, first *io.PipeWriter) {
	reader := bufio.NewReaderSize(stdout, maxLine)
	line, err := reader.ReadSlice('\n')
	if text := strings.TrimSpace(string(line)); text != "" && !strings.HasPrefix(text, "1|") {
		c.mu.Lock()
		c.stray = text
		c.mu.Unlock()
	}
	_, _ = first.Write(line)
	_ = first.Close()
	if err == nil {
		copyLines(reader, c.out.stdout)
		return
	}
	_, _ = io.Copy(io.Discard, reader)
}

func copyLines(from io.Reader, emit func(string)) {
	to := &lines{emit: emit}
	_, _ = io.Copy(to, from)
	to.flush()
}

// kill ends the whole group, for a reason; of several the first is kept.
func (c *child) kill(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != nil {
		return
	}
	if c.reason == nil {
		c.reason = reason
	}
	if c.pid != 0 {
		killTree(c.pid)
	}
}

// below are the processes that the plugin has started and that run, as long as it runs itself.
func (c *child) below() map[int]seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != nil || c.pid == 0 {
		return nil // the number may be another's
	}
	return descendants(c.pid)
}

// running reports whether the process was started; it may have ended since.
func (c *child) running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pid != 0
}

// Wait implements runner.Runner.
func (c *child) Wait(context.Context) error {
	<-c.exited
	return nil
}

// Kill implements runner.Runner. A kill by go-plugin at a failed handshake is left out: it would hide how the process ends.
func (c *child) Kill(context.Context) error {
	c.mu.Lock()
	ready := c.ready
	c.mu.Unlock()
	if ready {
		c.kill(ErrClosed)
	}
	return nil
}

func (c *child) setReady() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = true
}

// Stdout implements runner.Runner: the handshake and nothing else.
func (c *child) Stdout() io.ReadCloser { return c.first }

// Stderr implements runner.Runner; the child reads it itself.
func (c *child) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name implements runner.Runner.
func (c *child) Name() string { return c.cmd.Args[0] }

// ID implements runner.Runner.
func (c *child) ID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pid == 0 {
		return ""
	}
	return strconv.Itoa(c.pid)
}

// Diagnose implements runner.Runner.
func (c *child) Diagnose(context.Context) string { return "" }

// PluginToHost implements runner.AddrTranslator. A plugin may not make the host connect to anything but its own socket.
func (c *child) PluginToHost(network, address string) (string, string, error) {
	below, err := filepath.Rel(c.sockets, address)
	if network != "unix" || err != nil || !filepath.IsLocal(below) {
		return "", "", fmt.Errorf("the plugin listens on %s %q, expected a unix socket below %q", network, address, c.sockets)
	}
	return network, address, nil
}

// HostToPlugin implements runner.AddrTranslator.
func (c *child) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
