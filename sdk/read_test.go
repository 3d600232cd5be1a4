package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

type shopSettings struct {
	Rows int `json:"rows,omitempty" jsonschema:"default=3"`
}

// source is a source without optional abilities.
type source struct {
	streams []Stream
	read    func(ctx context.Context, req ReadRequest, out Emitter) error
	closed  chan struct{}
}

func (s *source) Streams(context.Context) ([]Stream, error) { return s.streams, nil }

func (s *source) Read(ctx context.Context, req ReadRequest, out Emitter) error {
	return s.read(ctx, req, out)
}

func (s *source) Close(context.Context) error {
	if s.closed != nil {
		close(s.closed)
	}
	return nil
}

// ackingSource is a source with all of them.
type ackingSource struct {
	source
	ack func(ctx context.Context, pos Position) error
}

func (s *ackingSource) Ack(ctx context.Context, pos Position) error { return s.ack(ctx, pos) }

func (s *ackingSource) Test(context.Context) (string, error) { return "3 tables", nil }

// reading serves a source of one Read; the emitter's records come from env.Alloc.
func reading(t *testing.T, read func(ctx context.Context, req ReadRequest, out Emitter, env Env) error) *host {
	t.Helper()
	return serve(t, SourceOf(func(_ context.Context, _ shopSettings, env Env) (*source, error) {
		return &source{read: func(ctx context.Context, req ReadRequest, out Emitter) error { return read(ctx, req, out, env) }}, nil
	}))
}

func (h *host) read(open *pluginv1.Read) *call {
	h.t.Helper()
	return h.call(h.client.Read, &pluginv1.Open{Config: []byte(`{"rows": 5}`), Scratch: "/scratch", Read: open})
}

func TestReadPassesTheRequestAndKeepsTheOrder(t *testing.T) {
	t.Parallel()
	h := serve(t, SourceOf(func(_ context.Context, c shopSettings, env Env) (*source, error) {
		return &source{read: func(ctx context.Context, req ReadRequest, out Emitter) error {
			if c.Rows != 5 || env.Scratch != "/scratch" || env.Log == nil {
				return fmt.Errorf("settings %v, environment %v", c, env)
			}
			if diff := cmp.Diff([]string{"a"}, req.Streams); diff != "" || string(req.Position) != `{"at":1}` || !req.Follow {
				return fmt.Errorf("request %v", req)
			}
			return errors.Join(
				out.Schema(ctx, SchemaChange{Stream: "a", Version: 1, Schema: numbers, Key: []string{"n"}}),
				out.Batch(ctx, Batch{Stream: "a", Version: 1, Origin: "f.csv", Record: record(env.Alloc, 1, 2)}),
				out.Reject(ctx, Rejection{Stream: "a", Code: "malformed", Reason: "no number", Raw: []byte("x"), Origin: "f.csv:3", Row: NoRow}),
				out.Checkpoint(ctx, Position(`{"at":2}`)),
				out.Schema(ctx, SchemaChange{Stream: "a", Version: 2, Schema: texts}),
				out.Batch(ctx, Batch{Stream: "a", Version: 2, Record: textRecord(env.Alloc, 2)}),
				out.Checkpoint(ctx, Position(`{"at":3}`)),
			)
		}}, nil
	}))
	c := h.read(&pluginv1.Read{Streams: []string{"a"}, Position: []byte(`{"at":1}`), Follow: true})
	var story []string
	for _, g := range c.done() {
		switch kind := g.GetKind().(type) {
		case *pluginv1.Head_Schema:
			story = append(story, fmt.Sprintf("schema %s %d %v %s", kind.Schema.GetStream(), kind.Schema.GetVersion(), kind.Schema.GetKey(), g.schema.Field(0).Name))
		case *pluginv1.Head_Batch:
			story = append(story, fmt.Sprintf("batch %d of %d rows from %q: %s", kind.Batch.GetVersion(), kind.Batch.GetRows(), kind.Batch.GetOrigin(), g.rows))
		case *pluginv1.Head_Reject:
			r := kind.Reject.GetRows()[0]
			story = append(story, fmt.Sprintf("reject %s %s %s %s %d", r.GetCode(), r.GetReason(), r.GetRaw(), r.GetOrigin(), r.GetRow()))
		case *pluginv1.Head_Checkpoint:
			story = append(story, "checkpoint "+string(kind.Checkpoint.GetPosition()))
		}
	}
	want := []string{
		"schema a 1 [n] n", `batch 1 of 2 rows from "f.csv": [{"n":1},{"n":2}]`, "reject malformed no number x f.csv:3 -1", `checkpoint {"at":2}`,
		"schema a 2 [] s", `batch 2 of 1 rows from "": [{"s":"xx"}]`, `checkpoint {"at":3}`,
	}
	if diff := cmp.Diff(want, story); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.end()
}

