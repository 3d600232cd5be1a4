// Package plugintest helps to test a plugin's components in process: a recorder stands where the runtime would. To test a built
// binary over the real protocol, use the runtime itself.
package plugintest

import (
	"context"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/sdk"
)

// Recorder is an sdk.Emitter and an sdk.Output that keeps what it is given. Safe for concurrent use. Call Release at the end.
type Recorder struct {
	// OnCheckpoint, if set, runs at each checkpoint; its error goes to the source, which must end.
	OnCheckpoint func(pos sdk.Position) error

	flight      sync.RWMutex
	mu          sync.Mutex
	Schemas     []sdk.SchemaChange
	Batches     []sdk.Batch
	Rejections  []sdk.Rejection
	Checkpoints []sdk.Position
}

// Schema implements sdk.Emitter.
func (r *Recorder) Schema(ctx context.Context, c sdk.SchemaChange) error {
	r.flight.Lock()
	defer r.flight.Unlock()
	r.Schemas = append(r.Schemas, c)
	return ctx.Err()
}

// Batch implements sdk.Emitter and sdk.Output.
func (r *Recorder) Batch(ctx context.Context, b sdk.Batch) error {
	r.flight.RLock()
	defer r.flight.RUnlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Batches = append(r.Batches, b)
	return ctx.Err()
}

// Reject implements sdk.Emitter and sdk.Output.
func (r *Recorder) Reject(ctx context.Context, rejections ...sdk.Rejection) error {
	r.flight.RLock()
	defer r.flight.RUnlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Rejections = append(r.Rejections, rejections...)
	return ctx.Err()
}

// Checkpoint implements sdk.Emitter.
func (r *Recorder) Checkpoint(ctx context.Context, pos sdk.Position) error {
	r.flight.Lock()
	defer r.flight.Unlock()
	r.Checkpoints = append(r.Checkpoints, slices.Clone(pos))
	if r.OnCheckpoint != nil {
		if err := r.OnCheckpoint(pos); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Progress implements sdk.Emitter.
func (*Recorder) Progress(sdk.Progress) {}

// Rows is the number of rows emitted for a stream.
func (r *Recorder) Rows(stream string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var rows int64
	for _, b := range r.Batches {
		if b.Stream == stream {
			rows += b.Record.NumRows()
		}
	}
	return rows
}

// Records are the batches of a stream in the order of emission; they stay the recorder's.
func (r *Recorder) Records(stream string) []arrow.RecordBatch {
	r.mu.Lock()
	defer r.mu.Unlock()
	var records []arrow.RecordBatch
	for _, b := range r.Batches {
		if b.Stream == stream {
			records = append(records, b.Record)
		}
	}
	return records
}

// Release frees all batches and forgets everything.
func (r *Recorder) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.Batches {
		b.Record.Release()
	}
	r.Schemas, r.Batches, r.Rejections, r.Checkpoints = nil, nil, nil, nil
}
