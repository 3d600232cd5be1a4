package main

import (
	"context"
	"errors"

	"github.com/qanat-data/qanat/sdk"
)

// transform runs one query, over each batch or over all of the input. Not safe for concurrent use.
type transform struct {
	config Config
	db     *database
	way    way
}

// way is how the query meets its input. close ends what runs in the database and comes before the database's own end; free gives
// memory back that the database reads from and comes after it.
type way interface {
	plan(ctx context.Context, in []sdk.SchemaChange) (sdk.Plan, error)
	apply(ctx context.Context, in sdk.Batch, out sdk.Output) error
	finish(ctx context.Context, out sdk.Output) error
	close() error
	free()
}

// New starts a DuckDB for the settings.
func New(ctx context.Context, c Config, env sdk.Env) (*transform, error) {
	db, err := openDatabase(ctx, c, env.Scratch)
	if err != nil {
		return nil, sdk.Fatal(err)
	}
	t := &transform{config: c, db: db}
	if c.Collect {
		t.way = newCollection(c, db, env.Alloc)
		return t, nil
	}
	if t.way, err = newBatches(ctx, c, db, env.Alloc); err != nil {
		return nil, errors.Join(sdk.Fatal(err), db.close())
	}
	return t, nil
}

// Plan implements sdk.Transform.
func (t *transform) Plan(ctx context.Context, in []sdk.SchemaChange) (sdk.Plan, error) {
	if len(in) == 0 {
		return sdk.Plan{}, sdk.Fatal(errors.New("a query needs at least one input"))
	}
	plan, err := t.way.plan(ctx, in)
	if err != nil {
		return sdk.Plan{}, err
	}
	plan.Description = t.config.Query
	if plan.Deterministic, err = deterministic(ctx, t.db, t.config.Query); err != nil {
		return sdk.Plan{}, planFault(ctx, "", err)
	}
	return plan, nil
}

// Apply implements sdk.Transform.
func (t *transform) Apply(ctx context.Context, in sdk.Batch, out sdk.Output) error {
	defer in.Record.Release()
	if in.Record.NumRows() == 0 {
		return nil
	}
	return t.way.apply(ctx, in, out)
}

// Finish implements sdk.Collector.
func (t *transform) Finish(ctx context.Context, out sdk.Output) error {
	return t.way.finish(ctx, out)
}

// Close implements sdk.Transform.
func (t *transform) Close(context.Context) error {
	err := errors.Join(t.way.close(), t.db.close())
	t.way.free()
	return err
}
