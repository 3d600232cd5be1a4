package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Table names a table.
type Table struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// String is the name as SQL has it.
func (t Table) String() string { return pgx.Identifier{t.Schema, t.Name}.Sanitize() }

// Operations are what a publication tells about.
type Operations struct {
	Insert, Update, Delete, Truncate bool
}

// allOperations are the default.
var allOperations = Operations{Insert: true, Update: true, Delete: true, Truncate: true}

func (o Operations) String() string {
	var names []string
	for _, op := range []struct {
		on   bool
		name string
	}{{o.Insert, "insert"}, {o.Update, "update"}, {o.Delete, "delete"}, {o.Truncate, "truncate"}} {
		if op.on {
			names = append(names, op.name)
		}
	}
	return strings.Join(names, ", ")
}

// PublishedTable is a table as a publication has it.
type PublishedTable struct {
	Table
	Columns []string // those that are published
	All     bool     // there is no list of columns: those added later are published too; always before PostgreSQL 15
	Filter  string   // the condition that rows must meet, as SQL, or empty
}

// Publication is what a server publishes. Tables are what the stream will name: without ViaRoot, a partitioned table's partitions.
type Publication struct {
	Name       string
	AllTables  bool
	Schemas    []string // all of whose tables are published; PostgreSQL 15 and later
	Operations Operations
	ViaRoot    bool
	Tables     []PublishedTable
	listed     []Table // those that it names one by one
}

// Rows of the catalogue are read as JSON where columns depend on the server's version. Before PostgreSQL 18 views list generated columns,
// and the stream never has them.
const (
	publicationSQL = `
select oid::bigint, puballtables, pubinsert, pubupdate, pubdelete, coalesce((to_jsonb(p)->>'pubtruncate')::bool, false),
  coalesce((to_jsonb(p)->>'pubviaroot')::bool, false)
from pg_publication p where pubname = $1`
	publishedSQL = `
select t.schemaname::text, t.tablename::text,
  coalesce((select array_agg(x) from jsonb_array_elements_text(nullif(to_jsonb(t)->'attnames', 'null')) x
      where current_setting('server_version_num')::int >= 180000
        or not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = x and a.attgenerated <> '')),
    (select array_agg(attname::text order by attnum) from pg_attribute a
     where a.attrelid = c.oid and attnum > 0 and not attisdropped and attgenerated = '')),
  coalesce((select coalesce(jsonb_typeof(to_jsonb(r)->'prattrs'), 'null') = 'null' from pg_publication_rel r where r.prpubid = $2 and r.prrelid = c.oid), true),
  coalesce(to_jsonb(t)->>'rowfilter', '')
from pg_publication_tables t
  join pg_namespace n on n.nspname = t.schemaname
  join pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
where t.pubname = $1 order by 1, 2`
	listedSQL = `
select n.nspname::text, c.relname::text from pg_publication_rel r join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace
where r.prpubid = $1 order by 1, 2`
	schemasSQL = `select nspname::text from pg_publication_namespace s join pg_namespace n on n.oid = s.pnnspid where s.pnpubid = $1 order by 1`
)

// ReadPublication reads a publication. It is PublicationMissing if there is none.
func ReadPublication(ctx context.Context, q Querier, name string) (Publication, error) {
	p, err := readPublication(ctx, q, name)
	return p, judge(ctx, err, "", fmt.Sprintf("read publication %q", name))
}

