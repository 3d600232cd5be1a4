package replica_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
)

func TestStartNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	c := s.replica(t)
	system, err := c.IdentifySystem(t.Context())
	if err != nil || system.SystemID == "" || system.Timeline != 1 || system.WAL == 0 || "s_"+system.Database != s.name {
		t.Fatal(system, err)
	}
	_, err = c.Start(t.Context(), s.settings(0))
	wantKind(t, err, replica.SlotMissing)
	wantKind(t, replica.DropSlot(t.Context(), s.sql, s.name), replica.SlotMissing)
	if _, err := c.CreateSlot(t.Context(), s.name); err != nil {
		t.Fatal(err)
	}
	_, err = c.CreateSlot(t.Context(), s.name)
	wantKind(t, err, replica.SlotExists)
	_, err = c.Start(t.Context(), s.settings(0))
	wantKind(t, err, replica.PublicationMissing)
	s.exec(t, "create publication p")
	other := s.settings(0)
	other.Expect = replica.Identity{SystemID: "1"}
	_, err = c.Start(t.Context(), other)
	wantKind(t, err, replica.OtherSystem)
	other.Expect = replica.Identity{SystemID: system.SystemID, Timeline: 2}
	_, err = c.Start(t.Context(), other)
	wantKind(t, err, replica.OtherTimeline)
	other.Expect.Timeline = 1
	shut(t, start(t, c, other)) // the connection stayed in order all along
	if err := replica.DropSlot(t.Context(), s.sql, s.name); err != nil {
		t.Error(err)
	}
}

func TestASlotOfAnotherKindIsRefused(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	s, elsewhere := newSite(t, server), newSite(t, server)
	s.exec(t, "create publication p", fmt.Sprintf("select pg_create_logical_replication_slot('%s', 'test_decoding')", s.name))
	_, err := s.replica(t).Start(t.Context(), s.settings(0))
	wantKind(t, err, replica.SlotForeign)
	elsewhere.published(t)
	_, err = s.replica(t).Start(t.Context(), elsewhere.settings(0))
	wantKind(t, err, replica.SlotForeign)
}

func TestASlotInUseNamesItsProcess(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.published(t)
	first := s.stream(t, 0)
	eventually(t, "the slot was in use", func() bool { return s.slot(t).ActivePID != 0 })
	c := s.replica(t)
	_, err := c.Start(t.Context(), s.settings(0))
	e := wantKind(t, err, replica.SlotInUse)
	if e.PID != s.slot(t).ActivePID || e.Slot != s.name || !e.Kind.Retryable() {
		t.Errorf("%+v, and the slot is used by %d", e, s.slot(t).ActivePID)
	}
	e = wantKind(t, replica.DropSlot(t.Context(), s.sql, s.name), replica.SlotInUse)
	if e.PID != s.slot(t).ActivePID {
		t.Errorf("%+v, and the slot is used by %d", e, s.slot(t).ActivePID)
	}
	shut(t, first)
	shut(t, start(t, c, s.settings(0))) // at once: Close waits until the slot is free
}

func TestARoleWithoutReplicationIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	role := s.name + "_role"
	s.exec(t, fmt.Sprintf("create role %s login password 'x'", role))
	for password, kind := range map[string]replica.Kind{"x": replica.NoPermission, "wrong": replica.Unauthenticated} {
		u, err := url.Parse(s.dsn)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(role, password)
		config, err := pgx.ParseConfig(u.String())
		if err != nil {
			t.Fatal(err)
		}
		_, err = replica.Connect(t.Context(), config)
		wantKind(t, err, kind)
	}
}

func TestNobodyAnswersIsRetryable(t *testing.T) {
	t.Parallel()
	config, err := pgx.ParseConfig("postgres://a:b@127.0.0.1:1/x?connect_timeout=5")
	if err != nil {
		t.Fatal(err)
	}
	_, err = replica.Connect(t.Context(), config)
	if e := wantKind(t, err, replica.ConnectionLost); !e.Kind.Retryable() || strings.Contains(e.Error(), ":b@") {
		t.Error(e)
	}
}

