package zone

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// keyTypes says which columns may be part of a key. Floating-point numbers are left out: equal ones may differ in their bits.
const keyTypes = "allowed are boolean, int32, int64, utf8, binary, fixed-size binary, uuid, date, time, timestamp and decimal"

// Key names the columns that tell the dataset's rows apart, in the order of its schema. It is empty for datasets that are made
// without CreateOptions.Key: only datasets with a key take Upsert.
func (d *Dataset) Key() []string { return slices.Clone(d.key) }

// ChangesSuffix ends the name of the dataset that has the net changes of one with a key.
const ChangesSuffix = "__changes"

// sourceKeyProperty has the names of the columns, a line each.
const sourceKeyProperty = "qanat.source-key"

// SourceKey names the columns that identify a row by the word of the source; empty if there is none. See CreateOptions.
func (d *Dataset) SourceKey() []string { return slices.Clone(d.sourceKey) }

func sourceKeyOf(tbl *table.Table) []string {
	text := tbl.Properties()[sourceKeyProperty]
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// keyed makes the key's columns required, or lists what is wrong with the key.
func keyed(zone string, fields []arrow.Field, key []string) ([]arrow.Field, []string) {
	var faults []string
	if len(key) > 0 && zone == Landing {
		faults = append(faults, "landing keeps every record as it came: its datasets have no key")
	}
	out := slices.Clone(fields)
	for i, name := range key {
		at := slices.IndexFunc(out, func(f arrow.Field) bool { return f.Name == name })
		switch {
		case slices.Contains(key[:i], name):
			faults = append(faults, fmt.Sprintf("key column %q is named twice", name))
		case at < 0:
			faults = append(faults, fmt.Sprintf("key column %q: there is no such column", name))
		case !mayBeKey(out[at].Type):
			faults = append(faults, fmt.Sprintf("key column %q: %s can't be part of a key; %s", name, out[at].Type, keyTypes))
		default:
			out[at].Nullable = false
		}
	}
	return out, faults
}

func mayBeKey(t arrow.DataType) bool {
	if _, ok := t.(*extensions.UUIDType); ok {
		return true
	}
	switch t.ID() {
	case arrow.BOOL, arrow.INT32, arrow.INT64, arrow.STRING, arrow.BINARY, arrow.FIXED_SIZE_BINARY, arrow.DATE32, arrow.TIME64,
		arrow.TIMESTAMP, arrow.DECIMAL128:
		return true
	}
	return false
}

// identified marks the key's columns in a schema as those that identify a row.
func identified(s *iceberg.Schema, key []string) *iceberg.Schema {
	if len(key) == 0 {
		return s
	}
	var ids []int
	for _, f := range s.Fields() {
		if slices.Contains(key, f.Name) {
			ids = append(ids, f.ID)
		}
	}
	return iceberg.NewSchemaWithIdentifiers(s.ID, ids, s.Fields()...)
}

// keyOf gives the ids and names of a table's key, in the order of its schema.
func keyOf(tbl *table.Table) (ids []int, columns []string) {
	s := tbl.Schema()
	for _, f := range s.Fields() {
		if slices.Contains(s.IdentifierFieldIDs, f.ID) {
			ids, columns = append(ids, f.ID), append(columns, f.Name)
		}
	}
	return ids, columns
}

func isKeyed(tbl *table.Table) bool { return len(tbl.Schema().IdentifierFieldIDs) > 0 }

// keyProperties are those of a dataset with a key: deletion vectors need format 3, and files are left out of a look-up by the bounds
// of their keys.
func keyProperties(p iceberg.Properties, key []string) iceberg.Properties {
	if len(key) > 0 {
		p["format-version"] = "3"
	}
	for _, column := range key {
		p["write.metadata.metrics.column."+column] = "truncate(64)"
	}
	return p
}
