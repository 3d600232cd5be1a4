// Package pgtest gives tests a real PostgreSQL server: one for all tests of a package, with a database for each test, or servers of a
// test's own, which it may stop, crash and start again. It lies at the root because the tests of core, of plugins and the scenarios all
// need it and none of these rooms may import another: every test may look down into internal, and internal looks at no room. Arrow's
// side of PostgreSQL's types is in plugins/internal/postgres/typetest.
package pgtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	startLimit = 60 * time.Second
	startPoll  = 50 * time.Millisecond
	startTries = 3 // another process may take a free port between the look and the start
)

// defaults of settings: a test's own come after them and win.
var defaults = []string{
	"wal_level=logical", "max_replication_slots=20", "max_wal_senders=20", "max_connections=200", "fsync=off", "log_min_messages=fatal",
	"shared_buffers=32MB", "autovacuum=off", "jit=off", // a server for each of many packages at once is a small one
}

// Server is a PostgreSQL server on loopback.
type Server struct {
	address  string
	password string
	dir      string
	bin      string
	settings []string
	account  *syscall.Credential
	command  *exec.Cmd
	ended    chan struct{}
}

var shared struct {
	mu     sync.Mutex
	server *Server
}

// Shared is the server of this package's tests, which the first of them starts. TestMain stops it with Stopping.
func Shared(t testing.TB) *Server {
	t.Helper()
	unlessShort(t)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		server, err := start(nil)
		if err != nil {
			t.Fatal(err)
		}
		shared.server = server
	}
	return shared.server
}

func unlessShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped: -short runs without a PostgreSQL server")
	}
}

// Stopping runs the tests of m and then stops the shared server: wrap a package's testing.M in it before anything looks for leaks.
func Stopping(m *testing.M) interface{ Run() int } { return stopping{m} }

type stopping struct{ m *testing.M }

func (s stopping) Run() int {
	defer stopShared()
	return s.m.Run()
}

func stopShared() {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server != nil {
		shared.server.close()
		shared.server = nil
	}
}

// Own is a server of a test's own, with settings such as "wal_sender_timeout=2s" or, for tests of the server's crashes, "fsync=on".
func Own(t testing.TB, settings ...string) *Server {
	t.Helper()
	unlessShort(t)
	server, err := start(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.close)
	return server
}

// start makes a server's files in a folder of their own, not in one of a test, which other users can't reach, and starts it.
func start(settings []string) (*Server, error) {
	s := &Server{settings: settings}
	var err error
	if s.bin, err = binaries(); err != nil {
		return nil, err
	}
	if s.account, err = account(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "qanat-postgres-"); err != nil {
		return nil, err
	}
	if err = s.fill(); err == nil {
		if err = s.startSomewhere(); err == nil {
			return s, nil
		}
		leave()
	}
	_ = os.RemoveAll(s.dir)
	return nil, err
}

// startSomewhere starts the server at an address that nobody listens on.
func (s *Server) startSomewhere() error {
	var err error
	for range startTries {
		if s.address, err = freeAddress(); err != nil {
			return err
		}
		if err = s.launch(); err == nil {
			return nil
		}
	}
	return err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a tool of tests
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Start starts the server again after Stop or Crash, on its files and at its address, and waits until it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.launch(); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) launch() error {
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(s.dir, "server.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	args := []string{"-D", s.data(), "-h", host, "-p", port, "-k", ""}
	for _, setting := range slices.Concat(defaults, s.settings) {
		args = append(args, "-c", setting)
	}
	s.command = exec.Command(s.Program("postgres"), args...) //nolint:gosec,noctx // Stop ends it
	s.command.Dir, s.command.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.account, Pdeathsig: syscall.SIGQUIT}
	s.command.Stdout, s.command.Stderr = log, log
	if err := s.begin(); err != nil {
		return err
	}
	if err := s.await(); err != nil {
		s.Crash()
		said, _ := os.ReadFile(log.Name())
		return fmt.Errorf("PostgreSQL from %q did not start: %w\n%s", s.bin, err, said)
	}
	return nil
}

// begin starts the server from a thread that lives as long as the server does: a parent-death signal comes with the end of the thread
// that started a process, and threads end with goroutines that were locked to them.
func (s *Server) begin() error {
	began := make(chan error)
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.command.Start()
		began <- err
		if err == nil {
			_ = s.command.Wait() // stopped, or dead of what its log says
		}
	}()
	return <-began
}

// await polls until the server answers, has ended, or the time is up.
func (s *Server) await() error {
	ticker := time.NewTicker(startPoll)
	defer ticker.Stop()
	var err error
	for range startLimit / startPoll {
		if err = s.ping(); err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return err
		case <-ticker.C:
		}
	}
	return err
}

func (s *Server) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// Stop ends the server as an operator would: sessions are ended, and what is to be written is.
func (s *Server) Stop() { s.end(syscall.SIGINT) }

// Crash ends the server at once, so that it recovers when it starts again, but not so suddenly that shared memory stays behind.
func (s *Server) Crash() { s.end(syscall.SIGQUIT) }

func (s *Server) end(signal syscall.Signal) {
	_ = s.command.Process.Signal(signal)
	<-s.ended
}

// close ends the server and removes its files.
func (s *Server) close() {
	s.Crash()
	_ = os.RemoveAll(s.dir)
	leave()
}
