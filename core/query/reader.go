package query

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/core/zone"
)

// reader is an array.RecordReader that a goroutine of Go's own feeds. DuckDB calls it from its threads, on which an iterator of
// batches must not be advanced: iter.Pull is bound to the thread it began on.
type reader struct {
	schema  *arrow.Schema
	batches chan arrow.RecordBatch
	cancel  context.CancelFunc
	done    chan struct{}
	refs    atomic.Int64
	current arrow.RecordBatch

	mu  sync.Mutex
	err error
}

func newReader(ctx context.Context, schema *arrow.Schema, batches zone.Batches) *reader {
	ctx, cancel := context.WithCancel(ctx)
	r := &reader{schema: schema, batches: make(chan arrow.RecordBatch, 1), cancel: cancel, done: make(chan struct{})}
	r.refs.Store(1)
	go r.feed(ctx, batches)
	return r
}

func (r *reader) feed(ctx context.Context, batches zone.Batches) {
	defer close(r.done)
	defer close(r.batches)
	for batch, err := range batches {
		if err != nil {
			r.fail(err)
			return
		}
		select {
		case r.batches <- batch:
		case <-ctx.Done():
			batch.Release()
			r.fail(context.Cause(ctx))
			return
		}
	}
}

func (r *reader) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// stop ends the goroutine and frees what it has read ahead.
func (r *reader) stop() {
	r.cancel()
	for batch := range r.batches {
		batch.Release()
	}
	<-r.done
	r.drop()
}

func (r *reader) drop() {
	if r.current != nil {
		r.current.Release()
		r.current = nil
	}
}

// Retain implements array.RecordReader.
func (r *reader) Retain() { r.refs.Add(1) }

// Release implements array.RecordReader; stop frees.
func (r *reader) Release() { r.refs.Add(-1) }

// Schema implements array.RecordReader.
func (r *reader) Schema() *arrow.Schema { return r.schema }

// Next implements array.RecordReader.
func (r *reader) Next() bool {
	r.drop()
	batch, ok := <-r.batches
	r.current = batch
	return ok
}

// RecordBatch implements array.RecordReader.
func (r *reader) RecordBatch() arrow.RecordBatch { return r.current }

// Record implements array.RecordReader.
func (r *reader) Record() arrow.RecordBatch { return r.current }

// Err implements array.RecordReader.
func (r *reader) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
