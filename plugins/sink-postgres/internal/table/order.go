package table

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
)

const foreignSQL = `
select n.nspname::text, c.relname::text, fn.nspname::text, fc.relname::text
from pg_catalog.pg_constraint k
join pg_catalog.pg_class c on c.oid = k.conrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_class fc on fc.oid = k.confrelid join pg_catalog.pg_namespace fn on fn.oid = fc.relnamespace
where k.contype = 'f' and k.conrelid <> k.confrelid and c.relname = any($1) and fc.relname = any($1)`

// Order puts tables that others refer to by foreign keys before those. Tables that refer to each other keep the given order.
func Order(ctx context.Context, conn *pgx.Conn, names []Name) ([]Name, error) {
	if len(names) < 2 {
		return names, nil
	}
	var plain []string
	for _, n := range names {
		plain = append(plain, n.Table)
	}
	rows, err := conn.Query(ctx, foreignSQL, plain)
	if err != nil {
		return nil, err
	}
	needs := map[Name][]Name{}
	var from, to Name
	_, err = pgx.ForEachRow(rows, []any{&from.Schema, &from.Table, &to.Schema, &to.Table}, func() error {
		needs[from] = append(needs[from], to)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sorted(names, needs), nil
}

func sorted(names []Name, needs map[Name][]Name) []Name {
	var out []Name
	seen := map[Name]bool{}
	var visit func(Name)
	visit = func(n Name) {
		if seen[n] || !slices.Contains(names, n) {
			return
		}
		seen[n] = true
		for _, other := range needs[n] {
			visit(other)
		}
		out = append(out, n)
	}
	for _, n := range names {
		visit(n)
	}
	return out
}
