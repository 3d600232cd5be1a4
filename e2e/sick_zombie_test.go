package e2e_test

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/e2e/rig"
)

// remains are all that runners of the pipeline rows have left behind.
func (s *sick) remains(db *sql.DB) []string {
	s.t.Helper()
	var lines []string
	for _, query := range []string{
		`select table_namespace || '.' || table_name || ' ' || metadata_location from iceberg_tables where table_namespace like '%rows%' order by 1`,
		`select flow || ' ' || seq || ' ' || epoch || ' ' || unit from qanat_ledger where flow like 'rows.%' order by flow, seq`,
		`select flow || ' ' || epoch || ' ' || owner from qanat_owners where flow like 'rows.%' order by 1`,
	} {
		rows, err := db.QueryContext(s.t.Context(), query)
		if err != nil {
			s.t.Fatal(err)
		}
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				s.t.Fatal(err)
			}
			lines = append(lines, line)
		}
		if err := rows.Err(); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, pattern := range []string{"out/events/*.csv", "out/.qanat-sink/*/commits/*"} {
		files, err := filepath.Glob(filepath.Join(s.Dir, pattern))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				s.t.Fatal(err)
			}
			lines = append(lines, fmt.Sprintf("%s %x", file, sha256.Sum256(content)))
		}
	}
	return lines
}

// TestRunnersThatHangAnywhereAreZombiesOnceTheyWakeUp stops a runner at moments that a seed chooses, lets another one take over and
// end, and wakes the first one up: it must change nothing. Servers are embedded in a third process, or real ones.
func TestRunnersThatHangAnywhereAreZombiesOnceTheyWakeUp(t *testing.T) {
	t.Parallel()
	moments := 1
	if slow() {
		moments = 8
	}
	random := rand.New(rand.NewPCG(20260329, 7))
	for i := range moments {
		for _, servers := range []string{"embedded", "external"} {
			after := time.Duration(random.Int64N(int64(2500 * time.Millisecond)))
			t.Run(fmt.Sprintf("%s servers, moment %d", servers, i+1), func(t *testing.T) {
				t.Parallel()
				t.Logf("it is stopped %v after the first unit", after)
				zombie(t, servers == "external", after)
			})
		}
	}
}

func zombie(t *testing.T, external bool, after time.Duration) {
	t.Helper()
	s := newSick(t, 20_000, 5_000)
	if external {
		nats, store := rig.NATS(t), rig.MinIO(t)
		use(t, s.Project, nats.Block()+store.Objects(), append(nats.Env(), store.Env()...))
	}
	servers := s.Start("run", "alive")
	eventually(t, "the project is open", func() bool {
		s.alive(servers)
		return strings.Contains(servers.Err(), "alive.landing") && s.units("rows.landing") == 0
	})
	running := s.Start("run", "rows")
	s.landing(running, 1)
	waits(t, after)
	s.alive(running)
	db := s.state()
	freeze(t, running, db)
	stopped := s.remains(db)

	s.Must("run", "rows")
	s.check()
	before := s.remains(db)
	if cmp.Equal(stopped, before) {
		t.Fatal("nothing was left to do for the run that took over")
	}
	running.Signal(syscall.SIGCONT)
	s.fails(running, failed, "taken over")
	if diff := cmp.Diff(before, s.remains(db)); diff != "" {
		t.Errorf("the run that was woken up has changed something (- before, + after):\n%s", diff)
	}
	s.check()
	servers.Signal(syscall.SIGINT)
	s.succeeds(servers)
}
