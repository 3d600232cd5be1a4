package crash_test

import (
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/qanat-data/qanat/e2e/rig"
)

// How many runs of a scenario have plugins killed in them, and at how many points of each.
const quickPluginRuns, slowPluginRuns, pluginKills = 1, 6, 3

// bereave kills plugin processes, which may die at any moment: here while the runtime stands at a named point. In every second run
// the runtime dies, too.
func (s scenario) bereave(t *testing.T, c calm) {
	runs := quickPluginRuns
	if slow() {
		runs = slowPluginRuns
	}
	d := newDraw(t, c)
	losses := map[string]int{}
	for _, plugin := range s.plugins {
		losses[plugin] = 0
	}
	for run := 0; run < runs && !t.Failed(); run++ {
		p := s.open(t, c.project)
		var stops []string
		for range pluginKills {
			stops = append(stops, d.next(d.first, false))
		}
		env := []string{"QANAT_STOP_AT=" + strings.Join(stops, ",")}
		end := ""
		if run%2 == 1 {
			end = d.next(d.first, false)
			env = append(env, "QANAT_KILL_AT="+end)
		}
		running, trace := p.start("", env...)
		for p.standing(running) {
			p.bereaved(running, stops, trace, losses)
		}
		switch l := p.end(running, trace); {
		case l.Code == -1 && end != "":
			point, _, _ := strings.Cut(end, ":")
			book.strike(s.name, killed, point)
		case l.Code != s.code:
			t.Fatalf("%s: exit %d after its plugins were killed at %v: %v\n%s\n%s", s.name, l.Code, stops, losses, l.Out, l.Err)
		}
		p.look()
		p.finish()
		p.check(c.left)
	}
	t.Logf("%s: plugins killed: %v", s.name, losses)
}

// bereaved kills the plugin that was killed least of those that live, and lets the runtime go on.
func (p *project) bereaved(running *rig.Running, stops []string, trace string, losses map[string]int) {
	p.t.Helper()
	living := running.Plugins()
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(living)), func(name string) bool {
		_, known := losses[name]
		return !known
	})
	if len(names) > 0 {
		name := slices.MinFunc(names, func(a, b string) int { return losses[a] - losses[b] })
		if err := syscall.Kill(living[name][0], syscall.SIGKILL); err != nil {
			p.t.Fatal(err)
		}
		losses[name]++
		book.strike(p.s.name, name, p.standsAt(stops, trace))
	}
	running.Signal(syscall.SIGCONT)
}

// standsAt is the last of the points that were chosen, by the trace.
func (p *project) standsAt(stops []string, trace string) string {
	p.t.Helper()
	at := "?"
	for _, point := range p.trail(trace) {
		if slices.ContainsFunc(stops, func(stop string) bool { return strings.HasPrefix(stop, point+":") }) {
			at = point
		}
	}
	return at
}

// poll is how often a process is looked at.
const poll = 2 * time.Millisecond

// standing waits until the process stands still or has ended, and says whether it stands.
func (p *project) standing(running *rig.Running) bool {
	p.t.Helper()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-running.Done():
			return false
		case <-tick.C:
			if rig.Stopped(running.PID()) {
				return true
			}
		}
	}
}
