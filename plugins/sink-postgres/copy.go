package main

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/qanat-data/qanat/plugins/internal/postgres/encode"
)

// span is rows from ≤ row < end.
type span struct{ from, end int }

// attempt runs what the server may refuse, so that the unit goes on after that.
func (s *Sink) attempt(ctx context.Context, do func() error) error {
	if !s.unit.open {
		return do()
	}
	if _, err := s.conn.Exec(ctx, "savepoint qanat"); err != nil {
		return err
	}
	failed := do()
	if failed == nil {
		_, err := s.conn.Exec(ctx, "release savepoint qanat")
		return err
	}
	if s.conn.IsClosed() {
		return failed
	}
	if _, err := s.conn.Exec(ctx, "rollback to savepoint qanat; release savepoint qanat"); err != nil {
		return err
	}
	return failed
}

// destination is where a COPY goes.
type destination struct {
	name    string // without its schema
	sql     string // the name in SQL
	columns []string
}

func (d destination) copySQL() string {
	return "copy " + d.sql + " (" + strings.Join(quoteAll(d.columns), ", ") + ") from stdin (format binary)"
}

// copy sends rows, and again without those that the server refuses: it says at which it stopped, so that each row is sent twice at most,
// beside the row that is refused.
func (s *Sink) copy(ctx context.Context, to destination, fields []encode.Cells, rows int) ([]refusal, error) {
	bad := map[int]bool{}
	var refused []refusal
	todo := []span{{0, rows}}
	for len(todo) > 0 {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		stream := encode.NewRows(fields, next.from, next.end, bad)
		err := s.attempt(ctx, func() error {
			_, err := s.conn.PgConn().CopyFrom(ctx, stream, to.copySQL())
			return err
		})
		for _, f := range stream.Faults() {
			bad[f.Row] = true
			refused = append(refused, faulty(int64(f.Row), f.Fault))
		}
		if err == nil {
			continue
		}
		p := dataError(err)
		if p == nil {
			return nil, err
		}
		row, found := stream.Line(lineOf(p.Where, to.name))
		if !found && next.end-next.from > 1 {
			middle := next.from + (next.end-next.from)/2
			todo = append(todo, span{middle, next.end}, span{next.from, middle})
			continue
		}
		if !found {
			row = next.from
		}
		bad[row] = true
		refused = append(refused, refusedBy(int64(row), p))
		for _, part := range []span{{row + 1, next.end}, {next.from, row}} {
			if part.from < part.end {
				todo = append(todo, part)
			}
		}
	}
	return refused, nil
}

// lineOf is the line that an error in a COPY into a table names, whatever the server's language: "COPY orders, line 3, column id"; 0 if
// it names none.
func lineOf(where, table string) int {
	_, rest, found := strings.Cut(where, "COPY "+table+",")
	if !found {
		return 0
	}
	line, err := strconv.Atoi(firstNumber.FindString(rest))
	if err != nil {
		return 0
	}
	return line
}

var firstNumber = regexp.MustCompile("[0-9]+")

// bisect runs a statement over the rows from ≤ row < end, and over parts of them if the server refuses it, until it is known which rows
// those are.
func (s *Sink) bisect(ctx context.Context, rows span, run func(span) error) ([]refusal, error) {
	var refused []refusal
	todo := []span{rows}
	for len(todo) > 0 {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		err := s.attempt(ctx, func() error { return run(next) })
		if err == nil {
			continue
		}
		p := dataError(err)
		switch {
		case p == nil:
			return nil, err
		case next.end-next.from == 1:
			refused = append(refused, refusedBy(int64(next.from), p))
		default:
			middle := next.from + (next.end-next.from)/2
			todo = append(todo, span{middle, next.end}, span{next.from, middle})
		}
	}
	return refused, nil
}
