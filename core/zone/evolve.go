package zone

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// Change is one step that brings a dataset to a new schema.
type Change struct {
	Column string
	Kind   ChangeKind
	From   string // type before; empty for a new column
	To     string // type after
}

// ChangeKind says what happens to a column.
type ChangeKind string

// The changes that a dataset can follow.
const (
	ColumnAdded    ChangeKind = "added"    // optional, null in rows before
	ColumnWidened  ChangeKind = "widened"  // to a type that holds every old value
	ColumnOptional ChangeKind = "optional" // may be null from now on
)

// Evolution says how the dataset would follow a new storable schema of user columns.
// A column that the new schema lacks stays, and is null in new rows. Changes that
// would lose or reinterpret data are refused by an *IncompatibleError that lists
// them all. It judges the schema the dataset was opened with.
func (d *Dataset) Evolution(to *arrow.Schema) ([]Change, error) {
	return evolution(d.name, d.key, d.user, to)
}

// evolution leaves the key as it is: whether a column of it may be null in the new schema does not matter, nulls are refused with the
// rows that have them.
func evolution(name Name, key []string, from, to *arrow.Schema) ([]Change, error) {
	var changes []Change
	var faults []Incompatibility
	for _, f := range to.Fields() {
		old, ok := field(from, f.Name)
		if !ok {
			if why := badName(f.Name, nil); why != "" {
				faults = append(faults, Incompatibility{f.Name, "", why})
				continue
			}
			changes = append(changes, Change{Column: f.Name, Kind: ColumnAdded, To: f.Type.String()})
			continue
		}
		inKey := slices.Contains(key, f.Name)
		if !arrow.TypeEqual(old.Type, f.Type) {
			t, ok := grown(old.Type, f.Type)
			switch {
			case ok && arrow.TypeEqual(t, old.Type): // a narrower batch is widened when it is written
			case !ok || inKey:
				faults = append(faults, Incompatibility{f.Name, keyType(old.Type, inKey), f.Type.String()})
			default:
				changes = append(changes, Change{f.Name, ColumnWidened, old.Type.String(), t.String()})
			}
		}
		if f.Nullable && !old.Nullable && !inKey {
			changes = append(changes, Change{f.Name, ColumnOptional, old.Type.String(), f.Type.String()})
		}
	}
	for _, f := range from.Fields() {
		_, ok := field(to, f.Name)
		switch {
		case ok || f.Nullable:
		case slices.Contains(key, f.Name):
			faults = append(faults, Incompatibility{f.Name, keyType(f.Type, true), "a missing column"})
		default:
			changes = append(changes, Change{f.Name, ColumnOptional, f.Type.String(), f.Type.String()})
		}
	}
	if len(faults) > 0 {
		return nil, &IncompatibleError{Dataset: name, Faults: faults}
	}
	return changes, nil
}

// keyType names a column's type in a fault: what is part of the key stays as it is.
func keyType(t arrow.DataType, inKey bool) string {
	if inKey {
		return t.String() + ", which is part of the key,"
	}
	return t.String()
}

func field(s *arrow.Schema, name string) (arrow.Field, bool) {
	i := s.FieldIndices(name)
	if len(i) == 0 {
		return arrow.Field{}, false
	}
	return s.Field(i[0]), true
}

// widens tells whether Iceberg can read old values of one type as another.
func widens(from, to arrow.DataType) bool {
	switch {
	case from.ID() == arrow.INT32 && to.ID() == arrow.INT64,
		from.ID() == arrow.FLOAT32 && to.ID() == arrow.FLOAT64:
		return true
	}
	a, ok := from.(*arrow.Decimal128Type)
	b, ok2 := to.(*arrow.Decimal128Type)
	return ok && ok2 && a.Scale == b.Scale && a.Precision < b.Precision
}

// Evolve brings the dataset to a new schema, in a catalog commit of its own that
// makes no snapshot. It returns the dataset with its new schema, and the changes.
func (d *Dataset) Evolve(ctx context.Context, to *arrow.Schema) (*Dataset, []Change, error) {
	defer d.zones.lock(d.name)()
	var failure error
	for range commitAttempts {
		tbl, err := d.load(ctx)
		if err != nil {
			return nil, nil, err
		}
		now, err := newDataset(d.zones, d.name, tbl)
		if err != nil {
			return nil, nil, err
		}
		merged, changes, err := FollowKeyed(d.name, now.key, now.user, to)
		if err != nil || len(changes) == 0 {
			return now, nil, err
		}
		evolved, err := evolveTable(ctx, tbl, merged, changes)
		if err == nil {
			now, err = newDataset(d.zones, d.name, evolved)
			return now, changes, err
		}
		failure = err
	}
	return nil, nil, fmt.Errorf("dataset %q: evolve: %w", d.name, failure)
}

func evolveTable(ctx context.Context, tbl *table.Table, to *arrow.Schema, changes []Change) (*table.Table, error) {
	kept, err := table.ArrowSchemaToIcebergWithFreshIDs(to, false)
	if err != nil {
		return nil, err
	}
	tx := tbl.NewTransaction()
	update := tx.UpdateSchema(true, false)
	had := tbl.Schema()
	var added []arrow.Field
	for _, c := range changes {
		path := []string{c.Column}
		target, ok := kept.FindFieldByName(c.Column)
		switch c.Kind {
		case ColumnAdded:
			f, _ := field(to, c.Column)
			added = append(added, f)
			// System columns stay last.
			update.AddColumn(path, target.Type, target.Doc, false, nil).MoveBefore(path, []string{ColumnSeq})
		case ColumnWidened:
			if have, found := had.FindFieldByName(c.Column); ok && found {
				target.Required = have.Required // a change of its own
				grow(update, path, have, target)
			}
		case ColumnOptional:
			update.UpdateColumn(path, table.ColumnUpdate{Required: iceberg.Optional[bool]{Valid: true, Val: false}})
		}
	}
	if err := update.Commit(); err != nil {
		return nil, err
	}
	if err := tx.SetProperties(columnProperties(added)); err != nil {
		return nil, err
	}
	return tx.Commit(ctx)
}
