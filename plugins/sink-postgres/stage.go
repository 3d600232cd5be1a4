package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/internal/postgres/encode"
	"github.com/qanat-data/qanat/plugins/sink-postgres/internal/merge"
	"github.com/qanat-data/qanat/plugins/sink-postgres/internal/table"
)

// staging is the temporary table of a stream's rows until the commit, and what they need there. Package merge says what its columns are.
type staging struct {
	name   string
	raw    *raw // if the server has to cast some column
	rows   int64
	moved  bool
	gone   bool         // some are deletions
	empty  bool         // some are truncations
	unsent map[int]bool // columns
}

func (g *staging) sql() string { return "pg_temp." + g.name }

func (g *staging) reset() {
	g.rows, g.moved, g.gone, g.empty, g.unsent = 0, false, false, false, map[int]bool{}
}

// isChange says whether a stream's rows are changes.
func (st *stream) isChange() bool { return st.change.Op >= 0 }

// keyPlaces are the key's columns among the columns.
func (st *stream) keyPlaces() []int {
	var out []int
	for i, c := range st.columns {
		if c.Key {
			out = append(out, i)
		}
	}
	return out
}

// stage writes rows into the stream's staging table, each in a transaction of its own: the target is not touched before the commit.
func (s *Sink) stage(ctx context.Context, st *stream, record arrow.RecordBatch, first int64) ([]refusal, error) {
	if err := s.prepare(ctx, st); err != nil {
		return nil, err
	}
	if !slices.Contains(s.unit.parts, st) {
		s.unit.parts = append(s.unit.parts, st)
	}
	g, rows := st.staging, int(record.NumRows())
	names, fields := []string{"o"}, []encode.Cells{encode.Integer(func(row int) (int64, bool) { return first + int64(row), true })}
	if st.isChange() {
		changed := g.read(st, record)
		changeNames, changeFields := st.changeFields(record, changed)
		names, fields = append(names, changeNames...), append(fields, changeFields...)
	}
	fields = append(fields, st.cells(record)...)
	for i := range st.columns {
		names = append(names, fmt.Sprintf("c%d", i))
	}
	g.rows += int64(rows)
	to := destination{name: g.name, sql: g.sql(), columns: names}
	if g.raw == nil {
		return s.copy(ctx, to, fields, rows)
	}
	return s.cast(ctx, g.raw, to, fields, rows)
}

// prepare makes the staging table, once for a session.
func (s *Sink) prepare(ctx context.Context, st *stream) error {
	if st.staging != nil {
		return nil
	}
	g := &staging{name: s.tempName("stage")}
	g.reset()
	lines := []string{"o bigint not null"}
	if st.isChange() {
		lines = append(lines, "p bigint not null", "t timestamptz", "x text[]")
		for i, place := range st.keyPlaces() {
			lines = append(lines, fmt.Sprintf("k%d %s", i, st.columns[place].Type.SQL))
		}
	}
	for i, c := range st.columns {
		line := fmt.Sprintf("c%d %s", i, c.Type.SQL)
		if c.NotNull && !st.isChange() {
			line += " not null"
		}
		lines = append(lines, line)
	}
	if _, err := s.conn.Exec(ctx, "create temp table "+g.name+" ("+strings.Join(lines, ", ")+")"); err != nil {
		return err
	}
	if st.casts() {
		g.raw = st.rawStaging(s.tempName("raw"))
		if _, err := s.conn.Exec(ctx, g.raw.create("")); err != nil {
			return err
		}
	}
	st.staging = g
	return nil
}

// clear empties the staging table for the next unit.
func (st *stream) clear(ctx context.Context, conn *pgx.Conn) error {
	g := st.staging
	if g == nil || g.rows == 0 {
		return nil
	}
	g.reset()
	_, err := conn.Exec(ctx, "truncate "+g.sql())
	return err
}

// drop removes the staging table.
func (st *stream) drop(ctx context.Context, conn *pgx.Conn) error {
	g := st.staging
	st.staging = nil
	if g == nil {
		return nil
	}
	sql := "drop table " + g.sql()
	if g.raw != nil {
		sql += ", pg_temp." + g.raw.name
	}
	_, err := conn.Exec(ctx, sql)
	return err
}

// part says what a staging table comes to.
func (st *stream) part(deleted string) *merge.Part {
	if len(st.key) == 0 {
		deleted = ""
	}
	p := &merge.Part{
		Target: st.target.SQL(), Staging: st.staging.sql(), Columns: quoteAll(st.names()), Names: st.names(), Key: st.keyPlaces(),
		Deleted: deleted, Changes: st.isChange(), Moved: st.staging.moved,
	}
	for i := range st.columns {
		if st.staging.unsent[i] && len(p.Key) > 0 {
			p.Unsent = append(p.Unsent, i)
		}
	}
	return p
}

// rawStaging is the table for values of the staging table that the server has to cast, in the order of stage.
func (st *stream) rawStaging(name string) *raw {
	r := &raw{name: name}
	add := func(types ...string) {
		for _, sql := range types {
			r.casts = append(r.casts, fmt.Sprintf("c%d", len(r.types)))
			r.types = append(r.types, fmt.Sprintf("c%d %s", len(r.types), sql))
		}
	}
	add("bigint")
	if st.isChange() {
		add("bigint")
	}
	if st.change.Ts >= 0 {
		add("timestamptz")
	}
	if st.change.Unchanged >= 0 {
		add("text[]")
	}
	filled := st.columns
	if st.before != nil {
		var keys []table.Filled
		for _, place := range st.keyPlaces() {
			keys = append(keys, st.columns[place])
		}
		filled = append(keys, filled...)
	}
	for _, c := range filled {
		add(cmp.Or(c.Wire, c.Type.SQL))
		last := len(r.casts) - 1
		r.casts[last] = c.Cast(r.casts[last])
	}
	return r
}
