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
// changes. A stream without a key is appended as it is.
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
	path := strings.TrimSuffix(t.path, "/to") + "/write/key"
	for _, column := range key {
		if !s.Schema.HasField(column) {
			m.specFault(f.Name, path, "name columns that the rows have", "%q is in the key of dataset %q, and stream %q has no such column",
				column, out.Dataset, s.Stream)
		}
	}
	switch {
	case exists && !have.Upsert:
		m.specFault(f.Name, t.path, "write to a dataset of another name, or replay the flow into a new one",
			"dataset %q was made for another mode than upsert", out.Dataset)
	case exists && !sameNames(have.Key, key):
		m.specFault(f.Name, path, "the key of a dataset stays as it is; write to a dataset of another name",
			"dataset %q has the key %q, the flow's is %q", out.Dataset, have.Key, key)
	}
	out.Key, table.Key, table.Upsert = key, key, true
	return change.Keyed(s.Schema, key)
}

func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