func TestBatchesOfSeveralGoroutinesAllArrive(t *testing.T) {
	t.Parallel()
	const workers, each = 8, 50
	h := reading(t, func(ctx context.Context, _ ReadRequest, out Emitter, env Env) error {
		var group sync.WaitGroup
		errs := make([]error, workers)
		for w := range workers {
			group.Go(func() {
				stream := fmt.Sprint("s", w)
				errs[w] = out.Schema(ctx, SchemaChange{Stream: stream, Version: 1, Schema: numbers})
				for i := range each {
					errs[w] = errors.Join(errs[w], out.Batch(ctx, Batch{Stream: stream, Version: 1, Record: record(env.Alloc, int64(i))}))
				}
			})
		}
		group.Wait()
		return errors.Join(errs...)
	})
	c := h.read(nil)
	next := map[string]int{}
	for _, g := range c.done() {
		if b := g.GetBatch(); b != nil {
			if want := fmt.Sprintf(`[{"n":%d}]`, next[b.GetStream()]); g.rows != want {
				t.Fatalf("stream %s: %s, want %s", b.GetStream(), g.rows, want)
			}
			next[b.GetStream()]++
		}
	}
	for w := range workers {
		if n := next[fmt.Sprint("s", w)]; n != each {
			t.Errorf("stream %d has %d batches", w, n)
		}
	}
	c.end()
}

// TestCheckpointsWaitForBatchesInFlight has batches on their way that the flow control holds up when the checkpoint is called.
func TestCheckpointsWaitForBatchesInFlight(t *testing.T) {
	t.Parallel()
	const workers, rows = 3, 2_000_000 // 16 MB each, far more than the windows take
	begun := make(chan struct{})
	h := reading(t, func(ctx context.Context, _ ReadRequest, out Emitter, env Env) error {
		if err := out.Schema(ctx, SchemaChange{Stream: "a", Version: 1, Schema: numbers}); err != nil {
			return err
		}
		var group sync.WaitGroup
		errs := make([]error, workers)
		for w := range workers {
			group.Go(func() {
				errs[w] = out.Batch(ctx, Batch{Stream: "a", Version: 1, Record: record(env.Alloc, make([]int64, rows)...)})
			})
		}
		<-begun
		err := out.Checkpoint(ctx, Position(`1`))
		group.Wait()
		return errors.Join(append(errs, err)...)
	})
	c := h.read(nil)
	c.next()
	seen := c.next().n
	close(begun)
	for _, g := range c.done() {
		if g.GetCheckpoint() != nil && seen%rows != 0 {
			t.Errorf("the checkpoint came after %d rows, in the midst of a batch of %d", seen, rows)
		}
		seen += g.n
	}
	if seen != workers*rows {
		t.Errorf("%d rows arrived, want %d", seen, workers*rows)
	}
	c.end()
}

func TestStopIsPassedOnAndTheRestStillComes(t *testing.T) {
	t.Parallel()
	h := reading(t, func(ctx context.Context, req ReadRequest, out Emitter, env Env) error {
		if err := out.Schema(ctx, SchemaChange{Stream: "a", Version: 1, Schema: numbers}); err != nil {
			return err
		}
		<-req.Stop
		return errors.Join(
			out.Batch(ctx, Batch{Stream: "a", Version: 1, Record: record(env.Alloc, 9)}), out.Checkpoint(ctx, Position(`9`)), ctx.Err(),
		)
	})
	c := h.read(&pluginv1.Read{Follow: true})
	c.next()
	for range 2 { // the second changes nothing
		c.send(&pluginv1.Head{Kind: &pluginv1.Head_Stop{Stop: &pluginv1.Stop{}}})
	}
	frames := c.done()
	if len(frames) != 2 || frames[0].rows != `[{"n":9}]` || string(frames[1].GetCheckpoint().GetPosition()) != "9" {
		t.Errorf("after Stop came %v", frames)
	}
	c.end()
}

