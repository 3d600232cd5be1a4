package rig

import (
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// NATSServer is a NATS server with JetStream that Qanat does not run. Nothing is set but what it takes to have one: in particular
// its max_payload is the default of 1 MiB.
type NATSServer struct {
	URL            string
	User, Password string
	server         *server.Server
}

// NATS starts a server on loopback with random credentials and files of its own, and stops it when the test ends.
func NATS(t testing.TB) *NATSServer {
	t.Helper()
	n := &NATSServer{User: "user-" + rand.Text()[:8], Password: rand.Text()}
	var err error
	n.server, err = server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, Username: n.User, Password: n.Password,
		JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	n.server.Start()
	t.Cleanup(func() {
		n.server.Shutdown()
		n.server.WaitForShutdown()
	})
	if !n.server.ReadyForConnections(serverStart) {
		t.Fatal("the NATS server did not start")
	}
	n.URL = "nats://" + n.server.Addr().String()
	return n
}

// Env are the variables that NATS refers to.
func (n *NATSServer) Env() []string { return []string{"NATS_PASSWORD=" + n.Password} }

// Block is the nats block of a project file that uses the server.
func (n *NATSServer) Block() string {
	return fmt.Sprintf("nats:\n  url: %s\n  user: %s\n  password: ${env:NATS_PASSWORD}\n", n.URL, n.User)
}

// Received are the messages and bytes that clients have sent to the server.
func (n *NATSServer) Received(t testing.TB) (messages, bytes int64) {
	t.Helper()
	v, err := n.server.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	return v.InMsgs, v.InBytes
}

// MaxPayload is the largest message that the server takes.
func (n *NATSServer) MaxPayload(t testing.TB) int {
	t.Helper()
	v, err := n.server.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	return v.MaxPayload
}
