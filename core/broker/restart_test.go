package broker

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
)

// restartable is a server that comes back under its old address and files.
type restartable struct {
	t        *testing.T
	settings ServerSettings
	port     int
	server   *Server
}

func startRestartable(ctx context.Context, t *testing.T) *restartable {
	s := &restartable{t: t, settings: ServerSettings{Dir: t.TempDir(), Logger: testLogger(t)}, port: freePort(t)}
	s.start(ctx)
	t.Cleanup(func() { s.server.Close() })
	return s
}

func (s *restartable) start(ctx context.Context) {
	var err error
	if s.server, err = startAt(ctx, s.settings, s.port, Credentials{User: "u", Password: "p"}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *restartable) restart(ctx context.Context) {
	s.server.Close()
	s.start(ctx)
}

func TestNothingIsLostOrDoubledWhenTheServerRestartsInMidPublish(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := startRestartable(ctx, t)
	b := connect(ctx, t, Settings{URL: s.server.URL(), User: "u", Password: "p"})
	l := openLog(ctx, t, b, LogSettings{MaxBytes: 4 << 20})
	p := openPublisher(ctx, t, l, 1)
	const frames, restarts = 900, 3
	done := publishing(ctx, p, 0, frames, 20<<10)
	readAll(ctx, t, openReader(ctx, t, l, 0), 0, frames, func(m Message) {
		if m.First%(frames/(restarts+1)) == 0 && m.First < frames {
			s.restart(ctx)
		}
		if m.First%10 != 0 {
			return
		}
		if err := l.Purge(ctx, m.Last); err != nil {
			t.Error(err)
		}
	})
	if got := <-done; got.err != nil {
		t.Fatal(got.err)
	}
	if last := flush(ctx, t, p); last != frames {
		t.Errorf("log ends at %d, expected %d", last, frames)
	}
}

func TestPublisherGoesOnInALogThatOnlyKeepsItsNewestMessage(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := startRestartable(ctx, t)
	b := connect(ctx, t, Settings{URL: s.server.URL(), User: "u", Password: "p"})
	l := openLog(ctx, t, b, LogSettings{})
	p := openPublisher(ctx, t, l, 1)
	publish(ctx, t, p, numbered(1, 10), numbered(2, 10))
	if err := l.Purge(ctx, flush(ctx, t, p)); err != nil {
		t.Fatal(err)
	}
	s.restart(ctx)
	if seqs := publish(ctx, t, p, numbered(3, 10)); seqs[0] != 3 {
		t.Errorf("went on at %d, expected 3", seqs[0])
	}
	if last := flush(ctx, t, p); last != 3 {
		t.Errorf("log ends at %d, expected 3", last)
	}
}

func TestBrokenConnectionsLoseNothing(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := startServer(ctx, t)
	writer, reader := connect(ctx, t, Settings{Server: s}), connect(ctx, t, Settings{Server: s})
	l := openLog(ctx, t, writer, LogSettings{})
	p := openPublisher(ctx, t, l, 1)
	const frames = 3000
	done := publishing(ctx, p, 0, frames, 1000)
	r := openReader(ctx, t, openLogOf(ctx, t, reader, l), 0)
	readAll(ctx, t, r, 0, frames, func(m Message) {
		switch m.First % 500 {
		case 100:
			breakConnection(t, writer.conn)
		case 300:
			breakConnection(t, reader.conn)
		}
	})
	if got := <-done; got.err != nil {
		t.Fatal(got.err)
	}
}

// breakConnection drops the connection as a network would, without a word to the server.
func breakConnection(t *testing.T, conn *nats.Conn) {
	t.Helper()
	if err := conn.ForceReconnect(); err != nil {
		t.Error(err)
	}
}
