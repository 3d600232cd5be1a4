package pgoutput_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bulk fills a table past the memory that the server decodes with, so that the transaction is streamed.
func bulk(from, to int) string {
	return fmt.Sprintf("insert into t select i, repeat('x', 300) from generate_series(%d, %d) i", from, to)
}

// long is a value that is stored out of line: it does not compress.
const long = "(select string_agg(md5(i::text), '') from generate_series(1, 300) i)"

// matrix is named after Debezium's tests of its PostgreSQL connector. Every case starts with tables t (id int primary key, v text) and
// u (a int, b int), and publishes all tables.
var matrix = map[string][]string{
	"insert, update, delete": {"insert into t values (1, 'a'), (2, null), (3, '')", "update t set v = 'b' where id = 1", "delete from t where id = 2"},
	"empty transaction":      {"begin", "commit", "create table e (i int)", "begin", "insert into t values (1, 'a')", "rollback", "insert into t values (2, 'b')"},
	"several tables in one transaction": {
		"begin", "insert into t values (1, 'a')", "insert into u values (1, 2)", "update t set v = 'b'", "insert into u values (2, 3)", "commit",
	},
	"no primary key":               {"insert into u values (1, 2), (null, null)"},
	"primary key change":           {"insert into t values (1, 'a')", "update t set id = 2", "update t set id = id + 1, v = 'c'"},
	"full identity":                {"alter table t replica identity full", "insert into t values (1, 'a'), (2, null)", "update t set v = 'b'", "delete from t"},
	"full identity without key":    {"alter table u replica identity full", "insert into u values (1, null)", "update u set b = 2", "delete from u"},
	"identity by index":            {"alter table t alter v set not null", "create unique index i on t (v)", "alter table t replica identity using index i", "insert into t values (1, 'a')", "update t set id = 2", "update t set v = 'b'", "delete from t"},
	"toast unchanged":              {"alter table t add b bytea, add j jsonb, add a text[]", "insert into t select 1, x, x::bytea, to_jsonb(x), array[x, x] from " + long + " y(x)", "update t set id = 2", "update t set v = 'short'", "update t set v = null, id = 3"},
	"toast unchanged, full":        {"alter table t replica identity full", "alter table t add n int", "insert into t select 1, x from " + long + " y(x)", "update t set n = 1", "delete from t"},
	"truncate":                     {"insert into t values (1, 'a')", "truncate t"},
	"truncate several, cascade":    {"create table r (i int references t)", "insert into t values (1, 'a')", "insert into r values (1)", "truncate t cascade", "truncate t, u, r restart identity", "insert into t values (1, 'b')"},
	"message":                      {"select pg_logical_emit_message(false, 'q', 'now')", "begin", "insert into t values (1, 'a')", "select pg_logical_emit_message(true, 'q', 'with it')", "commit", "select pg_logical_emit_message(true, 'q', 'alone')"},
	"message of a rollback":        {"begin", "select pg_logical_emit_message(true, 'q', 'gone')", "select pg_logical_emit_message(false, 'q', 'stays')", "rollback", "insert into t values (1, 'a')"},
	"column added and dropped":     {"insert into t values (1, 'a')", "alter table t add n int default 7", "insert into t values (2, 'b')", "alter table t drop v", "insert into t values (3, 4)"},
	"column renamed and retyped":   {"insert into t values (1, 'a')", "alter table t rename v to w", "update t set w = 'b'", "alter table t alter id type bigint", "update t set w = 'c'"},
	"table renamed":                {"insert into t values (1, 'a')", "alter table t rename to t2", "insert into t2 values (2, 'b')", "create table t (id int primary key)", "insert into t values (3)"},
	"table dropped and made again": {"insert into t values (1, 'a')", "drop table t", "create table t (x text primary key)", "insert into t values ('b')"},
	"schema change inside":         {"begin", "insert into t values (1, 'a')", "alter table t add n int", "insert into t values (2, 'b', 3)", "savepoint s", "alter table t drop v", "insert into t values (4, 5)", "rollback to s", "insert into t values (6, 'c', 7)", "commit"},
	"savepoint rolled back":        {"begin", "insert into t values (1, 'a')", "savepoint s", "insert into t values (2, 'b')", "rollback to s", "insert into t values (3, 'c')", "commit"},
	"names": {
		`create schema "Ü s"`, `create table "Ü s"."T ""x"" '" ("K" int primary key, "a b" text, "ünï" text)`, `insert into "Ü s"."T ""x"" '" values (1, 'a', 'b')`,
		`create table "` + strings.Repeat("n", 63) + `" ("` + strings.Repeat("ü", 31) + `" int primary key)`, `insert into "` + strings.Repeat("n", 63) + `" values (1)`,
	},
	"types of users": {
		"create type mood as enum ('sad', 'o k')", "create type pair as (a int, b text)", "create domain small as int check (value < 10)", "create extension hstore",
		"create table y (id small primary key, m mood, p pair, ms mood[], h hstore)", `insert into y values (1, 'o k', '(1,"a b")', '{sad,"o k"}', 'a=>1')`,
		"alter type mood rename value 'sad' to 'blue'", "insert into y (id, m) values (2, 'blue')",
	},
	"built-in types": {
		`create table y (id int primary key, a numeric, b numeric, c float8, d float8, e timestamptz, f timestamp, g date, h interval, i uuid, j inet, k json, l jsonb,
			m money, n bit(3), o varbit, p oid, q int[], r int4range, s tstzrange, tt time, tz timetz, u bytea, v char(3), w xml, x bool, z point)`,
		`insert into y values (1, 'NaN', 'Infinity', 'NaN', '-Infinity', 'infinity', '-infinity', '0044-03-15 BC', '-1 year 2 days', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
			'10.0.0.1/8', '{"a": 1}', '{"b": [2]}', 12.5, '101', '1', 42, '{1,NULL,3}', '[1,5)', '(,2024-01-01)', '24:00', '12:00+02', '\x0102', 'ab', '<a/>', true, '(1,2)')`,
	},
	"streamed":          {"begin", bulk(1, 1000), "update t set v = 'short' where id <= 10", "delete from t where id = 1000", "commit", "insert into t values (5000, 'later')"},
	"streamed and gone": {"begin", bulk(1, 1000), "rollback", "insert into t values (1, 'a')"},
	"streamed, savepoint rolled back": {
		"begin", bulk(1, 1000), "savepoint s", bulk(1001, 2000), "savepoint s2", bulk(2001, 3000), "release s2", "rollback to s", bulk(3001, 3500), "savepoint s3", bulk(3501, 4500), "commit",
	},
	"streamed, savepoints within savepoints": {
		"begin", "savepoint a", bulk(1, 600), "savepoint b", bulk(601, 1200), "rollback to b", bulk(1201, 1800), "release b", "release a", "savepoint c", bulk(1801, 2400), "rollback to c", "commit",
	},
	"streamed, first savepoint rolled back": {"begin", "savepoint a", bulk(1, 600), "rollback to a", bulk(601, 1200), "commit", "insert into t values (1, 'a')"},
	"streamed, many subtransactions": {
		`do $$ begin for i in 1..300 loop begin insert into t values (i, repeat('x', 500)); if i % 3 = 0 then raise 'no'; end if; exception when raise_exception then null; end; end loop; end $$`,
	},
	"streamed, schema change rolled back": {
		"begin", bulk(1, 500), "savepoint s", "alter table t add n int", "insert into t select i, repeat('x', 300), i from generate_series(501, 1000) i", "rollback to s", bulk(1001, 1500), "commit", "insert into t values (1600, 'z')",
	},
	"streamed, schema change": {
		"begin", bulk(1, 500), "alter table t add n int", "insert into t select i, repeat('x', 300), i from generate_series(501, 1000) i", "commit", "insert into t values (1600, 'z', 1)",
	},
	"streamed, with messages and truncate": {
		"begin", bulk(1, 500), "select pg_logical_emit_message(true, 'q', 'inside')", "truncate t, u", bulk(1, 500), "commit",
	},
	"streamed, long values": {"begin", "insert into t select i, x from generate_series(1, 20) i, " + long + " y(x)", "update t set id = id + 100", "commit"},
}

