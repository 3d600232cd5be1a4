package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

func cdc(tables ...string) Config { return Config{Mode: "cdc", Tables: tables, ChunkRows: 100} }

// A row of each type, by snapshot, by stream and by a full read.
func TestTypesAreTheSameOnEachWay(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create extension hstore", "create extension citext", "create type mood as enum ('sad', 'it''s ok')", "create domain price as numeric(8,2)",
		"create type address as (street text, zip int, tags text[])")
	types := map[string]string{
		"bool": "true", "int2": "-32768", "int4": "7", "int8": "-9223372036854775808", "oid": "4294967295", "float4": "'NaN'", "float8": "'-Infinity'",
		"numeric(12,2)": "-0.01", "numeric": "'Infinity'", "numeric(50,3)": "1.5", "money": "12.34", "text": `'日本 "q" \ '`, "varchar(5)": "'ab  '", "char(5)": "'ab'", "citext": "'AbC'",
		"json": `'{"a" : [1.0, null]}'`, "jsonb": `'{"b":1,"a":[null]}'`, "bytea": `'\x00ff5c'`, "uuid": "'01234567-89ab-cdef-0123-456789abcdef'", "date": "'0044-03-15 BC'",
		"timestamp": "'2024-02-29 13:45:00.5'", "timestamptz": "'1883-11-18 12:00 America/New_York'", "time": "'23:59:59.999999'", "timetz": "'13:45:00.5+05:30'",
		"interval": "'1 year -2 mons +3 days -04:05:06.789'", "inet": "'10.0.0.1/8'", "cidr": "'10.0.0.0/8'", "macaddr": "'08:00:2b:01:02:03'", "bit(3)": "B'101'", "varbit": "B'10101'",
		"xml": `'<a b="1">é</a>'`, "mood": `'it''s ok'`, "price": "12.34", "int4[]": "'{1,NULL,3}'", "text[]": `array['a,b', 'NULL', null, '"']`, "numeric(6,2)[]": "'{1.5,NULL}'",
		"address": `('x "y"', 1, array['a', null])`, "address[]": `array[('q"\', 1, '{}')::address, null]`, "int4range": "'[1,5)'", "int4multirange": "'{[1,2),[5,9)}'",
		"hstore": `'a=>1, "b c"=>NULL'`, "point": "'(1.5,-0)'", "tsvector": "'fat:2 cat:3A'", "pg_lsn": "'16/B374D848'", "regclass": "'pg_class'",
	}
	var columns, values []string
	for name, v := range types {
		columns = append(columns, fmt.Sprintf("%q %s", name, name))
		values = append(values, "("+v+")::"+name)
	}
	s.exec(t, "create table t (id int primary key, "+strings.Join(columns, ", ")+")")
	insert := func(id int) string {
		return fmt.Sprintf("insert into t values (%d, %s)", id, strings.Join(values, ", "))
	}
	s.exec(t, insert(1), "insert into t values (2)")
	config := cdc("t")
	r := s.follow(t, config, nil, nil)
	r.until(t, "t", 2)
	s.exec(t, insert(3), "insert into t values (4)", `update t set "int4" = 7 where id = 1`)
	rows := r.until(t, "t", 5)
	r.end(t)
	full := streamRows(t, s.read(t, Config{Tables: []string{"t"}}, nil), "t")
	slices.SortFunc(full, func(a, b row) int { return strings.Compare(fmt.Sprint(a["id"]), fmt.Sprint(b["id"])) })
	for name := range types {
		want := []any{full[0][name], nil, full[0][name], nil, full[0][name]}
		if want[0] == nil {
			t.Errorf("%s is null", name)
		}
		for i, one := range rows {
			if diff := cmp.Diff(want[i], one[name]); diff != "" {
				t.Errorf("%s, row %d: (-full +change)\n%s", name, i, diff)
			}
		}
	}
	if len(r.Schemas) != 1 {
		t.Errorf("%d schemas", len(r.Schemas))
	}
	streams, err := s.source(t, config).Streams(t.Context())
	if err != nil || !streams[0].Schema.Equal(r.Schemas[0].Schema) || !change.Is(streams[0].Schema) {
		t.Errorf("the stream is described as %v, %v", streams, err)
	}
}

