package main

import (
	"context"
	"testing"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

// follower is a read that waits for new files.
type follower struct {
	t       *testing.T
	rec     *plugintest.Recorder
	stopped chan struct{}
	done    chan error
	news    chan struct{}
}

func follow(t *testing.T, s *Source) *follower {
	t.Helper()
	f := &follower{
		t: t, rec: &plugintest.Recorder{}, stopped: make(chan struct{}), done: make(chan error, 1), news: make(chan struct{}, 1),
	}
	t.Cleanup(f.rec.Release)
	f.rec.OnCheckpoint = func(sdk.Position) error {
		select {
		case f.news <- struct{}{}:
		default:
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() { f.done <- s.Read(ctx, sdk.ReadRequest{Follow: true, Stop: f.stopped}, f.rec) }()
	return f
}

// waitFor waits until as many rows have come and a checkpoint after them.
func (f *follower) waitFor(rows int64) {
	f.t.Helper()
	for f.rec.Rows("s") < rows {
		select {
		case <-f.news:
		case err := <-f.done:
			f.t.Fatalf("the read ended with %v after %d rows", err, f.rec.Rows("s"))
		case <-f.t.Context().Done():
			f.t.Fatal("the rows do not come")
		}
	}
	if n := f.rec.Rows("s"); n != rows {
		f.t.Fatalf("%d rows, want %d", n, rows)
	}
}

func (f *follower) stop() *plugintest.Recorder {
	f.t.Helper()
	close(f.stopped)
	if err := <-f.done; err != nil {
		f.t.Fatal(err)
	}
	return f.rec
}
