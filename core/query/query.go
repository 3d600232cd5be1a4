package query

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/zone"
)

// Settings of an engine.
type Settings struct {
	Zones       *zone.Zones
	Ledger      *ledger.Ledger
	CacheDir    string // for copies of objects on external storage
	MemoryLimit string // DuckDB's, such as 1GiB; empty takes 1GiB
	TempDir     string // for what a comparison can't hold in memory; empty keeps it there
}

// Engine answers queries. Safe for concurrent use: each query has a database of its own.
type Engine struct {
	settings Settings
}

// New makes an engine; it holds nothing open.
func New(s Settings) *Engine {
	if s.MemoryLimit == "" {
		s.MemoryLimit = "1GiB"
	}
	return &Engine{settings: s}
}

// Rows are the answer to a query; the caller closes them.
type Rows struct {
	*sql.Rows
	db *sql.DB
}

// Close frees the query's database.
func (r *Rows) Close() error {
	return errors.Join(r.Rows.Close(), r.db.Close())
}

// Query runs one statement over the datasets that it names.
func (e *Engine) Query(ctx context.Context, text string) (*Rows, error) {
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return nil, fmt.Errorf("start DuckDB: %w", err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1) // temporary tables belong to a connection
	rows, err := e.query(ctx, db, text)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Rows{Rows: rows, db: db}, nil
}

func (e *Engine) query(ctx context.Context, db *sql.DB, text string) (*sql.Rows, error) {
	names, err := e.named(ctx, text)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, `set memory_limit = '`+e.settings.MemoryLimit+`'`); err != nil {
		return nil, err
	}
	for _, name := range zone.All() {
		if _, err := db.ExecContext(ctx, `attach ':memory:' as `+quote(name)); err != nil {
			return nil, err
		}
	}
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = name.String()
	}
	views, err := e.settings.Ledger.Views(ctx, texts...)
	if err != nil {
		return nil, err
	}
	var files []string
	for i, name := range names {
		local, err := e.show(ctx, db, name, views[i])
		if errors.Is(err, zone.ErrNotFound) { // upkeep has let go of the snapshot since; readers are sent to another by now
			if views[i], err = e.settings.Ledger.View(ctx, name.String()); err == nil {
				local, err = e.show(ctx, db, name, views[i])
			}
		}
		if err != nil {
			return nil, fmt.Errorf("dataset %q: %w", name, err)
		}
		files = append(files, local...)
	}
	if err := lock(ctx, db, files); err != nil {
		return nil, err
	}
	if err := onlyReads(ctx, db, text); err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, text)
	if err != nil {
		return nil, &StatementError{e.explain(ctx, err)}
	}
	return rows, nil
}

// StatementError says that the statement is wrong, or can't be answered as it stands.
type StatementError struct{ error }

// Unwrap gives DuckDB's error.
func (e *StatementError) Unwrap() error { return e.error }

// onlyReads refuses a statement that would change something: it would change this query's copies, to no effect. What can't be
// prepared is left to the query itself, which says why.
func onlyReads(ctx context.Context, db *sql.DB, text string) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return conn.Raw(func(driver any) error {
		raw, ok := driver.(*duckdb.Conn)
		if !ok {
			return fmt.Errorf("the connection is a %T, not DuckDB's", driver)
		}
		prepared, err := raw.PrepareContext(ctx, text)
		if err != nil {
			return nil // the query fails for the same reason, and says it
		}
		defer func() { _ = prepared.Close() }()
		statement, ok := prepared.(*duckdb.Stmt)
		if !ok {
			return nil
		}
		kind, err := statement.StatementType()
		if err != nil || kind == duckdb.STATEMENT_TYPE_SELECT || kind == duckdb.STATEMENT_TYPE_EXPLAIN {
			return err
		}
		return &StatementError{errors.New("only queries are answered: datasets are written by pipelines")}
	})
}

// lock leaves DuckDB nothing of this machine but the datasets' files.
func lock(ctx context.Context, db *sql.DB, files []string) error {
	paths := make([]string, len(files))
	for i, file := range files {
		paths[i] = literal(file)
	}
	for _, statement := range []string{
		`set allowed_paths = [` + strings.Join(paths, ", ") + `]`,
		`set enable_external_access = false`,
		`set lock_configuration = true`,
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("lock DuckDB's configuration: %w", err)
		}
	}
	return nil
}

var datasetPattern = regexp.MustCompile(`(?i)"?\b(landing|processing|curated|serving|quarantine)"?\s*\.\s*("[^"]+"|[A-Za-z0-9_-]+)\s*\.\s*("[^"]+"|[A-Za-z0-9_-]+)`)

// named are the existing datasets that a text mentions.
func (e *Engine) named(ctx context.Context, text string) ([]zone.Name, error) {
	known, err := e.settings.Zones.List(ctx)
	if err != nil {
		return nil, err
	}
	var names []zone.Name
	for _, m := range datasetPattern.FindAllStringSubmatch(text, -1) {
		name := zone.Name{Zone: strings.ToLower(m[1]), Namespace: unquote(m[2]), Dataset: unquote(m[3])}
		if slices.Contains(known, name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// explain adds what there is when a table was not found.
func (e *Engine) explain(ctx context.Context, err error) error {
	if !strings.Contains(err.Error(), "does not exist") {
		return err
	}
	known, listErr := e.settings.Zones.List(ctx)
	if listErr != nil {
		return err
	}
	if len(known) == 0 {
		return fmt.Errorf("%w\nthere are no datasets yet", err)
	}
	names := make([]string, len(known))
	for i, name := range known {
		names[i] = name.String()
	}
	return fmt.Errorf("%w\ndatasets are: %s", err, strings.Join(names, ", "))
}

func quote(name string) string   { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
func literal(text string) string { return `'` + strings.ReplaceAll(text, `'`, `''`) + `'` }
func table(name zone.Name) string {
	return quote(name.Zone) + "." + quote(name.Namespace) + "." + quote(name.Dataset)
}

// unquote is a part of a dataset's name as it is kept: SQL does not tell upper and lower case apart, quoted or not.
func unquote(name string) string { return strings.ToLower(strings.Trim(name, `"`)) }
