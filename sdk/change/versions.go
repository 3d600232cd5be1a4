package change

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
)

// Columns of a table that keeps the versions of its rows, behind those of the rows.
const (
	ColumnValidFrom = "valid_from" // the version held from then on
	ColumnValidTo   = "valid_to"   // and no longer then; null as long as it holds
	// ColumnVersion tells the versions of a row apart: Current is the one that holds, those that have ended have numbers above it, in no
	// particular order.
	ColumnVersion = "_version"
)

// Current is the version of a row that holds.
const Current int64 = 0

// VersionNames returns the names of the columns in their order.
func VersionNames() []string { return []string{ColumnValidFrom, ColumnValidTo, ColumnVersion} }

// Versions is the schema of the table that keeps the versions of a table's rows. Its key is the table's and ColumnVersion. The table must
// not have columns with the names of VersionNames.
func Versions(table *arrow.Schema) *arrow.Schema {
	fields := append(table.Fields(),
		arrow.Field{Name: ColumnValidFrom, Type: arrow.FixedWidthTypes.Timestamp_us},
		arrow.Field{Name: ColumnValidTo, Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
		arrow.Field{Name: ColumnVersion, Type: arrow.PrimitiveTypes.Int64},
	)
	return arrow.NewSchema(fields, nil)
}

// Versioned is Versions undone: the table whose rows are kept, without the columns of versions.
func Versioned(s *arrow.Schema) *arrow.Schema {
	names := VersionNames()
	fields := slices.DeleteFunc(s.Fields(), func(f arrow.Field) bool { return slices.Contains(names, f.Name) })
	return arrow.NewSchema(fields, nil)
}
