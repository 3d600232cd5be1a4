package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// The calls on streams.
const (
	opOpen        = "open"
	opPlan        = "plan"
	opBatch       = "batch"
	opFinish      = "finish"
	opResult      = "result"
	opPlanSchema  = "plan schema"
	opApplySchema = "apply schema"
	opBegin       = "begin"
	opCommit      = "commit"
)

// call is one that was sent and is not answered yet.
type call struct {
	op     string
	stream string
	rows   int64 // of the batch that is sent, or of the unit that is committed
	offset int64 // of the part in the caller's batch
	last   bool  // the answer completes what the caller waits for
}

// answer gathers what comes before the Done that completes it.
type answer struct {
	batches    []sdk.Batch
	rejections []sdk.Rejection
	findings   []sdk.Finding
	rejected   map[int64]bool
	size       int64 // about what it takes in memory

	plan    *pluginv1.TransformPlan
	result  *pluginv1.CheckResult
	opened  *pluginv1.Opened
	actions *pluginv1.Actions
	mark    *pluginv1.Mark
}

// An answer is in memory until it is complete.
const (
	maxAnswer = 256 << 20
	frameCost = 1 << 10 // what a frame takes beside its bytes
)

// calls are those under way, oldest first, and the part of the oldest's answer that has come.
type calls struct {
	mu      sync.Mutex
	queue   []call
	partial answer
	// accept takes a frame of the answer to a call; it is the handle's, and returns false for a frame that does not belong there.
	accept func(*answer, call, *wire.Frame) (bool, error)
}

func (c *calls) push(one call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, one)
}

func (c *calls) oldest() (call, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return call{}, false
	}
	return c.queue[0], true
}

func (c *calls) pop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = c.queue[1:]
}

func (c *calls) pending() bool {
	_, pending := c.oldest()
	return pending
}

// drop releases what has come of an answer that nobody will take.
func (c *calls) drop() {
	for _, b := range c.partial.batches {
		b.Record.Release()
	}
	c.partial = answer{}
}

// sendBatch sends the rows in parts, each of which the plugin answers.
func (s *session) sendBatch(ctx context.Context, b sdk.Batch) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	e, err := s.encoder(ctx, b)
	if err != nil {
		return err
	}
	cuts := parts(b.Record)
	defer func() {
		for _, part := range cuts {
			part.Release()
		}
	}()
	offset := int64(0)
	for i, part := range cuts {
		body, err := e.Encode(part)
		if err != nil {
			return s.abort(s.inst.from(err))
		}
		one := call{op: opBatch, stream: b.Stream, rows: part.NumRows(), offset: offset, last: i == len(cuts)-1}
		offset += one.rows
		s.expect(one, s.host.settings.Deadlines.Answer)
		err = s.transmit(ctx, &wire.Frame{
			Head: &pluginv1.Head{Kind: &pluginv1.Head_Batch{Batch: &pluginv1.Batch{
				Stream: b.Stream, Version: uint32(b.Version), Rows: uint64(one.rows), Origin: b.Origin, //nolint:gosec // never negative
			}}},
			Body: body,
		})
		if errors.Is(err, errEnded) {
			return err
		}
		if err != nil {
			// The parts before have been sent; without the rest their answers mean nothing.
			return s.abort(err)
		}
	}
	return nil
}

func (s *session) expect(one call, limit time.Duration) {
	s.calls.push(one)
	s.patience.owe(one.op, limit)
}

// receive returns the answer to the oldest call, waiting for a call if there is none. A cancelled context ends only the waiting.
func (s *session) receive(ctx context.Context) (answer, error) {
	s.recvMu.Lock()
	defer s.recvMu.Unlock()
	for {
		done, err := s.step(ctx)
		if err != nil {
			return answer{}, err
		}
		if done {
			complete := s.calls.partial
			s.calls.partial = answer{}
			return complete, nil
		}
	}
}

// step takes one frame, under recvMu. It reports whether the answer to what the caller waits for is complete.
func (s *session) step(ctx context.Context) (bool, error) {
	frame, err := s.next(ctx)
	if err != nil {
		return false, err
	}
	one, ok := s.calls.oldest()
	if !ok {
		return false, s.abort(s.inst.violation("a frame %T that nothing was asked for", frame.Head.GetKind()))
	}
	switch kind := frame.Head.GetKind().(type) {
	case *pluginv1.Head_Done:
		s.calls.pop()
		return one.last, nil
	case *pluginv1.Head_Error:
		s.calls.pop()
		return false, s.fail(s.inst.from(sdkError(kind.Error)))
	}
	ok, err = s.calls.accept(&s.calls.partial, one, frame)
	if err == nil && !ok {
		err = s.inst.violation("a frame %T in the answer to %q", frame.Head.GetKind(), one.op)
	}
	if s.calls.partial.size += frameCost + int64(proto.Size(frame.Head)+frame.Body.Len()); err == nil && s.calls.partial.size > maxAnswer {
		err = s.inst.violation("more than %d MiB in the answer to %q; a transform that gives so much more than it takes should collect, "+
			"and give it piece by piece", maxAnswer>>20, one.op)
	}
	if err != nil {
		return false, s.abort(err)
	}
	return false, nil
}

// ask makes a call and waits for its answer. Nothing else may be under way, and nobody may be receiving.
func (s *session) ask(ctx context.Context, one call, limit time.Duration, head *pluginv1.Head) (answer, error) {
	if err := s.call(ctx, one, limit, head); err != nil {
		return answer{}, err
	}
	got, err := s.receive(ctx)
	if err != nil && ctx.Err() != nil {
		// The answer is still to come; the session can't go on without it.
		err = s.abort(context.Cause(ctx))
	}
	return got, err
}

// call begins what ask does.
func (s *session) call(ctx context.Context, one call, limit time.Duration, head *pluginv1.Head) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.calls.pending() {
		return s.inst.from(fmt.Errorf("%s: the answers to earlier calls have not been received yet", one.op))
	}
	one.last = true
	s.expect(one, limit)
	if err := s.send(ctx, head); err != nil && !errors.Is(err, errEnded) {
		return s.abort(err)
	}
	return nil
}

// exchange sends a batch and receives its answer at the same time: a large batch is answered while it is sent.
func (s *session) exchange(ctx context.Context, b sdk.Batch) (answer, error) {
	sent := make(chan error, 1)
	go func() { sent <- s.sendBatch(ctx, b) }()
	got, err := s.receive(ctx)
	if err != nil && ctx.Err() != nil {
		err = s.abort(context.Cause(ctx))
	}
	if sendErr := <-sent; err == nil {
		err = sendErr
	}
	return got, err
}
