package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

func TestATableAddedLaterIsReadWhileTheStreamGoesOn(t *testing.T) {
	t.Parallel()
	s := newSite(t, append(long("a"), long("b")...)...)
	s.exec(t, "create table icu (id text collate \"en-x-icu\" primary key, n int)", "insert into icu select 'k' || i, i from generate_series(1, 700) i")
	end := s.workload(t, "a", "b")
	config := cdc("a")
	r := s.follow(t, config, nil, nil)
	r.until(t, "a", 2500)
	r.kill()
	kept := map[string]map[string]row{"a": fold(t, nil, r.changes("a"), "id")}
	config.Tables = []string{"a", "b", "icu"}
	again := s.follow(t, config, r.at(), r.at())
	again.until(t, "b", 2500)
	eventually(t, "table icu was read", func() bool { return again.count("icu") >= 700 })
	end()
	s.same(t, again, kept, "a", "b", "icu")
	again.end(t)
	if got := ops(again.changes("icu")); got != strings.Repeat("0", 700) {
		t.Errorf("%s", got)
	}
}

// A writer that began before the table was published may have written what is never published.
func TestATableAddedLaterWaitsForOlderTransactions(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table a (id int primary key)", "create table b (id int primary key)", "insert into b values (1)")
	config := cdc("a")
	at := last(t, s.read(t, config, nil))
	writer := s.connect(t)
	run := func(sql string) {
		if _, err := writer.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	run("begin")
	run("insert into b values (2)")
	config.Tables = []string{"a", "b"}
	r := s.follow(t, config, at, at)
	s.exec(t, "insert into a values (1)")
	r.until(t, "a", 1)
	run("insert into b values (3)")
	if rows := r.changes("b"); len(rows) > 0 {
		t.Errorf("%v", rows)
	}
	run("commit")
	r.until(t, "b", 3)
	s.same(t, r, nil, "a", "b")
}

func TestTruncateWhileATableIsRead(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table a (id int primary key)", "create table t (id int primary key, v text)", "insert into t select i, 'x' from generate_series(1, 20000) i")
	at := last(t, s.read(t, cdc("a"), nil))
	other := s.connect(t)
	truncated := false
	r := s.follow(t, cdc("a", "t"), at, at, func(u *units, _ int) {
		if truncated || u.Rows("t") == 0 {
			return
		}
		truncated = true
		_, err := other.Exec(t.Context(), "truncate t; insert into t select i, 'y' from generate_series(100, 1200) i; update t set id = 5 where id = 1100")
		if err != nil {
			t.Error(err)
		}
	})
	s.same(t, r, nil, "t")
	if got := ops(r.changes("t")); !strings.Contains(got, "40") || !strings.HasPrefix(got, "0") {
		t.Errorf("%s", got)
	}
}

func TestSlotsThatCantServeAreFatal(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key)", "insert into t values (1)")
	config := cdc("t")
	r := s.follow(t, config, nil, nil)
	r.until(t, "t", 1)
	slot := one[string](t, s, "select slot_name::text from pg_replication_slots where database = current_database()")
	s.pace.Slot = 300 * time.Millisecond
	_, err := s.tryRead(t, config, r.at())
	pid := one[int](t, s, "select active_pid from pg_replication_slots where slot_name = $1", slot)
	if sdk.KindOf(err) != sdk.KindRetryable || !strings.Contains(err.Error(), fmt.Sprint(pid)) {
		t.Errorf("got %v", err)
	}
	r.end(t)
	at := r.at()
	wrong := func(name, want string, change func(c *Config), edit func(string) string) {
		t.Helper()
		c := config
		if change != nil {
			change(&c)
		}
		pos := at
		if edit != nil {
			pos = sdk.Position(edit(string(at)))
		}
		_, err := s.tryRead(t, c, pos)
		if err == nil || sdk.KindOf(err) == sdk.KindRetryable || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	system := one[string](t, s, "select system_identifier::text from pg_control_system()")
	wrong("another system", "database cluster", nil, func(p string) string { return strings.Replace(p, system, "123", 1) })
	wrong("another timeline", "timeline", nil, func(p string) string { return strings.Replace(p, `"timeline":1`, `"timeline":7`, 1) })
	wrong("another slot", "keeps its slot", func(c *Config) { c.Slot = "other" }, nil)
	wrong("garbage", "none of this source", nil, func(string) string { return `{"x":1}` })
	wrong("the log ends before", "changes are missing", nil, func(p string) string { return strings.Replace(p, positionLSN(t, at), "7FFF/0", 1) })
	s.exec(t, "select pg_replication_slot_advance('"+slot+"', pg_current_wal_lsn())")
	s.exec(t, "insert into t values (2)", "select pg_replication_slot_advance('"+slot+"', pg_current_wal_lsn())")
	wrong("confirmed by another", "changes are missing", nil, nil)
	s.exec(t, "select pg_drop_replication_slot('"+slot+"')")
	wrong("missing", "read again", nil, nil)
	s.exec(t, "select pg_create_logical_replication_slot('"+slot+"', 'test_decoding')")
	wrong("of another plugin", "another name", nil, nil)
	no := false
	wrong("not made", "create is false", func(c *Config) { c.Create, c.Slot = &no, slot+"2" }, func(string) string { return "" })
	s.exec(t, "create table u (id int)")
	wrong("lacks a table", "lacks public.u", func(c *Config) { c.Create, c.Tables = &no, []string{"t", "u"} }, nil)
}

func TestASlotThatWasLostIsFatal(t *testing.T) {
	t.Parallel()
	server := pgtest.Own(t, "max_slot_wal_keep_size=1MB", "min_wal_size=32MB", "max_wal_size=32MB")
	s := newSiteOn(t, server, "create table t (id int primary key)")
	at := last(t, s.read(t, cdc("t"), nil))
	for range 4 {
		s.exec(t, "select pg_switch_wal()", "create table x (v text)", "insert into x select repeat(md5(i::text), 50) from generate_series(1, 20000) i", "drop table x")
	}
	s.exec(t, "checkpoint")
	_, err := s.tryRead(t, cdc("t"), at)
	if sdk.KindOf(err) != sdk.KindFatal || !strings.Contains(err.Error(), "max_slot_wal_keep_size") {
		t.Errorf("got %v", err)
	}
}

func TestServerRestartsAndBrokenConnections(t *testing.T) {
	t.Parallel()
	server := pgtest.Own(t, "fsync=on")
	s := newSiteOn(t, server, "create table t (id int primary key, v text)")
	proxy, through := pgtest.Through(t, s.dsn)
	config := cdc("t")
	config.DSN = sdk.Secret(through)
	const each = 20_000 // more than a batch
	r := s.follow(t, config, nil, nil, func(u *units, _ int) {
		if rows := u.Rows("t"); rows%each != 0 {
			t.Errorf("a checkpoint inside of a transaction, after %d rows", rows)
		}
	})
	eventually(t, "the read began", func() bool { return r.at() != nil })
	next := 0
	for pass, breaks := range []func(){
		func() { proxy.Cut(); proxy.Mend() },
		func() { server.Crash(); server.Start(t) },
		func() { proxy.Cut(); proxy.Mend() },
		func() { server.Stop(); server.Start(t) },
	} {
		s.sql = s.connect(t)
		from := next
		next += each
		s.exec(t, fmt.Sprintf("insert into t select i, 'v' from generate_series(%d, %d) i", from, next-1))
		eventually(t, "a part of the transaction came", func() bool { return r.Rows("t") > int64(from) })
		breaks()
		rows := r.until(t, "t", next)
		if len(rows) != next {
			t.Fatalf("pass %d: %d rows, expected %d", pass, len(rows), next)
		}
	}
	for i, one := range r.changes("t") {
		if fmt.Sprint(one["id"]) != fmt.Sprint(i) {
			t.Fatalf("row %d is %v", i, one)
		}
	}
	r.end(t)
}

func TestProvision(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key)", "create table nokey (id int)", "create table u (id int primary key)")
	objects := func() string {
		return one[string](t, s, `select (select coalesce(string_agg(pubname || ':' || tablename, ',' order by tablename), '') from pg_publication_tables) || ' ' ||
			(select count(*) from pg_publication) || ' ' || (select count(*) from pg_replication_slots where database = current_database())`)
	}
	describe := func(actions []sdk.Action, err error) []string {
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, a := range actions {
			out = append(out, strings.ReplaceAll(fmt.Sprintf("%s: %s %t", a.Object, a.Description, a.Destructive), one[string](t, s, "select current_database()::text"), "db"))
		}
		return out
	}
	source := s.source(t, cdc("t", "nokey"))
	plan := describe(source.PlanProvision(t.Context(), sdk.ProvisionRequest{}))
	const warning = "; warning: without a primary key or replica identity the server refuses updates and deletes of public.nokey from then on (alter table … replica identity full allows them)"
	want := []string{"publication qanat_db: create it for public.nokey, public.t" + warning + " false", "replication slot qanat_db: create it at the first read, which begins with its snapshot false"}
	if diff := cmp.Diff(want, plan); diff != "" {
		t.Error(diff)
	}
	if got := objects(); got != " 0 0" {
		t.Fatalf("a dry run made %s", got)
	}
	if diff := cmp.Diff(want[:1], describe(source.Provision(t.Context(), sdk.ProvisionRequest{}))); diff != "" {
		t.Error(diff)
	}
	if again := describe(source.Provision(t.Context(), sdk.ProvisionRequest{})); again != nil {
		t.Errorf("repeated: %v", again)
	}
	s.read(t, cdc("t", "nokey"), nil)
	more := s.source(t, cdc("t", "u"))
	if got := describe(more.Provision(t.Context(), sdk.ProvisionRequest{})); len(got) != 1 || got[0] != "publication qanat_db: add public.u false" {
		t.Errorf("%v", got)
	}
	remove := sdk.ProvisionRequest{Remove: true}
	want = []string{"replication slot qanat_db: drop it true", "publication qanat_db: drop it true"}
	for _, call := range []func() ([]sdk.Action, error){
		func() ([]sdk.Action, error) { return more.PlanProvision(t.Context(), remove) },
		func() ([]sdk.Action, error) { return more.Provision(t.Context(), remove) },
	} {
		if strings.HasSuffix(objects(), " 0 0") {
			t.Error("a dry run removed things")
		}
		if diff := cmp.Diff(want, describe(call())); diff != "" {
			t.Error(diff)
		}
	}
	if got := objects(); got != " 0 0" || describe(more.Provision(t.Context(), remove)) != nil {
		t.Errorf("left: %s", got)
	}
	s.exec(t, "create publication theirs for table t", "select pg_create_logical_replication_slot('theirs_"+strings.ToLower(one[string](t, s, "select current_database()::text"))+"', 'pgoutput')")
	foreign := cdc("t")
	foreign.Publication, foreign.Slot = "theirs", "theirs_"+one[string](t, s, "select current_database()::text")
	if got := describe(s.source(t, foreign).Provision(t.Context(), remove)); got != nil || objects() != "theirs:t 1 1" {
		t.Errorf("removed: %v, left %s", got, objects())
	}
}