func TestWALLevelTooLowIsNamed(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Own(t, "wal_level=replica"))
	_, err := s.replica(t).CreateSlot(t.Context(), s.name)
	wantKind(t, err, replica.WALLevelTooLow)
}

func TestALostSlotEndsTheStreamAndIsNamed(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Own(t, "max_slot_wal_keep_size=1MB", "min_wal_size=32MB", "max_wal_size=32MB"))
	s.published(t)
	if found := s.slot(t); found.Invalidated() || found.WALStatus != "reserved" || found.SafeWAL < 0 {
		t.Errorf("%+v, want a slot in good order", found)
	}
	f := follow(t, s.stream(t, 0))
	eventually(t, "the slot was lost", func() bool {
		s.exec(t, "insert into t select coalesce(max(id), 0) + 1, repeat('x', 1000) from t", "select pg_switch_wal()", "checkpoint")
		return s.slot(t).Invalidated()
	})
	err := f.until(t, func(replica.Frame) bool { return false })
	wantKind(t, err, replica.ShuttingDown) // the server ends the session; why, the next start says
	_, err = s.replica(t).Start(t.Context(), s.settings(0))
	if e := wantKind(t, err, replica.SlotLost); e.Kind.Retryable() {
		t.Error("a lost slot does not come back")
	}
	if found := s.slot(t); found.RestartLSN != 0 || found.Retained != 0 {
		t.Errorf("%+v, want no log retained", found)
	}
}

func TestAPublicationDroppedUnderTheStreamIsNamed(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.published(t)
	f := follow(t, s.stream(t, 0))
	s.exec(t, "insert into t values (1, 'a')")
	f.changes(t, 1)
	s.exec(t, "drop publication p", "insert into t values (2, 'b')")
	wantKind(t, f.until(t, func(replica.Frame) bool { return false }), replica.PublicationMissing)
}

func TestRestartsOfTheServer(t *testing.T) {
	t.Parallel()
	server := pgtest.Own(t)
	t.Run("it is not held up by changes in flight", func(t *testing.T) { shutdownWithChangesInFlight(t, server) })
	t.Run("it shuts down in order when all is quiet", func(t *testing.T) { quietShutdown(t, server) })
	t.Run("after a crash it sends again what was not confirmed", func(t *testing.T) { crash(t, server) })
}

func shutdownWithChangesInFlight(t *testing.T, server *pgtest.Server) {
	s := newSite(t, server)
	s.published(t)
	f := follow(t, s.stream(t, 0))
	s.exec(t, "insert into t values (1, 'a')")
	f.changes(t, 1)
	if err := f.stream.Confirm(f.last.End); err != nil {
		t.Fatal(err)
	}
	confirmed := f.last.End
	s.exec(t, "insert into t values (2, 'b')")
	f.changes(t, 2)
	stopped := make(chan struct{})
	go func() { defer close(stopped); server.Stop() }()
	err := f.until(t, func(replica.Frame) bool { return false })
	if e := wantKind(t, err, replica.ShuttingDown); !e.Kind.Retryable() {
		t.Error("a server that shuts down comes back")
	}
	shut(t, f.stream)
	<-stopped
	config, _ := pgx.ParseConfig(s.dsn)
	_, err = replica.Connect(t.Context(), config)
	wantKind(t, err, replica.ConnectionLost)
	server.Start(t)
	again := follow(t, s.stream(t, confirmed))
	again.changes(t, 1)
	if again.lines[0] != "I 2,b" {
		t.Errorf("got %v after the restart, want what was in flight", again.lines)
	}
}

func quietShutdown(t *testing.T, server *pgtest.Server) {
	s := newSite(t, server)
	s.published(t)
	f := follow(t, s.stream(t, 0))
	s.signOfLife(t, f)
	stopped := make(chan struct{})
	go func() { defer close(stopped); server.Stop() }()
	err := f.until(t, func(frame replica.Frame) bool {
		if frame.Data == nil {
			if err := f.stream.Confirm(frame.End); err != nil {
				t.Error(err)
			}
		}
		return false
	})
	wantKind(t, err, replica.ShuttingDown)
	<-stopped // before the stream is closed: everything is confirmed
	server.Start(t)
	s.connect(t)
	confirmed := f.stream.Lag().Confirmed
	if got := s.slot(t).ConfirmedFlush; got > confirmed { // it may be less: what came last was not written down
		t.Errorf("the slot stands at %s, confirmed was %s", got, confirmed)
	}
	s.exec(t, "insert into t values (1, 'a')")
	again := follow(t, s.stream(t, confirmed))
	again.changes(t, 1)
}

