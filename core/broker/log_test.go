package broker

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestReaderSeesFramesInTheOrderTheyWerePublished(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l := openLog(ctx, t, startBroker(ctx, t), LogSettings{})
	p := openPublisher(ctx, t, l, 3)
	const frames = 2000
	for i := range frames {
		publish(ctx, t, p, numbered(i, 500))
	}
	if last := flush(ctx, t, p); last != frames {
		t.Errorf("flushed up to %d, expected %d", last, frames)
	}
	r := openReader(ctx, t, l, 1)
	for i := range frames {
		m := next(ctx, t, r)
		if n := numberOf(t, m); n != i || m.First != uint64(i+1) || m.Last != m.First || m.Epoch != 3 || m.Time.IsZero() {
			t.Fatalf("frame %d came as %d at %d of epoch %d", i, n, m.First, m.Epoch)
		}
	}
}

func TestFramesAboveTheLimitAreCutAndPutTogetherAgain(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	b := startBroker(ctx, t)
	l := openLog(ctx, t, b, LogSettings{})
	p := openPublisher(ctx, t, l, 1)
	large := bytes.Repeat([]byte("0123456789abcdef"), 5<<20/4) // 20 MiB: three parts, and more than may be in flight
	header := map[string]string{"position": "{\"a\":\n\"\r\nNats-Msg-Id: x\"}", "": "empty name", "ü": ""}
	seqs := publish(ctx, t, p,
		Frame{Control: true},
		Frame{Header: header, Body: [][]byte{large[:7], large[7:]}},
		Frame{Control: true, Header: header, Body: [][]byte{{}}})
	if diff := cmp.Diff([]uint64{1, 2, 5}, seqs); diff != "" {
		t.Errorf("sequences (-want +got):\n%s", diff)
	}
	flush(ctx, t, p)
	r := openReader(ctx, t, l, 0)
	want := []Message{
		{First: 1, Last: 1, Control: true, Header: map[string]string{}, Epoch: 1},
		{First: 2, Last: 4, Header: header, Body: large, Epoch: 1},
		{First: 5, Last: 5, Control: true, Header: header, Epoch: 1},
	}
	for _, w := range want {
		got := next(ctx, t, r)
		if diff := cmp.Diff(w, got, cmpopts.IgnoreFields(Message{}, "Time", "Body")); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
		if !bytes.Equal(w.Body, got.Body) {
			t.Errorf("frame at %d came with another body, %d bytes, expected %d", got.First, len(got.Body), len(w.Body))
		}
	}
}

func TestPublishTakesBodiesByCopy(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l := openLog(ctx, t, startBroker(ctx, t), LogSettings{})
	p := openPublisher(ctx, t, l, 1)
	body := []byte("before")
	for range 50 {
		copy(body, "before")
		publish(ctx, t, p, Frame{Body: [][]byte{body}})
		copy(body, "after!")
	}
	flush(ctx, t, p)
	r := openReader(ctx, t, l, 0)
	for range 50 {
		if m := next(ctx, t, r); string(m.Body) != "before" {
			t.Fatalf("frame at %d holds %q", m.First, m.Body)
		}
	}
}

func TestPublishRefusesFramesThatCouldNeverPass(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l := openLog(ctx, t, startBroker(ctx, t), LogSettings{MaxBytes: 1 << 20})
	p := openPublisher(ctx, t, l, 1)
	for name, f := range map[string]Frame{
		"body":   {Body: [][]byte{make([]byte, 1<<19+1)}},
		"header": {Header: map[string]string{"position": strings.Repeat("x", 64<<10)}},
	} {
		if _, err := p.Publish(ctx, f); !errors.Is(err, ErrFrameTooLarge) {
			t.Errorf("large %s: got %v, expected ErrFrameTooLarge", name, err)
		}
	}
	publish(ctx, t, p, numbered(1, 10))
	if last := flush(ctx, t, p); last != 1 {
		t.Errorf("log ends at %d, expected 1", last)
	}
}

func TestReaderReportsWhatWasPurgedAheadOfIt(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l := openLog(ctx, t, startBroker(ctx, t), LogSettings{})
	p := openPublisher(ctx, t, l, 1)
	for i := range 10 {
		publish(ctx, t, p, numbered(i, 10))
	}
	flush(ctx, t, p)
	if err := l.Purge(ctx, 4); err != nil {
		t.Fatal(err)
	}
	r := openReader(ctx, t, l, 2)
	_, err := r.Next(ctx)
	var gap *GapError
	if !errors.As(err, &gap) || gap.First != 2 || gap.Last != 4 {
		t.Fatalf("got %v, expected a gap from 2 to 4", err)
	}
	if m := next(ctx, t, r); m.First != 5 {
		t.Errorf("went on at %d, expected 5", m.First)
	}
	if m := next(ctx, t, openReader(ctx, t, l, 0)); m.First != 5 {
		t.Errorf("a reader from the oldest message began at %d, expected 5", m.First)
	}
}

