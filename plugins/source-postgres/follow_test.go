package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
)

func TestSnapshotThenEveryChange(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key, v text)", "insert into t select i, 'v' || i from generate_series(1, 250) i", "create table quiet (id int primary key)")
	r := s.follow(t, Config{Mode: "cdc", ChunkRows: 100}, nil, nil)
	rows := r.until(t, "t", 250)
	if ops(rows) != strings.Repeat("0", 250) || fmt.Sprint(rows[0]["_tx_seq"]) != "0" || rows[0]["_ts"] != nil || rows[0]["_before"] != nil {
		t.Errorf("%v", rows[0])
	}
	s.exec(t, "insert into t values (251, 'new')", "begin", "update t set v = 'changed' where id = 1", "delete from t where id = 2", "commit",
		"update t set id = 1000 where id = 3", "begin", "insert into t values (9999)", "rollback", "truncate t", "insert into t values (7, 'seven')")
	rows = r.until(t, "t", 256)[250:]
	if got := ops(rows); got != "123241" {
		t.Fatalf("%s: %v", got, rows)
	}
	if rows[2]["v"] != nil || fmt.Sprintf("%v %v %v", rows[2]["id"], rows[2]["_tx_seq"], rows[1]["_tx_seq"]) != "2 2 1" || rows[1]["_pos"] != rows[2]["_pos"] {
		t.Errorf("%v, %v", rows[1], rows[2])
	}
	if diff := cmp.Diff(row{"id": rows[2]["id"], "v": nil}, rows[2]["_before"]); diff != "" {
		t.Error(diff)
	}
	if fmt.Sprintf("%v %v", rows[3]["id"], rows[3]["_before"].(row)["id"]) != "1000 3" || rows[1]["_before"] != nil || rows[4]["id"] != nil {
		t.Errorf("%v, %v", rows[3], rows[1])
	}
	if diff := cmp.Diff(s.table(t, "t", "id"), fold(t, nil, r.changes("t"), "id")); diff != "" {
		t.Error(diff)
	}
	r.end(t)
	if len(r.Schemas) != 2 {
		t.Errorf("%d schemas", len(r.Schemas))
	}
}

func TestAReadThatDoesNotFollowEndsAtTheLogsEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key, v text)", "insert into t values (1, 'a')")
	config := Config{Mode: "cdc"}
	first := s.read(t, config, nil)
	s.exec(t, "insert into t values (2, 'b')", "insert into t select i, 'x' from generate_series(3, 20000) i")
	second := s.read(t, config, last(t, first))
	third := s.read(t, config, last(t, second))
	if first.Rows("t") != 1 || second.Rows("t") != 19999 || third.Rows("t") != 0 {
		t.Errorf("%d, %d, %d rows", first.Rows("t"), second.Rows("t"), third.Rows("t"))
	}
	for _, b := range second.Records("t") {
		if b.NumRows() == 0 {
			t.Error("an empty batch")
		}
	}
}

func (s *site) confirmed(t testing.TB) string {
	return one[string](t, s, "select confirmed_flush_lsn::text from pg_replication_slots where database = current_database()")
}

func positionLSN(t testing.TB, pos sdk.Position) string {
	t.Helper()
	_, text, _ := strings.Cut(string(pos), `"lsn":"`)
	text, _, _ = strings.Cut(text, `"`)
	return text
}

func TestOnlyAckMovesTheSlot(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key)", "insert into t values (1)")
	config := Config{Mode: "cdc", Heartbeat: sdk.Duration(50 * time.Millisecond)}
	r := s.follow(t, config, nil, nil)
	r.until(t, "t", 1)
	begin := s.confirmed(t)
	s.exec(t, "insert into t values (2)")
	r.until(t, "t", 2)
	first := r.at()
	s.exec(t, "insert into t values (3)")
	r.until(t, "t", 3)
	eventually(t, "the heartbeat moved the position", func() bool { return string(r.at()) != string(first) })
	if got := s.confirmed(t); got != begin {
		t.Fatalf("the slot moved from %s to %s", begin, got)
	}
	if err := r.source.Ack(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the slot moved to what was acknowledged", func() bool { return s.confirmed(t) == positionLSN(t, first) })
	r.end(t)
	if got := s.confirmed(t); got != positionLSN(t, first) {
		t.Fatalf("the slot moved to %s, acknowledged is %s", got, positionLSN(t, first))
	}
	late := r.at()
	if err := r.source.Ack(t.Context(), late); err != nil { // after the end of input
		t.Fatal(err)
	}
	if got := s.confirmed(t); got != positionLSN(t, late) {
		t.Errorf("the slot is at %s, acknowledged is %s", got, positionLSN(t, late))
	}
	again := s.follow(t, config, first, late) // the position that a runtime has can't be behind, but what if
	<-again.ended
	if again.err == nil || !strings.Contains(again.err.Error(), "changes are missing") {
		t.Errorf("got %v", again.err)
	}
	s.exec(t, "insert into t values (4)")
	again = s.follow(t, config, late, late)
	again.until(t, "t", 1)
}

