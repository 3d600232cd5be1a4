package crash_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/e2e/rig"
)

// zombies are pipelines of one flow, so that a process stands at a point with all that it does. Another definition cuts their units
// elsewhere: what a zombie slips in does not pass for the taker's own.
func zombies() []scenario {
	return []scenario{
		{name: "ashore", made: 3003, acked: "acked"},
		{name: "outward", sinks: map[string]sink{"outward.export": {folder: "out/outward"}}},
	}
}

// keyedZombies are pipelines of one flow that writes several datasets with a key in each unit.
func keyedZombies() []scenario {
	ready := func(p *project) { p.Must("run", "banked") }
	return []scenario{
		{name: "posted", final: "final", follows: following("processing.posted.", false), agree: "posted.fold", ready: ready},
		{name: "aged", final: "final", follows: following("processing.aged.", true), ready: ready},
	}
}

// unfenced is where a runner that takes over has the flow and its log, but has not come to fence datasets and sinks: what a zombie had
// begun to commit there may still get in, and is for the taker to find. Its log and its ledger are closed.
const unfenced = "after-takeover-frame:1"

// halfFenced is where it has fenced some of the datasets, and others not yet.
const halfFenced = "after-fence:2"

// Where the runner that takes over stands when the zombie wakes up; the last of them is its end.
var wakings = []string{unfenced, "after-prepare:1", "before-commit:1", "before-dataset:1", "before-sink-commit:1", "after-ledger:1", ""}

// keyedWakings are those for flows whose rows have a key.
var keyedWakings = []string{unfenced, halfFenced, "after-prepare:1", "before-changes:2", "after-changes:1", "after-ledger:1", ""}

// A runner may be stopped at any named point, be taken over, and be woken up: from then on it changes nothing.
func TestRunnersThatWereTakenOverChangeNothing(t *testing.T) {
	t.Parallel()
	all := zombies()
	if slow() { // the quick part has TestZombieThatCommitsRowsWithAKeyChangesNothing
		all = append(all, keyedZombies()...)
	}
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.haunt(t)
		})
	}
}

// unhaunted are points where a runner is no zombie: it does not own the flow yet, or it stands in a transaction and keeps all out.
var unhaunted = []string{"before-log", "after-log", "before-epoch", "inside-ledger"}

// quickZombies is how many there are in the quick part; the whole has one for each point.
const quickZombies = 2

func (s scenario) haunt(t *testing.T) {
	if s.made == 0 && s.ready == nil { // it reads what another pipeline has landed
		s.ready = func(p *project) { p.Must("run", "ashore") }
	}
	c := s.undisturbed(t)
	for _, point := range unhaunted {
		delete(c.passes, point)
	}
	d := newDraw(t, c)
	count := quickZombies
	if slow() {
		count = len(c.passes)
	}
	for n := range count {
		if t.Failed() {
			return
		}
		wake := wakings[n%len(wakings)]
		if s.final != "" {
			wake = keyedWakings[n%len(keyedWakings)]
		}
		s.wake(t, c, d.next(c.passes, false), wake)
	}
}

// wake haunts a project, or another one if the runner is stopped while it holds the state database: then it keeps all others out.
func (s scenario) wake(t *testing.T, c calm, at, wake string) {
	t.Helper()
	const tries = 5
	for range tries {
		if s.wakeIn(t, s.open(t, c.project), c, at, wake) {
			return
		}
	}
	t.Errorf("%s: at %s it held the state database %d times", s.name, at, tries)
}

// TestZombieBetweenCheckAndCommitIsFencedByTheDataset is the moment for which datasets are fenced: the owner has been asked, and the
// snapshot is not there yet.
func TestZombieBetweenCheckAndCommitIsFencedByTheDataset(t *testing.T) {
	t.Parallel()
	s := zombies()[0]
	c := s.undisturbed(t)
	for _, point := range []string{"after-owner-check", "before-snapshot"} {
		s.wake(t, c, fmt.Sprintf("%s:%d", point, c.passesUntil("after-upload:1", point)+1), "before-dataset:1")
		s.wake(t, c, fmt.Sprintf("%s:%d", point, c.passesUntil("after-quarantine-upload:1", point)+1), "before-quarantine:1")
	}
}

// The runner that took over has made the dataset that the one before it was about to make.
func TestZombieThatIsToMakeADatasetIsFencedByIt(t *testing.T) {
	t.Parallel()
	s := zombies()[0]
	s.wake(t, s.undisturbed(t), "before-create:1", "before-dataset:1")
}

// passesUntil counts the passes of a point before a pass of another: fences of new datasets are snapshots, too.
func (c calm) passesUntil(end, point string) int {
	name, pass, _ := strings.Cut(end, ":")
	passes, ends := 0, 0
	for _, passed := range c.trail {
		if passed == name {
			ends++
		}
		if fmt.Sprint(ends) == pass {
			break
		}
		if passed == point {
			passes++
		}
	}
	return passes
}

