package main

import (
	"context"

	"github.com/qanat-data/qanat/plugins/sink-postgres/internal/table"
)

// unit is the open unit.
type unit struct {
	rows    int64           // that were written, whatever has become of them: their numbers are counted over all streams
	open    bool            // its transaction has begun
	broken  bool            // what was staged is gone with its session
	emptied map[string]bool // tables whose rows it replaces
	wrote   map[string]bool // streams
	raw     map[*stream]*raw
	parts   []*stream // that have staged rows, in the order of their first
}

func newUnit() *unit {
	return &unit{emptied: map[string]bool{}, wrote: map[string]bool{}, raw: map[*stream]*raw{}}
}

// begin opens the unit's transaction.
func (s *Sink) beginUnit(ctx context.Context) error {
	if s.unit.open {
		return nil
	}
	_, err := s.conn.Exec(ctx, "begin")
	s.unit.open = err == nil
	return err
}

// empty removes what a unit of mode replace replaces. Readers see the old rows until the commit.
func (s *Sink) empty(ctx context.Context, name table.Name) error {
	if s.unit.emptied[name.Table] {
		return nil
	}
	s.unit.emptied[name.Table] = true
	var there bool
	if err := s.conn.QueryRow(ctx, "select pg_catalog.to_regclass($1) is not null", name.SQL()).Scan(&there); err != nil || !there {
		return err // a stream of earlier units may have lost its table
	}
	_, err := s.conn.Exec(ctx, "delete from "+name.SQL())
	return err
}

// dropUnit forgets what is staged.
func (s *Sink) dropUnit(ctx context.Context) error {
	if s.unit.open {
		if _, err := s.conn.Exec(ctx, "rollback"); err != nil {
			return err
		}
	}
	for _, st := range s.unit.parts {
		if err := s.leave(ctx, st); err != nil {
			return err
		}
	}
	s.unit = newUnit()
	return nil
}

// leave makes the staging table of a stream ready for the next unit, or drops that of a version which is gone.
func (s *Sink) leave(ctx context.Context, st *stream) error {
	if s.streams[st.name] != st {
		return st.drop(ctx, s.conn)
	}
	return st.clear(ctx, s.conn)
}
