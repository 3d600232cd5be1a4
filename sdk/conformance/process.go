package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance/strict"
)

// processChecks look at the life of the process, and back at what all processes of the run have said. session is the check that shows
// that the plugin can be used at all.
func processChecks(session string) []check {
	return []check{
		{id: "end.shutdown", promise: "It ends within two seconds when it is asked to.", run: (*suite).endShutdown},
		{id: "end.orphan", promise: "It ends by itself within five seconds when its host is killed.", run: (*suite).endOrphan},
		{id: "leak.goroutines", promise: "Sessions leave no goroutines, descriptors, threads or memory behind.", needs: []string{session}, run: (*suite).leakGoroutines},
		{id: "leak.buffers", promise: "Sessions release every Arrow buffer that they allocate.", needs: []string{session}, run: (*suite).leakBuffers},
		{id: "stdout.silent", promise: "It prints nothing to stdout, which belongs to the handshake.", run: (*suite).stdoutSilent},
		{id: "secrets.hidden", promise: "Secret settings show up in no output, log, error or answer.", run: (*suite).secretsHidden},
	}
}

// session uses the plugin once, briefly and in order.
func (s *suite) session(ctx context.Context, p *strict.Process, config json.RawMessage) error {
	switch s.Kind {
	case kindSource:
		return s.sourceSession(ctx, p, config)
	case kindTransform:
		return s.transformSession(ctx, p, config)
	case kindCheck:
		return s.judgeSession(ctx, p, config)
	}
	return s.sinkSession(ctx, p, config)
}

const (
	shutdownLimit = 2 * time.Second
	orphanLimit   = 5 * time.Second
	settlePause   = 200 * time.Millisecond
)

func (s *suite) endShutdown(ctx context.Context, t *trial) error {
	p, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := s.session(ctx, p, s.Config); err != nil {
		t.note("the session before it failed: %v", err)
	}
	took, err := p.Shutdown(s.limit(shutdownLimit))
	if err != nil {
		return seen("the end of the process within "+s.limit(shutdownLimit).String(), "%v", err)
	}
	t.note("ended after %v", took.Round(time.Millisecond))
	return nil
}

func (s *suite) endOrphan(ctx context.Context, t *trial) error {
	p, err := s.start(ctx, func(spec *strict.Spec) { spec.Orphan = true })
	if err != nil {
		return err
	}
	defer p.Close()
	begun := time.Now()
	if err := p.Bereave(); err != nil {
		return err
	}
	select {
	case <-p.Exited():
		t.note("ended %v after its parent", time.Since(begun).Round(100*time.Millisecond))
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(s.limit(orphanLimit)):
		return seen("the end of the process soon after that of its parent", "it runs on after %v, holding whatever it holds", s.limit(orphanLimit))
	}
}

// The sessions that two processes are given to compare them.
const (
	fewSessions  = 3
	manySessions = 13
	slowSessions = 43
)

func (s *suite) manySessions() int {
	if s.Slow {
		return slowSessions
	}
	return manySessions
}

// burden is what a process holds after some sessions.
type burden struct {
	usage      strict.Usage
	early      strict.Usage // after the first few
	goroutines map[string]int
}

func (b burden) total() int {
	n := 0
	for _, count := range b.goroutines {
		n += count
	}
	return n
}

// leakGoroutines compares two processes that differ in how many sessions they have had. Both end with SIGQUIT, on which a Go
// program lists its goroutines; of others only descriptors, threads and memory are compared.
func (s *suite) leakGoroutines(ctx context.Context, t *trial) error {
	few, err := s.burdened(ctx, fewSessions)
	if err != nil {
		return err
	}
	many, err := s.burdened(ctx, s.manySessions())
	if err != nil {
		return err
	}
	more := s.manySessions() - fewSessions
	what := fmt.Sprintf("as much after %d sessions as after %d", s.manySessions(), fewSessions)
	if few.total() == 0 {
		t.note("the process shows no goroutines when it is ended with SIGQUIT: only descriptors, threads and memory were compared")
	} else {
		t.note("%d goroutines after %d sessions, %d after %d", few.total(), fewSessions, many.total(), s.manySessions())
	}
	var grown []string
	for _, place := range slices.Sorted(maps.Keys(many.goroutines)) {
		if n := many.goroutines[place] - few.goroutines[place]; n >= more/2 {
			grown = append(grown, fmt.Sprintf("%d more goroutines created by %s", n, place))
		}
	}
	if len(grown) > 0 {
		return seen(what, "%s", strings.Join(grown, "\n"))
	}
	if n := many.usage.Files - few.usage.Files; n >= more/2 {
		return seen(what, "%d more open descriptors", n)
	}
	if n := many.usage.Threads - few.usage.Threads; n >= max(more, 10) {
		return seen(what, "%d more threads", n)
	}
	if n := many.usage.Resident - many.early.Resident; n > s.MemoryGrowth {
		return seen(what, "%s more memory than after session %d", mib(n), fewSessions)
	}
	return nil
}