func crash(t *testing.T, server *pgtest.Server) {
	s := newSite(t, server)
	s.published(t)
	f := follow(t, s.stream(t, 0))
	s.exec(t, "insert into t values (1, 'a')")
	f.changes(t, 1)
	first := f.last.End
	if err := f.stream.Confirm(first); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the confirmed position reached the slot", func() bool { return s.slot(t).ConfirmedFlush == first })
	s.exec(t, "insert into t values (2, 'b')")
	f.changes(t, 2)
	server.Crash()
	if err := f.until(t, func(replica.Frame) bool { return false }); !replica.KindOf(err).Retryable() {
		t.Error(err)
	}
	server.Start(t)
	again := follow(t, s.stream(t, first))
	again.changes(t, 1)
	if again.lines[0] != "I 2,b" {
		t.Errorf("got %v after the crash, want what was not confirmed", again.lines)
	}
}

func TestACutConnectionIsLost(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.published(t)
	proxy, dsn := pgtest.Through(t, s.dsn)
	f := follow(t, start(t, dial(t, dsn), s.settings(0)))
	s.exec(t, "insert into t values (1, 'a')")
	f.changes(t, 1)
	proxy.Cut()
	wantKind(t, f.until(t, func(replica.Frame) bool { return false }), replica.ConnectionLost)
	_, err := f.stream.Receive(t.Context())
	wantKind(t, err, replica.ConnectionLost)
}

func TestASilentServerIsGivenUp(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.published(t)
	proxy, dsn := pgtest.Through(t, s.dsn)
	settings := s.settings(0)
	settings.StatusEvery, settings.DeadAfter = 50*time.Millisecond, 300*time.Millisecond
	f := follow(t, start(t, dial(t, dsn), settings))
	proxy.Hold()
	err := f.until(t, func(replica.Frame) bool { return false })
	if e := wantKind(t, err, replica.ConnectionLost); !strings.Contains(e.Error(), "silent") {
		t.Error(e)
	}
}

func TestAQuietServerThatAnswersIsNotGivenUp(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.published(t)
	settings := s.settings(0)
	settings.StatusEvery, settings.DeadAfter = 100*time.Millisecond, 20*time.Second
	f := follow(t, start(t, s.replica(t), settings))
	asked := 0
	if err := f.until(t, func(frame replica.Frame) bool {
		if frame.Data == nil {
			asked++
		}
		return asked == 5
	}); err != nil {
		t.Fatal(err)
	}
}

// The server ends sessions that don't answer, and a consumer that waits does not read what it asks.
func TestAStreamOutlivesAConsumerThatWaits(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.published(t)
	f := follow(t, start(t, dial(t, s.dsn+"?wal_sender_timeout=1s"), s.settings(0)))
	s.exec(t, "insert into t select i, repeat('x', 1000) from generate_series(1, 20000) i")
	if err := f.until(t, func(frame replica.Frame) bool { return frame.Data != nil }); err != nil {
		t.Fatal(err)
	}
	waited, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	<-waited.Done()
	f.changes(t, 20000)
}

func TestReceiveEndsWithItsContextAndGoesOn(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.published(t)
	f := follow(t, s.stream(t, 0))
	var end pgoutput.LSN
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		for ctx.Err() == nil {
			frame, err := f.stream.Receive(ctx)
			if err != nil && (ctx.Err() == nil || replica.KindOf(err) != "") {
				t.Fatal(err)
			}
			end = max(end, frame.End)
		}
		cancel()
	}
	s.exec(t, "insert into t values (1, 'a')")
	f.changes(t, 1)
}
