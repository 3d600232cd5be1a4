package query

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/zone"
)

// Side is one of two sets of rows that are compared: what is visible of a dataset, or, with Flow, that flow's rows of some units.
type Side struct {
	Dataset zone.Name
	Flow    string
	Units   []ledger.Span
}

// Comparison says what to compare. Rows are compared by their user columns, as multisets: null equals null and NaN equals NaN.
type Comparison struct {
	Before, After Side
	// Key names the columns that tell which row became which. Without it no row is a changed one.
	Key     []string
	Samples int // of each kind of difference
}

// Difference is what makes two sets of rows differ. Before = Same + Removed + Changed, and After = Same + Added + Changed.
type Difference struct {
	Before  int64 `json:"rows_before"`
	After   int64 `json:"rows_after"`
	Same    int64 `json:"unchanged"`
	Removed int64 `json:"only_before"`
	Added   int64 `json:"only_after"`
	Changed int64 `json:"changed"`
	// Ambiguous counts those of Removed and Added whose key stands on both sides, but not once on each.
	Ambiguous int64           `json:"ambiguous,omitempty"`
	Key       []string        `json:"key,omitempty"`
	Columns   []ColumnCount   `json:"columns,omitempty"` // of changed rows
	Schema    []ColumnChange  `json:"schema,omitempty"`
	Samples   []ChangedSample `json:"samples,omitempty"`
}

// Equal says that nothing differs.
func (d *Difference) Equal() bool { return d.Removed+d.Added+d.Changed == 0 && len(d.Schema) == 0 }

// ColumnCount is in how many changed rows a column differs.
type ColumnCount struct {
	Column string `json:"column"`
	Rows   int64  `json:"rows"`
}

// ColumnChange is a column that only one side has (the other type is empty), or that has another type.
type ColumnChange struct {
	Column string `json:"column"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// ChangedSample is a row that differs. Of a changed row it has the key and the columns that differ.
type ChangedSample struct {
	Kind   string        `json:"kind"` // only_before, only_after or changed
	Values []SampleValue `json:"values"`
}

// SampleValue is a column's value on the sides that have the row, in the form of JSON; null on the other.
type SampleValue struct {
	Column string `json:"column"`
	Before any    `json:"before"`
	After  any    `json:"after"`
}

// The kinds of samples.
const (
	OnlyBefore = "only_before"
	OnlyAfter  = "only_after"
	ChangedRow = "changed"
)

// Compare compares two sets of rows exactly. What does not fit into memory goes to the settings' TempDir.
func (e *Engine) Compare(ctx context.Context, c Comparison) (d Difference, err error) {
	w := &comparing{Engine: e, Comparison: c}
	err = e.private(ctx, func(db *sql.DB) error {
		shown := map[zone.Name]bool{}
		for side, of := range map[string]Side{"before": c.Before, "after": c.After} {
			if err := e.showSide(ctx, db, shown, side, of); err != nil {
				return err
			}
		}
		if w.conn, err = db.Conn(ctx); err != nil {
			return err
		}
		defer func() { _ = w.conn.Close() }()
		return w.compare(ctx)
	})
	return w.diff, err
}

// CountBy counts the rows of a side by a column's text.
func (e *Engine) CountBy(ctx context.Context, s Side, column string) (map[string]int64, error) {
	counts := map[string]int64{}
	err := e.private(ctx, func(db *sql.DB) error {
		if err := e.showSide(ctx, db, map[zone.Name]bool{}, "side", s); err != nil {
			return err
		}
		exists, err := columnsOf(ctx, db, "side")
		if err != nil || !slices.ContainsFunc(exists, func(p pair) bool { return p.name == column }) {
			return err
		}
		rows, err := db.QueryContext(ctx, `select coalesce(`+quote(column)+`::varchar, ''), count(*) from side group by 1`) //nolint:gosec // quoted
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var text string
			var n int64
			if err := rows.Scan(&text, &n); err != nil {
				return err
			}
			counts[text] = n
		}
		return rows.Err()
	})
	return counts, err
}

// private opens a database that nobody's statements run in but this package's.
func (e *Engine) private(ctx context.Context, do func(*sql.DB) error) (err error) {
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return fmt.Errorf("start DuckDB: %w", err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	settings := []string{
		`set memory_limit = '` + e.settings.MemoryLimit + `'`, `set preserve_insertion_order = false`,
		`set autoinstall_known_extensions = false`, `set autoload_known_extensions = false`,
	}
	if e.settings.TempDir != "" {
		if err := os.MkdirAll(e.settings.TempDir, 0o700); err != nil {
			return err
		}
		dir, failure := os.MkdirTemp(e.settings.TempDir, "compare-")
		if failure != nil {
			return failure
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		settings = append(settings, `set temp_directory = `+literal(dir))
	}
	for _, name := range zone.All() {
		settings = append(settings, `attach ':memory:' as `+quote(name))
	}
	for _, statement := range settings {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return do(db)
}

// showSide makes a view of a side under a name. A dataset that does not exist has neither rows nor columns.
func (e *Engine) showSide(ctx context.Context, db *sql.DB, shown map[zone.Name]bool, as string, s Side) error {
	for again := false; !shown[s.Dataset]; again = true {
		view, err := e.settings.Ledger.View(ctx, s.Dataset.String())
		if err != nil {
			return err
		}
		_, err = e.show(ctx, db, s.Dataset, view)
		if !errors.Is(err, zone.ErrNotFound) {
			if err != nil {
				return fmt.Errorf("dataset %q: %w", s.Dataset, err)
			}
			shown[s.Dataset] = true
			break
		}
		_, err = e.settings.Zones.Dataset(ctx, s.Dataset)
		if errors.Is(err, zone.ErrNotFound) {
			_, err = db.ExecContext(ctx, `create view `+quote(as)+` as select 1 as `+quote(zone.ColumnSeq)+` where false`)
			return err
		}
		if err != nil || again { // else upkeep has let go of the snapshot since
			return errors.Join(fmt.Errorf("dataset %q: snapshot %d is gone", s.Dataset, view.Snapshot), err)
		}
	}
	_, err := db.ExecContext(ctx, `create view `+quote(as)+` as select * from `+table(s.Dataset)+s.where())
	return err
}

func (s Side) where() string {
	if s.Flow == "" {
		return ""
	}
	units := []string{"false"}
	for _, span := range s.Units {
		units = append(units, fmt.Sprintf("%s between %d and %d", zone.ColumnSeq, span.First, span.Last))
	}
	return fmt.Sprintf(" where %s = %s and (%s)", zone.ColumnFlow, literal(s.Flow), strings.Join(units, " or "))
}
