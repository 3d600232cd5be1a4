package rig

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const (
	serverStart = 60 * time.Second
	serverPoll  = 50 * time.Millisecond
	serverTries = 3 // another process may take a free port between the look and the start
)

// tool is the path of a server's binary: of the environment variable if it is set, else below .tools.
func tool(t testing.TB, variable, name string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		path = filepath.Join(Root(), ".tools", name)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no %s server at %q: run \"make tools\", or set %s to the path of its binary", name, path, variable)
	}
	return path
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress(ctx context.Context, t testing.TB) string {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// process is a server that is killed when the test ends, or when the test's process does.
type process struct {
	ended chan struct{}
	log   string
}

func startServer(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	s := &process{ended: make(chan struct{}), log: filepath.Join(t.TempDir(), "server.log")}
	log, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		_ = cmd.Wait() // killed, or dead of what its log says
		_ = log.Close()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-s.ended
	})
	return s
}

// await polls until the server answers; false if it has ended or the time is up.
func (s *process) await(ctx context.Context, answers func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, serverStart)
	defer cancel()
	tick := time.NewTicker(serverPoll)
	defer tick.Stop()
	for {
		if answers(ctx) == nil {
			return true
		}
		select {
		case <-s.ended:
			return false
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// said is what the server has logged.
func (s *process) said() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
