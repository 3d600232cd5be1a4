package flow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
)

// publisher is the last stage of the producing half: it writes items to the flow's log and closes units there.
type publisher struct {
	log      *broker.Publisher
	next     int64 // seq of the open unit
	finger   string
	schemas  map[string]sdk.SchemaChange
	encoders map[string]*wire.Encoder // of the streams that the open unit has begun
	pending  map[string]bool          // streams whose newest schema no unit has carried yet
	first    uint64                   // log sequence of the open unit's first frame, 0 if there is none
	rows     map[string]int64
	rejected int64
	counts   ledger.Stage
}

const logStage = "log"

func newPublisher(log *broker.Publisher, next int64, fingerprint string) *publisher {
	p := &publisher{log: log, next: next, finger: fingerprint, schemas: map[string]sdk.SchemaChange{}, encoders: map[string]*wire.Encoder{},
		pending: map[string]bool{}}
	p.reset()
	return p
}

func (p *publisher) reset() {
	for _, e := range p.encoders {
		e.Close()
	}
	clear(p.encoders)
	p.first, p.rejected, p.rows = 0, 0, map[string]int64{}
	p.counts = ledger.Stage{Name: logStage, Maps: true}
}

func (p *publisher) run(ctx context.Context, in <-chan item) error {
	defer p.reset()
	for {
		i, more := next(ctx, in)
		if !more {
			return context.Cause(ctx)
		}
		if err := p.item(ctx, i); err != nil {
			return err
		}
	}
}

func (p *publisher) item(ctx context.Context, i item) error {
	switch {
	case i.schema != nil:
		p.schemas[i.schema.Stream], p.pending[i.schema.Stream] = *i.schema, true
		if e := p.encoders[i.schema.Stream]; e != nil { // the version changes within the unit
			e.Close()
			delete(p.encoders, i.schema.Stream)
		}
		return nil
	case i.batch != nil:
		defer i.batch.Record.Release()
		return wire.Cut(i.batch.Record, func(part arrow.RecordBatch) error {
			b := *i.batch
			b.Record = part
			return p.batch(ctx, b)
		})
	case len(i.rejects) > 0:
		return p.reject(ctx, i.rejects)
	case i.redrive != nil:
		return p.redrive(ctx, i.redrive)
	case i.closing != nil:
		return p.close(ctx, i.closing)
	}
	return nil
}

func (p *publisher) publish(ctx context.Context, f broker.Frame) error {
	killpoint.Here("before-publish")
	seq, err := p.log.Publish(ctx, f)
	if err != nil {
		return err
	}
	killpoint.Here("after-publish")
	if p.first == 0 {
		p.first = seq
	}
	return nil
}

func (p *publisher) batch(ctx context.Context, b sdk.Batch) error {
	encoder, err := p.encoder(ctx, b.Stream)
	if err != nil {
		return err
	}
	body, err := encoder.Encode(b.Record)
	if err != nil {
		return sdk.Fatal(fmt.Errorf("stream %q: %w", b.Stream, err))
	}
	defer body.Release()
	p.rows[b.Stream] += b.Record.NumRows()
	p.counts.In += b.Record.NumRows()
	return p.publish(ctx, batchFrame(b, body))
}

// encoder begins a stream in the open unit with its schema frame.
func (p *publisher) encoder(ctx context.Context, stream string) (*wire.Encoder, error) {
	if e := p.encoders[stream]; e != nil {
		return e, nil
	}
	change, ok := p.schemas[stream]
	if !ok {
		return nil, sdk.Fatal(fmt.Errorf("stream %q: a batch without a schema before it", stream))
	}
	frame, err := schemaFrame(change)
	if err != nil {
		return nil, err
	}
	if err := p.publish(ctx, frame); err != nil {
		return nil, err
	}
	e := wire.NewEncoder(change.Schema)
	p.encoders[stream] = e
	delete(p.pending, stream)
	return e, nil
}

// rejectsPerFrame bounds a quarantine frame: its rows carry up to 64 KiB of raw bytes each.
const rejectsPerFrame = 64

func (p *publisher) reject(ctx context.Context, rows []quarantine.Rejected) error {
	for chunk := range slices.Chunk(rows, rejectsPerFrame) {
		frame, err := quarantineFrame(chunk)
		if err != nil {
			return err
		}
		if err := p.publish(ctx, frame); err != nil {
			return err
		}
		p.rejected += int64(len(chunk))
	}
	return nil
}

// checkRejects holds what the stages say they rejected against what came here of it.
func (p *publisher) checkRejects(stages []ledger.Stage) error {
	var rejected int64
	for _, s := range stages {
		rejected += s.Rejected
	}
	if rejected != p.rejected {
		return fmt.Errorf("the stages rejected %d rows, but %d came to the log", rejected, p.rejected)
	}
	return nil
}

func (p *publisher) close(ctx context.Context, c *closing) error {
	for _, stream := range slices.Sorted(maps.Keys(p.pending)) { // so that datasets without rows are made, too
		if _, err := p.encoder(ctx, stream); err != nil {
			return err
		}
	}
	p.counts.Out = p.counts.In - p.counts.Rejected
	c.Stages = append(c.Stages, p.counts)
	if err := errors.Join(accounts(c.Stages), p.checkRejects(c.Stages)); err != nil {
		return sdk.Fatal(fmt.Errorf("unit %d: %w", p.next, err))
	}
	frame, err := controlFrame(frameClose, closeFrame{Seq: p.next, First: p.first, Rows: p.rows, Rejected: p.rejected, Fingerprint: p.finger, closing: *c})
	if err != nil {
		return err
	}
	killpoint.Here("before-close-frame")
	if err := p.publish(ctx, frame); err != nil {
		return err
	}
	if _, err := p.log.Flush(ctx); err != nil {
		return err
	}
	killpoint.Here("after-close-frame")
	p.next++
	p.reset()
	return nil
}
