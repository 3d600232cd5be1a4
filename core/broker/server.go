package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/nats-io/nats-server/v2/server"
)

// DefaultMaxPayload is the largest message that the embedded server takes.
const DefaultMaxPayload = 8 << 20

const readyPoll = 250 * time.Millisecond

// ServerSettings configure an embedded server.
type ServerSettings struct {
	// Dir holds the server's files; it is created if missing.
	Dir string
	// MaxPayload is the largest message in bytes; 0 means DefaultMaxPayload.
	MaxPayload int
	Logger     hclog.Logger
}

// Credentials open a server to its clients.
type Credentials struct {
	User, Password string
}

// Server is an embedded NATS server with JetStream on loopback. When it could not store something, it is started again as soon as
// there is room for its files: the server itself takes nothing more into a stream that it once failed to write.
type Server struct {
	settings    ServerSettings
	port        int
	credentials Credentials
	broken      chan struct{} // capacity 1: it could not store something
	stop        context.CancelFunc
	done        chan struct{}

	mu    sync.Mutex
	nats  *server.Server
	fault error // what keeps it from storing
}

// Start runs a server on a random loopback port with random credentials and
// returns when it takes connections. The caller closes it.
func Start(ctx context.Context, s ServerSettings) (*Server, error) {
	return startAt(ctx, s, server.RANDOM_PORT, Credentials{User: "qanat-" + rand.Text()[:8], Password: rand.Text()})
}

func startAt(ctx context.Context, s ServerSettings, port int, credentials Credentials) (*Server, error) {
	if s.Dir == "" {
		return nil, errors.New("embedded broker: no folder for its files was named")
	}
	if s.MaxPayload == 0 {
		s.MaxPayload = DefaultMaxPayload
	}
	if s.MaxPayload < minPayload || s.MaxPayload > math.MaxInt32 {
		return nil, fmt.Errorf("embedded broker: max payload is %d bytes, expected %d to %d", s.MaxPayload, minPayload, math.MaxInt32)
	}
	srv := &Server{settings: s, port: port, credentials: credentials, broken: make(chan struct{}, 1), done: make(chan struct{})}
	if err := srv.start(ctx); err != nil {
		return nil, err
	}
	srv.port = srv.nats.Addr().(*net.TCPAddr).Port
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	srv.stop = stop
	go srv.mend(life)
	return srv, nil
}

// start runs the server itself.
func (s *Server) start(ctx context.Context) error {
	ns, err := server.NewServer(&server.Options{
		ServerName: "qanat",
		Host:       "127.0.0.1",
		Port:       s.port,
		Username:   s.credentials.User,
		Password:   s.credentials.Password,
		MaxPayload: int32(s.settings.MaxPayload), //nolint:gosec // checked
		JetStream:  true,
		StoreDir:   s.settings.Dir,
		// Logs reserve far more than they hold, so the default limit, a share
		// of the free disk, would refuse flows that fit.
		JetStreamMaxStore: 1 << 50,
		NoSigs:            true,
		NoLog:             true,
	})
	if err != nil {
		return fmt.Errorf("configure embedded broker in %q: %w", s.settings.Dir, err)
	}
	ns.SetLoggerV2(serverLog{Logger: orNull(s.settings.Logger), failed: s.failed}, false, false, false)
	ns.Start()
	if err := awaitReady(ctx, ns); err != nil {
		ns.Shutdown()
		ns.WaitForShutdown()
		return fmt.Errorf("start embedded broker in %q: %w", s.settings.Dir, errors.Join(err, s.storing()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nats, s.fault = ns, nil
	return nil
}

func awaitReady(ctx context.Context, ns *server.Server) error {
	for !ns.ReadyForConnections(readyPoll) {
		if !ns.Running() {
			return errors.New("server stopped while it started, see its log lines")
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if !ns.JetStreamEnabled() {
		return errors.New("JetStream did not start, see the server's log lines")
	}
	return nil
}

// URL is where clients of this machine connect, without credentials.
func (s *Server) URL() string {
	return (&url.URL{Scheme: "nats", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))}).String()
}

// Credentials are what clients authenticate with.
func (s *Server) Credentials() Credentials { return s.credentials }

// Close stops the server and waits until its files are closed. It may be called again.
func (s *Server) Close() {
	s.stop()
	<-s.done
	s.down()
}

func (s *Server) down() {
	ns := s.running()
	ns.Shutdown()
	ns.WaitForShutdown()
}

func (s *Server) running() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nats
}

// InProcessConn makes a Server the connection provider of nats.go.
func (s *Server) InProcessConn() (net.Conn, error) { return s.running().InProcessConn() }

func orNull(l hclog.Logger) hclog.Logger {
	if l == nil {
		return hclog.NewNullLogger()
	}
	return l
}
