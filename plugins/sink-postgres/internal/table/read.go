package table

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/internal/postgres/encode"
)

// Table is a table as it is, or is not.
type Table struct {
	Name
	Exists  bool
	Schema  bool // it is there
	Kind    string
	Columns []Column
	Unique  [][]string // columns of the indexes that ON CONFLICT can use
}

// Column of a table.
type Column struct {
	Name      string
	Type      encode.Type
	NotNull   bool
	Given     bool // the server has a value for it if none is sent
	Generated bool
}

// Column finds one by its name.
func (t *Table) Column(name string) *Column {
	i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &t.Columns[i]
}

// HasUnique says whether rows are unique by the columns, in whatever order.
func (t *Table) HasUnique(key []string) bool {
	return slices.ContainsFunc(t.Unique, func(have []string) bool {
		return slices.Equal(slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(key)))
	})
}

const tableSQL = `
select n.oid is not null, coalesce(c.oid, 0), coalesce(c.relkind::text, '')
from (select) as one
left join pg_catalog.pg_namespace n on n.nspname = $1
left join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = $2`

const columnSQL = `
select a.attname::text, a.atttypid, a.atttypmod, a.attnotnull, a.atthasdef or a.attidentity <> '', a.attgenerated <> ''
from pg_catalog.pg_attribute a where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped order by a.attnum`

const uniqueSQL = `
select array(select a.attname::text from unnest(i.indkey[0:i.indnkeyatts - 1]) k join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k)
from pg_catalog.pg_index i
where i.indrelid = $1 and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null`

// Read asks the server about a table.
func Read(ctx context.Context, conn *pgx.Conn, name Name) (*Table, error) {
	t := &Table{Name: name}
	var oid uint32
	if err := conn.QueryRow(ctx, tableSQL, name.Schema, name.Table).Scan(&t.Schema, &oid, &t.Kind); err != nil {
		return nil, err
	}
	if t.Exists = oid != 0; !t.Exists {
		return t, nil
	}
	rows, err := conn.Query(ctx, uniqueSQL, oid)
	if err != nil {
		return nil, err
	}
	if t.Unique, err = pgx.CollectRows(rows, pgx.RowTo[[]string]); err != nil {
		return nil, err
	}
	return t, t.readColumns(ctx, conn, oid)
}

func (t *Table) readColumns(ctx context.Context, conn *pgx.Conn, oid uint32) error {
	type typed struct {
		oid uint32
		mod int32
	}
	var types []typed
	rows, err := conn.Query(ctx, columnSQL, oid)
	if err != nil {
		return err
	}
	t.Columns, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Column, error) {
		var c Column
		var of typed
		err := row.Scan(&c.Name, &of.oid, &of.mod, &c.NotNull, &c.Given, &c.Generated)
		types = append(types, of)
		return c, err
	})
	known := map[typed]encode.Type{}
	for i, of := range types {
		found, ok := known[of]
		if !ok && err == nil {
			found, err = encode.LookUp(ctx, conn, of.oid, of.mod)
			known[of] = found
		}
		if err != nil {
			return err
		}
		t.Columns[i].Type = found
	}
	return err
}

var errKind = errors.New("expected an ordinary or a partitioned table")
