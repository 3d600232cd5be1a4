package crash_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Who is struck.
const (
	killed  = "qanat"   // the runtime, killed at a point
	stopped = "stopped" // the runtime, stopped at a point and woken when another one had taken over
)

// book gathers what the tests of this package have done, for the report.
var book = &tally{
	struck: map[string]map[string]int{}, scenarios: map[string]map[string]int{}, passed: map[string]bool{}, began: time.Now(),
}

// tally counts strikes by victim and point. Safe for concurrent use.
type tally struct {
	mu        sync.Mutex
	began     time.Time
	runs      int
	ends      int                       // compared with an undisturbed run
	looks     int                       // at what was acknowledged
	struck    map[string]map[string]int // by victim and point
	scenarios map[string]map[string]int // strikes by scenario and victim
	passed    map[string]bool           // points
	rows      int64                     // in the ends that were compared
	repeats   int                       // rows that a sink without a mark has twice
}

func (b *tally) ran(passes map[string]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.runs++
	for point := range passes {
		b.passed[point] = true
	}
}

func (b *tally) strike(scenario, victim, point string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, count := range []struct {
		of       map[string]map[string]int
		row, col string
	}{{b.struck, victim, point}, {b.scenarios, scenario, victim}} {
		if count.of[count.row] == nil {
			count.of[count.row] = map[string]int{}
		}
		count.of[count.row][count.col]++
	}
}

func (b *tally) compared(e end) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ends++
	for _, r := range e.Rows {
		b.rows += r.Count
	}
}

func (b *tally) looked() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looks++
}

func (b *tally) repeated(rows int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.repeats += rows
}

// missed are the points that some run passed and at which the runtime never died.
func (b *tally) missed() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var missed []string
	for _, point := range slices.Sorted(maps.Keys(b.passed)) {
		if b.struck[killed][point] == 0 {
			missed = append(missed, point)
		}
	}
	return missed
}

func total(counts map[string]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}

// report is Markdown for ../README.md.
func (b *tally) report() string {
	missed := b.missed()
	b.mu.Lock()
	defer b.mu.Unlock()
	var out strings.Builder
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(&out, format+"\n", args...) }
	strikes := 0
	for _, points := range b.struck {
		strikes += total(points)
	}
	say("%d runs, %d strikes in %s; %d ends compared with an undisturbed run (%d rows in datasets and sinks), %d looks at what was acknowledged.\n",
		b.runs, strikes, time.Since(b.began).Round(time.Second), b.ends, b.rows, b.looks)
	victims := slices.Sorted(maps.Keys(b.struck))
	say("| scenario | %s |\n|---|%s", strings.Join(victims, " | "), strings.Repeat("--:|", len(victims)))
	for _, name := range slices.Sorted(maps.Keys(b.scenarios)) {
		line := "| " + name
		for _, victim := range victims {
			line += fmt.Sprintf(" | %d", b.scenarios[name][victim])
		}
		say("%s |", line)
	}
	line := "| **all**"
	for _, victim := range victims {
		line += fmt.Sprintf(" | **%d**", total(b.struck[victim]))
	}
	say("%s |\n", line)
	say("| point | the runtime killed | stopped, woken after a takeover | a plugin killed there |\n|---|--:|--:|--:|")
	for _, point := range slices.Sorted(maps.Keys(b.passed)) {
		plugins := 0
		for _, victim := range victims {
			if victim != killed && victim != stopped {
				plugins += b.struck[victim][point]
			}
		}
		say("| %s | %d | %d | %d |", point, b.struck[killed][point], b.struck[stopped][point], plugins)
	}
	say("\nPoints that were passed and at which the runtime did not die: %d %s", len(missed), strings.Join(missed, ", "))
	say("\nRows that the sink without a mark has written more than once, as it says: %d", b.repeats)
	return out.String()
}
