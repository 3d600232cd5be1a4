package broker

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// until polls, as there is no event to wait for.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx := testContext(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("gave up waiting: %s", what)
		}
	}
}

func TestALostServerIsTroubleUntilItIsBack(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := startRestartable(ctx, t)
	b := connect(ctx, t, Settings{URL: s.server.URL(), User: "u", Password: "p"})
	l := openLog(ctx, t, b, LogSettings{})
	p := openPublisher(ctx, t, l, 1)
	publish(ctx, t, p, numbered(1, 10))
	if what, _ := b.Trouble(); what != "" {
		t.Errorf("trouble: %s", what)
	}
	began := time.Now()
	s.server.Close()
	until(t, "there is trouble", func() bool {
		what, since := b.Trouble()
		return strings.Contains(what, "NATS at "+s.server.URL()+": the connection is lost") && !since.Before(began)
	})
	publish(ctx, t, p, numbered(2, 10)) // it waits in the window
	s.start(ctx)
	flush(ctx, t, p)
	until(t, "the trouble is over", func() bool { what, _ := b.Trouble(); return what == "" })
}

func TestAServerThatCouldNotStoreIsStartedAgain(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := startServer(ctx, t)
	b := connect(ctx, t, Settings{Server: s})
	l := openLog(ctx, t, b, LogSettings{})
	p := openPublisher(ctx, t, l, 1)
	publish(ctx, t, p, numbered(1, 10))
	before := s.running()
	s.failed("JetStream failed to store a msg on stream 'x': write x: no space left on device")
	until(t, "another server runs", func() bool { return s.running() != before && s.storing() == nil })
	publish(ctx, t, p, numbered(2, 10))
	if last := flush(ctx, t, p); last != 2 {
		t.Errorf("log ends at %d, expected 2", last)
	}
	r := openReader(ctx, t, l, 0)
	for n := 1; n <= 2; n++ {
		if got := numberOf(t, next(ctx, t, r)); got != n {
			t.Errorf("frame %d is %d", n, got)
		}
	}
}

func TestAServerWithoutRoomSaysSoAndWaits(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := startServer(ctx, t)
	// A folder in the way of the file that is tried takes part of a full disk: it can't be written either.
	blocked := s.settings.Dir + "/" + roomFile
	if err := os.Mkdir(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	before := s.running()
	s.failed("no space left on device")
	until(t, "it has tried", func() bool { return s.storing() != nil && strings.Contains(s.storing().Error(), roomFile) })
	if s.running() != before {
		t.Error("it was started again without room")
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	until(t, "another server runs", func() bool { return s.running() != before && s.storing() == nil })
}

func TestFailuresOfTheServerAreMarked(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	b := startBroker(ctx, t)
	for _, err := range []error{ErrFenced, ErrLogNotFound, ErrClosed, ErrLogCutBack, errors.New("anything")} {
		if _, marked := errors.AsType[*UnavailableError](b.blame(err)); marked {
			t.Errorf("%v is blamed on the server", err)
		}
	}
	for _, err := range []error{ErrStalled, errShort, os.ErrDeadlineExceeded} {
		_, marked := errors.AsType[*UnavailableError](b.blame(err))
		if want := !errors.Is(err, os.ErrDeadlineExceeded); marked != want {
			t.Errorf("%v is blamed on the server: %v", err, marked)
		}
	}
}
