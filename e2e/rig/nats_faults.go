package rig

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// Address of the server, host:port.
func (n *NATSServer) Address() string { return n.server.Addr().String() }

// Stop ends the server. It may be called again.
func (n *NATSServer) Stop() {
	n.server.Shutdown()
	n.server.WaitForShutdown()
}

// Start starts the server again, at its old address and on its files.
func (n *NATSServer) Start(t testing.TB) {
	t.Helper()
	var err error
	options := *n.options
	if n.server, err = server.NewServer(&options); err != nil {
		t.Fatal(err)
	}
	n.server.Start()
	if !n.server.ReadyForConnections(serverStart) {
		t.Fatal("the NATS server did not start")
	}
}

// Empty loses the files of a server that is stopped.
func (n *NATSServer) Empty(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(n.options.StoreDir, "jetstream")); err != nil {
		t.Fatal(err)
	}
}

// JetStream turns JetStream on or off at the next start, and bounds its files; 0 is no bound.
func (n *NATSServer) JetStream(on bool, most int64) {
	n.options.JetStream, n.options.JetStreamMaxStore = on, most
}