func TestLongValuesThatDidNotChange(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key, n int, a text, b bytea, c jsonb, d text[])",
		"alter table t alter a set storage external, alter b set storage external, alter c set storage external, alter d set storage external",
		"insert into t select i, 0, repeat('a', 9000), decode(repeat('00ff', 5000), 'hex'), to_jsonb(repeat('c', 9000)), array[repeat('d', 9000)] from generate_series(1, 3) i")
	r := s.follow(t, cdc("t"), nil, nil)
	r.until(t, "t", 3)
	s.exec(t, "update t set n = 1 where id = 1", "update t set a = 'short' where id = 1", "update t set id = 10 where id = 2", "update t set a = null, n = 5 where id = 3")
	rows := r.until(t, "t", 7)[3:]
	want := [][]any{{"a", "b", "c", "d"}, {"b", "c", "d"}, {"a", "b", "c", "d"}, {"b", "c", "d"}}
	for i, one := range rows {
		if diff := cmp.Diff(want[i], one["_unchanged"]); diff != "" || one["b"] != nil {
			t.Errorf("row %d: %s", i, diff)
		}
	}
	if diff := cmp.Diff(s.table(t, "t", "id"), fold(t, nil, r.changes("t"), "id")); diff != "" {
		t.Error(diff)
	}
	s.exec(t, "alter table t replica identity full", "update t set n = 2 where id = 10", "update t set n = 3, id = 11 where id = 10", "delete from t where id = 11")
	rows = r.until(t, "t", 10)[7:]
	for i, one := range rows {
		before, ok := one["_before"].(row)
		if !ok || one["_unchanged"] != nil || len(fmt.Sprint(before["a"])) != 9000 || i < 2 && len(fmt.Sprint(one["a"])) != 9000 || i == 2 && one["a"] != nil {
			t.Errorf("row %d: %.300v", i, one)
		}
	}
	if diff := cmp.Diff(s.table(t, "t", "id"), fold(t, nil, r.changes("t"), "id")); diff != "" {
		t.Error(diff)
	}
}

func TestSchemaChangesAreBarriers(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key, a text, gone int)", "comment on column t.a is 'the a'", "insert into t values (1, 'x', 1)")
	r := s.follow(t, cdc("t"), nil, nil)
	r.until(t, "t", 1)
	s.exec(t, "begin", "insert into t values (2, 'x', 1)", "alter table t add b numeric(6,2) default 1.5", "insert into t values (3, 'x', 1, 2.5)", "commit",
		"alter table t drop gone", "insert into t values (4, 'x', 3)", "alter table t rename b to c", "insert into t values (5, 'x', 4)",
		"alter table t alter c type text", "insert into t values (6, 'x', 'five')", "alter table t rename id to key", "delete from t where key = 6",
		"create type mood as enum ('a')", "alter table t add m mood", "alter type mood add value 'b'", "insert into t values (7, 'x', 'y', 'b')")
	r.until(t, "t", 8)
	r.end(t)
	var got []string
	for _, v := range r.Schemas {
		var names []string
		for _, f := range change.Table(v.Schema).Fields() {
			names = append(names, f.Name+" "+f.Type.String())
		}
		got = append(got, fmt.Sprintf("%d %v: %s", v.Version, v.Key, strings.Join(names, ", ")))
	}
	want := []string{
		"1 [id]: id int32, a utf8, gone int32", "2 [id]: id int32, a utf8, gone int32, b decimal(6, 2)", "3 [id]: id int32, a utf8, b decimal(6, 2)",
		"4 [id]: id int32, a utf8, c decimal(6, 2)", "5 [id]: id int32, a utf8, c utf8", "6 [key]: key int32, a utf8, c utf8", "7 [key]: key int32, a utf8, c utf8, m utf8",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, b := range r.Batches {
		if !b.Record.Schema().Equal(r.Schemas[b.Version-1].Schema) {
			t.Errorf("a batch of version %d has %v", b.Version, b.Record.Schema())
		}
	}
	if doc, _ := r.Schemas[6].Schema.Field(1).Metadata.GetValue(sdk.MetaDoc); doc != "the a" {
		t.Errorf("the column's comment became %q", doc)
	}
	again := s.follow(t, cdc("t"), r.at(), r.at())
	s.exec(t, "insert into t values (8, 'x', 'y', 'b')")
	if rows := again.until(t, "t", 1); rows[0]["m"] != "b" || len(again.Schemas) != 1 {
		t.Errorf("%v", rows)
	}
}

func TestTablesDroppedMadeAgainAndRenamed(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key)", "insert into t values (1)")
	s.exec(t, "create publication mine for all tables with (publish_via_partition_root = true)")
	config := cdc("t")
	config.Publication = "mine"
	r := s.follow(t, config, nil, nil)
	r.until(t, "t", 1)
	s.exec(t, "alter table t rename to u", "insert into u values (2)")
	if rows := r.until(t, "t", 2); fmt.Sprint(rows[1]["id"]) != "2" {
		t.Errorf("%v", rows)
	}
	at := r.at()
	s.exec(t, "alter table u rename to old", "create table t (id int primary key)", "insert into t values (3)")
	<-r.ended
	if r.err == nil || sdk.KindOf(r.err) != sdk.KindFatal || !strings.Contains(r.err.Error(), "dropped and made again") {
		t.Errorf("got %v", r.err)
	}
	if _, err := s.tryRead(t, config, at); err == nil || !strings.Contains(err.Error(), "dropped and made again") {
		t.Errorf("got %v", err)
	}
	config.Tables, config.PerTable = []string{"old"}, map[string]TableSettings{"old": {Stream: "t"}}
	if got := s.read(t, config, at); got.Rows("t") != 0 {
		t.Errorf("%v", streamRows(t, got, "t"))
	}
}

