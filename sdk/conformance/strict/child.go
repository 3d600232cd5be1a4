package strict

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

// child is the operating system's side of a plugin, as go-plugin's runner.Runner: in a process group of its own, without stdin,
// its output read to the end.
type child struct {
	cmd    *exec.Cmd
	out    *Output
	socket string         // the only folder that its socket may be in
	first  *io.PipeReader // the first line of stdout
	exited chan struct{}  // closed when the process is gone and its output is read
	orphan bool           // a shell stands between, which can be killed alone

	mu    sync.Mutex
	pid   int // of the plugin
	group int // of its process group
	state *os.ProcessState
	stray string // what it printed instead of the handshake
}

var _ runner.Runner = (*child)(nil)

// underShell starts the plugin as a child of a shell, which tells its number on descriptor 3 and waits for it.
const underShell = `"$0" 3>&- & echo $! >&3; exec 3>&-; wait`

func newChild(spec Spec, out *Output) *child {
	cmd := &exec.Cmd{Path: spec.Binary, Args: []string{filepath.Base(spec.Binary)}}
	if spec.Orphan {
		cmd = &exec.Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", underShell, spec.Binary}}
	}
	cmd.Dir = spec.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return &child{cmd: cmd, out: out, exited: make(chan struct{}), orphan: spec.Orphan}
}

// Start implements runner.Runner.
func (c *child) Start(context.Context) error {
	stdout, outEnd, err := os.Pipe()
	if err != nil {
		return err
	}
	stderr, errEnd, err := os.Pipe()
	if err != nil {
		return errors.Join(err, stdout.Close(), outEnd.Close())
	}
	c.cmd.Stdout, c.cmd.Stderr = outEnd, errEnd
	err = c.launch()
	_ = errors.Join(outEnd.Close(), errEnd.Close())
	if err != nil {
		return errors.Join(err, stdout.Close(), stderr.Close())
	}
	first, rest := io.Pipe()
	c.first = first
	go c.reap(stdout, stderr, rest)
	return nil
}

func (c *child) launch() error {
	if !c.orphan {
		return c.fork()
	}
	numbers, end, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = numbers.Close() }()
	c.cmd.ExtraFiles = []*os.File{end}
	err = c.fork()
	_ = end.Close()
	if err != nil {
		return err
	}
	line, err := bufio.NewReader(numbers).ReadString('\n')
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pid, err = strconv.Atoi(strings.TrimSpace(line))
	return err
}

func (c *child) fork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.cmd.Start(); err != nil {
		return err
	}
	c.pid, c.group = c.cmd.Process.Pid, c.cmd.Process.Pid
	return nil
}

// outputGrace bounds how long output is read after the process is dead: a child of its own may hold a pipe open.
const outputGrace = time.Second

func (c *child) reap(stdout, stderr *os.File, first *io.PipeWriter) {
	defer close(c.exited)
	var reading sync.WaitGroup
	reading.Go(func() { c.readStdout(stdout, first) })
	reading.Go(func() { _, _ = io.Copy(pen{c.out, &c.out.logged}, stderr) })
	_ = c.cmd.Wait() // the state says it
	c.mu.Lock()
	c.state = c.cmd.ProcessState
	c.mu.Unlock()
	if !c.orphan {
		c.killGroup()
		late := time.AfterFunc(outputGrace, func() { _ = errors.Join(stdout.Close(), stderr.Close()) })
		defer late.Stop()
	}
	reading.Wait() // of an orphan, the end of its output is its own end
	_ = errors.Join(stdout.Close(), stderr.Close())
}

// readStdout hands go-plugin the handshake and keeps the rest.
func (c *child) readStdout(stdout io.Reader, first *io.PipeWriter) {
	reader := bufio.NewReaderSize(stdout, 16<<10)
	line, _ := reader.ReadString('\n')
	if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "1|") {
		c.mu.Lock()
		c.stray = text
		c.mu.Unlock()
		_, _ = io.WriteString(pen{c.out, &c.out.printed}, line)
	}
	_, _ = io.WriteString(first, line)
	_ = first.Close()
	_, _ = io.Copy(pen{c.out, &c.out.printed}, reader)
}

func (c *child) killGroup() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.group != 0 {
		_ = syscall.Kill(-c.group, syscall.SIGKILL)
	}
}

// kill ends the process and its children.
func (c *child) kill() {
	select {
	case <-c.exited:
	default:
		c.killGroup()
	}
}

// how says in words how the process ended.
func (c *child) how() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == nil {
		return "ended"
	}
	if status, ok := c.state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return fmt.Sprintf("was ended by signal %d (%v)", int(status.Signal()), status.Signal())
	}
	return fmt.Sprintf("exited with status %d", c.state.ExitCode())
}

// Wait implements runner.Runner.
func (c *child) Wait(context.Context) error {
	<-c.exited
	return nil
}

// Kill implements runner.Runner.
func (c *child) Kill(context.Context) error {
	c.kill()
	return nil
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

// PluginToHost implements runner.AddrTranslator.
func (c *child) PluginToHost(network, address string) (string, string, error) {
	below, err := filepath.Rel(c.socket, address)
	if network != "unix" || err != nil || !filepath.IsLocal(below) {
		return "", "", fmt.Errorf("the plugin listens on %s %q, expected a unix socket below %q", network, address, c.socket)
	}
	return network, address, nil
}

// HostToPlugin implements runner.AddrTranslator.
func (c *child) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
