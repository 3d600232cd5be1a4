package e2e_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2" // the driver
)

// duck is a DuckDB of the test's own: what it says of files owes nothing to Qanat.
type duck struct {
	t  *testing.T
	db *sql.DB
}

func openDuck(t *testing.T) *duck {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &duck{t: t, db: db}
}

func (d *duck) exec(statement string) {
	d.t.Helper()
	if _, err := d.db.ExecContext(d.t.Context(), statement); err != nil {
		d.t.Fatalf("%v in %s", err, statement)
	}
}

// line is a row's values, with commas between them, as CSV shows it.
func (d *duck) line(query string) string {
	d.t.Helper()
	lines := d.lines(query)
	if len(lines) != 1 {
		d.t.Fatalf("%d rows of %s, expected one", len(lines), query)
	}
	return lines[0]
}

func (d *duck) lines(query string) []string {
	d.t.Helper()
	rows, err := d.db.QueryContext(d.t.Context(), query)
	if err != nil {
		d.t.Fatalf("%v in %s", err, query)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		d.t.Fatal(err)
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	var lines []string
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			d.t.Fatal(err)
		}
		texts := make([]string, len(values))
		for i, value := range values {
			texts[i] = fmt.Sprint(value)
		}
		lines = append(lines, strings.Join(texts, ","))
	}
	if err := rows.Err(); err != nil {
		d.t.Fatalf("%v in %s", err, query)
	}
	return lines
}

// ints are the values of a query's only row.
func (d *duck) ints(query string, into ...any) {
	d.t.Helper()
	if err := d.db.QueryRowContext(d.t.Context(), query).Scan(into...); err != nil {
		d.t.Fatalf("%v in %s", err, query)
	}
}

// csv is an expression that reads CSV text with these columns, as name and type.
func (d *duck) csv(text string, columns ...string) string {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), "answer.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return csvFiles(path, columns...)
}

// csvFiles is an expression that reads CSV files.
func csvFiles(pattern string, columns ...string) string {
	typed := make([]string, len(columns))
	for i, column := range columns {
		name, kind, _ := strings.Cut(column, " ")
		typed[i] = fmt.Sprintf("'%s': '%s'", name, kind)
	}
	return fmt.Sprintf("read_csv('%s', header = true, columns = {%s})", pattern, strings.Join(typed, ", "))
}

// same fails the test unless two tables hold the same rows, as often as each other, in any order.
func (d *duck) same(what, want, got string) {
	d.t.Helper()
	apart := fmt.Sprintf("select '-' as side, * from (from %[1]s except all from %[2]s) union all "+
		"select '+' as side, * from (from %[2]s except all from %[1]s)", want, got)
	var rows, differing int64
	d.ints("select count(*) from "+want, &rows)
	d.ints("select count(*) from ("+apart+")", &differing)
	switch {
	case rows == 0:
		d.t.Errorf("%s: there is nothing to compare", what)
	case differing > 0:
		d.t.Errorf("%s: %d rows differ, such as (- expected, + there)\n%s", what, differing,
			strings.Join(d.lines(apart+" order by all limit 10"), "\n"))
	}
}

// eventually waits until something holds; how long is only there to end a test that can't succeed.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(3 * time.Minute)
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("gave up waiting: %s", what)
		case <-t.Context().Done():
			t.Fatalf("interrupted while waiting: %s", what)
		}
	}
}
