package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
)

// table is an input as DuckDB sees it: a table of its columns, and the way that Arrow batches take into it.
//
// A registered Arrow stream is never queried by anything but the one statement that copies all of its columns into the table:
// DuckDB pushes projections and filters into such a scan, the stream ignores them, and the rows come out wrong without an error.
type table struct {
	stream string
	schema *arrow.Schema
	name   string // qualified and quoted
	feed   *feed
	view   string // the registered stream, qualified
	insert statement
	free   func()
}

// newTable makes an empty table of the columns of an input.
func newTable(ctx context.Context, d *database, in sdk.SchemaChange) (*table, error) {
	if err := distinctColumns(in); err != nil {
		return nil, err
	}
	if err := readable(in); err != nil {
		return nil, err
	}
	t := &table{stream: in.Stream, schema: in.Schema, feed: &feed{schema: in.Schema}}
	view := d.name("feed")
	t.view, t.name = "memory.main."+view, d.home+"."+d.name("table")
	var err error
	if t.free, err = d.arrow.RegisterView(t.feed, view); err != nil {
		return nil, sdk.Fatal(fmt.Errorf("input %q: duckdb has no type for %s", in.Stream, foreign(d, in.Schema)))
	}
	if err = d.exec(ctx, "create table "+t.name+" as select * from "+t.view+" limit 0"); err == nil {
		t.insert, err = d.prepare(ctx, "insert into "+t.name+" select * from "+t.view)
	}
	if err != nil {
		return nil, errors.Join(sdk.Fatal(fmt.Errorf("input %q: make a table of its columns: %w", in.Stream, err)), t.drop(ctx, d))
	}
	return t, nil
}

// foreign names the columns whose Arrow types DuckDB doesn't know; DuckDB itself only says that there are some.
func foreign(d *database, schema *arrow.Schema) string {
	var names []string
	for _, field := range schema.Fields() {
		free, err := d.arrow.RegisterView(&feed{schema: arrow.NewSchema([]arrow.Field{field}, nil)}, d.name("probe"))
		if err != nil {
			names = append(names, fmt.Sprintf("column %q (%s)", field.Name, field.Type))
			continue
		}
		defer free()
	}
	return strings.Join(names, ", ")
}

// readable refuses types that DuckDB takes and that don't work: it reads the days of an interval for milliseconds, and of unions Arrow
// can't put together the rows that are left when others are rejected.
func readable(in sdk.SchemaChange) error {
	for _, field := range in.Schema.Fields() {
		for _, id := range []arrow.Type{arrow.INTERVAL_DAY_TIME, arrow.SPARSE_UNION} {
			if holds(field.Type, id) {
				return sdk.Fatal(fmt.Errorf("input %q: column %q (%s) can't be read rightly: cast it before", in.Stream, field.Name, field.Type))
			}
		}
	}
	return nil
}

// holds says whether a type is of a kind, or has such a type within.
func holds(t arrow.DataType, id arrow.Type) bool {
	if t.ID() == id {
		return true
	}
	switch t := t.(type) {
	case arrow.ExtensionType:
		return holds(t.StorageType(), id)
	case *arrow.DictionaryType:
		return holds(t.ValueType, id)
	case arrow.NestedType:
		return slices.ContainsFunc(t.Fields(), func(f arrow.Field) bool { return holds(f.Type, id) })
	}
	return false
}

// distinctColumns refuses names that SQL takes for one.
func distinctColumns(in sdk.SchemaChange) error {
	seen := map[string]string{}
	for _, field := range in.Schema.Fields() {
		folded := strings.ToLower(field.Name)
		if other, twice := seen[folded]; twice {
			return sdk.Fatal(fmt.Errorf("input %q: columns %q and %q have one name in SQL", in.Stream, other, field.Name))
		}
		seen[folded] = field.Name
	}
	return nil
}

// load appends a batch, which stays the caller's.
func (t *table) load(ctx context.Context, record arrow.RecordBatch) error {
	record, err := unsliced(record)
	if err != nil {
		return err
	}
	defer record.Release()
	t.feed.give(record)
	defer t.feed.give(nil)
	return t.insert.exec(ctx)
}

// unsliced is the batch with structs copied that are a slice of others: on the way to DuckDB the place where such a slice begins is
// counted twice, and the rows get the structs of other rows. The caller releases it.
func unsliced(record arrow.RecordBatch) (arrow.RecordBatch, error) {
	columns := slices.Clone(record.Columns())
	for i, column := range columns {
		if column.Data().Offset() == 0 || !holds(column.DataType(), arrow.STRUCT) {
			continue
		}
		copied, err := array.Concatenate([]arrow.Array{column}, memory.NewGoAllocator())
		if err != nil {
			return nil, err
		}
		defer copied.Release()
		columns[i] = copied
	}
	return array.NewRecordBatch(record.Schema(), columns, record.NumRows()), nil
}

func (t *table) drop(ctx context.Context, d *database) error {
	ctx = context.WithoutCancel(ctx)
	err := errors.Join(t.close(), d.execAll(ctx, "drop table if exists "+t.name, "drop view if exists "+t.view))
	t.free()
	return err
}

// close ends the prepared statement; the rest goes with the database, or with drop. The registered stream must outlive the
// connection, so its memory is freed apart.
func (t *table) close() error {
	if t.insert.Stmt == nil {
		return nil
	}
	err := t.insert.Close()
	t.insert = statement{}
	return err
}

// tableName is what the query calls an input: the last part of its dataset.
func tableName(stream string) string {
	return stream[strings.LastIndexByte(stream, '.')+1:]
}

// feed is an Arrow stream that ends after one batch and can be given the next one, so that a statement prepared on it serves for
// all batches. DuckDB reads it from its own threads, but only while the statement runs.
type feed struct {
	schema  *arrow.Schema
	next    arrow.RecordBatch
	current arrow.RecordBatch
}

func (f *feed) give(record arrow.RecordBatch) { f.next, f.current = record, nil }

// Retain implements array.RecordReader; the batch is the caller's of load, which outlives its reading.
func (f *feed) Retain() {}

// Release implements array.RecordReader.
func (f *feed) Release() {}

// Schema implements array.RecordReader.
func (f *feed) Schema() *arrow.Schema { return f.schema }

// Next implements array.RecordReader.
func (f *feed) Next() bool {
	f.current, f.next = f.next, nil
	return f.current != nil
}

// RecordBatch implements array.RecordReader.
func (f *feed) RecordBatch() arrow.RecordBatch { return f.current }

// Record implements array.RecordReader.
func (f *feed) Record() arrow.RecordBatch { return f.current }

// Err implements array.RecordReader.
func (f *feed) Err() error { return nil }
