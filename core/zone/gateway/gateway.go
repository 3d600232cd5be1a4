// Package gateway runs the embedded S3 server of a project: versitygw's S3 front
// over its posix backend, on a loopback port, with every write on stable storage
// before it is answered. A project with a server of its own doesn't need it: package
// objects talks to either by the same S3 API.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"
)

// Region is the region name the gateway signs and reports.
const Region = "us-east-1"

const (
	maxConnections = 4096
	maxParts       = 10000
	portAttempts   = 8
	stopAgain      = 20 * time.Millisecond
)

// Settings name the gateway's folder and the only account it knows.
type Settings struct {
	Dir       string // holds buckets/ and versions/; made when missing
	AccessKey string
	SecretKey string
}

// Gateway is a running server. Several may run in one process, each over a folder
// of its own.
type Gateway struct {
	endpoint string
	root     string
	server   *s3api.S3ApiServer
	backend  *backend
	done     chan struct{}
}

// Start serves Settings.Dir on a random loopback port and returns when it listens.
// The folder's file system must hold user extended attributes.
func Start(ctx context.Context, s Settings) (*Gateway, error) {
	if s.AccessKey == "" || s.SecretKey == "" {
		return nil, errors.New("gateway: access key and secret key must be set")
	}
	dir, err := filepath.Abs(s.Dir)
	if err != nil {
		return nil, fmt.Errorf("gateway: folder %q: %w", s.Dir, err)
	}
	g := &Gateway{root: filepath.Join(dir, "buckets")}
	g.backend, err = openBackend(g.root, filepath.Join(dir, "versions"))
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	for range portAttempts {
		if err = g.serve(ctx, s); err == nil {
			return g, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	g.backend.Shutdown()
	return nil, fmt.Errorf("gateway: %w", err)
}

// serve starts one server on a free port. Another process may take the port
// between the probe and the bind; the caller tries again.
func (g *Gateway) serve(ctx context.Context, s Settings) error {
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	listening := make(chan struct{})
	account := auth.Account{Access: s.AccessKey, Secret: s.SecretKey, Role: auth.RoleAdmin}
	g.server, err = s3api.New(g.backend,
		middlewares.RootUserConfig{Access: s.AccessKey, Secret: s.SecretKey},
		Region, auth.NewIAMServiceSingle(account), nil, nil, nil, nil,
		s3api.WithQuiet(), s3api.WithKeepAlive(), s3api.WithMpMaxParts(maxParts),
		s3api.WithConcurrencyLimiter(maxConnections, maxConnections),
		s3api.WithOnListen(func() { close(listening) }))
	if err != nil {
		return err
	}
	var failure error
	g.endpoint, g.done = address, make(chan struct{})
	go func() {
		defer close(g.done)
		failure = g.server.ServeMultiPort([]string{address})
	}()
	select {
	case <-listening:
	case <-g.done:
		return fmt.Errorf("listen on %s: %w", address, failure)
	}
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), g.stop())
	}
	return nil
}

// stop ends the server and waits for it. A server that has just said that it
// listens may not take notice of the first call yet.
func (g *Gateway) stop() error {
	tick := time.NewTicker(stopAgain)
	defer tick.Stop()
	for {
		err := g.server.ShutDown()
		select {
		case <-g.done:
			return err
		case <-tick.C:
		}
	}
}

func freeAddress(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// Endpoint is host:port; the server speaks plain HTTP.
func (g *Gateway) Endpoint() string { return g.endpoint }

// Root is the folder that holds the buckets: an object lies at Root/bucket/key.
func (g *Gateway) Root() string { return g.root }

// Close lets requests in flight end (for at most ten seconds) and stops the server.
func (g *Gateway) Close() error {
	err := g.stop()
	g.backend.Shutdown()
	if err != nil {
		return fmt.Errorf("gateway: stop: %w", err)
	}
	return nil
}

func makeDirs(dirs ...string) error {
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	return nil
}
