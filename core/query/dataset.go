package query

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/duckdb/duckdb-go/v2"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/zone"
)

// show makes a dataset visible under its name and returns the files that a view reads.
func (e *Engine) show(ctx context.Context, db *sql.DB, name zone.Name, view ledger.View) ([]string, error) {
	if _, err := db.ExecContext(ctx, `create schema if not exists `+quote(name.Zone)+"."+quote(name.Namespace)); err != nil {
		return nil, err
	}
	dataset, err := e.settings.Zones.Dataset(ctx, name)
	if err != nil {
		return nil, err
	}
	if view.Empty() {
		return nil, load(ctx, db, name, dataset.FullSchema(), none)
	}
	var parts []part
	for _, p := range partsOf(view) {
		if p.files, err = dataset.Files(ctx, p.snapshot); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(p.files, func(f zone.File) bool { return !f.Exact }) {
			return nil, e.stream(ctx, db, dataset, view)
		}
		if len(p.files) > 0 {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		return nil, e.stream(ctx, db, dataset, view)
	}
	return e.viewOver(ctx, db, name, parts)
}

// part is what is visible of a dataset at one snapshot: all of it, or the rows of one flow.
type part struct {
	snapshot int64
	where    string
	files    []zone.File
}

func partsOf(view ledger.View) []part {
	if view.Snapshot != 0 {
		return []part{{snapshot: view.Snapshot}}
	}
	var parts []part
	for _, flow := range slices.Sorted(maps.Keys(view.Seqs)) {
		where := fmt.Sprintf(" where %s = %s and %s <= %d", zone.ColumnFlow, literal(flow), zone.ColumnSeq, view.Seqs[flow])
		parts = append(parts, part{snapshot: view.Snapshots[flow], where: where})
	}
	return parts
}

// viewOver lets DuckDB read the Parquet files themselves.
func (e *Engine) viewOver(ctx context.Context, db *sql.DB, name zone.Name, parts []part) ([]string, error) {
	var local, selects []string
	for _, p := range parts {
		literals := make([]string, len(p.files))
		for i, file := range p.files {
			path, err := e.settings.Zones.Fetch(ctx, file, e.settings.CacheDir)
			if err != nil {
				return nil, err
			}
			local, literals[i] = append(local, path), literal(path)
		}
		selects = append(selects, fmt.Sprintf(`select * from read_parquet([%s])%s`, strings.Join(literals, ", "), p.where))
	}
	_, err := db.ExecContext(ctx, `create view `+table(name)+` as `+strings.Join(selects, " union all by name "))
	return local, err
}

// stream copies the rows into a table. A view over an Arrow stream would be faster, and wrong: DuckDB pushes filters and
// projections into it that nobody obeys.
func (e *Engine) stream(ctx context.Context, db *sql.DB, dataset *zone.Dataset, view ledger.View) error {
	request := zone.ScanRequest{Snapshot: view.Snapshot, Snapshots: view.Snapshots}
	for _, field := range dataset.FullSchema().Fields() {
		request.Columns = append(request.Columns, field.Name)
	}
	if view.Snapshot == 0 {
		for _, flow := range slices.Sorted(maps.Keys(view.Seqs)) {
			request.Units = append(request.Units, zone.UnitRange{Flow: flow, Upto: view.Seqs[flow]})
		}
	}
	schema, batches, err := dataset.Scan(ctx, request)
	if err != nil {
		return err
	}
	return load(ctx, db, dataset.Name(), schema, batches)
}

func none(func(arrow.RecordBatch, error) bool) {}

// load makes a table of the batches.
func load(ctx context.Context, db *sql.DB, name zone.Name, schema *arrow.Schema, batches zone.Batches) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	reader := newReader(ctx, schema, batches)
	defer reader.stop()
	err = conn.Raw(func(driver any) error {
		raw, ok := driver.(*duckdb.Conn)
		if !ok {
			return fmt.Errorf("the connection is a %T, not DuckDB's", driver)
		}
		bridge, err := duckdb.NewArrowFromConn(raw)
		if err != nil {
			return err
		}
		release, err := bridge.RegisterView(reader, "qanat_stream")
		if err != nil {
			return err
		}
		defer release()
		_, err = raw.ExecContext(ctx, `create table `+table(name)+` as select * from qanat_stream`, nil)
		return err
	})
	if err != nil {
		return err
	}
	if err := reader.Err(); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, `drop view if exists qanat_stream`)
	return err
}
