package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/qanat-data/qanat/plugins/internal/postgres/encode"
	"github.com/qanat-data/qanat/plugins/sink-postgres/internal/table"
)

// raw is a temporary table for values that the server has to cast: a number of the row, and the columns as they are sent.
type raw struct {
	name  string
	types []string // to create it
	casts []string // what is selected from it
}

// rawOf describes the table for columns.
func rawOf(name string, columns []table.Filled) *raw {
	r := &raw{name: name}
	for i, c := range columns {
		column := fmt.Sprintf("c%d", i)
		r.types = append(r.types, column+" "+cmp.Or(c.Wire, c.Type.SQL))
		r.casts = append(r.casts, c.Cast(column))
	}
	return r
}

func (r *raw) create(end string) string {
	return "create temp table " + r.name + " (o bigint, " + strings.Join(r.types, ", ") + ")" + end
}

func (r *raw) columns() []string {
	out := make([]string, 0, len(r.types)+1)
	out = append(out, "o")
	for i := range r.types {
		out = append(out, fmt.Sprintf("c%d", i))
	}
	return out
}

// tempName is the name of a temporary table. It has no digits and needs no quotes.
func (s *Sink) tempName(role string) string {
	s.made++
	name := []byte("qanat_" + role + "_")
	for n := s.made; n > 0; n /= 26 {
		name = append(name, "abcdefghijklmnopqrstuvwxyz"[n%26])
	}
	return string(name)
}

// unitRaw is the table for a stream's values in the unit's transaction.
func (s *Sink) unitRaw(ctx context.Context, st *stream) (*raw, error) {
	if r := s.unit.raw[st]; r != nil {
		return r, nil
	}
	r := rawOf(s.tempName("raw"), st.columns)
	s.unit.raw[st] = r
	_, err := s.conn.Exec(ctx, r.create(" on commit drop"))
	return r, err
}

// cast sends rows to a table of their own, and moves them from there to where they belong.
func (s *Sink) cast(ctx context.Context, r *raw, to destination, fields []encode.Cells, rows int) ([]refusal, error) {
	number := encode.Integer(func(row int) (int64, bool) { return int64(row), true })
	from := destination{name: r.name, sql: "pg_temp." + r.name, columns: r.columns()}
	refused, err := s.copy(ctx, from, append([]encode.Cells{number}, fields...), rows)
	if err != nil {
		return nil, err
	}
	sql := "insert into " + to.sql + " (" + strings.Join(quoteAll(to.columns), ", ") + ") overriding system value select " +
		strings.Join(r.casts, ", ") + " from pg_temp." + r.name + " where o >= $1 and o < $2 order by o"
	more, err := s.bisect(ctx, span{0, rows}, func(part span) error {
		_, err := s.conn.Exec(ctx, sql, part.from, part.end)
		return err
	})
	if err != nil {
		return nil, err
	}
	_, err = s.conn.Exec(ctx, "truncate pg_temp."+r.name)
	return append(refused, more...), err
}
