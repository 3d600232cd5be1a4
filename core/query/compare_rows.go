package query

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/qanat-data/qanat/core/zone"
)

// comparing is one comparison in a database of its own.
type comparing struct {
	*Engine
	Comparison
	conn    *sql.Conn
	columns []pair
	diff    Difference
}

// pair is a column with its types on both sides, empty where it is missing.
type pair struct{ name, before, after string }

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// columnsOf lists the user columns of a view with their types, as those before.
func columnsOf(ctx context.Context, db queryer, view string) ([]pair, error) {
	rows, err := db.QueryContext(ctx, `select column_name, column_type from (describe `+quote(view)+`)`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var columns []pair
	for rows.Next() {
		var p pair
		if err := rows.Scan(&p.name, &p.before); err != nil {
			return nil, err
		}
		if !strings.HasPrefix(p.name, zone.SystemPrefix) {
			columns = append(columns, p)
		}
	}
	return columns, rows.Err()
}

func (w *comparing) compare(ctx context.Context) error {
	if err := w.match(ctx); err != nil {
		return err
	}
	counts := `select (select count(*) from "before"), (select count(*) from "after")`
	if err := w.conn.QueryRowContext(ctx, counts).Scan(&w.diff.Before, &w.diff.After); err != nil {
		return err
	}
	if len(w.columns) == 0 {
		return nil
	}
	if err := w.subtract(ctx); err != nil {
		return err
	}
	if err := w.pairUp(ctx); err != nil {
		return err
	}
	return w.sample(ctx)
}

// match brings the columns of both sides together.
func (w *comparing) match(ctx context.Context) error {
	before, err := columnsOf(ctx, w.conn, "before")
	if err != nil {
		return err
	}
	after, err := columnsOf(ctx, w.conn, "after")
	if err != nil {
		return err
	}
	w.columns = before
	for _, a := range after {
		i := slices.IndexFunc(w.columns, func(p pair) bool { return p.name == a.name })
		if i < 0 {
			w.columns = append(w.columns, pair{name: a.name, after: a.before})
			continue
		}
		w.columns[i].after = a.before
	}
	if len(before) == 0 || len(after) == 0 { // one of them is no dataset yet
		return nil
	}
	for _, p := range w.columns {
		if p.before != p.after {
			w.diff.Schema = append(w.diff.Schema, ColumnChange{Column: p.name, Before: p.before, After: p.after})
		}
	}
	return nil
}

// selected are the columns of one side in the types that both have in common.
func (w *comparing) selected(ctx context.Context, side string) (string, error) {
	var list []string
	for _, p := range w.columns {
		own, other := p.before, p.after
		if side == "after" {
			own, other = other, own
		}
		switch {
		case own == other:
			list = append(list, quote(p.name))
		case own == "":
			list = append(list, `null::`+other+` as `+quote(p.name))
		case other == "":
			list = append(list, quote(p.name))
		default:
			common, err := w.common(ctx, p)
			if err != nil {
				return "", err
			}
			list = append(list, `cast(`+quote(p.name)+` as `+common+`) as `+quote(p.name))
		}
	}
	return strings.Join(list, ", "), nil
}

// common is a type that holds the values of both sides; text if there is no other.
func (w *comparing) common(ctx context.Context, p pair) (string, error) {
	var name string
	err := w.conn.QueryRowContext(ctx, `select typeof(coalesce(null::`+p.before+`, null::`+p.after+`))`).Scan(&name)
	if err != nil && ctx.Err() == nil {
		return "varchar", nil
	}
	return name, err
}

const (
	timesBefore = `"_qanat_before"`
	timesAfter  = `"_qanat_after"`
)

func (w *comparing) quoted() string {
	names := make([]string, len(w.columns))
	for i, p := range w.columns {
		names[i] = quote(p.name)
	}
	return strings.Join(names, ", ")
}

// subtract keeps what one side has more often than the other.
func (w *comparing) subtract(ctx context.Context) error {
	before, err := w.selected(ctx, "before")
	if err != nil {
		return err
	}
	after, err := w.selected(ctx, "after")
	if err != nil {
		return err
	}
	both := fmt.Sprintf(`select %s, 1 as %s, 0 as %s from "before" union all select %s, 0, 1 from "after"`, before, timesBefore, timesAfter, after)
	counted := fmt.Sprintf(`select %[1]s, sum(%[2]s) as %[2]s, sum(%[3]s) as %[3]s from (%[4]s) group by %[1]s having sum(%[2]s) <> sum(%[3]s)`,
		w.quoted(), timesBefore, timesAfter, both)
	for _, statement := range []string{
		`create temp table differing as ` + counted,
		fmt.Sprintf(`create temp table removed as select %s, %s - %s as n from differing where %s > %s`, w.quoted(), timesBefore, timesAfter, timesBefore, timesAfter),
		fmt.Sprintf(`create temp table added as select %s, %s - %s as n from differing where %s > %s`, w.quoted(), timesAfter, timesBefore, timesAfter, timesBefore),
		`drop table differing`,
	} {
		if _, err := w.conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	err = w.conn.QueryRowContext(ctx, `select (select coalesce(sum(n), 0)::bigint from removed), (select coalesce(sum(n), 0)::bigint from added)`).
		Scan(&w.diff.Removed, &w.diff.Added)
	w.diff.Same = w.diff.Before - w.diff.Removed
	return err
}

// pairUp finds the rows that are the same ones by their key.
func (w *comparing) pairUp(ctx context.Context) error {
	if len(w.Key) == 0 {
		return nil
	}
	var key, equal []string
	for _, name := range w.Key {
		if !slices.ContainsFunc(w.columns, func(p pair) bool { return p.name == name }) {
			return &StatementError{fmt.Errorf("key %q: there is no such column; there are %s", name, w.quoted())}
		}
		key = append(key, quote(name))
		equal = append(equal, fmt.Sprintf(`b.%[1]s is not distinct from a.%[1]s`, quote(name)))
	}
	w.diff.Key = w.Key
	keys, on := strings.Join(key, ", "), strings.Join(equal, " and ")
	once := func(of string) string {
		return fmt.Sprintf(`select %[1]s from %[2]s qualify sum(n) over (partition by %[3]s) = 1`, w.quoted(), of, keys)
	}
	statements := []string{
		fmt.Sprintf(`create temp table changed as select b, a from (%s) b join (%s) a on %s`, once("removed"), once("added"), on),
		fmt.Sprintf(`delete from removed b using (select unnest(b) from changed) a where %s`, on),
		fmt.Sprintf(`delete from added b using (select unnest(b) from changed) a where %s`, on),
	}
	for _, statement := range statements {
		if _, err := w.conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	ambiguous := `select coalesce((select sum(n) from removed b where exists (from added a where ` + on + `)), 0)::bigint
		+ coalesce((select sum(n) from added b where exists (from removed a where ` + on + `)), 0)::bigint, (select count(*) from changed)`
	if err := w.conn.QueryRowContext(ctx, ambiguous).Scan(&w.diff.Ambiguous, &w.diff.Changed); err != nil {
		return err
	}
	w.diff.Removed -= w.diff.Changed
	w.diff.Added -= w.diff.Changed
	return w.perColumn(ctx)
}

func (w *comparing) perColumn(ctx context.Context) error {
	counts := make([]int64, len(w.columns))
	into := make([]any, len(w.columns))
	list := make([]string, len(w.columns))
	for i, p := range w.columns {
		into[i] = &counts[i]
		list[i] = fmt.Sprintf(`count(*) filter (b.%[1]s is distinct from a.%[1]s)`, quote(p.name))
	}
	if err := w.conn.QueryRowContext(ctx, `select `+strings.Join(list, ", ")+` from changed`).Scan(into...); err != nil {
		return err
	}
	for i, p := range w.columns {
		if counts[i] > 0 {
			w.diff.Columns = append(w.diff.Columns, ColumnCount{Column: p.name, Rows: counts[i]})
		}
	}
	return nil
}

// sample picks some rows of each kind of difference.
func (w *comparing) sample(ctx context.Context) error {
	order := ""
	if len(w.Key) > 0 {
		order = " order by all"
	}
	for _, of := range []struct{ table, kind string }{{"removed", OnlyBefore}, {"added", OnlyAfter}} {
		err := w.rows(ctx, fmt.Sprintf(`select %s from %s%s limit %d`, w.quoted(), of.table, order, w.Samples), func(kinds []string, values []any) {
			s := ChangedSample{Kind: of.kind}
			for i, p := range w.columns {
				v := SampleValue{Column: p.name}
				if of.kind == OnlyBefore {
					v.Before = JSONForm(kinds[i], values[i])
				} else {
					v.After = JSONForm(kinds[i], values[i])
				}
				s.Values = append(s.Values, v)
			}
			w.diff.Samples = append(w.diff.Samples, s)
		})
		if err != nil {
			return err
		}
	}
	if len(w.Key) == 0 {
		return nil
	}
	return w.sampleChanged(ctx)
}

func (w *comparing) sampleChanged(ctx context.Context) error {
	var list []string
	for _, p := range w.columns {
		list = append(list, fmt.Sprintf(`b.%[1]s, a.%[1]s, b.%[1]s is distinct from a.%[1]s`, quote(p.name)))
	}
	return w.rows(ctx, fmt.Sprintf(`select %s from changed order by all limit %d`, strings.Join(list, ", "), w.Samples), func(kinds []string, values []any) {
		s := ChangedSample{Kind: ChangedRow}
		for i, p := range w.columns {
			differs, _ := values[3*i+2].(bool)
			if !differs && !slices.Contains(w.Key, p.name) {
				continue
			}
			s.Values = append(s.Values, SampleValue{
				Column: p.name, Before: JSONForm(kinds[3*i], values[3*i]), After: JSONForm(kinds[3*i+1], values[3*i+1]),
			})
		}
		w.diff.Samples = append(w.diff.Samples, s)
	})
}

// rows visits an answer's rows.
func (w *comparing) rows(ctx context.Context, query string, each func(kinds []string, values []any)) error {
	rows, err := w.conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	kinds, values, into := make([]string, len(types)), make([]any, len(types)), make([]any, len(types))
	for i, t := range types {
		kinds[i], into[i] = t.DatabaseTypeName(), &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		each(kinds, values)
	}
	return rows.Err()
}
