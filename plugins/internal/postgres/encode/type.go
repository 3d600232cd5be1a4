package encode

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Type is a PostgreSQL type, domains taken for what they are made of.
type Type struct {
	Declared uint32 // OID of the type itself, a domain's for one
	Name     string // of the base, as pg_type has it: int4
	Kind     byte   // typtype of the base: b, c, e, r, m
	Builtin  bool   // it is PostgreSQL's own
	Mod      int32  // typmod, -1 for none
	Element  *Type  // of an array
	SQL      string // the type as declared, as SQL has it: numeric(12,2), shop.price
	Bare     string // the same without a modifier: a cast to it neither rounds nor cuts
}

// maxDepth of arrays of domains of arrays.
const maxDepth = 16

const typeSQL = `
with recursive base (oid, mod, depth) as (
	select $1::oid, $2::int4, 0
	union all
	select t.typbasetype, case when b.mod >= 0 then b.mod else t.typtypmod end, b.depth + 1
	from base b join pg_catalog.pg_type t on t.oid = b.oid where t.typtype = 'd' and b.depth < 32)
select t.typname::text, t.typtype::text, n.nspname = 'pg_catalog', b.mod,
	case when t.typlen = -1 and t.typelem <> 0 and t.typoutput = 'pg_catalog.array_out'::pg_catalog.regproc then t.typelem else 0 end,
	pg_catalog.format_type($1, $2), pg_catalog.format_type($1, -1)
from base b join pg_catalog.pg_type t on t.oid = b.oid join pg_catalog.pg_namespace n on n.oid = t.typnamespace
order by b.depth desc limit 1`

// LookUp asks the server about a type.
func LookUp(ctx context.Context, conn *pgx.Conn, oid uint32, mod int32) (Type, error) {
	return lookUp(ctx, conn, oid, mod, 0)
}

func lookUp(ctx context.Context, conn *pgx.Conn, oid uint32, mod int32, depth int) (Type, error) {
	t := Type{Declared: oid}
	var kind string
	var element uint32
	err := conn.QueryRow(ctx, typeSQL, oid, mod).Scan(&t.Name, &kind, &t.Builtin, &t.Mod, &element, &t.SQL, &t.Bare)
	if errors.Is(err, pgx.ErrNoRows) {
		return t, fmt.Errorf("there is no type with OID %d", oid)
	}
	if err != nil {
		return t, err
	}
	t.Kind = kind[0]
	if element == 0 || depth == maxDepth {
		return t, nil
	}
	e, err := lookUp(ctx, conn, element, t.Mod, depth+1)
	t.Element = &e
	return t, err
}

// Parse asks the server about a type that people wrote, such as varchar(20).
func Parse(ctx context.Context, conn *pgx.Conn, sql string) (Type, error) {
	var oid *uint32
	if err := conn.QueryRow(ctx, "select pg_catalog.to_regtype($1)::pg_catalog.oid", sql).Scan(&oid); err != nil {
		return Type{}, err
	}
	if oid == nil {
		return Type{}, fmt.Errorf("the server has no type %q", sql)
	}
	t, err := LookUp(ctx, conn, *oid, -1)
	t.SQL = sql
	return t, err
}
