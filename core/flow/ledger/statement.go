package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
)

// Dialect is the SQL of a state database.
type Dialect string

// The dialects. Statements are written for both, with ? for parameters.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// runner is a database or a transaction.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// statements run SQL in the dialect of the database.
type statements struct {
	runner  runner
	dialect Dialect
	within  bool // a transaction
}

func (s statements) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return s.runner.ExecContext(ctx, s.dialect.bind(query), args...)
}

func (s statements) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return s.runner.QueryContext(ctx, s.dialect.bind(query), args...)
}

func (s statements) row(ctx context.Context, query string, args ...any) *sql.Row {
	return s.runner.QueryRowContext(ctx, s.dialect.bind(query), args...)
}

// forUpdate ends a select whose row nobody else may change before the transaction ends. SQLite's transactions hold the whole
// database; outside of one there is nothing to wait for.
func (s statements) forUpdate() string {
	if s.dialect == Postgres && s.within {
		return " for update"
	}
	return ""
}

// alone keeps other transactions from changing a table, or reading it in order to change it, until this one ends.
func (s statements) alone(ctx context.Context, table string) error {
	if s.dialect != Postgres {
		return nil
	}
	_, err := s.exec(ctx, "lock table "+table+" in share row exclusive mode")
	return err
}

// bind numbers the parameters where the dialect wants them numbered. No statement of this package has a ? in a literal.
func (d Dialect) bind(query string) string {
	if d != Postgres {
		return query
	}
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(n))
		query = after
	}
}

// clock is the database's own time in microseconds, so that the clocks of the machines that use it do not matter.
func (d Dialect) clock() string {
	if d == Postgres {
		return "(extract(epoch from clock_timestamp()) * 1000000)::bigint"
	}
	return "cast(unixepoch('now', 'subsec') * 1000000 as integer)"
}

// bytes is the type of a column of bytes.
func (d Dialect) bytes() string {
	if d == Postgres {
		return "bytea"
	}
	return "blob"
}

// unansweredError says that a commit failed in a way that leaves open whether it took place.
type unansweredError struct {
	err error
}

func (e *unansweredError) Error() string { return "state database: commit: " + e.err.Error() }
func (e *unansweredError) Unwrap() error { return e.err }

// transact runs do in a transaction, which ends with its error.
func (l *Ledger) transact(ctx context.Context, do func(statements) error) error {
	tx, err := l.pool.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("state database: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := do(statements{runner: tx, dialect: l.db.dialect, within: true}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return &unansweredError{err}
	}
	return nil
}
