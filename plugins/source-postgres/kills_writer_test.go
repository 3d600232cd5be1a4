package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The tables of a history, with their keys. Sums of n agree over acc, tel and hist at each commit. All have a key of one column.
var killTables = []string{"acc", "tel", "icu", "whole", "bin", "hist"}

// killSchema makes them, and the functions that change them. Values of long lie out of line.
const killSchema = `
create table acc (id int primary key, n int, long text); alter table acc alter long set storage external;
create table tel (id text collate "C" primary key, n int);
create table icu (id text collate "en-x-icu" primary key, n int);
create table whole (id int primary key, v text, long text); alter table whole replica identity full; alter table whole alter long set storage external;
create table bin (id int primary key, v text);
create table hist (id int generated always as identity primary key, n int);
insert into acc select i, 0, repeat(md5(i::text), 70) from generate_series(1, 400) i;
insert into tel select 't' || i, 0 from generate_series(0, 99) i;
insert into icu select 'k' || i, 0 from generate_series(1, 150) i;
insert into whole select i, 'v', repeat(md5(i::text), 70) from generate_series(1, 150) i;
insert into bin select i, 'b' from generate_series(1, 200) i;
create function transfer(k int, d int) returns void language plpgsql as $$ begin
  update acc set n = n + d where id = k;
  if found then update tel set n = n + d where id = 't' || (k % 10); insert into hist (n) values (d); end if; end $$;
create function remove(k int) returns void language plpgsql as $$ declare v int; begin
  delete from acc where id = k returning n into v;
  if found then update tel set n = n - v where id = 't0'; insert into hist (n) values (-v); end if; end $$;
create function big(k int) returns void language plpgsql as $$ begin
  insert into bin select i, repeat('x', 300) from generate_series(k, k + 300) i on conflict (id) do update set v = excluded.v; end $$;
`

// killSteps are the changes that a transaction is made of; %[1]d and %[2]d are keys.
var killSteps = []string{
	"select transfer(%[1]d, %[2]d)", "select transfer(%[1]d, -%[2]d)", "select transfer(%[1]d, 1)", "select remove(%[1]d)",
	"insert into acc values (%[1]d, 0, repeat(md5('%[2]d'), 70)) on conflict (id) do update set long = excluded.long",
	"update acc set id = %[2]d where id = %[1]d and not exists (select from acc where id = %[2]d)",
	"update acc set id = %[2]d, long = 'short' where id = %[1]d and not exists (select from acc where id = %[2]d)",
	"update tel set id = 't' || %[2]d where id = 't' || (10 + %[1]d %% 90) and %[2]d > 9 and not exists (select from tel where id = 't' || %[2]d)",
	"update icu set n = n + 1 where id = 'k' || %[1]d", "delete from icu where id = 'k' || %[1]d", "insert into icu values ('k' || %[1]d, 1) on conflict do nothing",
	"update icu set id = 'k' || %[2]d where id = 'k' || %[1]d and not exists (select from icu where id = 'k' || %[2]d)",
	"update whole set v = v || 'w' where id = %[1]d", "delete from whole where id = %[1]d", "insert into whole values (%[1]d, 'n', repeat(md5('%[2]d'), 70)) on conflict do nothing",
	"update whole set id = %[2]d where id = %[1]d and not exists (select from whole where id = %[2]d)",
	"insert into bin values (%[1]d, 'n') on conflict (id) do update set v = bin.v || 'n'", "delete from bin where id = %[1]d",
	"savepoint s; insert into bin values (%[1]d + 1000, 'gone') on conflict do nothing; update acc set long = 'gone' where id = %[1]d; rollback to s",
}

// rareSteps come once in a while.
var rareSteps = []string{"truncate bin", "select big(%[1]d)", "truncate bin; select big(%[1]d)", "truncate icu; insert into icu values ('k' || %[1]d, 7)"}

const killKeys = 420

// killStatements are those of a transaction.
func killStatements(random *rand.Rand) []string {
	var out []string
	for range 1 + random.IntN(4) {
		steps := killSteps
		if random.IntN(40) == 0 {
			steps = rareSteps
		}
		step := steps[random.IntN(len(steps))]
		if strings.Contains(step, "%[2]d") {
			step = fmt.Sprintf(step, 1+random.IntN(killKeys), 1+random.IntN(killKeys))
		} else if strings.Contains(step, "%[1]d") {
			step = fmt.Sprintf(step, 1+random.IntN(killKeys))
		}
		out = append(out, step)
	}
	return out
}

// writers change the tables until they are ended, whatever becomes of the server meanwhile.
func (s *site) writers(t *testing.T, seed uint64, pace time.Duration) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for worker := range uint64(2) {
		random := rand.New(rand.NewPCG(seed, worker))
		group.Go(func() {
			ticker := time.NewTicker(pace)
			defer ticker.Stop()
			var conn *pgx.Conn
			defer func() { shut(conn) }()
			for ctx.Err() == nil {
				<-ticker.C
				if conn == nil || conn.IsClosed() {
					conn, _ = pgx.Connect(ctx, s.dsn) // the server may be down
					continue
				}
				if err := write(conn, killStatements(random)); err != nil && !forgivable(err) {
					t.Errorf("a writer: %v", err)
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

func shut(conn *pgx.Conn) {
	if conn != nil {
		_ = conn.Close(context.Background())
	}
}

func write(conn *pgx.Conn, statements []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	sql := "begin; set local lock_timeout = '300ms'; " + strings.Join(statements, "; ") + "; commit"
	_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil && !conn.IsClosed() {
		_, _ = conn.PgConn().Exec(ctx, "rollback").ReadAll()
	}
	return err
}

// forgivable are errors of transactions that get into each other's way, or whose server went away.
func forgivable(err error) bool {
	p, said := errors.AsType[*pgconn.PgError](err)
	if !said {
		return true // the connection
	}
	switch p.Code {
	case "40P01", "23505", "55P03", "40001", "57P01", "57P02", "57P03":
		return true
	}
	return false
}
