package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/qanat-data/qanat/sdk/wire"
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

// acking serves a source whose acknowledgements go to a function.
func acking(t *testing.T, read func(ctx context.Context, out Emitter) error, ack func(pos string) error) *host {
	t.Helper()
	return serve(t, SourceOf(func(context.Context, shopSettings, Env) (*ackingSource, error) {
		return &ackingSource{
			source: source{read: func(ctx context.Context, _ ReadRequest, out Emitter) error { return read(ctx, out) }},
			ack:    func(_ context.Context, pos Position) error { return ack(string(pos)) },
		}, nil
	}))
}

func ackFrame(pos string) *pluginv1.Head {
	return &pluginv1.Head{Kind: &pluginv1.Head_Ack{Ack: &pluginv1.Ack{Position: []byte(pos)}}}
}

func TestAcknowledgementsArriveAfterTheEndOfInput(t *testing.T) {
	t.Parallel()
	acked := make(chan string, 10)
	h := acking(t, func(ctx context.Context, out Emitter) error { return out.Checkpoint(ctx, Position(`1`)) },
		func(pos string) error { acked <- pos; return nil })
	c := h.read(nil)
	c.done()
	c.send(ackFrame(`1`))
	if pos := <-acked; pos != "1" {
		t.Errorf("acknowledged %s", pos)
	}
	c.send(ackFrame(`2`))
	c.end() // waits for the acknowledgement before it
	if pos := <-acked; pos != "2" {
		t.Errorf("acknowledged %s", pos)
	}
}

func TestTheLastAcknowledgementIsRepeatedBeforeReading(t *testing.T) {
	t.Parallel()
	var story []string
	h := acking(t, func(context.Context, Emitter) error { story = append(story, "read"); return nil },
		func(pos string) error { story = append(story, "ack "+pos); return nil })
	c := h.read(&pluginv1.Read{Acked: []byte(`7`)})
	c.done()
	c.end()
	if diff := cmp.Diff([]string{"ack 7", "read"}, story); diff != "" {
		t.Error(diff)
	}
	broken := acking(t, func(context.Context, Emitter) error { return errors.New("was read") }, func(string) error {
		return Retryable(errors.New("no connection"), time.Second)
	})
	c = broken.read(&pluginv1.Read{Acked: []byte(`7`)})
	c.fails(pluginv1.Error_CODE_RETRYABLE, "no connection")
	c.end()
}

func TestALaterAcknowledgementTakesThePlaceOfAWaitingOne(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	var acked []string
	h := acking(t, func(context.Context, Emitter) error { return nil }, func(pos string) error {
		if acked = append(acked, pos); len(acked) == 1 {
			close(begun)
			<-release
			return errors.New("a fault that the next one covers")
		}
		return nil
	})
	c := h.read(nil)
	c.done()
	c.send(ackFrame("1"))
	<-begun
	for i := 2; i <= 9; i++ {
		c.send(ackFrame(fmt.Sprint(i)))
	}
	close(release)
	c.end()
	if acked[0] != "1" || acked[len(acked)-1] != "9" || len(acked) > 9 {
		t.Errorf("acknowledged %v", acked)
	}
	for i := 1; i < len(acked); i++ {
		if acked[i] <= acked[i-1] {
			t.Errorf("acknowledged %v", acked)
		}
	}
}

func TestErrorsKeepTheirKindOnTheWay(t *testing.T) {
	t.Parallel()
	cause := errors.New("the cause")
	for name, test := range map[string]struct {
		err  error
		want *pluginv1.Error
	}{
		"plain":        {cause, &pluginv1.Error{Code: pluginv1.Error_CODE_FATAL, Message: "the cause"}},
		"fatal":        {Fatal(cause), &pluginv1.Error{Code: pluginv1.Error_CODE_FATAL, Message: "the cause"}},
		"retryable":    {Retryable(cause, 2*time.Second), &pluginv1.Error{Code: pluginv1.Error_CODE_RETRYABLE, Message: "the cause", RetryAfterMs: 2000}},
		"rate limited": {RateLimited(cause, time.Time{}), &pluginv1.Error{Code: pluginv1.Error_CODE_RATE_LIMITED, Message: "the cause"}},
		"config":       {ConfigError("/a", "is %d", 1), &pluginv1.Error{Code: pluginv1.Error_CODE_CONFIG, Message: "is 1", Path: "/a"}},
		"fenced":       {Fenced(7), &pluginv1.Error{Code: pluginv1.Error_CODE_FENCED, Message: "a newer writer with epoch 7 has taken over"}},
		"wrapped":      {fmt.Errorf("while reading: %w", Retryable(cause, 0)), &pluginv1.Error{Code: pluginv1.Error_CODE_RETRYABLE, Message: "while reading: the cause"}},
		"joined":       {errors.Join(cause, Fenced(8)), &pluginv1.Error{Code: pluginv1.Error_CODE_FENCED, Message: "the cause\na newer writer with epoch 8 has taken over"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := reading(t, func(context.Context, ReadRequest, Emitter, Env) error { return test.err }).read(nil)
			got := c.fails(test.want.GetCode(), "")
			if got.GetMessage() != test.want.GetMessage() || got.GetRetryAfterMs() != test.want.GetRetryAfterMs() || got.GetPath() != test.want.GetPath() {
				t.Errorf("got %v, want %v", got, test.want)
			}
			c.end()
		})
	}
	if limited := RateLimited(cause, time.Now().Add(time.Hour)); !errors.Is(limited, cause) || KindOf(limited) != KindRateLimited {
		t.Errorf("%v has lost its cause or kind", limited)
	}
}

