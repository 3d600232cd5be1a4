package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/duckdb/duckdb-go/v2"
)

// database is a DuckDB of its own with one connection. Not safe for concurrent use.
type database struct {
	connector *duckdb.Connector
	conn      *duckdb.Conn
	arrow     *duckdb.Arrow
	home      string // catalog and schema that tables are made in
	made      int    // names given so far
}

// openDatabase starts DuckDB and shuts it off from files and the network. Collected rows live in a file of the scratch folder, so
// that they may outgrow the memory limit.
func openDatabase(ctx context.Context, c Config, scratch string) (*database, error) {
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return nil, fmt.Errorf("start duckdb: %w", err)
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to duckdb: %w", err), connector.Close())
	}
	d := &database{connector: connector, conn: conn.(*duckdb.Conn), home: "memory.main"}
	if err := d.configure(ctx, c, scratch); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if d.arrow, err = duckdb.NewArrowFromConn(conn); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// configure ends with the lock: no query can change a setting afterwards.
func (d *database) configure(ctx context.Context, c Config, scratch string) error {
	settings := []string{
		fmt.Sprintf("set memory_limit = '%dB'", c.memory()),
		fmt.Sprintf("set threads = %d", c.threads()),
		"set temp_directory = " + literal(spillFolder(scratch)),
		"set global TimeZone = 'UTC'",
		"set autoinstall_known_extensions = false",
		"set autoload_known_extensions = false",
		"set explain_output = 'all'",
	}
	if c.Collect {
		file, err := freshFile(scratch)
		if err != nil {
			return err
		}
		d.home = "qanat_work.main"
		settings = append(settings, "attach "+literal(file)+" as qanat_work")
	}
	settings = append(settings, "set enable_external_access = false", "set lock_configuration = true")
	for _, setting := range settings {
		if err := d.exec(ctx, setting); err != nil {
			return fmt.Errorf("configure duckdb: %w", err)
		}
	}
	return nil
}

func spillFolder(scratch string) string {
	if scratch == "" {
		return ""
	}
	return filepath.Join(scratch, "spill")
}

// freshFile makes room for the database file: one that a killed process left is of no use.
func freshFile(scratch string) (string, error) {
	if scratch == "" {
		return "", errors.New("collecting needs a scratch folder, and the runtime gave none")
	}
	file := filepath.Join(scratch, "collect.duckdb")
	for _, old := range []string{file, file + ".wal"} {
		if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("clear the scratch folder: %w", err)
		}
	}
	return file, nil
}

func (d *database) close() error {
	return errors.Join(d.conn.Close(), d.connector.Close())
}

// name gives an unused name for a table or a view.
func (d *database) name(kind string) string {
	d.made++
	return fmt.Sprintf("qanat_%s_%d", kind, d.made)
}

func (d *database) exec(ctx context.Context, statement string) error {
	_, err := d.conn.ExecContext(ctx, statement, nil)
	return err
}

// execAll runs statements until one fails.
func (d *database) execAll(ctx context.Context, statements ...string) error {
	for _, statement := range statements {
		if err := d.exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// statement is a prepared statement without parameters.
type statement struct{ *duckdb.Stmt }

func (d *database) prepare(ctx context.Context, text string) (statement, error) {
	prepared, err := d.conn.PrepareContext(ctx, text)
	if err != nil {
		return statement{}, err
	}
	return statement{Stmt: prepared.(*duckdb.Stmt)}, nil
}

func (s statement) exec(ctx context.Context) error {
	_, err := s.ExecContext(ctx, nil)
	return err
}

// records runs a query; the caller releases the records, of up to 2,048 rows each. Their memory is DuckDB's.
func (d *database) records(ctx context.Context, query string) (*arrow.Schema, []arrow.RecordBatch, error) {
	reader, err := d.arrow.QueryContext(ctx, query)
	if err != nil {
		return nil, nil, err
	}
	defer reader.Release()
	var records []arrow.RecordBatch
	for reader.Next() {
		record := reader.RecordBatch()
		record.Retain()
		records = append(records, record)
	}
	if err := reader.Err(); err != nil {
		releaseAll(records)
		return nil, nil, err
	}
	return reader.Schema(), records, nil
}

// rows runs a query and gives its rows as text, for questions about plans and functions.
func (d *database) rows(ctx context.Context, query string, args ...driver.Value) ([][]string, error) {
	named := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: arg}
	}
	result, err := d.conn.QueryContext(ctx, query, named)
	if err != nil {
		return nil, err
	}
	defer result.Close()
	values := make([]driver.Value, len(result.Columns()))
	var rows [][]string
	for {
		err := result.Next(values)
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		row := make([]string, len(values))
		for i, value := range values {
			row[i] = fmt.Sprint(value)
		}
		rows = append(rows, row)
	}
}

func releaseAll(records []arrow.RecordBatch) {
	for _, record := range records {
		record.Release()
	}
}

// identifier quotes a name for SQL.
func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal quotes a text for SQL.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