func TestTablesOfAllKinds(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table parts (id int, d int, v text, primary key (id, d)) partition by range (d)", "create table parts_1 partition of parts for values from (0) to (10)",
		"create table parts_2 partition of parts for values from (10) to (100) partition by list (d)", "create table parts_2a partition of parts_2 default",
		"create table nokey (id int, v text)", "create table whole (id int, v text)", "alter table whole replica identity full",
		"create table byindex (id int primary key, code text not null, v text)", "create unique index byindex_code on byindex (code)", "alter table byindex replica identity using index byindex_code",
		"create table made (id int primary key, n int, twice int generated always as (n * 2) stored)", `create table "Größe.x ""y""" ("Id" int primary key, "select" text)`,
		"create unlogged table fast (id int primary key)", "create temp table gone (id int primary key)", "create schema other", "create table other.t (id int primary key)",
		"insert into parts values (1, 1, 'a'), (1, 11, 'b')", "insert into nokey values (1, 'a')", "insert into whole values (1, 'a'), (1, 'a')", "insert into byindex values (1, 'one', 'a')",
		"insert into made values (1, 5)", `insert into "Größe.x ""y""" values (1, 'a')`, "insert into other.t values (1)")
	config := Config{Mode: "cdc"}
	r := s.follow(t, config, nil, nil)
	r.until(t, "whole", 2)
	s.exec(t, "insert into parts values (2, 2, 'c')", "update parts set d = 12 where id = 2", "delete from parts where d = 11", "insert into nokey values (2, 'b')",
		"delete from whole where ctid in (select ctid from whole limit 1)", "update whole set v = 'b'", "update byindex set code = 'two' where id = 1", "delete from byindex",
		"update made set n = 6", `update "Größe.x ""y""" set "Id" = 2`, "truncate other.t, nokey")
	streams := map[string]string{"parts": "00123" + "1", "nokey": "014", "whole": "0032", "byindex": "023", "made": "02", "gr_e_x_y": "02", "other_t": "04"}
	r.until(t, "other_t", 2)
	r.end(t)
	for stream, want := range streams {
		got := ops(r.changes(stream))
		if stream == "parts" { // a row that changes partitions is deleted and inserted
			want = "001313"
		}
		if got != want {
			t.Errorf("%s: %s, expected %s", stream, got, want)
		}
	}
	if rows := r.changes("byindex"); rows[1]["_before"].(row)["code"] != "one" || rows[2]["code"] != "two" || rows[2]["id"] != nil {
		t.Errorf("%v", rows)
	}
	if rows := r.changes("whole"); fmt.Sprint(rows[2]["id"]) != "<nil>" || rows[2]["_before"].(row)["v"] != "a" || rows[3]["_before"].(row)["v"] != "a" {
		t.Errorf("%v", rows)
	}
	if _, has := r.changes("made")[0]["twice"]; has {
		t.Error("a generated column is in the snapshot, and the log will not have it")
	}
	for _, v := range r.Schemas {
		if v.Stream == "fast" || v.Stream == "gone" {
			t.Errorf("stream %s", v.Stream)
		}
	}
}

func TestLargeAndRolledBackTransactions(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key, v text)")
	s.dsn += "?logical_decoding_work_mem=64kB"
	r := s.follow(t, cdc("t"), nil, nil)
	eventually(t, "the read began", func() bool { return r.at() != nil })
	s.exec(t, "begin", "insert into t select i, repeat('x', 500) from generate_series(1, 20000) i", "savepoint s", "insert into t select i, repeat('y', 500) from generate_series(20001, 30000) i",
		"rollback to s", "update t set v = 'z' where id <= 5000", "commit", "begin", "insert into t select i, repeat('w', 500) from generate_series(40001, 50000) i", "rollback", "insert into t values (60000)")
	rows := r.until(t, "t", 25001)
	if ops(rows) != strings.Repeat("1", 20000)+strings.Repeat("2", 5000)+"1" || fmt.Sprint(rows[24999]["_tx_seq"]) != "25000" {
		t.Errorf("%d rows", len(rows))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]bool{}
	for _, p := range r.points {
		seen[positionLSN(t, p)] = true
	}
	if len(r.points) > len(seen)+3 {
		t.Errorf("%d checkpoints of %d places", len(r.points), len(seen))
	}
}

func TestValuesThatCantBeHeldAreRejectedFromTheStream(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key, d date, v text)", "alter table t alter v set storage external")
	r := s.follow(t, cdc("t"), nil, nil)
	eventually(t, "the read began", func() bool { return r.at() != nil })
	s.exec(t, "insert into t values (1, 'infinity', 'a'), (2, '2024-01-01', 'b'), (3, '-infinity', 'c'), (4, '2024-01-02', repeat('x', 17000000)), (5, null, 'e')")
	r.until(t, "t", 2)
	r.end(t)
	if diff := cmp.Diff([]string{"2", "5"}, column(r.changes("t"), "id")); diff != "" {
		t.Error(diff)
	}
	var codes []string
	for _, rejection := range r.Rejections {
		codes = append(codes, rejection.Code)
	}
	if diff := cmp.Diff([]string{"not_finite", "not_finite", "row_too_large"}, codes); diff != "" {
		t.Error(diff)
	}
}