func readPublication(ctx context.Context, q Querier, name string) (Publication, error) {
	p := Publication{Name: name}
	var oid int64
	o := &p.Operations
	err := queryRow(ctx, q, publicationSQL, []any{name}, &oid, &p.AllTables, &o.Insert, &o.Update, &o.Delete, &o.Truncate, &p.ViaRoot)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, fault(PublicationMissing, "", "there is no publication %q in this database", name)
	}
	if err != nil {
		return p, err
	}
	if p.Tables, err = collect(ctx, q, pgx.RowToStructByPos[publishedRow], publishedSQL, publishedRow.table, name, oid); err != nil {
		return p, err
	}
	if p.listed, err = collect(ctx, q, pgx.RowToStructByPos[Table], listedSQL, same, oid); err != nil {
		return p, err
	}
	var later bool
	if err := queryRow(ctx, q, "select to_regclass('pg_catalog.pg_publication_namespace') is not null", nil, &later); err != nil || !later {
		return p, err
	}
	p.Schemas, err = collect(ctx, q, pgx.RowTo[string], schemasSQL, same, oid)
	return p, err
}

type publishedRow struct {
	Schema, Name string
	Columns      []string
	All          bool
	Filter       string
}

func (r publishedRow) table() PublishedTable {
	return PublishedTable{Table: Table{r.Schema, r.Name}, Columns: r.Columns, All: r.All, Filter: r.Filter}
}

func same[T any](t T) T { return t }

func collect[R, T any](ctx context.Context, q Querier, scan pgx.RowToFunc[R], sql string, convert func(R) T, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, scan)
	var out []T
	for _, r := range found {
		out = append(out, convert(r))
	}
	return out, err
}

// Missing are the tables that the publication does not publish under their names. A partitioned table without ViaRoot is one of
// them: only its partitions are published.
func (p Publication) Missing(tables []Table) []Table {
	return slices.DeleteFunc(slices.Clone(tables), func(t Table) bool {
		return slices.ContainsFunc(p.Tables, func(has PublishedTable) bool { return has.Table == t })
	})
}

// Wanted is what a publication should be.
type Wanted struct {
	Name       string
	Tables     []Table
	AllTables  bool
	Operations Operations // all of them if none is set
	ViaRoot    bool
}

func (w Wanted) operations() Operations {
	if w.Operations == (Operations{}) {
		return allOperations
	}
	return w.Operations
}

func (w Wanted) options() string {
	return fmt.Sprintf("(publish = %s, publish_via_partition_root = %t)", literal(w.operations().String()), w.ViaRoot)
}

// Create is the statements that make the publication.
func (w Wanted) Create() []string {
	of := ""
	switch {
	case w.AllTables:
		of = " FOR ALL TABLES"
	case len(w.Tables) > 0:
		of = " FOR TABLE " + join(w.Tables)
	}
	return []string{"CREATE PUBLICATION " + pgx.Identifier{w.Name}.Sanitize() + of + " WITH " + w.options()}
}

// Alter is the statements that turn what there is into what is wanted; none if nothing is to be done. Lists of columns and row filters of tables
// that stay are left alone. A publication of all tables can't be turned into one of some, nor the other way: it is made anew. Run them in
// one transaction, because a slot sees the publication as it was at each commit, and ends the stream where there is none.
func (w Wanted) Alter(have Publication) []string {
	if have.AllTables != w.AllTables {
		return append(DropPublication(w.Name), w.Create()...)
	}
	alter := "ALTER PUBLICATION " + pgx.Identifier{w.Name}.Sanitize()
	var out []string
	if !w.AllTables {
		if add := without(w.Tables, have.listed); len(add) > 0 {
			out = append(out, alter+" ADD TABLE "+join(add))
		}
		if drop := without(have.listed, w.Tables); len(drop) > 0 {
			out = append(out, alter+" DROP TABLE "+join(drop))
		}
	}
	if have.Operations != w.operations() || have.ViaRoot != w.ViaRoot {
		out = append(out, alter+" SET "+w.options())
	}
	return out
}

// DropPublication is the statements that remove a publication.
func DropPublication(name string) []string {
	return []string{"DROP PUBLICATION IF EXISTS " + pgx.Identifier{name}.Sanitize()}
}

func without(tables, others []Table) []Table {
	return slices.DeleteFunc(slices.Clone(tables), func(t Table) bool { return slices.Contains(others, t) })
}

func join(tables []Table) string {
	var names []string
	for _, t := range tables {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}
