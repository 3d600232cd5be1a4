package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// keyed plans an output whose rows replace others by a key, and returns what is kept of the stream: the rows, without what makes them
// changes, and in history mode when they held. A stream without a key is appended as it is.
func (m *maker) keyed(f *Flow, out *Output, table *Table, have Table, exists bool, s sdk.SchemaChange, t target) *arrow.Schema {
	key := t.key
	if len(key) == 0 {
		key = s.Key
	}
	if s.Schema == nil {
		table.Key, table.Upsert = have.Key, have.Upsert
		return nil
	}
	if len(key) == 0 {
		out.Mode = "append"
		f.Notes = append(f.Notes, fmt.Sprintf("%s has no key: its rows are appended to %s", s.Stream, out.Dataset))
		return s.Schema
	}
	write := strings.TrimSuffix(t.path, "/to") + "/write"
	for _, column := range key {
		if !s.Schema.HasField(column) {
			m.specFault(f.Name, write+"/key", "name columns that the rows have", "%q is in the key of dataset %q, and stream %q has no such column",
				column, out.Dataset, s.Stream)
		}
	}
	out.Key, table.Key, table.Upsert = key, key, true
	schema := change.Keyed(s.Schema, key)
	if t.mode == "history" {
		schema = m.history(f, out, table, schema, s.Stream, write)
	}
	switch same := sameNames(have.Key, table.Key); {
	case !exists || have.Upsert && same:
	case !have.Upsert || sameNames(rowKey(have.Key), rowKey(table.Key)):
		m.specFault(f.Name, t.path, "write to a dataset of another name, or replay the flow into a new one",
			"dataset %q was made for another mode than %s", out.Dataset, t.mode)
	default:
		m.specFault(f.Name, write+"/key", "the key of a dataset stays as it is; write to a dataset of another name",
			"dataset %q has the key %q, the flow's is %q", out.Dataset, rowKey(have.Key), key)
	}
	return schema
}

// history plans a dataset that keeps the versions of rows.
func (m *maker) history(f *Flow, out *Output, table *Table, rows *arrow.Schema, stream, write string) *arrow.Schema {
	table.Key = append(slices.Clone(table.Key), change.ColumnVersion)
	taken := false
	for _, column := range change.VersionNames() {
		if rows.HasField(column) {
			taken = true
			m.specFault(f.Name, write+"/mode", "give the column another name, or leave it out, in a transform",
				"stream %q has a column %q, and history adds one of that name to dataset %q", stream, column, out.Dataset)
		}
	}
	if taken {
		return rows
	}
	f.Notes = append(f.Notes, fmt.Sprintf("%s keeps every version of a row: it held from %s to %s, which is null as long as it holds",
		out.Dataset, change.ColumnValidFrom, change.ColumnValidTo))
	return change.Versions(rows)
}

// rowKey is a dataset's key without what tells versions apart.
func rowKey(key []string) []string {
	return slices.DeleteFunc(slices.Clone(key), func(column string) bool { return column == change.ColumnVersion })
}

func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
