package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// changed is one batch of changes on its way through the query.
type changed struct {
	*changeQuery
	b     *batches
	lane  *lane
	alloc memory.Allocator
}

// answers are what the query gave for rows.
type answers struct {
	columns []arrow.Array // the query's
	rows    []int         // which rows they are for, ascending
	passes  []bool
	record  arrow.RecordBatch
}

func (a *answers) release() { a.record.Release() }

func (b *batches) applyChanges(ctx context.Context, l *lane, in sdk.Batch, out sdk.Output) error {
	c := &changed{changeQuery: l.changes, b: b, lane: l, alloc: b.alloc}
	demands := c.newDemands()
	asked := demands.of(in.Record)
	rows, rejected := demands.sort(in, asked)
	record, err := c.result(ctx, in, rows, asked, &rejected)
	if len(rejected) > 0 {
		slices.SortFunc(rejected, func(a, b sdk.Rejection) int { return a.Row - b.Row })
		if rejectErr := out.Reject(ctx, rejected...); rejectErr != nil {
			err = errors.Join(err, rejectErr)
		}
	}
	if err != nil {
		if record != nil {
			record.Release()
		}
		return runFault(ctx, err)
	}
	return emit(ctx, out, l.output, in.Origin, record)
}

// result is what becomes of some rows of a batch; nil if that is nothing.
func (c *changed) result(ctx context.Context, in sdk.Batch, rows []int, asked []*demand, rejected *[]sdk.Rejection) (arrow.RecordBatch, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	part, err := pick(c.alloc, in.Record, rows)
	if err != nil {
		return nil, err
	}
	defer part.Release()
	s, err := c.ask(ctx, c.columnsOf(part), at(asked, rows))
	if err != nil {
		return nil, err
	}
	defer s.release()
	for _, r := range s.rejections(in) {
		r.Row = rows[r.Row]
		*rejected = append(*rejected, r)
	}
	a, err := c.read(s)
	if a == nil || err != nil {
		return nil, err
	}
	defer a.release()
	var stay []int // of the answers
	for i, row := range a.rows {
		one := asked[rows[row]]
		switch {
		case one.mixed != "" && a.passes[i]:
			*rejected = append(*rejected, sdk.Rejection{Stream: in.Stream, Origin: in.Origin, Row: rows[row], Code: codeUnchanged, Reason: one.mixed})
		case a.passes[i] || len(c.key) > 0:
			stay = append(stay, i)
		}
	}
	return c.assemble(ctx, a, stay, part, at(asked, rows))
}

func at[T any](all []T, places []int) []T {
	out := make([]T, len(places))
	for i, place := range places {
		out[i] = all[place]
	}
	return out
}

// columnsOf are the columns of the table.
func (c *changed) columnsOf(record arrow.RecordBatch) []arrow.Array {
	columns := make([]arrow.Array, len(c.table))
	for i, place := range c.table {
		columns[i] = record.Column(place)
	}
	return columns
}

