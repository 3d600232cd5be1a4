package keyed

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk/change"
)

// Form is what datasets keep of a stream.
type Form struct {
	Key     []string // of the rows
	History bool     // every version of a row, not only the one that holds
}

// Table is the schema of the dataset, and the dataset's own key.
func (f Form) Table(stream *arrow.Schema) (table *arrow.Schema, key []string, err error) {
	table = change.Keyed(stream, f.Key)
	for _, column := range f.Key {
		if !table.HasField(column) {
			return nil, nil, fmt.Errorf("there is no column %q, which is in the key", column)
		}
	}
	if !f.History {
		return table, f.Key, nil
	}
	for _, column := range change.VersionNames() {
		if table.HasField(column) {
			return nil, nil, fmt.Errorf("there is a column %q already, which history adds: give it another name in a transform", column)
		}
	}
	return change.Versions(table), append(slices.Clone(f.Key), change.ColumnVersion), nil
}

// ChangesSchema is that of the net changes of a dataset, as they can be kept.
func ChangesSchema(table *arrow.Schema) (*arrow.Schema, error) {
	stored, err := zone.Storable(change.Net(table))
	if err != nil {
		return nil, err
	}
	return stored.Schema(), nil
}