func TestChangesAreTestDecodings(t *testing.T) {
	t.Parallel()
	for name, statements := range matrix {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.exec(t, "create table t (id int primary key, v text)", "create table u (a int, b int)", "create publication p for all tables")
			s.slots(t)
			s.exec(t, statements...)
			s.compare(t, strings.HasPrefix(name, "streamed"))
			s.record(t, name)
		})
	}
}

// compare decodes the log in every way, and holds the list of changes against test_decoding's.
func (s *site) compare(t *testing.T, streamed bool) {
	t.Helper()
	want := s.oracle(t)
	if len(want) == 0 {
		t.Fatal("nothing happened")
	}
	for _, way := range []struct {
		name, options, memory string
		ours                  int
	}{
		{"version 1", version1, "64MB", 0},
		{"version 2", version2, "64MB", 0},
		{"version 2, streamed", version2, "64kB", 0},
		{"version 2, streamed and spilled", version2, "64kB", 1},
	} {
		messages := s.messages(t, way.options, way.memory)
		saw := strings.IndexByte(kinds(messages), 'S') >= 0
		if expect := streamed && way.memory == "64kB"; saw != expect && (expect || way.memory != "64kB") {
			t.Errorf("%s: something was streamed: %t, want %t", way.name, saw, expect)
		}
		if diff := cmp.Diff(want, s.tell(t, messages, way.ours).lines); diff != "" {
			t.Errorf("%s (-want +got):\n%s", way.name, diff)
		}
	}
}

// kinds are the messages' first bytes.
func kinds(messages [][]byte) string {
	var b strings.Builder
	for _, m := range messages {
		b.WriteByte(m[0])
	}
	return b.String()
}