func TestASlotAndAPublicationOfOthersServe(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key, v text, secret text)", "insert into t select i, 'v', 's' from generate_series(1, 500) i",
		"create publication theirs for table t (id, v) where (id % 2 = 0)")
	slot := "theirs_" + one[string](t, s, "select current_database()::text")
	s.exec(t, "select pg_create_logical_replication_slot('"+slot+"', 'pgoutput')", "insert into t values (600, 'between'), (601, 'between')", "update t set v = 'w' where id = 10")
	no := false
	config := cdc("t")
	config.Publication, config.Slot, config.Create = "theirs", slot, &no
	r := s.follow(t, config, nil, nil)
	r.until(t, "t", 251)
	s.exec(t, "insert into t values (700, 'new', 's'), (701, 'new', 's')")
	rows := r.until(t, "t", 252)
	if got := ops(rows); got != strings.Repeat("0", 251)+"1" {
		t.Errorf("%s", got)
	}
	if _, has := rows[0]["secret"]; has || rows[4]["v"] != "w" {
		t.Errorf("%v", rows[4])
	}
}

func TestStopAndCancelAreObeyedAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key, v text)", "insert into t select i, repeat('x', 1000) from generate_series(1, 5000) i")
	for _, config := range []Config{{ChunkRows: 200}, cdc("t"), {Mode: "incremental", Cursor: &Cursor{Column: "id"}}} {
		r := &plugintest.Recorder{}
		stop := make(chan struct{})
		r.OnCheckpoint = func(sdk.Position) error {
			if len(r.Checkpoints) == 1 {
				close(stop)
			}
			return nil
		}
		source := s.source(t, config)
		begun := time.Now()
		if err := source.Read(t.Context(), sdk.ReadRequest{Stop: stop, Follow: true}, r); err != nil || time.Since(begun) > 20*time.Second {
			t.Errorf("mode %q: %v after %v", config.Mode, err, time.Since(begun))
		}
		rest := s.read(t, config, last(t, r))
		if got := r.Rows("t") + rest.Rows("t"); got != 5000 {
			t.Errorf("mode %q: %d rows", config.Mode, got)
		}
		r.Release()
	}
	stop := errors.New("no")
	r := &plugintest.Recorder{OnCheckpoint: func(sdk.Position) error { return stop }}
	if err := s.source(t, cdc("t")).Read(t.Context(), sdk.ReadRequest{}, r); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	r.Release()
}
