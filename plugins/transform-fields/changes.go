package main

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// changes are the change columns of a batch. Steps don't touch them; what steps do to the table's columns is done to what the change
// columns say of these.
type changes struct {
	key     []string // of the input
	passing []column // as they come out, in their order
	gone    []bool   // rows of deletions and truncates, which hold nothing but a key
	emptied []bool   // those of truncates, which hold nothing
	before  *table   // the old rows as a batch of their own; nil if there are none
	given   *array.Struct
	partial []bool // old rows of which no more than the key is known
	named   bool   // the names in _unchanged are no longer the input's
}

// newChanges takes the change columns out of the table; nil if there are none.
func (t *table) newChanges(schema *arrow.Schema, key []string) error {
	at, err := change.Columns(schema)
	if err != nil {
		return sdk.Fatal(err)
	}
	if at.Op < 0 {
		return nil
	}
	c := &changes{key: key}
	t.changes = c
	for _, name := range change.Names() {
		if i := t.find(name); i >= 0 {
			c.passing = append(c.passing, t.columns[i])
			t.columns = slices.Delete(t.columns, i, i+1)
		}
	}
	for i, one := range t.columns {
		if holdsUnion(one.field.Type) {
			return sdk.Fatal(fmt.Errorf("input %q: column %q is %s: unions can't be kept in the old rows of changes; cast it before",
				t.input, one.field.Name, one.field.Type))
		}
		t.columns[i].field.Nullable = true // a truncate has no values
	}
	c.gone, c.emptied = removals(c.column(change.ColumnOp).values)
	if at.Before >= 0 {
		c.given, _ = c.column(change.ColumnBefore).values.(*array.Struct)
		c.before = t.oldRows()
		c.partial = c.knownKeys()
	}
	return nil
}

func (c *changes) column(name string) *column {
	i := slices.IndexFunc(c.passing, func(one column) bool { return one.field.Name == name })
	if i < 0 {
		return nil
	}
	return &c.passing[i]
}

// removals tells which rows are deletions or truncates, and which of them are truncates.
func removals(op arrow.Array) (gone, emptied []bool) {
	gone, emptied = make([]bool, op.Len()), make([]bool, op.Len())
	for row := range gone {
		var kind int64
		switch op := op.(type) {
		case *array.Uint8:
			kind = int64(op.Value(row))
		case *array.Int32:
			kind = int64(op.Value(row))
		}
		emptied[row] = op.IsValid(row) && kind == int64(change.Truncate)
		gone[row] = op.IsValid(row) && kind == int64(change.Delete) || emptied[row]
	}
	return gone, emptied
}

// oldRows makes a batch of _before, with the columns of the table; those of which nothing is known are null. It has no rows if there
// is no old row.
func (t *table) oldRows() *table {
	given := t.changes.given
	old := &table{input: t.input, alloc: t.alloc, rows: t.rows, lenient: true}
	if given.NullN() == given.Len() {
		old.rows = 0
	}
	for _, c := range t.columns {
		if old.rows == 0 {
			c.values = array.NewSlice(c.values, 0, 0)
		} else {
			c.values = oldValues(given, c.field, t)
		}
		old.columns = append(old.columns, c)
	}
	return old
}

func oldValues(given *array.Struct, field arrow.Field, t *table) arrow.Array {
	kind := given.DataType().(*arrow.StructType)
	i, ok := kind.FieldIdx(field.Name)
	if !ok || !arrow.TypeEqual(kind.Field(i).Type, field.Type) {
		return nullsOf(t.alloc, field.Type, t.rows)
	}
	return nulled(given.Field(i), t.alloc, given.IsNull)
}

// knownKeys tells of which old rows nothing but the key is known.
func (c *changes) knownKeys() []bool {
	if len(c.key) == 0 || c.before.rows == 0 {
		return nil
	}
	partial := make([]bool, c.given.Len())
	for row := range partial {
		partial[row] = !slices.ContainsFunc(c.before.columns, func(one column) bool {
			return !slices.Contains(c.key, one.field.Name) && one.values.IsValid(row)
		})
	}
	return partial
}

func (c *changes) release() {
	for _, one := range c.passing {
		one.values.Release()
	}
	if c.before != nil {
		c.before.release()
	}
}

