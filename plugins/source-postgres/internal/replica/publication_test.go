package replica_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
)

func read(t *testing.T, s *site, name string) replica.Publication {
	t.Helper()
	p, err := replica.ReadPublication(t.Context(), s.sql, name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var listed = cmpopts.IgnoreUnexported(replica.Publication{})

func TestAPublicationIsReadWholeAndByAReplicationConnectionToo(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	_, err := replica.ReadPublication(t.Context(), s.sql, "p")
	wantKind(t, err, replica.PublicationMissing)
	s.exec(t, "create table a (id int primary key, v text, secret text)", `create table "Ü x" (id int primary key, g int generated always as (id + 1) stored)`,
		"create schema other", "create table other.c (id int primary key)", "create table part (id int) partition by range (id)",
		"create table part1 partition of part for values from (0) to (10)",
		`create publication p for table a where (id > 7), "Ü x", part, tables in schema other with (publish = 'insert, delete')`,
		"create publication columns for table a (id, v)")
	public := func(name string, columns ...string) replica.PublishedTable {
		return replica.PublishedTable{Table: replica.Table{Schema: "public", Name: name}, Columns: columns, All: true}
	}
	a := public("a", "id", "v", "secret")
	a.Filter = "(id > 7)"
	want := replica.Publication{
		Name: "p", Schemas: []string{"other"}, Operations: replica.Operations{Insert: true, Delete: true},
		Tables: []replica.PublishedTable{
			{Table: replica.Table{Schema: "other", Name: "c"}, Columns: []string{"id"}, All: true}, a, public("part1", "id"), public("Ü x", "id"),
		},
	}
	for name, q := range map[string]replica.Querier{"ordinary": s.sql, "replication": s.replica(t)} {
		got, err := replica.ReadPublication(t.Context(), q, "p")
		if diff := cmp.Diff(want, got, listed); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	a = public("a", "id", "v")
	a.All = false
	if diff := cmp.Diff([]replica.PublishedTable{a}, read(t, s, "columns").Tables); diff != "" {
		t.Error(diff)
	}
	part := replica.Table{Schema: "public", Name: "part"}
	if diff := cmp.Diff([]replica.Table{part}, read(t, s, "p").Missing([]replica.Table{a.Table, part})); diff != "" {
		t.Error(diff)
	}
}

func TestPublicationPlan(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.exec(t, "create table a (id int primary key)", `create table "b ""x'"`+" (id int primary key)", "create table part (id int primary key) partition by range (id)",
		"create table part1 partition of part for values from (0) to (10)")
	a, b, part := replica.Table{Schema: "public", Name: "a"}, replica.Table{Schema: "public", Name: `b "x'`}, replica.Table{Schema: "public", Name: "part"}
	name := `pub "it's"`
	steps := []replica.Wanted{
		{Name: name, Tables: []replica.Table{a, b}},
		{Name: name, Tables: []replica.Table{b, part}, ViaRoot: true},
		{Name: name, Tables: []replica.Table{b}, Operations: replica.Operations{Insert: true, Truncate: true}},
		{Name: name, AllTables: true, ViaRoot: true},
		{Name: name},
	}
	s.exec(t, steps[0].Create()...)
	for i, want := range steps {
		s.exec(t, want.Alter(read(t, s, name))...)
		have := read(t, s, name)
		if again := want.Alter(have); len(again) > 0 {
			t.Errorf("step %d: still to do: %q", i, again)
		}
		if missing := have.Missing(want.Tables); len(missing) > 0 {
			t.Errorf("step %d: %v are missing", i, missing)
		}
		if !want.AllTables && len(have.Tables) != len(want.Tables) || have.AllTables != want.AllTables {
			t.Errorf("step %d: %+v", i, have)
		}
	}
	if diff := cmp.Diff([]replica.Table{a}, read(t, s, name).Missing([]replica.Table{a})); diff != "" {
		t.Error(diff)
	}
	s.exec(t, replica.DropPublication(name)...)
	_, err := replica.ReadPublication(t.Context(), s.sql, name)
	wantKind(t, err, replica.PublicationMissing)
}
