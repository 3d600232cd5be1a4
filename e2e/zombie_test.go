package e2e_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite" // the driver

	"github.com/qanat-data/qanat/e2e/rig"
)

// left is all that runners of the pipeline air have left behind.
type left struct {
	Heads  []string // of the tables, visible or not
	Ledger []string // rows
	Owners []string // who owns a flow, and by which epoch
	Files  []string // of the sinks, with digests
}

// state opens the state database beside the processes that use it.
func (f *flights) state() *sql.DB {
	f.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(f.Dir, ".qanat", "state.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = db.Close() })
	return db
}

func (f *flights) left(db *sql.DB) left {
	f.t.Helper()
	query := func(text string) []string {
		rows, err := db.QueryContext(f.t.Context(), text)
		if err != nil {
			f.t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		var lines []string
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				f.t.Fatal(err)
			}
			lines = append(lines, line)
		}
		if err := rows.Err(); err != nil {
			f.t.Fatal(err)
		}
		return lines
	}
	return left{
		Heads: query(`select table_namespace || '.' || table_name || ' ' || metadata_location from iceberg_tables
			where table_namespace like '%.air' order by 1`),
		Ledger: query(`select flow || ' ' || seq || ' ' || epoch || ' ' || unit from qanat_ledger where flow like 'air.%' order by 1`),
		Owners: query(`select flow || ' ' || epoch || ' ' || owner from qanat_owners where flow like 'air.%' order by 1`),
		Files:  f.sunk(),
	}
}

// sunk are the files that sinks have written, less what they keep for themselves.
func (f *flights) sunk() []string {
	f.t.Helper()
	var files []string
	err := filepath.WalkDir(filepath.Join(f.Dir, "out"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.Contains(path, "/.qanat-sink/") && !strings.Contains(path, "/commits/") {
			return err
		}
		content, err := os.ReadFile(path)
		files = append(files, fmt.Sprintf("%s %x", path, sha256.Sum256(content)))
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return files
}

// freeze stops a process where it does not hold the state database: nobody could write as long as it did.
func (f *flights) freeze(running *rig.Running, db *sql.DB) {
	f.t.Helper()
	free := func() bool { return writable(f.t.Context(), db) }
	eventually(f.t, "the process is stopped outside of a transaction", func() bool {
		running.Signal(syscall.SIGSTOP)
		eventually(f.t, "all of the process's threads stand still", func() bool { return rig.Stopped(running.PID()) })
		if free() {
			return true
		}
		running.Signal(syscall.SIGCONT)
		eventually(f.t, "the transaction has come to its end", free)
		return false
	})
}

// writable says whether somebody else could write the state database now.
func writable(ctx context.Context, db *sql.DB) bool {
	conn, err := db.Conn(ctx)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	for _, statement := range []string{"pragma busy_timeout = 500", "begin immediate", "rollback"} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return false
		}
	}
	return true
}

func TestRunnerThatWasStoppedTakenOverAndWokenUpCommitsNothing(t *testing.T) {
	t.Parallel()
	f := newFlights(t, someFlights(t, 600_000))
	servers := f.Start("run", "alive")
	eventually(t, "the servers are up and the first rows have landed", func() bool {
		return strings.Contains(servers.Err(), "alive.landing") && f.Run("status").Code == 0
	})
	db := f.state()

	zombie := f.Start("run", "air", "--env", "kills")
	eventually(t, "two units have been written by the sink", func() bool {
		select {
		case <-zombie.Done():
			t.Fatalf("it ended before it could be stopped\n%s", zombie.Err())
		default:
		}
		archived, err := filepath.Glob(filepath.Join(f.Dir, "out/archive/flights/*.parquet"))
		return err == nil && len(archived) >= 2
	})
	f.freeze(zombie, db)
	stopped := f.left(db)

	taker := f.Run("run", "air", "--env", "kills")
	if taker.Code != 0 {
		t.Fatalf("the run that takes over: exit %d\n%s\n%s", taker.Code, taker.Out, taker.Err)
	}
	f.check()
	before := f.left(db)
	if cmp.Equal(stopped, before) {
		t.Fatal("nothing was left to do for the run that took over")
	}

	zombie.Signal(syscall.SIGCONT)
	end := zombie.Wait()
	t.Logf("the run that was woken up ended with %d and\n%s", end.Code, end.Err)
	if end.Code != 1 || !strings.Contains(end.Err, "taken over") {
		t.Errorf("the run that was woken up: exit %d, expected 1 and words on having been taken over\n%s\n%s", end.Code, end.Out, end.Err)
	}
	if diff := cmp.Diff(before, f.left(db)); diff != "" {
		t.Errorf("the run that was woken up has changed something (- before, + after):\n%s", diff)
	}
	f.check()

	servers.Signal(syscall.SIGINT)
	if end := servers.Wait(); end.Code != 0 {
		t.Errorf("the run that kept the servers up: exit %d\n%s", end.Code, end.Err)
	}
}
