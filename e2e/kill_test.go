package e2e_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/qanat-data/qanat/e2e/rig"
)

// runtime is the victim that is the qanat process itself; the others are names of plugin binaries.
const runtime = "qanat"

// killer runs pipelines that are killed again and again.
type killer struct {
	t      *testing.T
	random *rand.Rand
	run    []string      // the command
	spread time.Duration // about how long a round should take, from its first kill to its last
	kills  map[string]int
}

func newKiller(t *testing.T, spread time.Duration, run ...string) *killer {
	t.Helper()
	seed := uint64(20010101)
	if text := os.Getenv("QANAT_KILL_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("QANAT_KILL_SEED: %v", err)
		}
	}
	t.Logf("QANAT_KILL_SEED=%d, kills spread over %v", seed, spread.Round(time.Millisecond))
	return &killer{
		t: t, random: rand.New(rand.NewPCG(seed, 0)),
		spread: spread, run: run, kills: map[string]int{},
	}
}

func (k *killer) total() int {
	sum := 0
	for _, n := range k.kills {
		sum += n
	}
	return sum
}

// round runs the pipeline to its end, killing the victims in their order on the way, and returns those it outran.
func (k *killer) round(f *flights, victims []string) (left []string) {
	k.t.Helper()
	started, running := time.Now(), f.Start(k.run...)
	step := 2 * int64(k.spread) / int64(len(victims))
	for len(victims) > 0 && k.strike(running, victims[0], time.Duration(k.random.Int64N(step))) {
		k.kills[victims[0]]++
		if victims[0] == runtime {
			k.died(running)
			running = f.Start(k.run...)
		}
		victims = victims[1:]
	}
	end := running.Wait()
	if end.Code != 0 {
		k.t.Fatalf("exit %d after %v\n%s\n%s", end.Code, k.kills, end.Out, end.Err)
	}
	k.t.Logf("a round ended after %v, %d kills by now, outran %v", time.Since(started).Round(time.Millisecond), k.total(), victims)
	return victims
}

// strike waits for a while and then kills the victim; false if the command ended before.
func (k *killer) strike(running *rig.Running, victim string, after time.Duration) bool {
	k.t.Helper()
	select {
	case <-running.Done():
		return false
	case <-time.After(after):
	}
	if victim == runtime {
		return k.kill(running.PID())
	}
	killed := false
	eventually(k.t, "a "+victim+" process lives, or the command ends", func() bool {
		select {
		case <-running.Done():
			return true
		default:
		}
		// Lines on the flows come when the pipeline has been planned: what runs before is not part of the run yet.
		pids := running.Plugins()[victim]
		if len(pids) > 0 && strings.Contains(running.Err(), "air.landing") {
			killed = k.kill(pids[k.random.IntN(len(pids))])
		}
		return killed
	})
	return killed
}

func (k *killer) kill(pid int) bool { return syscall.Kill(pid, syscall.SIGKILL) == nil }

// died waits for the end of a runtime that was killed, which takes its plugins along.
func (k *killer) died(running *rig.Running) {
	k.t.Helper()
	plugins := running.Plugins()
	if end := running.Wait(); end.Code != -1 && end.Code != 0 { // it may have ended by itself at that moment
		k.t.Fatalf("exit %d instead of being killed\n%s", end.Code, end.Err)
	}
	for name, pids := range plugins {
		for _, pid := range pids {
			eventually(k.t, fmt.Sprintf("%s ends with its runtime", name), func() bool { return rig.Gone(pid) })
		}
	}
}

// everything that can be killed, the runtime more often.
var victims = []string{
	runtime, "source-file", "transform-fields", runtime, "transform-sql", "check-schema", runtime, "sink-file",
}

func TestKilledRunsEndAsUndisturbedOnes(t *testing.T) {
	t.Parallel()
	file := someFlights(t, 600_000)
	calm := newFlights(t, file)
	started := time.Now()
	calm.Must("run", "air", "--env", "kills")
	k := newKiller(t, time.Since(started)/2, "run", "air", "--env", "kills")
	calm.check()

	const enough, rounds = 24, 12
	var left []string
	for range rounds {
		next := slices.Clone(victims)
		k.random.Shuffle(len(next), func(i, j int) { next[i], next[j] = next[j], next[i] })
		f := newFlights(t, file)
		left = k.round(f, append(left, next...)[:len(victims)])
		f.check()
		if t.Failed() || k.total() >= enough {
			break
		}
	}
	t.Logf("kills: %v", k.kills)
	if k.total() < enough || len(k.kills) < len(slices.Compact(slices.Sorted(slices.Values(victims)))) {
		t.Errorf("too few kills to say anything: %v", maps.All(k.kills))
	}
}

func TestAllFlightsEndAsUndisturbedOnesWhenKilledOnTheWay(t *testing.T) {
	t.Parallel()
	f := allFlights(t)
	k := newKiller(t, 20*time.Second, "run", "air")
	k.round(f, []string{"source-file", "check-schema", runtime, "transform-sql", "sink-file", runtime})
	f.check()
	if t.Logf("kills: %v", k.kills); k.total() < 4 {
		t.Errorf("too few kills to say anything: %v", k.kills)
	}
}
