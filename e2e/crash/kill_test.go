package crash_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// How many kills a scenario gets at least: in the quick part, and in the whole.
const quickKills, slowKills, mostRounds = 4, 20, 60

// calm is a run that nothing disturbs, and what it leaves.
type calm struct {
	*project
	passes map[string]int
	trail  []string
	left   end
}

// Any process may die at any named point, on any pass, several times in a row; what is there at the end is as if it had not.
func TestKilledRunsEndAsUndisturbedOnes(t *testing.T) {
	t.Parallel()
	undisturbed := map[string]calm{}
	var names []string
	for _, s := range scenarios() {
		undisturbed[s.name] = s.undisturbed(t)
		names = append(names, s.name)
	}
	duties := assign(names, undisturbed)
	for _, s := range scenarios() {
		c := undisturbed[s.name]
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.crash(t, c, duties[s.name])
		})
		t.Run(s.name+"-plugins", func(t *testing.T) {
			t.Parallel()
			s.bereave(t, c)
		})
	}
	t.Cleanup(func() {
		if missed := book.missed(); slow() && len(missed) > 0 && !t.Failed() {
			t.Errorf("points that were passed and at which nothing died: %v", missed)
		}
	})
}

// The plan says which sinks keep each row once, and which may repeat some.
func TestPlanSaysWhatEachSinkPromises(t *testing.T) {
	t.Parallel()
	p := find(t, "refused").open(t, nil)
	var planned struct {
		Flows []struct{ Name, Guarantee string }
	}
	p.JSON(&planned, "plan", "refused")
	got := map[string]string{}
	for _, f := range planned.Flows {
		got[f.Name] = f.Guarantee
	}
	want := map[string]string{"refused.landing": "exactly_once", "refused.plain": "at_least_once", "refused.marked": "exactly_once"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(- expected, + planned):\n%s", diff)
	}
}

func (s scenario) undisturbed(t *testing.T) calm {
	t.Helper()
	p := s.open(t, nil)
	l := p.finish()
	e, st := p.now()
	p.sound(e, st)
	if t.Failed() {
		t.Fatalf("%s: an undisturbed run is wrong already: %+v", s.name, e)
	}
	return calm{project: p, passes: l.passes, trail: l.trail, left: e}
}

// assign gives each point to one of the scenarios that pass it, so that together they die at all of them.
func assign(names []string, undisturbed map[string]calm) map[string][]string {
	owners := map[string][]string{}
	for _, name := range names {
		for point := range undisturbed[name].passes {
			owners[point] = append(owners[point], name)
		}
	}
	duties := map[string][]string{}
	for i, point := range slices.Sorted(maps.Keys(owners)) {
		name := owners[point][i%len(owners[point])]
		duties[name] = append(duties[name], point)
	}
	return duties
}

func (s scenario) crash(t *testing.T, c calm, duties []string) {
	d := newDraw(t, c)
	d.duties = duties
	enough := quickKills
	if slow() {
		enough = slowKills
		for _, r := range s.recipes {
			s.cook(t, r, c)
		}
	}
	kills := 0
	for round := 0; round < mostRounds && !t.Failed() && (kills < enough || slow() && d.due()); round++ {
		p := s.open(t, c.project)
		died := d.round(p)
		p.finish()
		p.check(c.left)
		t.Logf("%s: died at %v", s.name, died)
		kills += len(died)
	}
}

// cook follows a recipe.
func (s scenario) cook(t *testing.T, r recipe, c calm) {
	t.Helper()
	p := s.open(t, c.project)
	for _, step := range r.steps {
		if !p.die(step) {
			if r.maybe {
				break
			}
			t.Fatalf("%s, %s: it ended before it came to %s", s.name, r.name, step.at)
		}
	}
	p.finish()
	p.check(c.left, r.unknown...)
	t.Logf("%s: %s", s.name, r.name)
}

// draw chooses where to die next: where it was done least, and what is due first.
type draw struct {
	random *rand.Rand
	tries  map[string]int
	hits   map[string]int
	first  map[string]int // passes of an undisturbed run
	later  map[string]int // most passes of a run that took over
	duties []string
}

func newDraw(t *testing.T, c calm) *draw {
	t.Helper()
	return &draw{random: dice(t), tries: map[string]int{}, hits: map[string]int{}, first: c.passes, later: map[string]int{}}
}

// due says whether there is a point at which it is this scenario's to die, and at which it has not died yet.
func (d *draw) due() bool {
	return slices.ContainsFunc(d.duties, func(point string) bool { return d.hits[point] == 0 })
}

// most runs may die in a row before the one that goes on to the end.
const most = 4

// round lets runs of a fresh project die, one after the other, and returns where they did.
func (d *draw) round(p *project) []string {
	p.t.Helper()
	var where []string
	for range 1 + d.random.IntN(most) {
		again, from := len(where) > 0, d.first
		if again && len(d.later) > 0 {
			from = d.later
		}
		at := d.next(from, again)
		l, died := p.dies(step{at: at})
		if again {
			for point, passes := range l.passes {
				d.later[point] = max(d.later[point], passes)
			}
		}
		if !died {
			break
		}
		where = append(where, at)
		point, _, _ := strings.Cut(at, ":")
		d.hits[point]++
	}
	return where
}

func (d *draw) next(from map[string]int, again bool) string {
	points := slices.Sorted(maps.Keys(from))
	d.random.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	point := slices.MinFunc(points, func(a, b string) int { return d.rank(a, again) - d.rank(b, again) })
	d.tries[point]++
	passes := from[point]
	if again || d.tries[point] > 1 { // less is left to do, or it had come to its end before
		passes = (passes + 1) / 2
	}
	return fmt.Sprintf("%s:%d", point, 1+d.random.IntN(passes))
}

// rank is low where it is time to die. What is due is sure to be met only by the first run of a project.
func (d *draw) rank(point string, again bool) int {
	rank := d.tries[point] + 3*d.hits[point]
	if !again && d.hits[point] == 0 && slices.Contains(d.duties, point) {
		rank -= mostRounds
	}
	return rank
}
