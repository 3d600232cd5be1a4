package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

// firstChunk reads until so many checkpoints were taken, and is then killed.
func (s *site) firstChunk(t *testing.T, c Config, checkpoints int) *plugintest.Recorder {
	t.Helper()
	stop := errors.New("killed")
	r := &plugintest.Recorder{}
	r.OnCheckpoint = func(sdk.Position) error {
		if len(r.Checkpoints) == checkpoints {
			return stop
		}
		return nil
	}
	t.Cleanup(r.Release)
	if err := s.source(t, c).Read(t.Context(), sdk.ReadRequest{}, r); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	return r
}

// A truncate is not hidden by a snapshot that does not see it: the table looks empty, and its truncate comes later.
func TestATruncateBetweenTheSlotAndTheSnapshotIsSeen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, table string }{
		{"table", "create table t (id int primary key, v text)"},
		{"partitioned", "create table t (id int primary key, v text) partition by range (id); create table t1 partition of t for values from (0) to (50); create table t2 partition of t default"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "create table a (id int primary key)", "insert into a values (1)")
			s.exec(t, strings.Split(c.table, "; ")...)
			s.exec(t, "insert into t select i, 'old' from generate_series(1, 300) i")
			proxy, through := pgtest.Through(t, s.dsn)
			var once sync.Once
			proxy.Spy(func(piece []byte) pgtest.Fate {
				if bytes.Contains(piece, []byte("set transaction snapshot")) {
					once.Do(func() {
						_, err := s.sql.PgConn().Exec(t.Context(), "update t set v = 'new' where id = 5; begin; truncate t; insert into t select i, 'new' from generate_series(1, 7) i; commit").ReadAll()
						if err != nil {
							t.Error(err)
						}
					})
				}
				return pgtest.Pass
			})
			config := cdc("a", "t")
			config.DSN = sdk.Secret(through)
			r := s.follow(t, config, nil, nil)
			r.until(t, "a", 1)
			s.same(t, r, nil, "a", "t")
			rows := r.changes("t")
			for i, one := range rows {
				if fmt.Sprint(one["_op"]) == "2" {
					t.Errorf("row %d of %d is an update of a row that never came: %v", i, len(rows), one)
				}
			}
			r.end(t)
		})
	}
	s := newSite(t, "create table t (id int primary key)", "insert into t values (1)")
	proxy, through := pgtest.Through(t, s.dsn)
	proxy.Spy(func(piece []byte) pgtest.Fate {
		if bytes.Contains(piece, []byte("access share mode")) {
			_, _ = s.sql.Exec(t.Context(), "truncate t")
		}
		return pgtest.Pass
	})
	_, err := s.tryRead(t, Config{DSN: sdk.Secret(through)}, nil)
	if sdk.KindOf(err) != sdk.KindRetryable || !strings.Contains(err.Error(), "truncated or rewritten") {
		t.Errorf("got %v", err)
	}
}

// With full identity, values that were not sent are in the old row, also of a row that was not read before it moved.
func TestARowThatMovesFromWhereNobodyHasReadIsWhole(t *testing.T) {
	t.Parallel()
	for _, identity := range []string{"default", "full"} {
		t.Run(identity, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "create table t (id int primary key, n int, long text)", "alter table t alter long set storage external", "alter table t replica identity "+identity,
				"insert into t select i, 0, repeat(md5(i::text), 100) from generate_series(1, 300) i", "delete from t where id = 50")
			config := cdc("t")
			first := s.firstChunk(t, config, 1)
			s.exec(t, "update t set id = 50 where id = 290", "update t set id = 400 where id = 10", "update t set id = 10 where id = 250")
			r := s.follow(t, config, last(t, first), nil)
			r.until(t, "t", 1)
			s.same(t, r, map[string]map[string]row{"t": fold(t, nil, streamRows(t, first, "t"), "id")}, "t")
			for _, one := range r.changes("t") {
				if fmt.Sprint(one["_op"]) != "2" && one["_unchanged"] != nil {
					t.Errorf("%.300v", one)
				}
			}
			r.end(t)
		})
	}
}

// What was read of a table in vain is taken back by a truncate behind it: in the order of changes, too.
func TestATableThatIsReadAgainIsTruncatedBehindWhatWasRead(t *testing.T) {
	t.Parallel()
	s := newSite(t, `create table t (id text collate "en-x-icu" primary key)`, "insert into t select 'k' || i from generate_series(1, 300) i")
	config := cdc("t")
	first := s.firstChunk(t, config, 1)
	r := s.follow(t, config, last(t, first), nil)
	r.until(t, "t", 301)
	rows := append(streamRows(t, first, "t"), r.changes("t")...)
	var places []string
	for i, one := range rows {
		places = append(places, hexOf(one["_pos"]))
		if i > 0 && places[i] < places[i-1] {
			t.Fatalf("row %d of %d: %s comes behind %s", i, len(rows), places[i], places[i-1])
		}
	}
	if got := ops(rows); got != strings.Repeat("0", 100)+"4"+strings.Repeat("0", 300) || places[100] == places[99] || places[100] == places[101] {
		t.Errorf("%s, %v", got, places[99:102])
	}
}

// A commit that waits for a standby is in the log, and no snapshot sees it. The stream passes it in one read, and a chunk of the next must see it.
func TestACommitThatWaitsForAStandbyIsNotLostByAKill(t *testing.T) {
	t.Parallel()
	server := pgtest.Own(t, "synchronous_standby_names=nobody", "synchronous_commit=local")
	s := newSiteOn(t, server, "create table a (id int primary key)", "create table t (id int primary key, v text)", "insert into t select i, 'old' from generate_series(1, 300) i")
	config := cdc("t")
	first := s.firstChunk(t, config, 1)
	waits := s.connect(t)
	if _, err := waits.Exec(t.Context(), "set synchronous_commit = on"); err != nil {
		t.Fatal(err)
	}
	committed := make(chan error, 1)
	ctx := t.Context()
	go func() {
		_, err := waits.Exec(ctx, "update t set v = 'new' where id = 290")
		committed <- err
	}()
	eventually(t, "the commit waits for the standby", func() bool {
		return one[bool](t, s, "select exists (select from pg_stat_activity where wait_event = 'SyncRep' and datname = current_database())")
	})
	target := s.target(t)
	between := s.follow(t, config, last(t, first), nil)
	eventually(t, "the stream passed the commit", func() bool {
		return between.at() != nil && !s.behind(t, positionLSN(t, between.at()), target)
	})
	between.kill()
	kept := fold(t, fold(t, nil, streamRows(t, first, "t"), "id"), between.changes("t"), "id")
	r := s.follow(t, config, between.at(), nil)
	s.target(t)
	eventually(t, "the read goes on", func() bool { return r.at() != nil })
	s.exec(t, "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep' and datname = current_database()")
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	s.same(t, r, map[string]map[string]row{"t": kept}, "t")
	r.end(t)
}
