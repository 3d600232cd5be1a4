package change

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
)

// Names of the change columns.
const (
	ColumnOp        = "_op"
	ColumnPos       = "_pos"
	ColumnTxSeq     = "_tx_seq"
	ColumnTs        = "_ts"
	ColumnBefore    = "_before"
	ColumnUnchanged = "_unchanged"
)

// Names returns the names of the change columns in their order.
func Names() []string {
	return []string{ColumnOp, ColumnPos, ColumnTxSeq, ColumnTs, ColumnBefore, ColumnUnchanged}
}

// Op is what happened to a row.
type Op uint8

// What can happen to a row. Truncate happens to all rows of the table.
const (
	Snapshot Op = iota // the row is there; since when is not known
	Insert
	Update
	Delete
	Truncate
)

// Valid says whether o is one of the constants.
func (o Op) Valid() bool { return o <= Truncate }

// String returns snapshot, insert, update, delete or truncate.
func (o Op) String() string {
	if !o.Valid() {
		return fmt.Sprintf("op(%d)", uint8(o))
	}
	return [...]string{"snapshot", "insert", "update", "delete", "truncate"}[o]
}

// keyMetadata is the schema metadata that keeps the key, as a JSON array of names.
const keyMetadata = "qanat.key"

// Schema returns the schema of a table's changes: its columns, made nullable, and the change columns. The key is kept in the schema's
// metadata, for Key; a table without a key has none. The table must not have columns with the names of change columns.
func Schema(table *arrow.Schema, key []string) *arrow.Schema {
	columns := nullable(table)
	fields := append(slices.Clone(columns),
		arrow.Field{Name: ColumnOp, Type: arrow.PrimitiveTypes.Uint8},
		arrow.Field{Name: ColumnPos, Type: arrow.BinaryTypes.Binary, Nullable: true},
		arrow.Field{Name: ColumnTxSeq, Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		arrow.Field{Name: ColumnTs, Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
		arrow.Field{Name: ColumnBefore, Type: arrow.StructOf(columns...), Nullable: true},
		arrow.Field{Name: ColumnUnchanged, Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
	)
	metadata := table.Metadata().ToMap()
	if len(key) > 0 {
		text, err := json.Marshal(key)
		if err == nil { // strings always marshal
			metadata[keyMetadata] = string(text)
		}
	}
	m := arrow.MetadataFrom(metadata)
	return arrow.NewSchema(fields, &m)
}

func nullable(table *arrow.Schema) []arrow.Field {
	fields := table.Fields()
	for i := range fields {
		fields[i].Nullable = true
	}
	return fields
}

// Key returns the key that a schema made by Schema was given; none if its metadata was lost on the way.
func Key(s *arrow.Schema) []string {
	text, ok := s.Metadata().GetValue(keyMetadata)
	if !ok {
		return nil
	}
	var key []string
	if json.Unmarshal([]byte(text), &key) != nil {
		return nil
	}
	return key
}

// Indexes are the places of the change columns in a schema, -1 for those that it has not.
type Indexes struct {
	Op, Pos, TxSeq, Ts, Before, Unchanged int
}

func none() Indexes { return Indexes{-1, -1, -1, -1, -1, -1} }

// Is says whether rows of this schema are changes: it has _op, and the change columns that it has are right.
func Is(s *arrow.Schema) bool {
	at, err := Columns(s)
	return err == nil && at.Op >= 0
}

// Columns finds the change columns. A schema without _op is no change data: it has none of them, whatever the names of its columns.
// With _op, each of the others may be missing, but one that is there must have its type: that of Schema, or that in which datasets keep
// it (_op as int32). All faults are in the error.
func Columns(s *arrow.Schema) (Indexes, error) {
	at := none()
	if len(s.FieldIndices(ColumnOp)) == 0 {
		return at, nil
	}
	var faults []error
	for _, c := range []struct {
		name   string
		at     *int
		fits   func(arrow.DataType) bool
		wanted string
	}{
		{ColumnOp, &at.Op, isOp, "uint8"},
		{ColumnPos, &at.Pos, isBinary, "binary"},
		{ColumnTxSeq, &at.TxSeq, hasID(arrow.INT64), "int64"},
		{ColumnTs, &at.Ts, isTs, "timestamp[us, UTC]"},
		{ColumnBefore, &at.Before, hasID(arrow.STRUCT), "a struct of the table's columns"},
		{ColumnUnchanged, &at.Unchanged, isUnchanged, "list<utf8>"},
	} {
		found := s.FieldIndices(c.name)
		switch {
		case len(found) == 0:
		case len(found) > 1:
			faults = append(faults, fmt.Errorf("change column %q is there %d times", c.name, len(found)))
		case !c.fits(s.Field(found[0]).Type):
			faults = append(faults, fmt.Errorf("change column %q is %s, expected %s", c.name, s.Field(found[0]).Type, c.wanted))
		default:
			*c.at = found[0]
		}
	}
	if len(faults) > 0 {
		return none(), errors.Join(faults...)
	}
	return at, nil
}

func hasID(id arrow.Type) func(arrow.DataType) bool {
	return func(t arrow.DataType) bool { return t.ID() == id }
}

func isOp(t arrow.DataType) bool { return t.ID() == arrow.UINT8 || t.ID() == arrow.INT32 }

func isBinary(t arrow.DataType) bool { return t.ID() == arrow.BINARY || t.ID() == arrow.LARGE_BINARY }

func isTs(t arrow.DataType) bool {
	ts, ok := t.(*arrow.TimestampType)
	return ok && ts.Unit == arrow.Microsecond && ts.TimeZone != ""
}

func isUnchanged(t arrow.DataType) bool {
	list, ok := t.(*arrow.ListType)
	return ok && list.Elem().ID() == arrow.STRING
}

// Table returns a schema without its change columns: the columns of the table. Without _op it is the schema itself.
func Table(s *arrow.Schema) *arrow.Schema {
	if len(s.FieldIndices(ColumnOp)) == 0 {
		return s
	}
	names := Names()
	fields := slices.DeleteFunc(s.Fields(), func(f arrow.Field) bool { return slices.Contains(names, f.Name) })
	m := s.Metadata()
	return arrow.NewSchema(fields, &m)
}
