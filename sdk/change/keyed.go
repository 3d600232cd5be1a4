package change

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
)

// Keyed is the schema of a table that keeps the rows of a stream, changes or not, by a key: the stream's columns without those that make
// rows changes. In changes the key may be null, because a truncate has none; in the table it may not.
func Keyed(stream *arrow.Schema, key []string) *arrow.Schema {
	fields := Table(stream).Fields()
	for i := range fields {
		if slices.Contains(key, fields[i].Name) {
			fields[i].Nullable = false
		}
	}
	return arrow.NewSchema(fields, nil)
}
