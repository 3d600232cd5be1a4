package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
)

// table is one batch on its way through the steps. It owns its columns.
type table struct {
	input    string
	alloc    memory.Allocator
	metadata arrow.Metadata
	rows     int
	columns  []column
	rejected map[int]sdk.Rejection // by row; the first reason stands
	changes  *changes              // nil unless the rows are changes
	lenient  bool                  // the rows are old ones: what fails is null, and nothing is rejected
}

// column is a column and where it comes from.
type column struct {
	field  arrow.Field
	values arrow.Array
	origin string   // the input column that it is, renamed at most; empty when it is made
	inputs []string // the input columns that it is made from
	kind   sdk.LineageKind
}

// newTable takes a batch apart, which stays the caller's.
func newTable(input string, key []string, record arrow.RecordBatch, alloc memory.Allocator) (*table, error) {
	t := &table{
		input: input, alloc: alloc, metadata: record.Schema().Metadata(), rows: int(record.NumRows()), rejected: map[int]sdk.Rejection{},
	}
	for i, field := range record.Schema().Fields() {
		values := record.Column(i)
		values.Retain()
		t.columns = append(t.columns, column{
			field: field, values: values, origin: field.Name, inputs: []string{field.Name}, kind: sdk.Identity,
		})
	}
	if err := t.newChanges(record.Schema(), key); err != nil {
		t.release()
		return nil, err
	}
	return t, nil
}

func (t *table) release() {
	for _, c := range t.columns {
		c.values.Release()
	}
	t.columns = nil
	if t.changes != nil {
		t.changes.release()
	}
}

// run applies a step, to old rows as well.
func (t *table) run(s step) error {
	if err := s.apply(t); err != nil {
		return err
	}
	if t.changes == nil || t.changes.before == nil {
		return nil
	}
	return s.apply(t.changes.before)
}

// index finds a column; the error blames the setting at the path and lists what there is.
func (t *table) index(path, name string) (int, error) {
	i := t.find(name)
	if err := t.reserved(path, name); err != nil {
		return 0, err
	}
	if i < 0 {
		return 0, sdk.ConfigError(path, "input %q has no column %q, there are %s", t.input, name, strings.Join(t.names(), ", "))
	}
	return i, nil
}

func (t *table) find(name string) int {
	return slices.IndexFunc(t.columns, func(c column) bool { return c.field.Name == name })
}

func (t *table) names() []string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.field.Name
	}
	return names
}

// vacant checks that there is no column of that name yet.
func (t *table) vacant(path, name string) error {
	if err := t.reserved(path, name); err != nil {
		return err
	}
	if t.find(name) >= 0 {
		return sdk.ConfigError(path, "input %q has a column %q already: drop or rename it first", t.input, name)
	}
	return nil
}

// reject gives up a row, once.
func (t *table) reject(r sdk.Rejection) {
	if _, already := t.rejected[r.Row]; !already {
		t.rejected[r.Row] = r
	}
}

func (t *table) schema() *arrow.Schema {
	fields := make([]arrow.Field, len(t.columns))
	for i, c := range t.columns {
		fields[i] = c.field
	}
	return arrow.NewSchema(fields, &t.metadata)
}

// records are what is left of the batch: one record, or one for each run of rows between rejected ones where a column can't be put
// together from parts; none if no row is left. The caller releases them.
func (t *table) records() ([]arrow.RecordBatch, error) {
	if len(t.rejected) == t.rows {
		return nil, nil
	}
	columns := make([]arrow.Array, len(t.columns))
	for i, c := range t.columns {
		columns[i] = c.values
	}
	whole := array.NewRecordBatch(t.schema(), columns, int64(t.rows))
	if len(t.rejected) == 0 {
		return []arrow.RecordBatch{whole}, nil
	}
	defer whole.Release()
	if slices.ContainsFunc(t.columns, func(c column) bool { return holdsUnion(c.field.Type) }) {
		var runs []arrow.RecordBatch
		for _, r := range t.runs() {
			runs = append(runs, whole.NewSlice(r.begin, r.end))
		}
		return runs, nil
	}
	rest, err := t.kept(whole)
	if err != nil {
		return nil, err
	}
	return []arrow.RecordBatch{rest}, nil
}

// holdsUnion says whether a type is or contains a union, of which Arrow can't concatenate values.
func holdsUnion(t arrow.DataType) bool {
	switch t := t.(type) {
	case arrow.UnionType:
		return true
	case arrow.ExtensionType:
		return holdsUnion(t.StorageType())
	case *arrow.DictionaryType:
		return holdsUnion(t.ValueType)
	case arrow.NestedType:
		return slices.ContainsFunc(t.Fields(), func(f arrow.Field) bool { return holdsUnion(f.Type) })
	}
	return false
}

// span is a range of rows.
type span struct{ begin, end int64 }

// runs are the rows that are not rejected.
func (t *table) runs() []span {
	var runs []span
	begin := 0
	for _, row := range append(slices.Sorted(maps.Keys(t.rejected)), t.rows) {
		if row > begin {
			runs = append(runs, span{int64(begin), int64(row)})
		}
		begin = row + 1
	}
	return runs
}

// kept copies the rows that are not rejected.
func (t *table) kept(whole arrow.RecordBatch) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, 0, len(t.columns))
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for _, c := range whole.Columns() {
		rest, err := t.without(c)
		if err != nil {
			return nil, err
		}
		columns = append(columns, rest)
	}
	return array.NewRecordBatch(whole.Schema(), columns, int64(t.rows-len(t.rejected))), nil
}

func (t *table) without(values arrow.Array) (arrow.Array, error) {
	var parts []arrow.Array
	defer func() {
		for _, part := range parts {
			part.Release()
		}
	}()
	for _, r := range t.runs() {
		parts = append(parts, array.NewSlice(values, r.begin, r.end))
	}
	return array.Concatenate(parts, t.alloc)
}

// key is where the columns of the input's key are now; nil if one is gone, because the rest identifies nothing.
func (t *table) key(key []string) []string {
	var now []string
	for _, name := range key {
		i := slices.IndexFunc(t.columns, func(c column) bool { return c.origin == name })
		if i < 0 {
			return nil
		}
		now = append(now, t.columns[i].field.Name)
	}
	return now
}

func (t *table) lineage() []sdk.ColumnLineage {
	lineage := make([]sdk.ColumnLineage, len(t.columns))
	for i, c := range t.columns {
		lineage[i] = sdk.ColumnLineage{Output: t.input, Column: c.field.Name, Kind: c.kind}
		for _, input := range c.inputs {
			lineage[i].Inputs = append(lineage[i].Inputs, sdk.ColumnRef{Input: t.input, Column: input})
		}
	}
	return lineage
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
