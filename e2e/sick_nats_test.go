package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/qanat-data/qanat/e2e/rig"
)

const natsRows, natsRate = 20_000, 6_000

func onNATS(t *testing.T, server *rig.NATSServer, address, patience string) *sick {
	t.Helper()
	s := newSick(t, natsRows, natsRate, server.BlockAt("nats://"+address), patience)
	s.Env = append(s.Env, server.Env()...)
	return s
}

// TestRunsGoOnWhenNATSComesBack takes the server away for a while in the middle of a run, in each way that it can go.
func TestRunsGoOnWhenNATSComesBack(t *testing.T) {
	t.Parallel()
	outage := 4 * time.Second
	if slow() {
		outage = 40 * time.Second
	}
	for name, ill := range map[string]func(*testing.T, *rig.NATSServer, *rig.Toxic) (heal func()){
		"it is restarted": func(t *testing.T, server *rig.NATSServer, _ *rig.Toxic) func() {
			server.Stop()
			return func() { server.Start(t) }
		},
		"it has lost its files": func(t *testing.T, server *rig.NATSServer, _ *rig.Toxic) func() {
			server.Stop()
			server.Empty(t)
			return func() { server.Start(t) }
		},
		"its JetStream was off for a while": func(t *testing.T, server *rig.NATSServer, _ *rig.Toxic) func() {
			server.Stop()
			server.JetStream(false, 0)
			server.Start(t)
			return func() {
				server.Stop()
				server.JetStream(true, 0)
				server.Start(t)
			}
		},
		"the way to it is cut": func(_ *testing.T, _ *rig.NATSServer, way *rig.Toxic) func() {
			way.Cut()
			return way.Mend
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := rig.NATS(t)
			way := rig.NewToxic(t, server.Address())
			s := onNATS(t, server, way.Address(), long)
			running := s.Start("run", "rows")
			s.landing(running, 2)
			heal := ill(t, server, way)
			s.says(running, "waiting for NATS at nats://"+way.Address())
			waits(t, outage)
			heal()
			s.succeeds(running)
			s.check()
		})
	}
}

// TestRunsEndWhenNATSIsAwayForTooLong is the same with less patience than the outage lasts.
func TestRunsEndWhenNATSIsAwayForTooLong(t *testing.T) {
	t.Parallel()
	server := rig.NATS(t)
	way := rig.NewToxic(t, server.Address())
	s := onNATS(t, server, way.Address(), short)
	running := s.Start("run", "rows")
	s.landing(running, 2)
	way.Cut()
	s.fails(running, environment, "gave up after waiting", "NATS at nats://"+way.Address())
	s.fails(s.Start("run", "rows"), environment, "nats://"+way.Address())
	way.Mend()
	s.Must("run", "rows")
	s.check()
}

func TestANATSServerThatTakesEverythingAndNeverAnswersIsNotWaitedForWithoutEnd(t *testing.T) {
	t.Parallel()
	server := rig.NATS(t)
	way := rig.NewToxic(t, server.Address())
	s := onNATS(t, server, way.Address(), short)
	running := s.Start("run", "rows")
	s.landing(running, 2)
	way.Poison(rig.Poison{Kind: "timeout", Upstream: true, Attributes: map[string]int64{"timeout": 0}})
	s.fails(running, environment, "gave up after waiting", "NATS at nats://"+way.Address())
	way.Heal()
	s.Must("run", "rows")
	s.check()
}

func TestANATSServerWithoutJetStreamOrRoomIsRefusedInPlainWords(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]struct {
		on   bool
		most int64
		says string
	}{
		"without JetStream": {false, 0, "jetstream not enabled"}, "without room": {true, 1 << 20, "insufficient storage"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := rig.NATS(t)
			server.Stop()
			server.JetStream(of.on, of.most)
			server.Start(t)
			s := onNATS(t, server, server.Address(), "patience: 1s\n")
			running := s.Start("run", "rows")
			s.fails(running, environment, server.Address(), of.says)
			server.Stop()
			server.JetStream(true, 0)
			server.Start(t)
			s.Must("run", "rows")
			if strings.Contains(running.Err(), "panic") {
				t.Errorf("it panicked:\n%s", running.Err())
			}
			s.check()
		})
	}
}
