package broker

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// copyTree copies files as they happen to be.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func blocksOf(t *testing.T, dir string) []string {
	t.Helper()
	var blocks []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".blk" {
			blocks = append(blocks, path)
		}
		return err
	})
	if err != nil || len(blocks) == 0 {
		t.Fatal(blocks, err)
	}
	return blocks
}

// A server that was killed may count messages that are gone, and its log is whole or has lost its end. Whoever comes next must find
// what there is, without waiting for what there isn't, and go on.
func TestLogsAreFoundAsTheyAreAfterManyCrashes(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := startServer(ctx, t)
	b := connect(ctx, t, Settings{Server: s})
	sent := map[uint64]int{} // numbers by sequence; written again behind what was lost
	number := 0
	const crashes = 12
	for epoch := range uint64(crashes) {
		l := openLog(ctx, t, b, LogSettings{})
		controls, err := l.Controls(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		expectControls(ctx, t, l, controls, sent)
		p := openPublisher(ctx, t, l, epoch+1)
		var last uint64
		for n := range 150 {
			number++
			frame := numbered(number, 700)
			frame.Control = n%10 == 0
			last = publish(ctx, t, p, frame)[0]
			sent[last] = number
			if n%40 == 39 {
				flush(ctx, t, p)
				if err := l.Purge(ctx, last-uint64(n%7)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if epoch%3 > 0 {
			flush(ctx, t, p)
		}
		next, b2 := crash(ctx, t, s)
		p.Close()
		b.Close()
		s.Close()
		s, b = next, b2
	}
}

// expectControls holds the control frames that were found against what a reader of the whole log finds.
func expectControls(ctx context.Context, t *testing.T, l *Log, controls []Message, sent map[uint64]int) {
	t.Helper()
	state, err := l.State(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []uint64
	r := openReader(ctx, t, l, 0)
	defer r.Close()
	for read := uint64(0); read < state.Messages; {
		m, err := r.Next(ctx)
		if _, gap := errors.AsType[*GapError](err); gap {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		read += m.Last - m.First + 1
		if m.Control {
			want = append(want, m.First)
		}
		if n := numberOf(t, m); n != sent[m.First] {
			t.Errorf("sequence %d holds frame %d, sent was %d", m.First, n, sent[m.First])
		}
	}
	for _, m := range controls {
		got = append(got, m.First)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("control frames (-reader +controls):\n%s", diff)
	}
}

// crash is another server on what one has on disk at this moment.
func crash(ctx context.Context, t *testing.T, s *Server) (*Server, *Broker) {
	t.Helper()
	dir := t.TempDir()
	copyTree(t, s.settings.Dir, dir)
	again, err := Start(ctx, ServerSettings{Dir: dir, Logger: testLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	return again, connect(ctx, t, Settings{Server: again})
}

// crashed is a server on what another one had on disk while it ran, less what lose takes away.
func crashed(ctx context.Context, t *testing.T, s *Server, lose func(blocks []string)) *Broker {
	t.Helper()
	dir := t.TempDir()
	copyTree(t, s.settings.Dir, dir)
	lose(blocksOf(t, dir))
	again, err := Start(ctx, ServerSettings{Dir: dir, Logger: testLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	return connect(ctx, t, Settings{Server: again})
}

// A log whose last messages are lost, though the server still counts them, must be taken over as any other.
func TestALogThatHasLostItsEndIsTakenOver(t *testing.T) {
	t.Parallel()
	for _, share := range []float64{0, 0.1, 0.5, 0.9, 0.999} {
		ctx := testContext(t)
		s := startServer(ctx, t)
		l := openLog(ctx, t, connect(ctx, t, Settings{Server: s}), LogSettings{})
		p := openPublisher(ctx, t, l, 1)
		const frames = 200
		for n := range frames {
			seqs := publish(ctx, t, p, numbered(n+1, 3000))
			if n%20 != 19 {
				continue
			}
			flush(ctx, t, p)
			if err := l.Purge(ctx, seqs[0]); err != nil {
				t.Fatal(err)
			}
		}
		flush(ctx, t, p)
		b := crashed(ctx, t, s, func(blocks []string) {
			for _, block := range blocks {
				info, err := os.Stat(block)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Truncate(block, int64(share*float64(info.Size()))); err != nil {
					t.Fatal(err)
				}
			}
		})
		again := openLog(ctx, t, b, LogSettings{})
		state, err := again.State(ctx)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%v is left: %+v", share, state)
		if _, err := again.Controls(ctx, 0); err != nil {
			t.Errorf("%v is left: %v", share, err)
		}
		taker, err := again.Publisher(ctx, 2)
		if err != nil {
			t.Errorf("%v is left: %v", share, err)
			continue
		}
		frame := numbered(1, 10)
		frame.Control = true
		seqs := publish(ctx, t, taker, frame, numbered(2, 10))
		flush(ctx, t, taker)
		r := openReader(ctx, t, again, seqs[0])
		if first, second := numberOf(t, next(ctx, t, r)), numberOf(t, next(ctx, t, r)); first != 1 || second != 2 {
			t.Errorf("%v is left: read frames %d and %d", share, first, second)
		}
		taker.Close()
	}
}
