package rig

import (
	"crypto/rand"
	"fmt"
	"net"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// NATSServer is a NATS server with JetStream that Qanat does not run. Nothing is set but what it takes to have one: in particular
// its max_payload is the default of 1 MiB.
type NATSServer struct {
	URL            string
	User, Password string
	server         *server.Server
	options        *server.Options
}

// NATS starts a server on loopback with random credentials and files of its own, and stops it when the test ends.
func NATS(t testing.TB) *NATSServer {
	t.Helper()
	n := &NATSServer{User: "user-" + rand.Text()[:8], Password: rand.Text()}
	n.options = &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, Username: n.User, Password: n.Password,
		JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	}
	n.Start(t)
	t.Cleanup(n.Stop)
	n.URL = "nats://" + n.server.Addr().String()
	n.options.Port = n.server.Addr().(*net.TCPAddr).Port
	return n
}

// Env are the variables that NATS refers to.
func (n *NATSServer) Env() []string { return []string{"NATS_PASSWORD=" + n.Password} }

// Block is the nats block of a project file that uses the server.
func (n *NATSServer) Block() string { return n.BlockAt(n.URL) }

// BlockAt is the same by another way to the server.
func (n *NATSServer) BlockAt(url string) string {
	return fmt.Sprintf("nats:\n  url: %s\n  user: %s\n  password: ${env:NATS_PASSWORD}\n", url, n.User)
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

// Limit sets what each stream that there is may hold.
func (n *NATSServer) Limit(t testing.TB, bytes int64) {
	t.Helper()
	conn, err := nats.Connect(n.URL, nats.UserInfo(n.User, n.Password))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	streams := js.ListStreams(t.Context())
	for info := range streams.Info() {
		config := info.Config
		config.MaxBytes = bytes
		if _, err := js.UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	if err := streams.Err(); err != nil {
		t.Fatal(err)
	}
}
