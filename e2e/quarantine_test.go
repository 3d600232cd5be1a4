package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/e2e/rig"
)

// setAside is a project in which two flows wait for a decision, into two datasets and into files, and two have a third of their rows
// in quarantine.
type setAside struct {
	*rig.Project
	t *testing.T
}

// There are so many rows in each stream, of which the checks of the first definition set some aside.
const asideRows, asideBad = 3000, 1000

func newSetAside(t *testing.T) *setAside {
	t.Helper()
	s := &setAside{Project: rig.New(t, "quarantine"), t: t}
	if end := s.Run("run", "shop"); end.Code != 5 {
		t.Fatalf("exit %d, expected to be held\n%s", end.Code, end.Err)
	}
	return s
}

// again is a project that is just as far.
func (s *setAside) again(t *testing.T) *setAside {
	t.Helper()
	c := &setAside{Project: rig.New(t, "quarantine"), t: t}
	// Objects have extended attributes, which only cp knows how to copy. Copies of plugins are made anew where they are missing.
	const copying = `cd "$1" && find . -mindepth 1 -maxdepth 1 ! -name .qanat -exec cp -a {} "$2" \; && mkdir -m 700 "$2/.qanat" &&
		find .qanat -mindepth 1 -maxdepth 1 ! -name plugins -exec cp -a {} "$2/.qanat" \;`
	if out, err := exec.Command("sh", "-c", copying, "sh", s.Dir, c.Dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return c
}

// correct makes the rules pass what they set aside and held before.
func (s *setAside) correct() {
	s.t.Helper()
	path := filepath.Join(s.Dir, "shop.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	text = []byte(strings.NewReplacer("min: 5", "min: 0", "max: 1999", "max: 2999").Replace(string(text)))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// committing are the points on a unit's way that are tried on their last pass, too, when units before it are committed.
var committing = []string{"after-quarantine", "after-dataset", "after-sink-commit", "inside-ledger", "after-ledger", "before-purge"}

// traced runs a command to its end and returns the kill points that it passes, each with a pass.
func (s *setAside) traced(args ...string) []string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "trace")
	s.With("QANAT_KILL_TRACE=" + path).Must(args...)
	trace, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	passes := map[string]int{}
	var points []string
	for name := range strings.Lines(string(trace)) {
		name = strings.TrimSpace(name)
		if passes[name]++; passes[name] == 1 {
			points = append(points, name+":1")
		}
	}
	for name, n := range passes {
		if n > 1 && slices.Contains(committing, name) {
			points = append(points, fmt.Sprintf("%s:%d", name, n))
		}
	}
	slices.Sort(points)
	return points
}

// some are the points that are tried: all of them with QANAT_SLOW, otherwise every eighth.
func some(points []string) []string {
	if slow() {
		return points
	}
	var few []string
	for chunk := range slices.Chunk(points, 8) {
		few = append(few, chunk[len(chunk)/2])
	}
	return few
}

// killedAt runs a command that dies at a point.
func (s *setAside) killedAt(point string, args ...string) {
	s.t.Helper()
	if end := s.With("QANAT_KILL_AT=" + point).Run(args...); end.Code != -1 && end.Code != 0 {
		s.t.Fatalf("exit %d instead of being killed\n%s", end.Code, end.Err)
	}
}

// ids returns how many rows a dataset has, and how many different ids they have.
func (s *setAside) ids(dataset string) [2]int64 {
	s.t.Helper()
	row := s.Query("select count(*)::bigint as n, count(distinct id)::bigint as ids from " + dataset)[0]
	return [2]int64{int64(row["n"].(float64)), int64(row["ids"].(float64))}
}

// files counts the same in what a sink has written; nothing if it has not.
func (s *setAside) files(folder string) [2]int64 {
	s.t.Helper()
	pattern := filepath.Join(s.Dir, folder, "a", "*.csv")
	if found, err := filepath.Glob(pattern); err != nil || len(found) == 0 {
		return [2]int64{}
	}
	var counted [2]int64
	duck := openDuck(s.t)
	duck.ints(fmt.Sprintf("select count(*), count(distinct id) from read_csv('%s')", pattern), &counted[0], &counted[1])
	return counted
}

// settled is what ls says of a flow: rows, open and released.
func (s *setAside) settled(flow string) [3]int64 {
	s.t.Helper()
	var counts []struct{ Rows, Open, Released int64 }
	s.JSON(&counts, "quarantine", "ls", flow)
	var sum [3]int64
	for _, c := range counts {
		sum = [3]int64{sum[0] + c.Rows, sum[1] + c.Open, sum[2] + c.Released}
	}
	return sum
}

// A release may die anywhere; repeated, it leaves each row in the target once, and in quarantine as released.
func TestAKilledReleaseReleasesEachRowOnce(t *testing.T) {
	t.Parallel()
	master := newSetAside(t)
	master.correct()
	for _, flow := range []string{"shop.clean", "shop.files"} {
		release := []string{"quarantine", "release", flow, "--all"}
		points := master.again(t).traced(release...)
		t.Logf("%s: %d points", flow, len(points))
		for _, point := range some(points) {
			t.Run(flow+" "+point, func(t *testing.T) {
				t.Parallel()
				s := master.again(t)
				s.killedAt(point, release...)
				s.Must(release...)
				s.checkReleased(flow)
			})
		}
	}
}

func (s *setAside) checkReleased(flow string) {
	s.t.Helper()
	if diff := cmp.Diff([3]int64{asideBad, 0, asideBad}, s.settled(flow)); diff != "" {
		s.t.Error(diff)
	}
	have := func() [2]int64 { return s.files("files") }
	if flow == "shop.clean" {
		have = func() [2]int64 { return s.ids("processing.shop.clean") }
	}
	if diff := cmp.Diff([2]int64{asideRows, asideRows}, have()); diff != "" {
		s.t.Error(diff)
	}
	var st status
	s.JSON(&st, "status", "shop")
	stages := st.accounts()[flow]
	for i, stage := range stages {
		if i > 0 && stages[i-1].Out != stage.In {
			s.t.Errorf("%s took in %d rows, %s gave out %d", stage.Name, stage.In, stages[i-1].Name, stages[i-1].Out)
		}
	}
	if last := stages[len(stages)-1]; last.Out != asideRows || stages[0].In != asideRows+asideBad {
		s.t.Errorf("accounts: %+v", stages)
	}
}

// A decision may be cut short anywhere; until it is carried out none of the unit's rows are seen in any of its datasets, and then all
// of them. Repeated, or left to the next run, it comes to the same.
func TestAKilledPromotionShowsAllOrNothingAndComesToTheSame(t *testing.T) {
	t.Parallel()
	master := newSetAside(t)
	for _, flow := range []string{"shop.both", "shop.held"} {
		for _, choice := range []string{"", "--drop", "--again"} {
			promote := slices.DeleteFunc([]string{"promote", flow, choice}, func(arg string) bool { return arg == "" })
			points := master.again(t).traced(promote...)
			t.Logf("%s: %d points", promote, len(points))
			for i, point := range some(points) {
				t.Run(strings.Join(promote[1:], " ")+" "+point, func(t *testing.T) {
					t.Parallel()
					s := master.again(t)
					s.killedAt(point, promote...)
					s.checkWhole(flow)
					s.finish(i%2 == 0, promote)
					s.checkPromoted(flow, choice)
				})
			}
		}
	}
}

// checkWhole says whether either all of the unit's rows are seen or none.
func (s *setAside) checkWhole(flow string) {
	s.t.Helper()
	if flow != "shop.both" {
		if have := s.files("held"); have != [2]int64{} && have != [2]int64{asideRows, asideRows} {
			s.t.Errorf("files have %v", have)
		}
		return
	}
	a, b := s.ids("processing.shop.a"), s.ids("processing.shop.b")
	if a != b || (a != [2]int64{} && a != [2]int64{asideRows, asideRows}) {
		s.t.Errorf("a part of the unit is seen: %v and %v", a, b)
	}
}

// finish repeats the decision, or leaves it to the next run where it was put on record.
func (s *setAside) finish(repeat bool, promote []string) {
	s.t.Helper()
	if repeat {
		end := s.Run(promote...)
		if end.Code != 0 && (end.Code != 1 || !strings.Contains(end.Err, "holds no unit")) {
			s.t.Fatalf("exit %d\n%s", end.Code, end.Err)
		}
	}
	end := s.Run("run", "shop") // the other flow is held still
	if end.Code != 5 {
		s.t.Fatalf("exit %d\n%s", end.Code, end.Err)
	}
	if strings.Contains(end.Err, "qanat promote "+promote[1]+",") { // the kill came before the decision, or its input was held again
		s.Must(promote...)
	}
}

func (s *setAside) checkPromoted(flow, choice string) {
	s.t.Helper()
	if choice == "--again" { // what was read again is judged by the rules of then
		s.correct()
		s.Run("run", "shop")
		if s.held(flow) {
			s.Must("promote", flow, "--again")
			s.Run("run", "shop")
		}
	}
	want := [2]int64{asideRows, asideRows}
	if choice == "--drop" {
		want = [2]int64{}
	}
	have := [][2]int64{s.files("held")}
	if flow == "shop.both" {
		have = [][2]int64{s.ids("processing.shop.a"), s.ids("processing.shop.b")}
	}
	for _, rows := range have {
		if rows != want {
			s.t.Errorf("there are %v rows, expected %v", have, want)
		}
	}
}

func (s *setAside) held(flow string) bool {
	s.t.Helper()
	var report struct {
		Flows []struct {
			Flow string
			Held any
		}
	}
	s.JSON(&report, "status", "shop")
	i := slices.IndexFunc(report.Flows, func(f struct {
		Flow string
		Held any
	}) bool {
		return f.Flow == flow
	})
	return i >= 0 && report.Flows[i].Held != nil
}

// A release waits while a run has the flow, says so, and comes to its turn.
func TestAReleaseWaitsForTheRunnerOfItsFlow(t *testing.T) {
	t.Parallel()
	s := &setAside{Project: rig.New(t, "quarantine"), t: t}
	path := filepath.Join(s.Dir, "shop.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	endless := strings.NewReplacer("rows: 3000", "rows: 0", "rate: 0", "rate: 600", "min: 5", "min: 0", "max: 1999", "max: 99").Replace(string(text))
	if err := os.WriteFile(path, []byte(endless), 0o600); err != nil {
		t.Fatal(err)
	}
	running := s.Start("run", "shop")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the run has said:\n%s", running.Err())
		}
	})
	// Only then are the servers the run's: a command that came first would keep them up for as long as the run goes on.
	eventually(t, "the run has begun", func() bool { return strings.Contains(running.Err(), "shop.landing") })
	eventually(t, "rows are set aside", func() bool {
		select {
		case <-running.Done():
			t.Fatal("the run has ended")
		default:
		}
		end := s.Run("quarantine", "ls", "shop.clean")
		return end.Code == 0 && strings.Contains(end.Out, "shop.clean")
	})
	release := s.Start("quarantine", "release", "shop.clean", "--all")
	eventually(t, "the release waits", func() bool { return strings.Contains(release.Err(), "waiting: it is run by ") })
	select {
	case <-release.Done():
		t.Fatalf("the release did not wait: %v", release.Wait())
	default:
	}
	running.Signal(syscall.SIGINT)
	if end := running.Wait(); end.Code != 0 {
		t.Errorf("the run was disturbed: exit %d\n%s", end.Code, end.Err)
	}
	if end := release.Wait(); end.Code != 0 {
		t.Errorf("exit %d\n%s\n%s", end.Code, end.Out, end.Err)
	}
	if have := s.settled("shop.clean"); have[0] == 0 || have[1] != have[2] || have[0] != 2*have[1] { // by the same rule they were rejected again
		t.Errorf("rows, open and released: %v", have)
	}
}
