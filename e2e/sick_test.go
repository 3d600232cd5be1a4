package e2e_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/e2e/rig"
)

// Exit codes, as the command's help lists them.
const (
	failed      = 1
	environment = 3
)

// slow says whether the long variants are to run: make test-crash sets it.
func slow() bool { return os.Getenv("QANAT_SLOW") != "" }

// sick is a project whose surroundings fall ill: made-up rows land, pass a filter and end in a sink's files.
type sick struct {
	*rig.Project
	t    *testing.T
	rows int
}

// newSick readies a project of so many rows, read at a rate (0: at once), with blocks added to its project file.
func newSick(t *testing.T, rows, rate int, blocks ...string) *sick {
	t.Helper()
	s := &sick{Project: rig.New(t, "sick"), t: t, rows: rows}
	s.Limit = 2 * time.Minute
	s.Env = append(s.Env, fmt.Sprintf("SICK_ROWS=%d", rows), fmt.Sprintf("SICK_RATE=%d", rate))
	use(t, s.Project, strings.Join(blocks, ""), nil)
	return s
}

// rowsSeen is all that is left of the rows: counts and sums, in each dataset and in the files of the sink, and the accounts.
type rowsSeen struct {
	Landed, Clean, Sunk string
	Accounts            map[string][]account
}

func rowDigest(from string) string {
	return "select count(*) as n, count(distinct id) as ids, sum(id)::bigint as sum, sum(hash(id, ts, amount, region, name)::hugeint)::varchar as rows from " + from
}

// seen looks at everything, and that no file stands half written among the sink's.
func (s *sick) seen() rowsSeen {
	s.t.Helper()
	out := s.Must("query", "-o", "csv", rowDigest("landing.rows.events")+" union all "+rowDigest("processing.rows.events")+" order by n desc")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 {
		s.t.Fatalf("expected a heading and two lines:\n%s", out)
	}
	var st status
	s.JSON(&st, "status", "rows")
	return rowsSeen{
		Landed: lines[1], Clean: lines[2],
		Sunk: openDuck(s.t).line(rowDigest(fmt.Sprintf(
			"read_csv('%s', header = true, columns = {'id': 'BIGINT', 'ts': 'TIMESTAMPTZ', 'amount': 'DOUBLE', 'region': 'VARCHAR', 'name': 'VARCHAR'})",
			filepath.Join(s.Dir, "out/events/*.csv")))),
		Accounts: st.accounts(),
	}
}

// calmRuns are what undisturbed runs have left, by their number of rows.
var calmRuns sync.Map

type calmRun struct {
	once sync.Once
	seen rowsSeen
}

// calm is what an undisturbed run leaves.
func (s *sick) calm() rowsSeen {
	s.t.Helper()
	known, _ := calmRuns.LoadOrStore(s.rows, &calmRun{})
	run := known.(*calmRun)
	run.once.Do(func() {
		undisturbed := newSick(s.t, s.rows, 0)
		undisturbed.Must("run", "rows")
		run.seen = undisturbed.seen()
	})
	return run.seen
}

// check holds what is there against an undisturbed run, and against what the generator is known to make.
func (s *sick) check() {
	s.t.Helper()
	got := s.seen()
	if want := fmt.Sprintf("%d,%d,%d,", s.rows, s.rows, s.rows*(s.rows-1)/2); !strings.HasPrefix(got.Landed, want) {
		s.t.Errorf("landed (count, ids, sum of ids, digest): %s, expected %s…", got.Landed, want)
	}
	if diff := cmp.Diff(s.calm(), got); diff != "" {
		s.t.Errorf("what is left differs (- undisturbed, + here):\n%s", diff)
	}
}

// landing waits until a run that has been started has committed so many units of the landing flow.
func (s *sick) landing(running *rig.Running, units int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%d units have landed", units), func() bool {
		s.alive(running)
		return s.units("rows.landing") >= units
	})
}

// units are the committed units of a flow, as the ledger has them; 0 as long as there is none.
func (s *sick) units(flow string) int {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Dir, ".qanat", "state.db")+"?mode=ro&_pragma=busy_timeout(1000)")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var n int
	if err := db.QueryRowContext(s.t.Context(), "select coalesce(max(seq), 0) from qanat_ledger where flow = ?", flow).Scan(&n); err != nil {
		return 0
	}
	return n
}

// alive fails the test if the command has ended.
func (s *sick) alive(running *rig.Running) {
	s.t.Helper()
	select {
	case <-running.Done():
		end := running.Wait()
		s.t.Fatalf("it ended too early: exit %d\n%s\n%s", end.Code, end.Out, end.Err)
	default:
	}
}

// says waits until the command has said something on the way.
func (s *sick) says(running *rig.Running, text string) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("the command says %q", text), func() bool {
		if strings.Contains(running.Err(), text) {
			return true
		}
		s.alive(running)
		return false
	})
}

// succeeds waits for the end of a command that has to go well.
func (s *sick) succeeds(running *rig.Running) rig.Result {
	s.t.Helper()
	end := running.Wait()
	if end.Code != 0 {
		s.t.Fatalf("exit %d\n%s\n%s", end.Code, end.Out, end.Err)
	}
	s.t.Logf("it said:\n%s", end.Err)
	return end
}

// fails waits for the end of a command that has to end with a code and words of its error.
func (s *sick) fails(running *rig.Running, code int, words ...string) {
	s.t.Helper()
	end := running.Wait()
	if end.Code != code {
		s.t.Fatalf("exit %d, expected %d\n%s\n%s", end.Code, code, end.Out, end.Err)
	}
	s.t.Logf("it said:\n%s", end.Err)
	_, message, _ := strings.Cut(end.Err, "error: ")
	for _, word := range words {
		if !strings.Contains(message, word) {
			s.t.Errorf("the error does not say %q:\n%s", word, end.Err)
		}
	}
}

// waits pauses the test for as long as an outage has to last: there is nothing to see that could be waited for instead.
func waits(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal("interrupted while waiting")
	}
}
