package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/sink-postgres/internal/merge"
	"github.com/qanat-data/qanat/plugins/sink-postgres/internal/table"
	"github.com/qanat-data/qanat/sdk"
)

const (
	// maxRounds is how often a unit is merged without the rows that turned out to be refused. The first round finds nearly all: later
	// ones only what was hidden behind those.
	maxRounds = 10
	// maxRefused is how many rows a commit rejects before it gives up: they are kept in the ledger until the next one.
	maxRefused = 10_000
	// bulk is from how many rows on joins with the target cost less than looking for each row: two thirds, where most rows are new. Less
	// must not do it, or the planner may read the whole target.
	bulk = 50_000
	// analyzed is from how many rows on the planner is told about a staging table.
	analyzed = 1000
)

// merge brings the staged rows into the targets, without those that are refused: their keys keep what the changes before come to.
func (s *Sink) merge(ctx context.Context) ([]refusal, error) {
	if len(s.unit.parts) == 0 {
		return nil, nil
	}
	if _, err := s.conn.Exec(ctx, "set local work_mem = '64MB'"); err != nil {
		return nil, err
	}
	var all []refusal
	for range maxRounds {
		if _, err := s.conn.Exec(ctx, "savepoint qanat_merge"); err != nil {
			return nil, err
		}
		refused, err := s.mergeParts(ctx)
		if err != nil || len(refused) == 0 {
			return all, err
		}
		if _, err := s.conn.Exec(ctx, "rollback to savepoint qanat_merge"); err != nil {
			return nil, err
		}
		if refused, err = s.takeOut(ctx, refused); err != nil {
			return nil, err
		}
		if all = append(all, refused...); len(all) > maxRefused {
			return nil, sdk.Fatal(fmt.Errorf("more than %d rows of the unit are refused, the first with %s: %s", maxRefused, all[0].code, all[0].reason))
		}
	}
	return nil, sdk.Fatal(fmt.Errorf("rows are still refused after %d rounds, the first with %s: %s", maxRounds, all[0].code, all[0].reason))
}

// parted is a part of the unit with what is known of it.
type parted struct {
	st *stream
	*merge.Part
	refused []refusal
	late    []refusal // deletions that other tables' rows forbid as yet
}

// mergeParts does one round. Tables follow their foreign keys: rows that others point at are written before those, and removed after
// them. Several versions of one stream are merged in their order.
func (s *Sink) mergeParts(ctx context.Context) ([]refusal, error) {
	var refused []refusal
	for _, group := range s.generations() {
		parts, err := s.ordered(ctx, group)
		if err != nil {
			return nil, err
		}
		steps := []func(context.Context, *parted) error{s.removeRows, s.putRows, s.removeLate}
		for i, step := range steps {
			ordered := slices.Clone(parts)
			if i != 1 {
				slices.Reverse(ordered)
			}
			for _, p := range ordered {
				if err := step(ctx, p); err != nil {
					return nil, fmt.Errorf("table %s: %w", p.st.target, err)
				}
			}
		}
		for _, p := range parts {
			refused = append(refused, p.refused...)
		}
	}
	return refused, nil
}

// generations are the parts of the unit such that each has a stream once.
func (s *Sink) generations() [][]*stream {
	var out [][]*stream
	seen := map[string]int{}
	for _, st := range s.unit.parts {
		n := seen[st.name]
		seen[st.name]++
		if n == len(out) {
			out = append(out, nil)
		}
		out[n] = append(out[n], st)
	}
	return out
}

func (s *Sink) ordered(ctx context.Context, streams []*stream) ([]*parted, error) {
	var names []table.Name
	for _, st := range streams {
		names = append(names, st.target)
	}
	names, err := table.Order(ctx, s.conn, names)
	if err != nil {
		return nil, err
	}
	deleted := ""
	if s.config.Delete == softDelete {
		deleted = table.Quote(s.config.DeletedColumn)
	}
	var out []*parted
	for _, name := range names {
		st := streams[slices.IndexFunc(streams, func(st *stream) bool { return st.target == name })]
		out = append(out, &parted{st: st, Part: st.part(deleted)})
	}
	return out, nil
}

// removeRows empties the target if a change says so, completes what was not sent, and removes the rows that are gone.
func (s *Sink) removeRows(ctx context.Context, p *parted) error {
	if p.st.staging.rows >= analyzed {
		if _, err := s.conn.Exec(ctx, p.Analyze()); err != nil {
			return err
		}
	}
	if p.st.staging.empty {
		if err := s.truncate(ctx, p); err != nil {
			return err
		}
	}
	if len(p.Unsent) > 0 {
		rows, err := s.conn.Query(ctx, p.Complete())
		if err != nil {
			return err
		}
		lacking, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		for _, row := range lacking {
			p.refuse(row, "incomplete", "the change leaves out columns that did not change, and the row that has them is not there")
		}
	}
	if !p.st.staging.gone && !p.Moved || len(p.Key) == 0 {
		return nil
	}
	refused, err := s.bisect(ctx, s.whole(), func(part span) error {
		_, err := s.conn.Exec(ctx, p.Remove(), part.from, part.end)
		return err
	})
	for _, r := range refused {
		if r.code == codes["23503"] {
			p.late = append(p.late, r)
			continue
		}
		p.refuse(r.row, r.code, r.reason)
	}
	return err
}

