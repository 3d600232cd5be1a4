package keyset

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/plugins/internal/postgres/value"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/catalog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Stopping(m)) }

// Keys sort here as the server's index has them, and their text names them.
func TestKeysSortAsTheServersDo(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Shared(t).Database(t)
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams = value.Session()
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for i, c := range []struct{ column, values string }{
		{"smallint", "select generate_series(-300, 300, 7)"},
		{"bigint", "values (0), (-1), (1), (-9223372036854775808), (9223372036854775807), (10), (9), (-10), (-9)"},
		{"oid", "values (0::oid), ('4294967295'), ('10'), ('9')"},
		{"numeric", "values (0), (-1.5), (1.50), (1.05), ('NaN'), ('Infinity'), ('-Infinity'), (1e40), (1e-40), (-1e40)"},
		{"numeric(6,2)", "values (1.5), (10), (9.99), (-0.01)"},
		{"bool", "values (true), (false)"},
		{"uuid", "select md5(i::text)::uuid from generate_series(1, 50) i"},
		{"bytea", `values (''), ('\x00'), ('\x0000'), ('\xff'), ('\x7f00')`},
		{`text collate "C"`, "values (''), ('a'), ('B'), ('ä'), ('aa'), (E'a\\\\b'), ('it''s'), ('日本')"},
		{"date", "values ('2024-01-01'), ('10000-01-01'), ('0001-01-01'), ('0001-12-31 BC'), ('0044-03-15 BC'), ('0044-03-16 BC'), ('infinity'), ('-infinity'), ('4713-01-01 BC')"},
		{"timestamp", "values ('2024-01-01 00:00:00'), ('2024-01-01 00:00:00.1'), ('2024-01-01 00:00:00.12'), ('2024-01-01 00:00:01'), ('0001-01-01 00:00:00.5 BC'), ('0001-01-01 00:00:00 BC'), ('12024-01-01'), ('infinity')"},
		{"timestamptz", "values ('2024-01-01 00:00:00+00'), ('2024-01-01 00:00:00.1+02'), ('2024-01-01 00:00:00.12+00'), ('2023-12-31 23:00-05'), ('0001-01-01 00:00:00.5+00 BC')"},
	} {
		name := fmt.Sprintf("t%d", i)
		if _, err := conn.Exec(t.Context(), fmt.Sprintf("create domain d%d as %s; create table %s (id %s primary key, other int); insert into %[3]s (id) %[5]s", i, c.column, name, c.column, c.values)); err != nil {
			t.Fatalf("%s: %v", c.column, err)
		}
		all, err := catalog.List(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(all, func(t *catalog.Table) bool { return t.Name == name })
		if err := catalog.Fill(t.Context(), conn, all[at:at+1]); err != nil {
			t.Fatal(err)
		}
		k := Of(all[at], all[at].Primary)
		if k == nil || !k.Exact() {
			t.Fatalf("%s: %+v", c.column, k)
		}
		ask := func(sql string) []string {
			results, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
			if err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
			var out []string
			for _, row := range results[0].Rows {
				out = append(out, string(row[0]))
			}
			return out
		}
		want := ask("select id from " + name + " order by id")
		got := slices.Clone(want)
		slices.Reverse(got)
		slices.SortFunc(got, func(a, b string) int { return k.Compare([]string{a}, []string{b}) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-server +here)\n%s", c.column, diff)
		}
		for n, key := range want {
			if got := ask("select count(*) from " + name + " where " + k.Condition("<=", []string{key})); got[0] != fmt.Sprint(n+1) {
				t.Errorf("%s: %q is not behind %s others", c.column, key, got[0])
			}
		}
	}
}

func TestKeysThatCantBeTold(t *testing.T) {
	t.Parallel()
	table := &catalog.Table{Columns: []catalog.Column{
		{Name: "id", Base: "int4", NotNull: true}, {Name: "name", Base: "text", NotNull: true}, {Name: "at", Base: "interval", NotNull: true}, {Name: "n", Base: "int4"},
	}}
	if k := Of(table, []string{"id", "name"}); k == nil || k.Exact() {
		t.Errorf("%+v", k)
	}
	for _, names := range [][]string{nil, {"at"}, {"id", "at"}, {"n"}, {"missing"}} {
		if k := Of(table, names); k != nil {
			t.Errorf("%v: %+v", names, k)
		}
	}
}
