// Package pgtest gives tests a real PostgreSQL server that can be replicated from: one for all tests of a package, with a database for
// each test, or servers of a test's own, which it may stop, crash and start again.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	binVariable = "QANAT_POSTGRES_BIN"
	superuser   = "qanat"
	startLimit  = 60 * time.Second
	startPoll   = 50 * time.Millisecond
)

// defaults of settings: a test's own come after them and win.
var defaults = []string{
	"wal_level=logical", "max_replication_slots=20", "max_wal_senders=20", "max_connections=100", "fsync=off", "log_min_messages=fatal",
	"shared_buffers=32MB", "autovacuum=off", "jit=off", // a server for each of many packages at once is a small one
}

// Server is a PostgreSQL server on loopback.
type Server struct {
	address  string
	password string
	dir      string
	bin      string
	settings []string
	account  *syscall.SysProcAttr
	command  *exec.Cmd
	ended    chan struct{}
}

var shared struct {
	mu     sync.Mutex
	server *Server
}

// template is the files that initdb makes, once for all servers of a process.
var template struct {
	once     sync.Once
	dir      string
	password string
	err      error
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
		shared.server.Close()
		shared.server = nil
	}
	_ = os.RemoveAll(template.dir)
}

// Own is a server of a test's own, with settings such as "wal_sender_timeout=2s" or, for tests of the server's crashes, "fsync=on".
func Own(t testing.TB, settings ...string) *Server {
	t.Helper()
	unlessShort(t)
	server, err := start(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// start makes a server's files in a folder of their own and starts it. As root it runs as another user, because it refuses root.
func start(settings []string) (*Server, error) {
	s := &Server{settings: settings}
	var err error
	if s.bin, err = binaries(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "qanat-postgres-"); err != nil {
		return nil, err
	}
	if err = s.make(); err == nil {
		err = s.Start()
	}
	if err != nil {
		_ = os.RemoveAll(s.dir)
		return nil, err
	}
	return s, nil
}

// binaries is the folder of initdb and postgres: $QANAT_POSTGRES_BIN, that of initdb in the path, or where Debian puts it.
func binaries() (string, error) {
	if dir := os.Getenv(binVariable); dir != "" {
		return dir, nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.Join(fmt.Errorf("no PostgreSQL server: run \"make tools\", or set %s to the folder of initdb and postgres", binVariable), err)
	}
	return filepath.Dir(found[len(found)-1]), nil
}

// asUser is how to run as somebody who is not root; nobody else is needed otherwise.
func asUser(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Getuid() != 0 {
		return attr, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(account.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(account.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return attr, os.Chown(dir, int(uid), int(gid))
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")
}

func (s *Server) make() error {
	var err error
	if s.account, err = asUser(s.dir); err != nil {
		return err
	}
	template.once.Do(func() { template.err = makeTemplate(s.bin) })
	if template.err != nil {
		return template.err
	}
	s.password = template.password
	cmd := exec.Command("cp", "-R", filepath.Join(template.dir, "data"), s.data()) //nolint:gosec,noctx // a tool of tests
	cmd.SysProcAttr, cmd.Dir = s.account, s.dir
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("copy what initdb has made: %w\n%s", err, said)
	}
	if err := os.Chmod(s.data(), 0o700); err != nil { //nolint:gosec // a folder
		return err
	}
	s.address, err = freeAddress()
	return err
}

func makeTemplate(bin string) error {
	var err error
	if template.dir, err = os.MkdirTemp("", "qanat-postgres-"); err != nil {
		return err
	}
	template.password = rand.Text()
	account, err := asUser(template.dir)
	if err != nil {
		return err
	}
	secret := filepath.Join(template.dir, "password")
	if err := os.WriteFile(secret, []byte(template.password), 0o600); err != nil {
		return err
	}
	if c := account.Credential; c != nil {
		if err := os.Chown(secret, int(c.Uid), int(c.Gid)); err != nil {
			return err
		}
	}
	cmd := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(template.dir, "data"), "-U", superuser, "--auth=scram-sha-256", //nolint:gosec,noctx // a tool of tests
		"--pwfile="+secret, "--no-sync", "--encoding=UTF8", "--locale=C")
	cmd.SysProcAttr, cmd.Dir = account, template.dir
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, said)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a tool of tests
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// Start starts the server, again after Stop or Crash, at the same address, and waits until it answers.
func (s *Server) Start() error {
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
	s.command = exec.Command(filepath.Join(s.bin, "postgres"), args...) //nolint:gosec,noctx // Stop ends it
	s.command.SysProcAttr, s.command.Dir = s.account, s.dir
	s.command.Stdout, s.command.Stderr = log, log
	if err := s.begin(); err != nil {
		return err
	}
	ticker := time.NewTicker(startPoll)
	defer ticker.Stop()
	for range startLimit / startPoll {
		if err = s.ping(); err == nil {
			return nil
		}
		<-ticker.C
	}
	s.Crash()
	said, _ := os.ReadFile(log.Name())
	return fmt.Errorf("PostgreSQL did not start: %w\n%s", err, said)
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

func (s *Server) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.dsn("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// Stop ends connections, writes what is to be written, and ends the server.
func (s *Server) Stop() { s.end(syscall.SIGINT) }

// Crash ends the server at once, so that it recovers when it starts again.
func (s *Server) Crash() { s.end(syscall.SIGQUIT) }

func (s *Server) end(signal syscall.Signal) {
	_ = s.command.Process.Signal(signal)
	<-s.ended
}

// Close ends the server and removes its files.
func (s *Server) Close() {
	s.Crash()
	_ = os.RemoveAll(s.dir)
}

// Folder is the server's data.
func (s *Server) Folder() string { return s.data() }

// Address is host:port.
func (s *Server) Address() string { return s.address }

// Password is the superuser's.
func (s *Server) Password() string { return s.password }

func (s *Server) dsn(database string) string {
	return (&url.URL{Scheme: "postgres", User: url.UserPassword(superuser, s.password), Host: s.address, Path: database}).String()
}

// Database makes an empty database for a test and returns its DSN.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := "t" + strings.ToLower(rand.Text()[:12])
	s.Admin(t, "create database "+name)
	return s.dsn(name)
}

// Admin runs a statement as the superuser.
func (s *Server) Admin(t testing.TB, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.dsn("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