func TestPurgeKeepsTheNewestMessage(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l := openLog(ctx, t, startBroker(ctx, t), LogSettings{})
	if err := l.Purge(ctx, 7); err != nil {
		t.Fatalf("purge of an empty log: %v", err)
	}
	p := openPublisher(ctx, t, l, 1)
	for i := range 5 {
		publish(ctx, t, p, numbered(i, 10))
	}
	flush(ctx, t, p)
	for _, upto := range []uint64{5, 100, 1} {
		if err := l.Purge(ctx, upto); err != nil {
			t.Fatal(err)
		}
		s, err := l.State(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if s.First != 5 || s.Last != 5 || s.Messages != 1 || s.MaxBytes != DefaultMaxBytes {
			t.Errorf("after a purge up to %d: %+v", upto, s)
		}
	}
}

func TestControlsAreReadWithoutTheDataBetween(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l := openLog(ctx, t, startBroker(ctx, t), LogSettings{})
	if got, err := l.Controls(ctx, 0); err != nil || len(got) != 0 {
		t.Fatalf("an empty log has %d control frames, error %v", len(got), err)
	}
	p := openPublisher(ctx, t, l, 9)
	for i := range 600 {
		publish(ctx, t, p, Frame{Control: true, Body: [][]byte{[]byte("unit")}}, numbered(i, 10))
	}
	flush(ctx, t, p)
	for from, want := range map[uint64]int{0: 600, 1: 600, 2: 599, 1199: 1, 1200: 0, 5000: 0} {
		got, err := l.Controls(ctx, from)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != want {
			t.Errorf("from %d: %d control frames, expected %d", from, len(got), want)
		}
		for i, m := range got {
			if i > 0 && m.First != got[i-1].First+2 || !m.Control || string(m.Body) != "unit" || m.Epoch != 9 {
				t.Fatalf("from %d: frame %d is at %d: %+v", from, i, m.First, m)
			}
		}
	}
}

func TestLogsListsWhatExists(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := startServer(ctx, t)
	b, other := connect(ctx, t, Settings{Server: s}), connect(ctx, t, Settings{Server: s, Prefix: "other"})
	flows := []string{"a.b/c *>", "orders-daily", "ümlaut=41"}
	for _, flow := range flows {
		l, err := b.Log(ctx, flow, LogSettings{})
		if err != nil {
			t.Fatal(err)
		}
		publish(ctx, t, openPublisher(ctx, t, l, 1), numbered(1, 1))
	}
	if _, err := other.Log(ctx, "orders-daily", LogSettings{}); err != nil {
		t.Fatal(err)
	}
	checkLogs(ctx, t, b, flows)
	checkLogs(ctx, t, other, []string{"orders-daily"})
	l, err := b.Log(ctx, flows[0], LogSettings{MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := l.State(ctx); err != nil || s.MaxBytes != 1<<20 || s.Messages != 1 {
		t.Errorf("opened again with other limits: %+v, error %v", s, err)
	}
	for range 2 {
		if err := l.Delete(ctx); err != nil {
			t.Fatal(err)
		}
	}
	checkLogs(ctx, t, b, flows[1:])
	if _, err := l.Read(ctx, 0); !errors.Is(err, ErrLogNotFound) {
		t.Errorf("read of a deleted log: got %v, expected ErrLogNotFound", err)
	}
}

func checkLogs(ctx context.Context, t *testing.T, b *Broker, want []string) {
	t.Helper()
	got, err := b.Logs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("logs (-want +got):\n%s", diff)
	}
}

func TestNextEndsWithItsContextAndGoesOnLater(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l := openLog(ctx, t, startBroker(ctx, t), LogSettings{})
	r := openReader(ctx, t, l, 1)
	ended, end := context.WithCancel(ctx)
	end()
	if _, err := r.Next(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, expected the context's error", err)
	}
	publish(ctx, t, openPublisher(ctx, t, l, 1), numbered(7, 10))
	if n := numberOf(t, next(ctx, t, r)); n != 7 {
		t.Errorf("read frame %d, expected 7", n)
	}
	r.Close()
	if _, err := r.Next(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, expected ErrClosed", err)
	}
}

func TestReadRefusesAPositionBehindTheEnd(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l := openLog(ctx, t, startBroker(ctx, t), LogSettings{})
	publish(ctx, t, openPublisher(ctx, t, l, 1), numbered(1, 10))
	openReader(ctx, t, l, 2)
	if _, err := l.Read(ctx, 3); !errors.Is(err, ErrLogCutBack) {
		t.Errorf("got %v, expected ErrLogCutBack", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := startServer(ctx, t)
	for name, settings := range map[string]Settings{
		"no address":     {},
		"nobody there":   {URL: "nats://127.0.0.1:1"},
		"wrong password": {URL: s.URL(), User: s.Credentials().User, Password: "secret-guess"},
		"bad prefix":     {Server: s, Prefix: "a.b"},
	} {
		_, err := Connect(ctx, settings)
		if err == nil {
			t.Errorf("%s: connected", name)
		} else if strings.Contains(err.Error(), "secret-guess") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
	if _, err := Start(ctx, ServerSettings{}); err == nil {
		t.Error("a server without a folder started")
	}
	b := connect(ctx, t, Settings{Server: s})
	if _, err := b.Log(ctx, "", LogSettings{}); err == nil {
		t.Error("a log without a flow was opened")
	}
	if _, err := b.Log(ctx, "small", LogSettings{MaxBytes: 1000}); err == nil {
		t.Error("a log of 1000 bytes was opened")
	}
	if _, err := b.Log(ctx, strings.Repeat("long", 100), LogSettings{}); err == nil {
		t.Error("a log with a name of 400 bytes was opened")
	}
}
