package sdk

import (
	"context"
	"fmt"

	"github.com/qanat-data/qanat/sdk/wire"
)

// output implements Output for one call.
type output struct {
	*transformCalls
	stream   string // of the batch that is being transformed
	origin   string
	rows     int64 // of that batch, or collected
	rejected bool  // rows of it have been rejected
}

// collected stands for the number of rows where all of the input is answered at once.
const collected = -1

func (o *output) Batch(_ context.Context, b Batch) error {
	if err := o.announce(b); err != nil {
		b.Record.Release()
		return err
	}
	b.Version, b.Origin = o.versions[b.Stream], o.origin
	if row := wire.Oversized(b.Record, 0, wire.MaxRow); row >= 0 {
		return o.withoutOversized(b, row)
	}
	return o.session.sendBatch(b)
}

func (o *output) Reject(_ context.Context, r ...Rejection) error {
	o.rejected = o.rejected || len(r) > 0
	return o.session.sendRejections(r)
}

// withoutOversized sends the rows that are not too large to travel and rejects the others, where it is known which rows of the
// input they come from.
func (o *output) withoutOversized(b Batch, row int) error {
	defer b.Record.Release()
	source := func(row int) int { return row }
	switch {
	case o.rows == 1 && o.rejected:
		return nil // the one row has been given up already
	case o.rows == 1:
		o.rejected = true
		return o.session.sendRejections([]Rejection{o.tooLarge(b, row, 0)})
	case o.rows == collected:
		source = func(int) int { return NoRow }
	case o.shape != OneToOne || o.rejected || b.Record.NumRows() != o.rows:
		return Fatal(fmt.Errorf("output %q: row %d is too large: %s", b.Stream, row, o.tooLarge(b, row, NoRow).Reason))
	}
	return o.session.sendAround(b, row, func(row int) error {
		return o.session.sendRejections([]Rejection{o.tooLarge(b, row, source(row))})
	})
}

func (o *output) tooLarge(b Batch, row, source int) Rejection {
	r := tooLarge(b, row)
	r.Row, r.Stream = source, o.stream
	return r
}

// announce sends the schema of an output before its first batch, and holds the transform to its plan.
func (o *output) announce(b Batch) error {
	if _, sent := o.versions[b.Stream]; sent {
		return nil
	}
	for _, planned := range o.planned {
		if planned.Name != b.Stream {
			continue
		}
		if !planned.Schema.Equal(b.Record.Schema()) {
			return Fatal(fmt.Errorf("output %q: a batch of schema %v, planned was %v", b.Stream, b.Record.Schema(), planned.Schema))
		}
		o.versions[b.Stream] = o.plans
		return o.session.sendSchema(SchemaChange{Stream: b.Stream, Version: o.plans, Schema: planned.Schema, Key: planned.Key})
	}
	return Fatal(fmt.Errorf("a batch of output %q, which was not planned", b.Stream))
}
