package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
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

// Server is an embedded NATS server with JetStream on loopback.
type Server struct {
	nats        *server.Server
	credentials Credentials
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
	payload := s.MaxPayload
	if payload == 0 {
		payload = DefaultMaxPayload
	}
	if payload < minPayload || payload > math.MaxInt32 {
		return nil, fmt.Errorf("embedded broker: max payload is %d bytes, expected %d to %d", payload, minPayload, math.MaxInt32)
	}
	ns, err := server.NewServer(&server.Options{
		ServerName: "qanat",
		Host:       "127.0.0.1",
		Port:       port,
		Username:   credentials.User,
		Password:   credentials.Password,
		MaxPayload: int32(payload),
		JetStream:  true,
		StoreDir:   s.Dir,
		// Logs reserve far more than they hold, so the default limit, a share
		// of the free disk, would refuse flows that fit.
		JetStreamMaxStore: 1 << 50,
		NoSigs:            true,
		NoLog:             true,
	})
	if err != nil {
		return nil, fmt.Errorf("configure embedded broker in %q: %w", s.Dir, err)
	}
	ns.SetLoggerV2(serverLog{orNull(s.Logger)}, false, false, false)
	ns.Start()
	srv := &Server{nats: ns, credentials: credentials}
	if err := srv.awaitReady(ctx); err != nil {
		srv.Close()
		return nil, fmt.Errorf("start embedded broker in %q: %w", s.Dir, err)
	}
	return srv, nil
}

func (s *Server) awaitReady(ctx context.Context) error {
	for !s.nats.ReadyForConnections(readyPoll) {
		if !s.nats.Running() {
			return errors.New("server stopped while it started, see its log lines")
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if !s.nats.JetStreamEnabled() {
		return errors.New("JetStream did not start, see the server's log lines")
	}
	return nil
}

// URL is where clients of this machine connect, without credentials.
func (s *Server) URL() string {
	return (&url.URL{Scheme: "nats", Host: s.nats.Addr().String()}).String()
}

// Credentials are what clients authenticate with.
func (s *Server) Credentials() Credentials { return s.credentials }

// Close stops the server and waits until its files are closed. It may be called again.
func (s *Server) Close() {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
}

// InProcessConn makes a Server the connection provider of nats.go.
func (s *Server) InProcessConn() (net.Conn, error) { return s.nats.InProcessConn() }

func orNull(l hclog.Logger) hclog.Logger {
	if l == nil {
		return hclog.NewNullLogger()
	}
	return l
}
