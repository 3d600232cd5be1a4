package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk"
)

// source reads numbered rows. What is acknowledged is gone, as in a queue.
type source struct{ base }

var schema = arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "text", Type: arrow.BinaryTypes.String}}, nil)

const (
	batchRows      = 500
	checkpointRows = 1500
)

func newSource(_ context.Context, c Config, env sdk.Env) (*source, error) {
	b, err := newBase(c, env)
	return &source{base: b}, err
}

// Streams implements sdk.Source.
func (s *source) Streams(context.Context) ([]sdk.Stream, error) {
	stream := sdk.Stream{Name: "events", Description: "numbered rows", Schema: schema, Key: []string{"id"}}
	if s.is("discover_differs") {
		stream.Description = fmt.Sprint(rand.Uint64())
	}
	return []sdk.Stream{stream}, nil
}

// Ack implements sdk.Acker.
func (s *source) Ack(_ context.Context, pos sdk.Position) error {
	next, err := parse(pos)
	if err != nil {
		return err
	}
	return os.WriteFile(s.path("acked"), fmt.Append(nil, next), 0o600)
}

// PlanProvision implements sdk.Provisioner: what the source needs of its own is a file.
func (s *source) PlanProvision(ctx context.Context, req sdk.ProvisionRequest) ([]sdk.Action, error) {
	if s.is("provision_plan_effects") {
		return s.provide(ctx, req)
	}
	return s.lacks(req), nil
}

// Provision implements sdk.Provisioner.
func (s *source) Provision(ctx context.Context, req sdk.ProvisionRequest) ([]sdk.Action, error) {
	return s.provide(ctx, req)
}

func (s *source) lacks(req sdk.ProvisionRequest) []sdk.Action {
	_, err := os.Stat(s.path("queue"))
	switch there := err == nil; {
	case req.Remove && there:
		return []sdk.Action{{Object: "queue", Description: "remove it", Destructive: true}}
	case !req.Remove && !there:
		return []sdk.Action{{Object: "queue", Description: "make it"}}
	}
	return nil
}

func (s *source) provide(_ context.Context, req sdk.ProvisionRequest) ([]sdk.Action, error) {
	actions := s.lacks(req)
	switch {
	case s.is("provision_repeats") && !req.Remove:
		actions = []sdk.Action{{Object: "queue", Description: "make it"}}
	case s.is("provision_unplanned") && len(actions) > 0:
		actions = append(actions, sdk.Action{Object: "index", Description: "make it"})
	case s.is("provision_keeps") && req.Remove:
		return actions, nil
	}
	if req.Remove {
		return actions, os.RemoveAll(s.path("queue"))
	}
	return actions, os.WriteFile(s.path("queue"), nil, 0o600)
}

func parse(pos sdk.Position) (int64, error) {
	var p struct {
		Next *int64 `json:"next"`
	}
	if err := json.Unmarshal(pos, &p); err != nil || p.Next == nil {
		return 0, fmt.Errorf("position %s: expected the next row", pos)
	}
	return *p.Next, nil
}

func (s *source) begin(pos sdk.Position) (int64, error) {
	next := int64(0)
	if len(pos) > 0 {
		var err error
		next, err = parse(pos)
		switch {
		case err != nil && s.is("position_panics"):
			panic(err)
		case err != nil && s.is("position_ignored"):
			next = 0
		case err != nil:
			return 0, err
		case s.is("loses_on_resume"):
			next++
		}
	}
	var acked int64
	if raw, err := os.ReadFile(s.path("acked")); err == nil {
		_, _ = fmt.Sscan(string(raw), &acked)
	}
	return max(next, acked), nil
}

