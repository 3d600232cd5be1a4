package e2e_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/qanat-data/qanat/e2e/rig"
)

// A clock that is set back makes everything that was written before look as if it came from the future. The tests have it the other
// way round, which is the same for a process that looks at it: they move what is written into the future.
const ahead = 26 * time.Hour

// moveTables moves the tables' last changes into the future, as their current metadata tells them.
func (s *sick) moveTables(db *sql.DB) {
	s.t.Helper()
	rows, err := db.QueryContext(s.t.Context(), "select metadata_location from iceberg_tables")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	moved := 0
	for rows.Next() {
		var location string
		if err := rows.Scan(&location); err != nil {
			s.t.Fatal(err)
		}
		s.moveTable(filepath.Join(s.Dir, ".qanat/objects/buckets", location[len("s3://"):]))
		moved++
	}
	if err := rows.Err(); err != nil || moved == 0 {
		s.t.Fatalf("%d tables were moved, %v", moved, err)
	}
}

// moveTable writes in place: the embedded store keeps attributes at the file.
func (s *sick) moveTable(path string) {
	s.t.Helper()
	packed, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	decoder, err := zstd.NewReader(bytes.NewReader(packed))
	if err != nil {
		s.t.Fatal(err)
	}
	defer decoder.Close()
	numbers := json.NewDecoder(decoder)
	numbers.UseNumber()
	var document any
	if err := numbers.Decode(&document); err != nil {
		s.t.Fatal(err)
	}
	moveTimes(document)
	text, err := json.Marshal(document)
	if err != nil {
		s.t.Fatal(err)
	}
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, encoder.EncodeAll(text, nil), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// moveTimes moves every time of a document.
func moveTimes(value any) {
	switch v := value.(type) {
	case []any:
		for _, each := range v {
			moveTimes(each)
		}
	case map[string]any:
		for key, each := range v {
			if number, ok := each.(json.Number); ok && (key == "last-updated-ms" || key == "timestamp-ms") {
				at, err := number.Int64()
				if err == nil {
					v[key] = json.Number(fmt.Sprint(at + ahead.Milliseconds()))
				}
				continue
			}
			moveTimes(each)
		}
	}
}

// moveState moves the signs of life of all owners, and the times of the ledger.
func (s *sick) moveState(db *sql.DB) {
	s.t.Helper()
	for _, statement := range []string{
		"update qanat_owners set heartbeat = heartbeat + ?", "update qanat_ledger set committed_at = committed_at + ?",
	} {
		if _, err := db.ExecContext(s.t.Context(), statement, ahead.Microseconds()); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *sick) state() *sql.DB {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Dir, ".qanat", "state.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestAClockThatIsSetBackInTheMiddleOfARunDisturbsNothing(t *testing.T) {
	t.Parallel()
	s := newSick(t, 20_000, 6_000)
	running := s.Start("run", "rows")
	s.landing(running, 3)
	db := s.state()
	freeze(t, running, db)
	s.moveTables(db)
	s.moveState(db)
	running.Signal(syscall.SIGCONT)
	s.succeeds(running)
	s.check()
	s.Must("run", "rows") // and the next one begins as ever
	s.check()
}

func TestAnOwnerWhoseSignsOfLifeComeFromTheFutureIsNotWaitedForWithoutEnd(t *testing.T) {
	t.Parallel()
	s := newSick(t, 20_000, 6_000)
	running := s.Start("run", "rows")
	s.landing(running, 2)
	running.Signal(syscall.SIGKILL)
	running.Wait()
	db := s.state()
	s.moveTables(db)
	s.moveState(db)
	// Of a runner on this machine is known that it is gone, of one elsewhere only what it says.
	if _, err := db.ExecContext(t.Context(), "update qanat_owners set owner = 'elsewhere/1/x-1-y'"); err != nil {
		t.Fatal(err)
	}
	again := s.Start("run", "rows")
	s.says(again, "waiting: it is run by elsewhere/1/")
	s.succeeds(again)
	s.check()
}

// freeze stops a process where it does not hold the state database: nobody could write as long as it did.
func freeze(t *testing.T, running *rig.Running, db *sql.DB) {
	t.Helper()
	free := func() bool { return writable(t.Context(), db) }
	eventually(t, "the process is stopped outside of a transaction", func() bool {
		running.Signal(syscall.SIGSTOP)
		eventually(t, "all of the process's threads stand still", func() bool { return rig.Stopped(running.PID()) })
		if free() {
			return true
		}
		running.Signal(syscall.SIGCONT)
		eventually(t, "the transaction has come to its end", free)
		return false
	})
}
