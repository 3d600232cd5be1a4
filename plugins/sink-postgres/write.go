package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/plugins/internal/postgres/encode"
	"github.com/qanat-data/qanat/plugins/sink-postgres/internal/table"
	"github.com/qanat-data/qanat/sdk"
)

// Write implements sdk.Sink.
func (s *Sink) Write(ctx context.Context, b sdk.Batch) ([]sdk.Rejection, error) {
	defer b.Record.Release()
	if s.self == (owner{}) {
		return nil, sdk.Fatal(errors.New("Write before Begin"))
	}
	if s.unit.broken {
		return nil, sdk.Retryable(errors.New("the session was lost: expected Begin"), 0)
	}
	st := s.streams[b.Stream]
	if st == nil || st.version != b.Version {
		return nil, sdk.Fatal(fmt.Errorf("stream %q: a batch of schema version %d before ApplySchema", b.Stream, b.Version))
	}
	if b.Record.NumRows() == 0 {
		return nil, nil
	}
	first := s.unit.rows
	s.unit.rows += b.Record.NumRows()
	s.unit.wrote[b.Stream] = true
	var refused []refusal
	var err error
	if s.mode == modeUpsert {
		refused, err = s.stage(ctx, st, b.Record, first)
	} else {
		refused, err = s.place(ctx, st, b.Record)
	}
	if err != nil {
		return nil, s.lost(ctx, "write to "+st.target.String(), err)
	}
	return rejections(b.Stream, refused), nil
}

// place writes rows into the target itself, in the unit's transaction.
func (s *Sink) place(ctx context.Context, st *stream, record arrow.RecordBatch) ([]refusal, error) {
	if err := s.beginUnit(ctx); err != nil {
		return nil, err
	}
	if s.mode == modeReplace {
		if err := s.empty(ctx, st.target); err != nil {
			return nil, err
		}
	}
	to := destination{name: st.target.Table, sql: st.target.SQL(), columns: st.names()}
	if !st.casts() {
		return s.copy(ctx, to, st.cells(record), int(record.NumRows()))
	}
	raw, err := s.unitRaw(ctx, st)
	if err != nil {
		return nil, err
	}
	return s.cast(ctx, raw, to, st.cells(record), int(record.NumRows()))
}

// cells are the columns of a batch, in the table's order.
func (st *stream) cells(record arrow.RecordBatch) []encode.Cells {
	out := make([]encode.Cells, len(st.columns))
	for i, column := range st.columns {
		out[i] = column.Cells(record.Column(st.sources[i]))
	}
	return out
}

func (st *stream) names() []string {
	var out []string
	for _, column := range st.columns {
		out = append(out, column.Name)
	}
	return out
}

// casts says whether the server has to cast some column.
func (st *stream) casts() bool {
	return slices.ContainsFunc(st.columns, func(c table.Filled) bool { return c.Wire != "" })
}

func quoteAll(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = table.Quote(name)
	}
	return out
}
