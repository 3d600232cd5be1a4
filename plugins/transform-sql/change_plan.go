package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/sdk"
)

// refused says what stands against a query over change data.
func refused(in sdk.SchemaChange, reason error) error {
	return sdk.ConfigError("/query", "input %q holds changes (column \"_op\"), and the query can't run over them, because %v; over changes a query may "+
		"only project and filter rows: let a flow write them with write: {mode: upsert}, and run this query with collect: true in a flow "+
		"that reads that dataset as a whole, with write: {mode: overwrite}", in.Stream, reason)
}

// refuseCollected refuses change data where all of the input is gathered.
func refuseCollected(in []sdk.SchemaChange) error {
	for _, input := range in {
		holds, err := isChanges(input)
		if err != nil {
			return err
		}
		if holds {
			return sdk.ConfigError("/collect", "input %q holds changes (column \"_op\"): a query over all of them would take former versions of "+
				"rows and deletions for rows of the table; let a flow write them with write: {mode: upsert}, and collect in a flow that reads "+
				"that dataset as a whole, with write: {mode: overwrite}", input.Stream)
		}
	}
	return nil
}

// prepareChanges rewrites the query for change data. The lane is prepared for the query as it was written.
func (b *batches) prepareChanges(ctx context.Context, l *lane) error {
	if l.shape == sdk.AnyRows {
		return refused(l.input, errors.New("it may make several rows of one (unnest, a join, union, a subquery in the select list)"))
	}
	asWritten := l.result.schema
	q, err := newChangeQuery(ctx, b.db, l.input, b.config.Query, asWritten)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return refused(l.input, err)
	}
	if err := b.exchange(ctx, l, q); err != nil {
		return err
	}
	if err := b.describeWhole(ctx, l, q, asWritten); err != nil {
		return err
	}
	l.changes = q
	l.probe, err = q.probe(ctx, b.db, l.table.name)
	return err
}

// exchange makes the table that the query runs on; the one that it was planned on has the columns of the input's table alone.
func (b *batches) exchange(ctx context.Context, l *lane, q *changeQuery) error {
	wide := l.input
	wide.Schema = changeTable(l.input.Schema, wordsFor(len(q.columns)))
	t, err := newTable(ctx, b.db, wide)
	if err != nil {
		return err
	}
	planned := l.table
	l.table, l.query = t, q.whole(t.name)
	return planned.drop(ctx, b.db)
}

// describeWhole finds out what the rewritten query gives; it must be what the query gives as it was written.
func (b *batches) describeWhole(ctx context.Context, l *lane, q *changeQuery, asWritten *arrow.Schema) error {
	blame := l.blame()
	columns, err := inspect(ctx, b.db, l.query, blame)
	if err != nil {
		return err
	}
	schema, rows, err := b.db.records(ctx, l.query)
	if err != nil {
		return planFault(ctx, blame, err)
	}
	releaseAll(rows)
	if l.result, err = newResult(b.alloc, columns, schema); err != nil {
		return planFault(ctx, blame, err)
	}
	own := l.result.schema.NumFields() - asWritten.NumFields()
	for i, field := range asWritten.Fields() {
		if now := l.result.schema.Field(own + i); field.Name != now.Name || !arrow.TypeEqual(field.Type, now.Type) {
			return refused(l.input, fmt.Errorf("column %q (%s) can't be computed apart from the others: it would be %q (%s)",
				field.Name, field.Type, now.Name, now.Type))
		}
	}
	q.describe(l.result.schema)
	return nil
}