// ask runs the query over rows; the caller releases the sieve.
func (c *changed) ask(ctx context.Context, columns []arrow.Array, asked []*demand) (*sieve, error) {
	feed := c.feedOf(c.alloc, c.lane.table.schema, columns, asked)
	defer feed.Release()
	s := c.b.sieve(c.lane)
	if err := s.sift(ctx, feed); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

// read puts together what a sieve has let through; nil if that is nothing.
func (c *changed) read(s *sieve) (*answers, error) {
	record, err := s.whole()
	if record == nil || err != nil {
		return nil, err
	}
	a := &answers{record: record}
	if err := a.order(c.alloc); err != nil {
		a.release()
		return nil, err
	}
	places, ok := a.record.Column(0).(*array.Int64)
	passes, alsoOK := a.record.Column(1).(*array.Boolean)
	if !ok || !alsoOK || places.NullN()+passes.NullN() > 0 {
		a.release()
		return nil, fmt.Errorf("duckdb gave %s and %s, expected the places of rows and whether they pass", a.record.Column(0).DataType(), a.record.Column(1).DataType())
	}
	for i := range places.Len() {
		a.rows, a.passes = append(a.rows, int(places.Value(i))), append(a.passes, passes.Value(i))
	}
	a.columns = a.record.Columns()[2:]
	return a, nil
}

// order sorts rows by their places: a subquery in the query may have mixed them up.
func (a *answers) order(alloc memory.Allocator) error {
	places, ok := a.record.Column(0).(*array.Int64)
	if !ok || slices.IsSorted(places.Int64Values()) {
		return nil
	}
	rows := make([]int, places.Len())
	for i := range rows {
		rows[i] = i
	}
	slices.SortFunc(rows, func(i, j int) int { return int(places.Value(i) - places.Value(j)) })
	sorted, err := pick(alloc, a.record, rows)
	if err != nil {
		return err
	}
	a.record.Release()
	a.record = sorted
	return nil
}

// assemble makes the batch of those answers that stay. part are the rows that were asked, and asked what each was.
func (c *changed) assemble(ctx context.Context, a *answers, stay []int, part arrow.RecordBatch, asked []*demand) (arrow.RecordBatch, error) {
	if len(stay) == 0 {
		return nil, nil
	}
	rows, passes := at(a.rows, stay), at(a.passes, stay)
	own, err := pick(c.alloc, part, rows)
	if err != nil {
		return nil, err
	}
	defer own.Release()
	made, err := pick(c.alloc, a.record, stay)
	if err != nil {
		return nil, err
	}
	defer made.Release()
	columns := slices.Clone(made.Columns()[2:])
	var owned []arrow.Array
	defer func() {
		for _, column := range owned {
			column.Release()
		}
	}()
	before, moved, err := c.former(ctx, own, passes, columns)
	if err != nil {
		return nil, err
	}
	if before != nil {
		owned = append(owned, before)
	}
	for i, column := range moved {
		columns[i], owned = column, append(owned, column)
	}
	for _, place := range c.passing() {
		switch place {
		case c.at.Op:
			op := c.opsFor(own.Column(place), passes)
			columns, owned = append(columns, op), append(owned, op)
		case c.at.Before:
			columns = append(columns, before)
		case c.at.Unchanged:
			names := c.unchangedOf(at(asked, rows), passes)
			columns, owned = append(columns, names), append(owned, names)
		default:
			columns = append(columns, own.Column(place))
		}
	}
	return array.NewRecordBatch(c.schema, columns, int64(len(rows))), nil
}

// opsFor are the operations: a row that was left out is a deletion, for its former version may have passed.
func (c *changed) opsFor(given arrow.Array, passes []bool) arrow.Array {
	if !slices.Contains(passes, false) {
		given.Retain()
		return given
	}
	builder := array.NewBuilder(c.alloc, given.DataType())
	defer builder.Release()
	op := opsOf(given)
	for row, pass := range passes {
		kind, _ := op(row)
		if !pass {
			kind = change.Delete
		}
		switch builder := builder.(type) {
		case *array.Uint8Builder:
			builder.Append(uint8(kind))
		case *array.Int32Builder:
			builder.Append(int32(kind))
		}
	}
	return builder.NewArray()
}

// unchangedOf names the columns of the result that did not change.
func (c *changed) unchangedOf(asked []*demand, passes []bool) arrow.Array {
	builder := array.NewBuilder(c.alloc, c.input.Field(c.at.Unchanged).Type).(*array.ListBuilder)
	defer builder.Release()
	names := builder.ValueBuilder().(*array.StringBuilder)
	for row, one := range asked {
		if !passes[row] || len(one.unchanged) == 0 {
			builder.AppendNull()
			continue
		}
		builder.Append(true)
		for _, name := range one.unchanged {
			names.Append(name)
		}
	}
	return builder.NewArray()
}