// workload changes a table without a pause until it is ended: inserts, updates of long values, deletes, key changes.
func (s *site) workload(t testing.TB, tables ...string) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for worker := range 2 {
		conn := s.connect(t)
		group.Go(func() {
			pace := time.NewTicker(2 * time.Millisecond) // so that readers get their share of the machine
			defer pace.Stop()
			for i := 0; ctx.Err() == nil; i++ {
				<-pace.C
				tx, err := conn.Begin(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				for n, table := range tables {
					key := (i*7919+worker*104729+n*31)%2000 + 1
					statements := []string{
						fmt.Sprintf("update %s set n = n + 1 where id = %d", table, key),
						fmt.Sprintf("insert into %s values (%d, 1, repeat(md5('%d'), 200)) on conflict (id) do update set n = excluded.n + 1, long = excluded.long", table, key+1, i),
						fmt.Sprintf("delete from %s where id = %d", table, key+2),
						fmt.Sprintf("update %s set id = %d where id = %d and not exists (select from %[1]s where id = %[2]d)", table, (key+977)%2000+1, key+3),
					}
					_, err = tx.Exec(context.Background(), statements[(i+worker)%4])
					if err != nil {
						break
					}
				}
				if err == nil && i%11 != 0 {
					err = tx.Commit(context.Background())
				} else {
					_ = tx.Rollback(context.Background())
				}
				if err != nil && !strings.Contains(err.Error(), "40P01") && !strings.Contains(err.Error(), "23505") {
					t.Error(err)
					return
				}
			}
		})
	}
	return func() {
		cancel()
		group.Wait()
	}
}

// long makes a table with values that lie out of line.
func long(name string) []string {
	return []string{
		fmt.Sprintf("create table %s (id int primary key, n int, long text)", name), fmt.Sprintf("alter table %s alter long set storage external", name),
		fmt.Sprintf("insert into %s select i, 0, repeat(md5(i::text), 100) from generate_series(1, 2000) i", name),
	}
}

func TestHandOverUnderWriters(t *testing.T) {
	t.Parallel()
	s := newSite(t, append(long("a"), long("b")...)...)
	end := s.workload(t, "a", "b")
	r := s.follow(t, Config{Mode: "cdc", ChunkRows: 100, Tables: []string{"a", "b"}}, nil, nil)
	r.until(t, "a", 4000)
	end()
	s.same(t, r, nil, "a", "b")
	r.end(t)
}

// target is the end of the log. Something is written behind it, for a stream does not come to the very end of its own accord.
func (s *site) target(t testing.TB) string {
	t.Helper()
	end := one[string](t, s, "select pg_current_wal_insert_lsn()::text")
	s.exec(t, "select pg_logical_emit_message(true, 'test', 'behind')")
	return end
}

// same waits until all is read, and compares what came of it with the tables.
func (s *site) same(t testing.TB, r *running, before map[string]map[string]row, tables ...string) {
	t.Helper()
	target := s.target(t)
	eventually(t, "everything was read", func() bool {
		select {
		case <-r.ended:
			t.Fatalf("the read ended: %v", r.err)
		default:
		}
		return strings.Contains(string(r.at()), `"phase":"stream"`) && one[bool](t, s, "select $1::text::pg_lsn >= $2::text::pg_lsn", positionLSN(t, r.at()), target)
	})
	for _, table := range tables {
		got := fold(t, before[table], r.changes(table), "id")
		if diff := cmp.Diff(s.table(t, table, "id"), got); diff != "" {
			t.Errorf("table %s: (-database +emitted)\n%.3000s", table, diff)
		}
	}
}