// burdened gives a process sessions and looks at what it holds then.
func (s *suite) burdened(ctx context.Context, sessions int) (burden, error) {
	var b burden
	p, err := s.start(ctx)
	if err != nil {
		return b, err
	}
	defer p.Close()
	for i := range sessions {
		if err := s.session(ctx, p, s.Config); err != nil {
			return b, fmt.Errorf("session %d: %w", i+1, err)
		}
		if i+1 == fewSessions {
			b.early, _ = p.Usage()
		}
	}
	pause(ctx, settlePause)
	if b.usage, err = p.Usage(); err != nil {
		return b, alive(p, "its sessions")
	}
	b.goroutines = goroutines(p.Goroutines())
	return b, nil
}

var createdBy = regexp.MustCompile(`(?m)^created by (\S+?)(?: in goroutine \d+)?$`)

// goroutines counts a list of goroutines by the functions that created them.
func goroutines(list string) map[string]int {
	counts := map[string]int{}
	for block := range strings.SplitSeq(list, "\n\n") {
		block = strings.TrimLeft(block, "\n")
		if !strings.HasPrefix(block, "goroutine ") || strings.HasPrefix(block, "goroutine 0 ") {
			continue
		}
		place := "the runtime"
		if m := createdBy.FindStringSubmatch(block); m != nil {
			place = m[1]
		}
		counts[place]++
	}
	return counts
}

// unreleased is the SDK's count of what allocators still hold some time after a session, which it logs if it is asked to.
var unreleased = regexp.MustCompile(`"unreleased":(\d+)`)

func (s *suite) leakBuffers(ctx context.Context, t *trial) error {
	p, err := s.start(ctx, func(spec *strict.Spec) { spec.Env = append(spec.Env, sdk.CountBuffers+"=1") })
	if err != nil {
		return err
	}
	defer p.Close()
	const sessions = 4
	var counts []int
	for i := range sessions {
		if err := s.session(ctx, p, s.Config); err != nil {
			return fmt.Errorf("session %d: %w", i+1, err)
		}
		if counts, err = s.awaitCounts(ctx, p, len(counts)); err != nil {
			return err
		}
	}
	if len(counts) == 0 {
		return skip("memory may leak that Go's collector does not manage", "the plugin's SDK does not count buffers")
	}
	first, last := counts[0], counts[len(counts)-1]
	if last > first || last > 0 && first == last && len(counts) < sessions {
		return seen("no more bytes in Arrow buffers after the last session than after the first", "%v after the sessions", counts)
	}
	if last > 0 {
		t.note("%d bytes in Arrow buffers stay for the life of the process", last)
	}
	return nil
}

// awaitCounts waits until the SDK has logged one more count.
func (s *suite) awaitCounts(ctx context.Context, p *strict.Process, known int) ([]int, error) {
	deadline := time.Now().Add(s.limit(3 * time.Second))
	for {
		var counts []int
		for _, m := range unreleased.FindAllStringSubmatch(p.Logged(), -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				return nil, err
			}
			counts = append(counts, n)
		}
		if len(counts) > known || time.Now().After(deadline) || ctx.Err() != nil {
			return counts, context.Cause(ctx)
		}
		pause(ctx, 10*time.Millisecond)
	}
}

func (s *suite) stdoutSilent(_ context.Context, t *trial) error {
	for _, p := range s.processes {
		if text := p.Printed(); text != "" {
			return seen("nothing on stdout; logs go to stderr, best through Env.Log", "%.400q", text)
		}
	}
	t.note("looked at %d processes", len(s.processes))
	return nil
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
