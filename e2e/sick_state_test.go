package e2e_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"
)

// lockState keeps the state database locked, as a runner that stands still in the middle of a transaction does, until release.
func (s *sick) lockState() (release func()) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Dir, ".qanat", "state.db")+"?_pragma=busy_timeout(20000)")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := conn.ExecContext(s.t.Context(), "begin immediate"); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		if _, err := conn.ExecContext(s.t.Context(), "rollback"); err != nil {
			s.t.Error(err)
		}
		_ = conn.Close()
	}
}

func TestRunsWaitForAStateDatabaseThatIsLocked(t *testing.T) {
	t.Parallel()
	s := newSick(t, 20_000, 6_000, long)
	running := s.Start("run", "rows")
	s.landing(running, 2)
	release := s.lockState()
	s.says(running, `waiting for the state database "`+filepath.Join(s.Dir, ".qanat/state.db"))
	waits(t, 2*time.Second)
	release()
	s.succeeds(running)
	s.check()
}

func TestRunsEndWhenTheStateDatabaseStaysLockedAndGoOnLater(t *testing.T) {
	t.Parallel()
	s := newSick(t, 20_000, 6_000, "patience: 1s\n")
	running := s.Start("run", "rows")
	s.landing(running, 2)
	release := s.lockState()
	s.fails(running, environment, "gave up after waiting for the state database", "locked")
	release()
	s.Must("run", "rows")
	s.check()
}