// wakeIn stops a runner at a point, has it taken over by another one, wakes it up while that stands at a point of its own, and lets
// that go on to the end. It returns false if the runner can't be taken over there.
func (s scenario) wakeIn(t *testing.T, p *project, c calm, at, wake string) bool {
	t.Helper()
	servers := p.serve()
	db := p.state()
	defer func() { _ = db.Close() }()
	zombie, trace := p.start("", "QANAT_STOP_AT="+at)
	if !p.standing(zombie) {
		t.Fatalf("%s: it ended before it came to %s: exit %d\n%s", s.name, at, zombie.Wait().Code, zombie.Err())
	}
	if !p.age(db) {
		zombie.Signal(syscall.SIGCONT)
		p.end(zombie, trace)
		p.retire(servers)
		return false
	}
	point, _, _ := strings.Cut(at, ":")
	var env []string
	if wake != "" {
		env = []string{"QANAT_STOP_AT=" + wake}
	}
	taker, takerTrace := p.start("other", env...)
	stands := p.standing(taker)
	before := p.left(db)
	zombie.Signal(syscall.SIGCONT)
	end := p.end(zombie, trace)
	after := p.left(db).of(before)
	if wake == unfenced || wake == halfFenced {
		after.Heads, after.Files = before.Heads, before.Files
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("%s: the runner that was stopped at %s and woken at %s of another has changed something (- before, + after):\n%s\n%s",
			s.name, at, wake, diff, end.Err)
	}
	if toldSo := strings.Contains(end.Err, "taken over") || strings.Contains(end.Err, "fenced"); end.Code != 0 && (end.Code != 1 || !toldSo) {
		t.Errorf("%s: the runner that was stopped at %s and woken at %s of another: exit %d, expected 1 and words on having been taken over\n%s",
			s.name, at, wake, end.Code, end.Err)
	}
	if stands {
		taker.Signal(syscall.SIGCONT)
	}
	if l := p.end(taker, takerTrace); l.Code != 0 {
		t.Errorf("%s: the runner that took over at %s and stood at %s: exit %d\n%s\n%s", s.name, at, wake, l.Code, l.Out, l.Err)
	}
	book.strike(s.name, stopped, point)
	t.Logf("%s: stopped at %s, woken at %q: exit %d", s.name, at, wake, end.Code)
	p.look()
	p.check(c.left)
	p.retire(servers)
	return true
}

func (p *project) retire(servers *rig.Running) {
	p.t.Helper()
	servers.Signal(syscall.SIGINT)
	if l := servers.Wait(); l.Code != 0 {
		p.t.Errorf("the run that kept the servers up: exit %d\n%s", l.Code, l.Err)
	}
}

// serve runs the project's servers in a process of their own.
func (p *project) serve() *rig.Running {
	p.t.Helper()
	servers := p.Start("run", "alive")
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for p.epoch("alive.landing") == 0 {
		select {
		case <-servers.Done():
			p.t.Fatalf("the run that is to keep the servers up has ended\n%s", servers.Err())
		case <-tick.C:
		}
	}
	return servers
}

// epoch is the epoch of a flow, 0 if nobody has run it or there is no state database yet.
func (p *project) epoch(flow string) int64 {
	if _, err := os.Stat(filepath.Join(p.Dir, ".qanat", "state.db")); err != nil {
		return 0
	}
	db := p.state()
	defer func() { _ = db.Close() }()
	var epoch int64
	_ = db.QueryRowContext(context.Background(), "select epoch from qanat_owners where flow = ?", flow).Scan(&epoch) // none yet
	return epoch
}

// age makes the owner's last sign of life old, and the owner one of another machine, of whom nothing else is known: others need not
// wait to see that it is silent. It returns false if the state database can't be written.
func (p *project) age(db *sql.DB) bool {
	p.t.Helper()
	_, err := db.ExecContext(context.Background(),
		"update qanat_owners set heartbeat = 1, owner = 'elsewhere/1/1' where owner <> '' and flow like ? || '.%'", p.s.name)
	if err != nil && strings.Contains(err.Error(), "SQLITE_BUSY") {
		return false
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return true
}

// left is all that runners of the pipeline have left behind.
type left struct {
	Heads  []string // of the tables, visible or not
	Ledger []string // rows
	Owners []string // who owns a flow, and by which epoch
	Files  []string // of the sinks, with digests
}

// of leaves out tables that are not in another state: a runner that was about to make an empty one may do so. That it is empty shows
// at the end.
func (l left) of(before left) left {
	known := map[string]bool{}
	for _, head := range before.Heads {
		name, _, _ := strings.Cut(head, " ")
		known[name] = true
	}
	var heads []string
	for _, head := range l.Heads {
		if name, _, _ := strings.Cut(head, " "); known[name] {
			heads = append(heads, head)
		}
	}
	l.Heads = heads
	return l
}

func (p *project) left(db *sql.DB) left {
	p.t.Helper()
	query := func(text string, args ...any) []string {
		rows, err := db.QueryContext(context.Background(), text, args...)
		if err != nil {
			p.t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		var lines []string
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				p.t.Fatal(err)
			}
			lines = append(lines, line)
		}
		if err := rows.Err(); err != nil {
			p.t.Fatal(err)
		}
		return lines
	}
	l := left{
		Heads: query(`select table_namespace || '.' || table_name || ' ' || metadata_location from iceberg_tables
			where table_namespace like '%.' || ? order by 1`, p.s.name),
		Ledger: query(`select flow || ' ' || seq || ' ' || epoch || ' ' || unit from qanat_ledger where flow like ? || '.%' order by 1`, p.s.name),
		Owners: query(`select flow || ' ' || epoch || ' ' || owner from qanat_owners where flow like ? || '.%' order by 1`, p.s.name),
	}
	for _, flow := range slices.Sorted(maps.Keys(p.s.sinks)) {
		l.Files = append(l.Files, p.files(p.s.sinks[flow].folder)...)
	}
	return l
}

// files are a sink's files and its commits, with digests.
func (p *project) files(folder string) []string {
	p.t.Helper()
	var files []string
	err := filepath.WalkDir(filepath.Join(p.Dir, folder), func(path string, entry fs.DirEntry, err error) error {
		if os.IsNotExist(err) { // nothing was written yet
			return nil
		}
		if err != nil || entry.IsDir() || strings.Contains(path, "/.qanat-sink/") && !strings.Contains(path, "/commits/") {
			return err
		}
		content, err := os.ReadFile(path)
		files = append(files, fmt.Sprintf("%s %x", path, sha256.Sum256(content)))
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return files
}
