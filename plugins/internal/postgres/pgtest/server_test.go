package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(Stopping(m)) }

func TestServerComesBackWithItsDataAfterStopAndCrash(t *testing.T) {
	t.Parallel()
	server := Own(t, "wal_sender_timeout=7s", "fsync=on")
	dsn := server.Database(t)
	run(t, dsn, "create table kept (n int); insert into kept values (1)")
	run(t, dsn, "select pg_create_logical_replication_slot('s', 'pgoutput')")
	for _, end := range []func(){server.Stop, server.Crash} {
		end()
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		var rows, slots int
		var timeout string
		query := "select (select count(*) from kept), (select count(*) from pg_replication_slots), current_setting('wal_sender_timeout')"
		if err := conn.QueryRow(t.Context(), query).Scan(&rows, &slots, &timeout); err != nil || rows != 1 || slots != 1 || timeout != "7s" {
			t.Errorf("%d rows, %d slots, timeout %s, error %v", rows, slots, timeout, err)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestDatabasesOfTestsAreApart(t *testing.T) {
	t.Parallel()
	server := Shared(t)
	for range 2 {
		run(t, server.Database(t), "create table mine (n int)")
	}
}

func run(t *testing.T, dsn, statements string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.PgConn().Exec(t.Context(), statements).ReadAll(); err != nil {
		t.Fatal(err)
	}
}
