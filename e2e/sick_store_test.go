package e2e_test

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/qanat-data/qanat/e2e/rig"
)

// What the scenarios of a sick object store have in common: a run of a few seconds, and a request that is given up soon.
const (
	storeRows, storeRate = 20_000, 8_000
	storeTimeout         = "  timeout: 2s\n"
	short                = "patience: 3s\n"
	long                 = "patience: 1m\n"
)

// throughMinIO is a sick project on MinIO, by a way that the test can spoil.
func throughMinIO(t *testing.T, server *rig.MinIOServer, address, patience string) *sick {
	t.Helper()
	return newSick(t, storeRows, storeRate, server.ObjectsAt(address)+storeTimeout+patience)
}

// illness is what a way to a server does, and what a run says of it on the way; nothing if it only gets slower.
type illness struct {
	poison rig.Poison
	says   string
}

// TestRunsWaitForAnObjectStoreThatIsIll lets the store be ill for a while in the middle of a run, in each way that it can be.
func TestRunsWaitForAnObjectStoreThatIsIll(t *testing.T) {
	t.Parallel()
	outage := 4 * time.Second
	illnesses := map[string]illness{
		"it hangs":                      {rig.Poison{Kind: "timeout", Attributes: map[string]int64{"timeout": 0}}, "no answer"},
		"it resets connections":         {rig.Poison{Kind: "reset_peer", Attributes: map[string]int64{"timeout": 0}}, "the object store at"},
		"it cuts answers off":           {rig.Poison{Kind: "limit_data", Attributes: map[string]int64{"bytes": 700}}, "the object store at"},
		"it cuts uploads off":           {rig.Poison{Kind: "limit_data", Upstream: true, Attributes: map[string]int64{"bytes": 3000}}, "the object store at"},
		"there is hardly any bandwidth": {rig.Poison{Kind: "bandwidth", Upstream: true, Attributes: map[string]int64{"rate": 40}}, ""},
	}
	if slow() {
		outage = 20 * time.Second
		illnesses["it hangs before it is asked"] = illness{rig.Poison{Kind: "timeout", Upstream: true, Attributes: map[string]int64{"timeout": 0}}, "no answer"}
		illnesses["it is slow to answer"] = illness{rig.Poison{Kind: "latency", Attributes: map[string]int64{"latency": 1500}}, ""}
	}
	for name, illness := range illnesses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := rig.MinIO(t)
			way := rig.NewToxic(t, server.Endpoint)
			s := throughMinIO(t, server, way.Address(), long)
			s.Env = append(s.Env, server.Env()...)
			running := s.Start("run", "rows")
			s.landing(running, 2)
			way.Poison(illness.poison)
			if illness.says != "" {
				s.says(running, illness.says)
			}
			waits(t, outage)
			way.Heal()
			s.succeeds(running)
			if illness.says != "" && !strings.Contains(running.Err(), "waiting for the object store at "+way.Address()) {
				t.Errorf("it did not say what it waited for:\n%s", running.Err())
			}
			s.check()
		})
	}
}

func TestRunsOutliveAnObjectStoreThatIsOverloaded(t *testing.T) {
	t.Parallel()
	server := rig.MinIO(t)
	way := rig.NewFaulty(t, server.Endpoint)
	s := throughMinIO(t, server, way.Address(), long)
	s.Env = append(s.Env, server.Env()...)
	running := s.Start("run", "rows")
	s.landing(running, 1)
	random := rand.New(rand.NewPCG(1, 2))
	way.Judge(func(*http.Request) int { // a share of all requests
		if random.IntN(100) < 15 {
			return http.StatusServiceUnavailable
		}
		return 0
	})
	s.landing(running, 3)
	way.Judge(func(*http.Request) int { return http.StatusServiceUnavailable }) // all of them, for a while
	s.says(running, "503 Service Unavailable")
	s.says(running, "waiting for the object store at "+way.Address())
	waits(t, 3*time.Second)
	way.Judge(nil)
	s.succeeds(running)
	if way.Faults() < 10 {
		t.Errorf("only %d requests failed: too few to say anything", way.Faults())
	}
	s.check()
}

// TestRunsEndWhenAnObjectStoreIsIllForTooLong is the same with less patience than the illness lasts.
func TestRunsEndWhenAnObjectStoreIsIllForTooLong(t *testing.T) {
	t.Parallel()
	ills := map[string]int{"gone": 0, "overloaded": http.StatusServiceUnavailable}
	if slow() {
		ills["broken"] = http.StatusInternalServerError
	}
	for name, status := range ills {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := rig.MinIO(t)
			cut := rig.NewToxic(t, server.Endpoint)
			way := rig.NewFaulty(t, cut.Address())
			address := way.Address()
			if status == 0 {
				address = cut.Address()
			}
			s := throughMinIO(t, server, address, short)
			s.Env = append(s.Env, server.Env()...)
			running := s.Start("run", "rows")
			s.landing(running, 2)
			if status == 0 {
				cut.Cut()
			} else {
				way.Judge(func(*http.Request) int { return status })
			}
			words := []string{"gave up after waiting", "the object store at " + address}
			if status != 0 {
				words = append(words, "reduce your request rate")
			}
			s.fails(running, environment, words...)
			if status == 0 {
				s.fails(s.Start("run", "rows"), environment, address) // nor does another one begin
				cut.Mend()
			}
			way.Judge(nil)
			s.Must("run", "rows")
			s.check()
		})
	}
}

func TestWrongKeysOfAnObjectStoreAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	server := rig.MinIO(t)
	s := throughMinIO(t, server, server.Endpoint, long)
	s.Env = append(s.Env, "S3_ACCESS_KEY="+server.AccessKey, "S3_SECRET_KEY=wrong")
	s.fails(s.Start("run", "rows"), environment, "object store at "+server.Endpoint)
}

func TestATerminalShowsWhatARunWaitsFor(t *testing.T) {
	t.Parallel()
	server := rig.MinIO(t)
	way := rig.NewToxic(t, server.Endpoint)
	s := throughMinIO(t, server, way.Address(), long)
	s.Env = append(s.Env, server.Env()...)
	screen := rig.NewTerminal(t, 80)
	running := s.On(screen, "run", "rows")
	s.landing(running, 1)
	way.Cut()
	// A line that is longer than the terminal is cut off, so what is waited for comes early in it.
	eventually(t, "the terminal shows what is waited for", func() bool {
		s.alive(running)
		return strings.Contains(screen.Shown(), "waiting for the object store at "+way.Address())
	})
	way.Mend()
	s.succeeds(running)
	if shown := screen.Shown(); strings.LastIndex(shown, "waiting for") > strings.LastIndex(shown, "done") {
		t.Errorf("the terminal shows at last:\n%s", shown)
	}
}
