package main

import (
	"context"
	"errors"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/duckdb/duckdb-go/v2"

	"github.com/qanat-data/qanat/sdk"
)

// exactReasons is how many rows of a batch are run alone for DuckDB's own message: at a millisecond each, a batch of nothing but bad
// rows would take seconds.
const exactReasons = 32

// sieve runs a batch and keeps apart the rows that the query fails on: DuckDB gives up a whole query at the first bad value.
type sieve struct {
	alloc memory.Allocator
	run   func(ctx context.Context, rows arrow.RecordBatch) (arrow.RecordBatch, error)
	// suspect names for each row what fails on it, with "" for rows that are fine; nil if it can't tell.
	suspect func(ctx context.Context, rows arrow.RecordBatch) ([]string, error)
	good    []arrow.RecordBatch // in the order of the rows
	faults  []rowFault
}

type rowFault struct {
	row    int
	reason string
}

// sift runs all rows of a batch.
func (s *sieve) sift(ctx context.Context, record arrow.RecordBatch) error {
	err := s.try(ctx, record, 0, int(record.NumRows()))
	if err == nil || !blamesRow(err) || ctx.Err() != nil {
		return err
	}
	reasons, err := s.suspect(ctx, record)
	if err != nil {
		return err
	}
	if reasons == nil {
		reasons = make([]string, record.NumRows())
	}
	rest, err := s.setAside(ctx, record, reasons)
	if err != nil {
		return err
	}
	return s.again(ctx, record, rest)
}

// setAside rejects the suspects and returns the other rows.
func (s *sieve) setAside(ctx context.Context, record arrow.RecordBatch, reasons []string) ([]int, error) {
	rest := make([]int, 0, len(reasons))
	for row, reason := range reasons {
		if reason != "" && len(s.faults) < exactReasons {
			alone, err := s.alone(ctx, record, row)
			if err != nil {
				return nil, err
			}
			reason = alone
		}
		if reason == "" {
			rest = append(rest, row)
			continue
		}
		s.faults = append(s.faults, rowFault{row: row, reason: reason})
	}
	return rest, nil
}

// alone is DuckDB's message on a row; "" if the row is fine after all.
func (s *sieve) alone(ctx context.Context, record arrow.RecordBatch, row int) (string, error) {
	part := record.NewSlice(int64(row), int64(row)+1)
	defer part.Release()
	made, err := s.run(ctx, part)
	if made != nil {
		made.Release()
	}
	if err == nil || !blamesRow(err) || ctx.Err() != nil {
		return "", err
	}
	return reasonOf(err), nil
}

// again runs rows that were part of a batch that failed.
func (s *sieve) again(ctx context.Context, record arrow.RecordBatch, rows []int) error {
	if len(rows) == 0 {
		return nil
	}
	part, err := pick(s.alloc, record, rows)
	if err != nil {
		return err
	}
	defer part.Release()
	_, err = s.halve(ctx, part, rows, len(rows) == int(record.NumRows()))
	return err
}

// halve runs rows and halves them where they fail, until failing rows stand alone. numbers are the rows' places in the batch.
// bad says that they are known to fail together, so that only their halves are worth a try. It returns whether all went through.
func (s *sieve) halve(ctx context.Context, record arrow.RecordBatch, numbers []int, bad bool) (bool, error) {
	if !bad || len(numbers) == 1 {
		err := s.try(ctx, record, 0, len(numbers))
		if err == nil {
			return true, nil
		}
		if !blamesRow(err) || ctx.Err() != nil {
			return false, err
		}
		if len(numbers) == 1 {
			s.faults = append(s.faults, rowFault{row: numbers[0], reason: reasonOf(err)})
			return false, nil
		}
	}
	middle := len(numbers) / 2
	left, right := record.NewSlice(0, int64(middle)), record.NewSlice(int64(middle), record.NumRows())
	defer left.Release()
	defer right.Release()
	clean, err := s.halve(ctx, left, numbers[:middle], false)
	if err != nil {
		return false, err
	}
	_, err = s.halve(ctx, right, numbers[middle:], clean)
	return false, err
}

func (s *sieve) try(ctx context.Context, record arrow.RecordBatch, from, to int) error {
	part := record.NewSlice(int64(from), int64(to))
	defer part.Release()
	made, err := s.run(ctx, part)
	if made != nil {
		s.good = append(s.good, made)
	}
	return err
}

// whole is what the good rows gave, in their order, as one batch; nil if that is no row at all.
func (s *sieve) whole() (arrow.RecordBatch, error) {
	if len(s.good) == 0 {
		return nil, nil
	}
	return glue(s.alloc, s.good)
}

func (s *sieve) rejections(in sdk.Batch) []sdk.Rejection {
	rejections := make([]sdk.Rejection, len(s.faults))
	for i, fault := range s.faults {
		rejections[i] = sdk.Rejection{Stream: in.Stream, Code: "sql_error", Reason: fault.reason, Origin: in.Origin, Row: fault.row}
	}
	return rejections
}

func (s *sieve) release() {
	releaseAll(s.good)
	s.good = nil
}

// reasonOf is DuckDB's message without the excerpt of the query, which is the same for every row.
func reasonOf(err error) string {
	text := err.Error()
	if fault, ok := errors.AsType[*duckdb.Error](err); ok {
		text = fault.Msg
	}
	text, _, _ = strings.Cut(text, "\n\nLINE ")
	return strings.TrimSpace(text)
}

// pick makes a batch of some rows, given in their order.
func pick(alloc memory.Allocator, record arrow.RecordBatch, rows []int) (arrow.RecordBatch, error) {
	var runs []arrow.RecordBatch
	defer func() { releaseAll(runs) }()
	for begin, i := 0, 1; i <= len(rows); i++ {
		if i == len(rows) || rows[i] != rows[i-1]+1 {
			runs = append(runs, record.NewSlice(int64(rows[begin]), int64(rows[i-1])+1))
			begin = i
		}
	}
	return glue(alloc, runs)
}

// glue makes one batch of several of the same schema, which stay the caller's.
func glue(alloc memory.Allocator, parts []arrow.RecordBatch) (arrow.RecordBatch, error) {
	if len(parts) == 1 {
		parts[0].Retain()
		return parts[0], nil
	}
	var rows int64
	for _, part := range parts {
		rows += part.NumRows()
	}
	columns := make([]arrow.Array, 0, parts[0].NumCols())
	defer func() {
		for _, column := range columns {
			column.Release()
		}
	}()
	for i := range int(parts[0].NumCols()) {
		pieces := make([]arrow.Array, len(parts))
		for k, part := range parts {
			pieces[k] = part.Column(i)
		}
		column, err := array.Concatenate(pieces, alloc)
		if err != nil {
			return nil, err
		}
		columns = append(columns, column)
	}
	return array.NewRecordBatch(parts[0].Schema(), columns, rows), nil
}