// spares says whether a value may fail in a row: a deletion needs nothing but its key.
func (t *table) spares(row int, c *column) bool {
	if t.lenient || t.changes == nil {
		return t.lenient
	}
	return t.changes.emptied[row] || t.changes.gone[row] && !slices.Contains(t.changes.key, c.origin)
}

// reserved refuses names of change columns.
func (t *table) reserved(path, name string) error {
	if t.changes == nil || !slices.Contains(change.Names(), name) {
		return nil
	}
	return sdk.ConfigError(path, "%q is a change column, and the rows of input %q are changes: change columns pass by themselves, and "+
		"steps can neither touch nor make them", name, t.input)
}

// settle puts the change columns back behind the others, in line with what was done to these.
func (t *table) settle() {
	c := t.changes
	if c == nil {
		return
	}
	kept := make([]bool, len(t.columns))
	now := t.key(c.key)
	for i, one := range t.columns {
		kept[i] = tellsKey(one, c.key, now)
		if !kept[i] {
			t.columns[i].inputs = append(slices.Clone(one.inputs), change.ColumnOp)
		}
	}
	t.blank(kept, c.gone)
	if c.before != nil {
		c.before.blank(kept, c.partial)
		c.restore(t)
	}
	if c.named {
		c.column(change.ColumnUnchanged).kind = sdk.Derived
	}
	t.metadata = withKey(t.metadata, now)
	t.columns = append(t.columns, c.passing...)
	c.passing = nil
}

// tellsKey says whether a column tells whose row it is: it is the key, or made of nothing else where the key is not passed on. If
// nobody says what the key is, it may be in any column that passes.
func tellsKey(c column, key, now []string) bool {
	switch {
	case len(key) == 0:
		return c.origin != ""
	case len(now) > 0:
		return slices.Contains(now, c.field.Name)
	}
	outside := slices.ContainsFunc(c.inputs, func(input string) bool { return !slices.Contains(key, input) })
	return len(c.inputs) > 0 && !outside
}

// blank nulls columns in some rows.
func (t *table) blank(kept, rows []bool) {
	if !slices.Contains(rows, true) {
		return
	}
	for i, c := range t.columns {
		if kept[i] {
			continue
		}
		values := nulled(c.values, t.alloc, func(row int) bool { return rows[row] })
		c.values.Release()
		t.columns[i].values = values
	}
}

// restore makes _before of the old rows, as the steps have left them.
func (c *changes) restore(t *table) {
	old, same := c.before, len(c.before.columns) == c.given.NumField()
	kind := c.given.DataType().(*arrow.StructType)
	fields, values := make([]arrow.Field, len(old.columns)), make([]arrow.ArrayData, len(old.columns))
	for i, one := range old.columns {
		fields[i], values[i] = one.field, one.values.Data()
		same = same && one.kind == sdk.Identity && kind.Field(i).Name == one.origin && one.origin == one.field.Name
	}
	column := c.column(change.ColumnBefore)
	column.field.Type = arrow.StructOf(fields...)
	if !same {
		column.kind = sdk.Derived
	}
	made := c.structOf(t, column.field.Type, values)
	column.values.Release()
	column.values = made
	c.before.release()
	c.before = nil
}

// structOf is null where _before was.
func (c *changes) structOf(t *table, kind arrow.DataType, values []arrow.ArrayData) arrow.Array {
	if c.before.rows == 0 {
		return nullsOf(t.alloc, kind, t.rows)
	}
	validity := validityOf(t.alloc, t.rows, c.given.IsNull)
	defer validity.Release()
	data := array.NewData(kind, t.rows, []*memory.Buffer{validity}, values, c.given.NullN(), 0)
	defer data.Release()
	return array.NewStructData(data)
}

// withKey says in a schema's metadata what the key is now.
func withKey(m arrow.Metadata, key []string) arrow.Metadata {
	rest := map[string]string{}
	for name, value := range m.ToMap() {
		one := arrow.MetadataFrom(map[string]string{name: value})
		if change.Key(arrow.NewSchema(nil, &one)) == nil {
			rest[name] = value
		}
	}
	plain := arrow.MetadataFrom(rest)
	return change.Schema(arrow.NewSchema(nil, &plain), key).Metadata()
}
