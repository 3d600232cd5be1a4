package pgtest

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(Stopping(m)) }

func TestServerComesBackWithItsDataAfterStopAndCrash(t *testing.T) {
	t.Parallel()
	server := Own(t, "wal_sender_timeout=7s", "fsync=on")
	server.SQL(t, "postgres", "create table kept (n int); insert into kept values (1)")
	server.SQL(t, "postgres", "select pg_create_logical_replication_slot('s', 'pgoutput')")
	for _, end := range []func(){server.Stop, server.Crash} {
		end()
		server.Start(t)
		query := "select (select count(*) from kept), (select count(*) from pg_replication_slots), current_setting('wal_sender_timeout')"
		if got := server.SQL(t, "postgres", query); got != "1|1|7s\n" {
			t.Errorf("rows, slots and timeout are %q", got)
		}
	}
}

func TestDatabasesOfTestsAreApart(t *testing.T) {
	t.Parallel()
	server := Shared(t)
	for range 2 {
		server.Must(t, "psql", "postgres", "-X", "-d", server.Database(t), "-c", "create table mine (n int)")
	}
}

func TestServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	unlessShort(t)
	_, err := start([]string{"nonsense=on"})
	if err == nil || !strings.Contains(err.Error(), `unrecognized configuration parameter "nonsense"`) {
		t.Errorf("got %v, expected what the server has logged", err)
	}
}

func TestFilesOfAServerGoWithItsTest(t *testing.T) {
	t.Parallel()
	var dir string
	t.Run("owner", func(t *testing.T) { dir = Own(t).dir })
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, expected that it is not there", dir, err)
	}
}
