// Package snapshot reads tables as they were at one moment: it cuts them into chunks, reads these over several connections at once, and
// hands the rows on in one order, whatever connection was quicker.
package snapshot

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/internal/postgres/value"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/catalog"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/keyset"
)

// Table is a table to be read.
type Table struct {
	*catalog.Table
	Stream  string
	Columns []*value.Column // what is selected, in this order
	Filter  string          // a condition in SQL, or empty
	Key     *keyset.Key     // nil: the table is read by pages
}

// SelectSQL is the columns, worded so that values can be read in binary form.
func (t *Table) SelectSQL() string {
	list := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		list[i] = c.SelectAs(pgx.Identifier{c.Name}.Sanitize())
	}
	return strings.Join(list, ", ")
}

// From is the table in a FROM clause: without the tables that inherit from it, which are streams of their own.
func (t *Table) From() string {
	if t.Partitioned {
		return t.SQL()
	}
	return "only " + t.SQL()
}

// Where joins conditions and the filter.
func (t *Table) Where(conditions ...string) string {
	if t.Filter != "" {
		conditions = append(conditions, "("+t.Filter+")")
	}
	if len(conditions) == 0 {
		return ""
	}
	return " where " + strings.Join(conditions, " and ")
}

// Progress is how far a table has been read.
type Progress struct {
	After []string // key of the last row
	Block int64    // first page that has not been read
	Done  bool
}

// Chunk is a part of a table.
type Chunk struct {
	Table *Table
	SQL   string   // the query
	End   Progress // when it has been read
}

// Next is the chunk behind a place. The connection has the snapshot open.
func (t *Table) Next(ctx context.Context, conn *pgx.Conn, at Progress, rows int) (Chunk, error) {
	if t.Key != nil {
		return t.byKey(ctx, conn, at, rows)
	}
	return t.byPage(ctx, conn, at, rows)
}

func (t *Table) byKey(ctx context.Context, conn *pgx.Conn, at Progress, rows int) (Chunk, error) {
	var conditions []string
	if len(at.After) > 0 {
		conditions = append(conditions, t.Key.Condition(">", at.After))
	}
	where := ""
	if len(conditions) > 0 {
		where = " where " + conditions[0]
	}
	sql := fmt.Sprintf("select %[1]s from %[2]s%[3]s order by %[1]s offset %[4]d limit 1", t.Key.SQL(), t.From(), where, rows-1)
	last, err := textRow(ctx, conn, sql)
	if err != nil {
		return Chunk{}, fmt.Errorf("cut table %s: %w", t, err)
	}
	end := Progress{Done: true}
	if last != nil {
		end = Progress{After: last}
		conditions = append(conditions, t.Key.Condition("<=", last))
	}
	return Chunk{Table: t, End: end, SQL: fmt.Sprintf("select %s from %s%s order by %s", t.SelectSQL(), t.From(), t.Where(conditions...), t.Key.SQL())}, nil
}

// textRow is the values of a row as they are printed, nil if there is none.
func textRow(ctx context.Context, conn *pgx.Conn, sql string) ([]string, error) {
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil || len(results) != 1 || len(results[0].Rows) == 0 {
		return nil, err
	}
	var out []string
	for _, v := range results[0].Rows[0] {
		out = append(out, string(v))
	}
	return out, nil
}

// rowsPerPage is assumed of a table that was never analysed.
const rowsPerPage = 60

func (t *Table) byPage(ctx context.Context, conn *pgx.Conn, at Progress, rows int) (Chunk, error) {
	chunk := Chunk{Table: t, End: Progress{Done: true}}
	sql := "select " + t.SelectSQL() + " from " + t.From()
	if t.Partitioned || conn.PgConn().ParameterStatus("server_version") < "14" { // no ranges of pages there
		chunk.SQL = sql + t.Where()
		return chunk, nil
	}
	size, err := textRow(ctx, conn, fmt.Sprintf("select pg_relation_size(%d) / current_setting('block_size')::bigint", t.OID))
	if err != nil {
		return chunk, fmt.Errorf("cut table %s: %w", t, err)
	}
	pages, err := strconv.ParseInt(size[0], 10, 64)
	if err != nil {
		return chunk, err
	}
	density := int64(rowsPerPage)
	if t.Pages > 0 && t.Rows > 0 {
		density = max(1, t.Rows/t.Pages)
	}
	next := at.Block + max(1, int64(rows)/density)
	conditions := []string{fmt.Sprintf("ctid >= '(%d,0)'", at.Block)}
	if next < pages {
		chunk.End = Progress{Block: next}
		conditions = append(conditions, fmt.Sprintf("ctid < '(%d,0)'", next))
	}
	chunk.SQL = sql + t.Where(conditions...)
	return chunk, nil
}