// Read implements sdk.Source.
func (s *source) Read(ctx context.Context, req sdk.ReadRequest, out sdk.Emitter) error {
	if _, err := os.Stat(s.path("queue")); err != nil {
		return fmt.Errorf("the queue was not made: %w", err)
	}
	next, err := s.begin(req.Position)
	if err != nil {
		return err
	}
	if err := out.Schema(ctx, sdk.SchemaChange{Stream: "events", Version: 1, Schema: schema, Key: []string{"id"}}); err != nil {
		return err
	}
	emit := func(ctx context.Context, record arrow.RecordBatch) error {
		return out.Batch(ctx, sdk.Batch{Stream: "events", Version: 1, Record: record})
	}
	if s.is("buffers") {
		q := newQueue(out)
		out = q
	}
	err = s.emit(ctx, req, out, next, emit)
	if q, ok := out.(*queue); ok {
		err = errors.Join(err, q.flush())
	}
	for err != nil && s.is("ignores_cancel") {
		time.Sleep(50 * time.Millisecond) // tries for ever
	}
	if err != nil || !req.Follow {
		return err
	}
	if s.is("ignores_stop") {
		<-ctx.Done()
		return ctx.Err()
	}
	if s.is("ignores_cancel") {
		<-req.Stop
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-req.Stop:
		return nil
	}
}

func (s *source) emit(ctx context.Context, req sdk.ReadRequest, out sdk.Emitter, next int64, emit func(context.Context, arrow.RecordBatch) error) error {
	for next < s.Rows {
		select {
		case <-req.Stop:
			if !s.is("ignores_stop") {
				return s.checkpoint(ctx, out, next)
			}
		default:
		}
		end := min(next+batchRows, s.Rows)
		if err := emit(ctx, s.rows(next, end)); err != nil {
			return err
		}
		if next = end; next%checkpointRows != 0 {
			continue
		}
		if err := s.checkpoint(ctx, out, next); err != nil {
			return err
		}
	}
	if s.is("rejects_without_reason") {
		if err := out.Reject(ctx, sdk.Rejection{Stream: "events", Code: "bad", Row: sdk.NoRow}); err != nil {
			return err
		}
	}
	if s.is("uncovered") {
		return emit(ctx, s.rows(0, 1))
	}
	return s.checkpoint(ctx, out, next)
}

func (s *source) checkpoint(ctx context.Context, out sdk.Emitter, next int64) error {
	pos := sdk.Position(fmt.Sprintf(`{"next":%d}`, next))
	if s.is("acks_early") {
		if err := s.Ack(ctx, pos); err != nil {
			return err
		}
	}
	return out.Checkpoint(ctx, pos)
}

func (s *source) rows(from, to int64) arrow.RecordBatch {
	b := array.NewRecordBuilder(s.env.Alloc, schema)
	defer b.Release()
	for id := from; id < to; id++ {
		if s.is("unstable") {
			id += int64(rand.IntN(2)) << 40
		}
		b.Field(0).(*array.Int64Builder).Append(id)
		b.Field(1).(*array.StringBuilder).Append(strings.Repeat("x", 200))
		id &= 1<<40 - 1
	}
	return b.NewRecordBatch()
}

// queue takes what is emitted as fast as it comes and passes it on when it can.
type queue struct {
	sdk.Emitter
	mu      sync.Mutex
	ready   *sync.Cond
	waiting []func() error
	closed  bool
	done    chan error
}

func newQueue(out sdk.Emitter) *queue {
	q := &queue{Emitter: out, done: make(chan error, 1)}
	q.ready = sync.NewCond(&q.mu)
	go func() { q.done <- q.run() }()
	return q
}

func (q *queue) run() error {
	for {
		q.mu.Lock()
		for len(q.waiting) == 0 && !q.closed {
			q.ready.Wait()
		}
		if len(q.waiting) == 0 {
			q.mu.Unlock()
			return nil
		}
		next := q.waiting[0]
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		if err := next(); err != nil {
			return err
		}
	}
}

func (q *queue) add(ctx context.Context, next func() error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, next)
	q.ready.Signal()
	return nil
}

// Batch implements sdk.Emitter.
func (q *queue) Batch(ctx context.Context, b sdk.Batch) error {
	return q.add(ctx, func() error { return q.Emitter.Batch(ctx, b) })
}

// Checkpoint implements sdk.Emitter.
func (q *queue) Checkpoint(ctx context.Context, pos sdk.Position) error {
	return q.add(ctx, func() error { return q.Emitter.Checkpoint(ctx, pos) })
}

func (q *queue) flush() error {
	q.mu.Lock()
	q.closed = true
	q.ready.Signal()
	q.mu.Unlock()
	return <-q.done
}
