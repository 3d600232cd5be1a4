package zone

import (
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// The columns that Qanat adds to every dataset, after the user's.
const (
	SystemPrefix     = "_qanat_"
	ColumnSeq        = "_qanat_seq"         // int64: the unit that wrote the row
	ColumnFlow       = "_qanat_flow"        // utf8: the flow that wrote the row
	ColumnIngestedAt = "_qanat_ingested_at" // timestamp[us, UTC]: when the unit was begun
	ColumnSource     = "_qanat_source"      // utf8: where the row came from
)

var timestampUTC = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

// systemFields are the system columns of a zone, in order.
func systemFields(zone string) []arrow.Field {
	seq := arrow.Field{Name: ColumnSeq, Type: arrow.PrimitiveTypes.Int64}
	flow := arrow.Field{Name: ColumnFlow, Type: arrow.BinaryTypes.String}
	at := arrow.Field{Name: ColumnIngestedAt, Type: timestampUTC}
	switch zone {
	case Landing:
		return []arrow.Field{seq, at, {Name: ColumnSource, Type: arrow.BinaryTypes.String}}
	case Quarantine:
		return []arrow.Field{seq, flow, at}
	default:
		return []arrow.Field{seq, flow}
	}
}

func isSystem(column string) bool { return strings.HasPrefix(column, SystemPrefix) }

// userSchema drops the system columns.
func userSchema(s *arrow.Schema) *arrow.Schema {
	var fields []arrow.Field
	for _, f := range s.Fields() {
		if !isSystem(f.Name) {
			fields = append(fields, f)
		}
	}
	return arrow.NewSchema(fields, nil)
}
