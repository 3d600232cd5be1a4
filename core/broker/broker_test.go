package broker

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// deadline bounds a test on a loaded machine; none depends on how long it takes.
const deadline = 2 * time.Minute

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

func testLogger(t testing.TB) hclog.Logger {
	level := hclog.LevelFromString(os.Getenv("QANAT_TEST_LOG"))
	if level == hclog.NoLevel {
		level = hclog.Off
	}
	return hclog.New(&hclog.LoggerOptions{Name: t.Name(), Level: level, Output: os.Stderr})
}

func startServer(ctx context.Context, t testing.TB) *Server {
	t.Helper()
	s, err := Start(ctx, ServerSettings{Dir: t.TempDir(), Logger: testLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func connect(ctx context.Context, t testing.TB, s Settings) *Broker {
	t.Helper()
	s.Logger = testLogger(t)
	b, err := Connect(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func startBroker(ctx context.Context, t testing.TB) *Broker {
	t.Helper()
	return connect(ctx, t, Settings{Server: startServer(ctx, t)})
}

func openLog(ctx context.Context, t testing.TB, b *Broker, s LogSettings) *Log {
	t.Helper()
	l, err := b.Log(ctx, t.Name(), s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func openPublisher(ctx context.Context, t testing.TB, l *Log, epoch uint64) *Publisher {
	t.Helper()
	p, err := l.Publisher(ctx, epoch)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func openReader(ctx context.Context, t testing.TB, l *Log, from uint64) *Reader {
	t.Helper()
	r, err := l.Read(ctx, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func publish(ctx context.Context, t testing.TB, p *Publisher, frames ...Frame) []uint64 {
	t.Helper()
	seqs := make([]uint64, len(frames))
	for i, f := range frames {
		var err error
		if seqs[i], err = p.Publish(ctx, f); err != nil {
			t.Fatalf("publish frame %d of %d: %v", i+1, len(frames), err)
		}
	}
	return seqs
}

func flush(ctx context.Context, t testing.TB, p *Publisher) uint64 {
	t.Helper()
	last, err := p.Flush(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return last
}

func next(ctx context.Context, t testing.TB, r *Reader) Message {
	t.Helper()
	m, err := r.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// numbered is a data frame of a size that can be told from its neighbours.
func numbered(n, size int) Frame {
	body := fmt.Appendf(nil, "%08d", n)
	return Frame{Header: map[string]string{"n": fmt.Sprint(n)}, Body: [][]byte{body, make([]byte, max(size-len(body), 0))}}
}

func numberOf(t testing.TB, m Message) int {
	t.Helper()
	var n int
	if _, err := fmt.Sscanf(string(m.Body[:min(8, len(m.Body))]), "%d", &n); err != nil {
		t.Fatalf("frame at %d has no number: %v", m.First, err)
	}
	if m.Header["n"] != fmt.Sprint(n) {
		t.Fatalf("frame %d carries the header of %q", n, m.Header["n"])
	}
	return n
}

// freePort finds a port for a server that has to come back under the same address.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