func TestACancelledReadEndsTheSourceAndClosesIt(t *testing.T) {
	t.Parallel()
	closed, begun, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	h := serve(t, SourceOf(func(_ context.Context, _ shopSettings, env Env) (*source, error) {
		return &source{closed: closed, read: func(ctx context.Context, _ ReadRequest, out Emitter) error {
			err := out.Schema(ctx, SchemaChange{Stream: "a", Version: 1, Schema: numbers})
			close(begun)
			<-ctx.Done()
			ended <- errors.Join(err, out.Batch(ctx, Batch{Stream: "a", Version: 1, Record: record(env.Alloc, 1)}))
			return ctx.Err()
		}}, nil
	}))
	c := h.read(&pluginv1.Read{Follow: true})
	<-begun
	c.cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a batch after the end: %v", err)
	}
	<-closed
}

func TestABatchHeldUpByFlowControlEndsWhenTheHostGoesAway(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	h := reading(t, func(ctx context.Context, _ ReadRequest, out Emitter, _ Env) error {
		err := out.Schema(ctx, SchemaChange{Stream: "a", Version: 1, Schema: numbers})
		// gRPC leaves a message to the garbage collector if its stream ends before the message gets its turn, so that an allocator
		// that counts would count this batch as lost at times.
		err = errors.Join(err, out.Batch(ctx, Batch{Stream: "a", Version: 1, Record: record(memory.DefaultAllocator, make([]int64, 6_000_000)...)}))
		ended <- err
		return err
	})
	c := h.read(nil)
	c.next()
	c.next()
	c.cancel()
	if err := <-ended; err == nil {
		t.Error("the batch went out to a host that has gone")
	}
}

func TestAFrameThatHasNoPlaceInAReadEndsTheSource(t *testing.T) {
	t.Parallel()
	h := reading(t, func(ctx context.Context, _ ReadRequest, _ Emitter, _ Env) error {
		<-ctx.Done()
		return ctx.Err()
	})
	c := h.read(nil)
	c.send(&pluginv1.Head{Kind: &pluginv1.Head_Finish{Finish: &pluginv1.Finish{}}})
	for {
		_, err := c.receive()
		if errors.Is(err, io.EOF) {
			t.Fatal("the stream ended in good order")
		}
		if err != nil {
			return
		}
	}
}

func TestProgressReachesTheHost(t *testing.T) {
	t.Parallel()
	h := reading(t, func(_ context.Context, _ ReadRequest, out Emitter, _ Env) error {
		out.Progress(Progress{Stream: "a", Rows: 1, Bytes: 2, TotalRows: 3, TotalBytes: 4, Message: "half", Lag: &Lag{Bytes: 5, Behind: 6 * time.Microsecond, Retained: 7}})
		return nil
	})
	c := h.read(nil)
	frames := c.done()
	if len(frames) != 1 {
		t.Fatalf("got %v", frames)
	}
	p := frames[0].GetProgress()
	if p.GetStream() != "a" || p.GetRows() != 1 || p.GetBytes() != 2 || p.GetTotalRows() != 3 || p.GetTotalBytes() != 4 || p.GetMessage() != "half" {
		t.Errorf("got %v", p)
	}
	if l := p.GetLag(); l.GetBytes() != 5 || l.GetMicros() != 6 || l.GetRetained() != 7 {
		t.Errorf("got lag %v", l)
	}
	c.end()
}

func TestProgressDoesNotWaitForTheHost(t *testing.T) {
	t.Parallel()
	reported := make(chan struct{})
	h := reading(t, func(ctx context.Context, _ ReadRequest, out Emitter, env Env) error {
		if err := out.Schema(ctx, SchemaChange{Stream: "a", Version: 1, Schema: texts}); err != nil {
			return err
		}
		sent := make(chan error, 1)
		go func() {
			for range 64 { // more than the connection holds
				if err := out.Batch(ctx, Batch{Stream: "a", Version: 1, Record: textRecord(env.Alloc, 1<<20)}); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		for i := range 1000 {
			out.Progress(Progress{Stream: "a", Rows: uint64(i)})
		}
		close(reported)
		return <-sent
	})
	c := h.read(nil)
	<-reported // while the host has taken nothing
	last := uint64(0)
	for _, frame := range c.done() {
		if p := frame.GetProgress(); p != nil {
			last = p.GetRows()
		}
	}
	if last != 999 {
		t.Errorf("the last report is %d, expected that of the end", last)
	}
	c.end()
}