// whole is all rows of the unit.
func (s *Sink) whole() span { return span{0, int(s.unit.rows)} }

func (p *parted) refuse(row int64, code, reason string) {
	p.refused = append(p.refused, refusal{row: row, code: code, reason: reason, stream: p.st.name})
}

// truncate does what the last truncation says.
func (s *Sink) truncate(ctx context.Context, p *parted) error {
	var at *int64
	if err := s.conn.QueryRow(ctx, p.Truncation()).Scan(&at); err != nil || at == nil {
		return err
	}
	err := s.attempt(ctx, func() error {
		if p.Deleted == "" {
			_, err := s.conn.Exec(ctx, p.Empty())
			return err
		}
		_, err := s.conn.Exec(ctx, p.Empty(), *at)
		return err
	})
	if refused := dataError(err); refused != nil {
		r := refusedBy(*at, refused)
		p.refuse(r.row, r.code, r.reason)
	} else if err != nil {
		return err
	}
	_, err = s.conn.Exec(ctx, p.Forget(), *at)
	return err
}

// putRows writes the rows that are there at the end. A value that has to be unique may move from one row to another in a unit, so what is
// refused for that reason is tried again as long as that helps.
func (s *Sink) putRows(ctx context.Context, p *parted) error {
	put := func(live string) func(span) error {
		sql := p.Put(live)
		return func(part span) error {
			_, err := s.conn.Exec(ctx, sql, part.from, part.end)
			return err
		}
	}
	whole := s.whole()
	err := s.attempt(ctx, func() error {
		if p.st.staging.rows < bulk {
			return put("(" + p.Live() + ")")(whole)
		}
		_, err := s.conn.Exec(ctx, p.PutAll())
		return err
	})
	if err == nil {
		return nil
	}
	if dataError(err) == nil {
		return err
	}
	live := "qanat_live_" + p.st.staging.name
	if _, err := s.conn.Exec(ctx, "create temp table "+live+" on commit drop as "+p.Live()+"; create index on pg_temp."+live+" (o)"); err != nil {
		return err
	}
	one := put("pg_temp." + live)
	refused, err := s.bisect(ctx, whole, one)
	if err == nil {
		refused, err = s.again(ctx, refused, one)
	}
	for _, r := range refused {
		p.refuse(r.row, r.code, r.reason)
	}
	if err != nil {
		return err
	}
	_, err = s.conn.Exec(ctx, "drop table pg_temp."+live)
	return err
}

// again tries rows that were not unique when it was their turn, until none of them is taken any more.
func (s *Sink) again(ctx context.Context, refused []refusal, put func(span) error) ([]refusal, error) {
	for taken := true; taken; {
		taken = false
		var left []refusal
		for _, r := range refused {
			if r.code != codes["23505"] {
				left = append(left, r)
				continue
			}
			still, err := s.bisect(ctx, span{int(r.row), int(r.row) + 1}, put)
			if err != nil {
				return nil, err
			}
			taken = taken || len(still) == 0
			left = append(left, still...)
		}
		refused = left
	}
	return refused, nil
}

// removeLate removes what others' rows did not allow before.
func (s *Sink) removeLate(ctx context.Context, p *parted) error {
	for _, r := range p.late {
		still, err := s.bisect(ctx, span{int(r.row), int(r.row) + 1}, func(part span) error {
			_, err := s.conn.Exec(ctx, p.Remove(), part.from, part.end)
			return err
		})
		if err != nil {
			return err
		}
		for _, r := range still {
			p.refuse(r.row, r.code, r.reason)
		}
	}
	return nil
}

const maxRaw = 64 << 10

// takeOut removes refused rows from where they are staged, and gives them with their values.
func (s *Sink) takeOut(ctx context.Context, refused []refusal) ([]refusal, error) {
	for i, r := range refused {
		at := slices.IndexFunc(s.unit.parts, func(st *stream) bool { return st.name == r.stream })
		found := false
		for ; at >= 0 && at < len(s.unit.parts) && !found; at++ {
			st := s.unit.parts[at]
			if st.name != r.stream {
				continue
			}
			var raw string
			err := s.conn.QueryRow(ctx, st.showRow(), r.row).Scan(&raw)
			if errors.Is(err, pgx.ErrNoRows) {
				continue
			}
			if err != nil {
				return nil, err
			}
			found, refused[i].raw = true, []byte(raw[:min(len(raw), maxRaw)])
			if _, err := s.conn.Exec(ctx, "delete from "+st.staging.sql()+" where o = $1", r.row); err != nil {
				return nil, err
			}
		}
		if !found {
			return nil, sdk.Fatal(fmt.Errorf("row %d of stream %q was refused (%s) and is not staged", r.row, r.stream, r.reason))
		}
	}
	return refused, nil
}

// showRow selects the staged row $1 as JSON.
func (st *stream) showRow() string {
	var columns []string
	for i, c := range st.columns {
		columns = append(columns, fmt.Sprintf("c%d as %s", i, table.Quote(c.Name)))
	}
	if st.isChange() {
		columns = append(columns, `p as "_op"`, `t as "_ts"`, `x as "_unchanged"`)
	}
	return "select pg_catalog.row_to_json(r)::text from (select " + strings.Join(columns, ", ") + " from " + st.staging.sql() + " where o = $1) r"
}