func TestARowThatIsTooLargeBecomesARejectionAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	h := reading(t, func(ctx context.Context, _ ReadRequest, out Emitter, env Env) error {
		return errors.Join(
			out.Schema(ctx, SchemaChange{Stream: "a", Version: 1, Schema: texts}),
			out.Batch(ctx, Batch{Stream: "a", Version: 1, Origin: "f", Record: textRecord(env.Alloc, 1, wire.MaxRow, 2, wire.MaxRow+1, wire.MaxRow)}),
			out.Batch(ctx, Batch{Stream: "a", Version: 1, Record: textRecord(env.Alloc, wire.MaxRow)}),
		)
	})
	c := h.read(nil)
	var story []string
	for _, g := range c.done()[1:] {
		if g.GetBatch() != nil {
			story = append(story, g.rows)
		}
		for _, r := range g.GetReject().GetRows() {
			story = append(story, r.GetCode()+" "+r.GetOrigin())
			if len(r.GetRaw()) != wire.MaxRaw || !strings.Contains(r.GetReason(), fmt.Sprint(wire.MaxRow)) || r.GetRow() != NoRow {
				t.Errorf("%d raw bytes, row %d: %s", len(r.GetRaw()), r.GetRow(), r.GetReason())
			}
		}
	}
	want := []string{`[{"s":"x"}]`, "row_too_large f", `[{"s":"xx"}]`, "row_too_large f", "row_too_large f", "row_too_large "}
	if diff := cmp.Diff(want, story); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.end()
}

func TestASourceIsHeldToItsSchemasAndPositions(t *testing.T) {
	t.Parallel()
	first := SchemaChange{Stream: "a", Version: 2, Schema: numbers}
	for name, test := range map[string]struct {
		emit func(ctx context.Context, out Emitter, env Env) error
		says string
	}{
		"a batch without a schema": {func(ctx context.Context, out Emitter, env Env) error {
			return out.Batch(ctx, Batch{Stream: "b", Version: 1, Record: record(env.Alloc, 1)})
		}, "without that version's schema"},
		"a batch of an older version": {func(ctx context.Context, out Emitter, env Env) error {
			return out.Batch(ctx, Batch{Stream: "a", Version: 1, Record: record(env.Alloc, 1)})
		}, "without that version's schema"},
		"a batch of another schema": {func(ctx context.Context, out Emitter, env Env) error {
			return out.Batch(ctx, Batch{Stream: "a", Version: 2, Record: textRecord(env.Alloc, 1)})
		}, `stream "a" version 2`},
		"a version that goes back": {func(ctx context.Context, out Emitter, _ Env) error {
			return out.Schema(ctx, SchemaChange{Stream: "a", Version: 2, Schema: texts})
		}, "version 2 follows version 2"},
		"a position that is too large": {func(ctx context.Context, out Emitter, _ Env) error {
			return out.Checkpoint(ctx, make(Position, MaxPosition+1))
		}, "a position of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := reading(t, func(ctx context.Context, _ ReadRequest, out Emitter, env Env) error {
				if err := out.Schema(ctx, first); err != nil {
					return err
				}
				return test.emit(ctx, out, env)
			})
			c := h.read(nil)
			c.fails(pluginv1.Error_CODE_FATAL, test.says)
			c.end()
		})
	}
}

func TestProgressReachesTheHost(t *testing.T) {
	t.Parallel()
	h := reading(t, func(_ context.Context, _ ReadRequest, out Emitter, _ Env) error {
		out.Progress(Progress{Stream: "a", Rows: 1, Bytes: 2, TotalRows: 3, TotalBytes: 4, Message: "half"})
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
	c.end()
}

func TestWhatCanNotBeOpenedIsAnswered(t *testing.T) {
	t.Parallel()
	h := serve(t, SourceOf(func(_ context.Context, c shopSettings, _ Env) (*source, error) {
		return nil, Retryable(fmt.Errorf("no shop has %d rows", c.Rows), 0)
	}))
	c := h.call(h.client.Read, &pluginv1.Open{Config: []byte(`{"rows": "x"}`)})
	if fault := c.fails(pluginv1.Error_CODE_CONFIG, "expected int"); fault.GetPath() != "/rows" {
		t.Errorf("blames %q", fault.GetPath())
	}
	h.read(nil).fails(pluginv1.Error_CODE_RETRYABLE, "no shop has 5 rows")
	for name, m := range map[string]method{"transform": h.client.Transform, "check": h.client.Check, "sink": h.client.Write} {
		h.call(m, &pluginv1.Open{}).fails(pluginv1.Error_CODE_FATAL, `plugin "shop" is no `+name)
	}
	for _, m := range []method{h.client.Read, h.client.Transform, h.client.Check, h.client.Write} {
		c := h.call(m, nil)
		c.send(ackFrame("1"))
		if _, err := c.receive(); status.Code(err) != codes.Unknown || !strings.Contains(err.Error(), "expected Open") {
			t.Errorf("a stream that does not begin with Open: %v", err)
		}
	}
}
