package flow

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/sdk"
)

// worker is a stage that hands batches to a plugin and takes the answers in the same order, several in flight.
type worker interface {
	// plan settles what comes out for these inputs. Nothing is in flight meanwhile.
	plan(ctx context.Context, inputs []sdk.SchemaChange) ([]sdk.SchemaChange, error)
	// send hands a batch over; it stays the caller's.
	send(ctx context.Context, b sdk.Batch) error
	// receive takes the answer to b, the oldest batch in flight. The ownership of b passes.
	receive(ctx context.Context, b sdk.Batch, emit func(item) error) error
	// id names the stage in quarantine.
	id() stageID
	// tally is the account of the open unit, for what passes the stage by.
	tally() *ledger.Stage
	// close ends the unit: what is left comes out, and the account is added.
	close(ctx context.Context, c *closing, emit func(item) error) error
}

// inFlight is how many batches a plugin may have before its first answer.
const inFlight = 4

// flight is what the receiving half of a stage works off in order: an item to answer for, or a point to reach.
type flight struct {
	item    item
	misfits int64 // rows of item that this stage rejects
	reached chan struct{}
}

// work runs a worker between two channels.
func work(ctx context.Context, w worker, in <-chan item, out chan<- item) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	group, ctx := errgroup.WithContext(ctx)
	flights := make(chan flight, inFlight)
	emit := func(i item) error { return send(ctx, out, i) }
	group.Go(func() error {
		defer close(flights)
		return sendAll(ctx, w, in, flights, emit)
	})
	group.Go(func() error {
		err := receiveAll(ctx, w, flights, emit)
		if err != nil {
			cancel(err) // the sending half may wait for an answer that nobody takes any more
		}
		for f := range flights {
			f.item.release()
		}
		return err
	})
	return group.Wait()
}

func receiveAll(ctx context.Context, w worker, flights <-chan flight, emit func(item) error) error {
	for f := range flights {
		if err := receiveOne(ctx, w, f, emit); err != nil {
			return err
		}
	}
	return nil
}

func receiveOne(ctx context.Context, w worker, f flight, emit func(item) error) error {
	switch {
	case f.reached != nil:
		close(f.reached)
		return nil
	case f.item.batch != nil:
		return w.receive(ctx, *f.item.batch, emit)
	case f.item.redrive != nil:
		f.item.redrive.pass(w.tally())
	case f.misfits > 0:
		account := w.tally()
		account.In += f.misfits
		account.Rejected += f.misfits
	case f.item.closing != nil:
		if err := w.close(ctx, f.item.closing, emit); err != nil {
			return err
		}
	}
	return emit(f.item)
}

// sendAll feeds the worker. Schemas are gathered and planned together before the first batch or the unit's end behind them, so
// that a transform over several inputs sees them all at once.
func sendAll(ctx context.Context, w worker, in <-chan item, flights chan flight, emit func(item) error) error {
	var inputs []sdk.SchemaChange
	stale := false
	for {
		i, more := next(ctx, in)
		if !more {
			return context.Cause(ctx)
		}
		if i.schema != nil {
			inputs, stale = replaced(inputs, *i.schema), true
			continue
		}
		if stale {
			if err := replan(ctx, w, inputs, flights, emit); err != nil {
				i.release()
				return err
			}
			stale = false
		}
		if i.redrive != nil && i.redrive.step == w.id().step {
			if err := launchRows(ctx, w, i.redrive, inputs, flights); err != nil {
				return err
			}
			continue
		}
		if err := launch(ctx, w, i, flights); err != nil {
			return err
		}
		if i.closing != nil { // nothing of the next unit is sent before this one has been closed
			if err := settle(ctx, flights); err != nil {
				return err
			}
		}
	}
}

// launch makes the item known to the receiving half before it is sent: a plugin may block until its first answers are taken.
func launch(ctx context.Context, w worker, i item, flights chan<- flight) error {
	if i.batch == nil {
		return fly(ctx, flights, flight{item: i})
	}
	b := *i.batch
	b.Record.Retain()
	defer b.Record.Release()
	if err := fly(ctx, flights, flight{item: i}); err != nil {
		return err
	}
	return w.send(ctx, b)
}

func replaced(inputs []sdk.SchemaChange, c sdk.SchemaChange) []sdk.SchemaChange {
	i := slices.IndexFunc(inputs, func(known sdk.SchemaChange) bool { return known.Stream == c.Stream })
	if i < 0 {
		return append(inputs, c)
	}
	inputs[i] = c
	return inputs
}

func replan(ctx context.Context, w worker, inputs []sdk.SchemaChange, flights chan flight, emit func(item) error) error {
	if err := settle(ctx, flights); err != nil {
		return err
	}
	outputs, err := w.plan(ctx, inputs)
	if err != nil {
		return err
	}
	for _, c := range outputs {
		if err := emit(item{schema: &c}); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until everything in flight has been received.
func settle(ctx context.Context, flights chan flight) error {
	reached := make(chan struct{})
	if err := fly(ctx, flights, flight{reached: reached}); err != nil {
		return err
	}
	select {
	case <-reached:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func fly(ctx context.Context, flights chan<- flight, f flight) error {
	select {
	case flights <- f:
		return nil
	case <-ctx.Done():
		f.item.release()
		return context.Cause(ctx)
	}
}
