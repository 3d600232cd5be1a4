// Package catalog reads from a server's catalogue what its tables are: columns, keys, comments, sizes. What values become in Arrow is
// package value's matter, and what a publication has of tables package replica's.
package catalog

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// Column is a column of a table.
type Column struct {
	Name      string
	Type      uint32 // OID
	Modifier  int32
	TypeName  string // as SQL has it
	Base      string // the name in pg_catalog of the type below domains, empty for types of users
	NotNull   bool
	Generated bool
	Bytewise  bool // text of it sorts by its bytes
	Doc       string
}

// Table is an ordinary or partitioned table.
type Table struct {
	OID         uint32
	Schema      string
	Name        string
	Partitioned bool
	Logged      bool // what is written to it is in the log
	Readable    bool // by the role
	Identity    byte // pg_class.relreplident: d, n, f, i
	Primary     []string
	Replica     []string // columns of the index that is its replica identity, with identity i
	Unique      []string // columns of that index, or of the primary key
	Doc         string
	Rows        int64 // estimated, 0 if unknown
	Pages       int64 // as of the last vacuum
	Columns     []Column
}

// SQL is the name as statements have it.
func (t *Table) SQL() string { return pgx.Identifier{t.Schema, t.Name}.Sanitize() }

// String is schema.table, for people.
func (t *Table) String() string { return t.Schema + "." + t.Name }

// Column finds a column, nil if there is none.
func (t *Table) Column(name string) *Column {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

// ChangeKey is the columns that every change of the log has: the replica identity's. None with full identity and no primary key.
func (t *Table) ChangeKey() []string {
	if t.Identity == 'i' {
		return t.Replica
	}
	return t.Primary
}

// Identified says whether the server can publish updates and deletes.
func (t *Table) Identified() bool {
	return t.Identity == 'f' || t.Identity == 'i' && len(t.Replica) > 0 || t.Identity == 'd' && len(t.Primary) > 0
}

// Print is a fingerprint of the columns.
func (t *Table) Print() string {
	sum := fnv.New64a()
	for _, c := range t.Columns {
		_, _ = fmt.Fprintf(sum, "%q %d %d\n", c.Name, c.Type, c.Modifier)
	}
	return strconv.FormatUint(sum.Sum64(), 36)
}

const tablesSQL = `
select c.oid::bigint, n.nspname::text, c.relname::text, c.relkind = 'p', c.relpersistence = 'p', has_table_privilege(c.oid, 'select') or has_any_column_privilege(c.oid, 'select'),
  c.relreplident::text, coalesce(obj_description(c.oid, 'pg_class'), ''), greatest(case when c.relkind = 'p' then (
    select sum(greatest(l.reltuples, 0)) from pg_partition_tree(c.oid) p join pg_class l on l.oid = p.relid where p.isleaf) else c.reltuples end, 0)::bigint, c.relpages::bigint,
  coalesce((select array_agg(a.attname::text order by k.ord) from pg_index i cross join unnest(i.indkey) with ordinality k(att, ord)
    join pg_attribute a on a.attrelid = c.oid and a.attnum = k.att where i.indrelid = c.oid and i.indisprimary and k.ord <= i.indnkeyatts), '{}'),
  coalesce((select array_agg(a.attname::text order by k.ord) from pg_index i cross join unnest(i.indkey) with ordinality k(att, ord)
    join pg_attribute a on a.attrelid = c.oid and a.attnum = k.att where i.indrelid = c.oid and i.indisreplident and k.ord <= i.indnkeyatts), '{}')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
  and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
order by 2, 3`

const columnsSQL = `
with recursive base(oid, root) as (
  select distinct a.atttypid, a.atttypid from pg_attribute a where a.attrelid = any($1::bigint[]::oid[]) and a.attnum > 0 and not a.attisdropped
  union all select t.typbasetype, b.root from base b join pg_type t on t.oid = b.oid where t.typtype = 'd'
), bases as (
  select b.root, t.typname from base b join pg_type t on t.oid = b.oid where t.typtype <> 'd' and t.typnamespace = 'pg_catalog'::regnamespace
)
select a.attrelid::bigint, a.attname::text, a.atttypid::bigint, a.atttypmod, format_type(a.atttypid, a.atttypmod), coalesce(b.typname::text, ''),
  a.attnotnull, a.attgenerated <> '', coalesce(l.collname in ('C', 'POSIX', 'ucs_basic') or l.collname = 'default' and
    (select datcollate in ('C', 'POSIX') and coalesce(to_jsonb(d)->>'datlocprovider', 'c') = 'c' from pg_database d where datname = current_database()), false),
  coalesce(col_description(a.attrelid, a.attnum), '')
from pg_attribute a left join bases b on b.root = a.atttypid left join pg_collation l on l.oid = a.attcollation
where a.attrelid = any($1::bigint[]::oid[]) and a.attnum > 0 and not a.attisdropped order by a.attrelid, a.attnum`

// List is all tables that are no partitions, system's or temporary, in the order of their names, without their columns.
func List(ctx context.Context, conn *pgx.Conn) ([]*Table, error) {
	rows, err := conn.Query(ctx, tablesSQL)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	tables, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Table, error) {
		var t Table
		var oid int64
		var identity string
		err := row.Scan(&oid, &t.Schema, &t.Name, &t.Partitioned, &t.Logged, &t.Readable, &identity, &t.Doc, &t.Rows, &t.Pages, &t.Primary, &t.Replica)
		if err == nil {
			t.OID, t.Identity = uint32(oid), identity[0] //nolint:gosec // an OID has 32 bits
		}
		if t.Unique = t.Primary; len(t.Primary) == 0 {
			t.Unique = t.Replica
		}
		return &t, err
	})
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	return tables, nil
}

// Fill adds the columns of tables.
func Fill(ctx context.Context, conn *pgx.Conn, tables []*Table) error {
	oids := make([]int64, len(tables))
	by := map[int64]*Table{}
	for i, t := range tables {
		oids[i] = int64(t.OID)
		by[oids[i]] = t
		t.Columns = nil
	}
	rows, err := conn.Query(ctx, columnsSQL, oids)
	if err != nil {
		return fmt.Errorf("list columns: %w", err)
	}
	var c Column
	var table, typ int64
	to := []any{&table, &c.Name, &typ, &c.Modifier, &c.TypeName, &c.Base, &c.NotNull, &c.Generated, &c.Bytewise, &c.Doc}
	_, err = pgx.ForEachRow(rows, to, func() error {
		c.Type = uint32(typ) //nolint:gosec // an OID has 32 bits
		by[table].Columns = append(by[table].Columns, c)
		return nil
	})
	if err != nil {
		return fmt.Errorf("list columns: %w", err)
	}
	return nil
}
