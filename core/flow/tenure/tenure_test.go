package tenure

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/instance"
	"github.com/qanat-data/qanat/internal/pgtest"
)

// runner is a runner of the flow "f" on a state database that others share. Others see it as a process of another machine.
type runner struct {
	*Tenure
	stop chan struct{}
	db   *sql.DB
}

const testBeat = 300 * time.Millisecond

func newRunner(t *testing.T, name string, db *sql.DB, dialect ledger.Dialect) *runner {
	t.Helper()
	t.Cleanup(func() { _ = db.Close() })
	book, err := ledger.Open(t.Context(), db, dialect)
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{stop: make(chan struct{}), db: db}
	r.Tenure = New("f", Runner{
		Ledger: book, Log: hclog.NewNullLogger(), Progress: progress.New("f"), Heartbeat: testBeat, Name: name + "/1/elsewhere-1-x",
	}, r.stop)
	return r
}

// onEach runs a test with runners on each database that several processes can share.
func onEach(t *testing.T, test func(t *testing.T, open func(name string) *runner)) {
	t.Helper()
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "state.db")
		test(t, func(name string) *runner {
			db, err := instance.OpenState(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			return newRunner(t, name, db, ledger.SQLite)
		})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		dsn := pgtest.Shared(t).Database(t)
		test(t, func(name string) *runner { return postgresRunner(t, name, dsn) })
	})
}

func postgresRunner(t *testing.T, name, dsn string) *runner {
	t.Helper()
	db, err := instance.OpenPostgres(t.Context(), dsn, "qanat_test")
	if err != nil {
		t.Fatal(err)
	}
	return newRunner(t, name, db, ledger.Postgres)
}

// running is a session that goes on until it is lost or left.
type running struct {
	began chan struct{} // closed when the flow has been claimed
	leave chan struct{}
	ended chan error
}

func (r *runner) start(ctx context.Context) *running {
	s := &running{began: make(chan struct{}), leave: make(chan struct{}), ended: make(chan error, 1)}
	go func() {
		s.ended <- r.Session(ctx, func(ctx context.Context, claim Claim) error {
			if _, err := claim(ctx, 0); err != nil {
				return err
			}
			close(s.began)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-s.leave:
				return nil
			}
		})
	}()
	return s
}

func (s *running) await(t *testing.T) {
	t.Helper()
	select {
	case <-s.began:
	case err := <-s.ended:
		t.Fatalf("the session ended before it began: %v", err)
	}
}

// note waits until a runner says what it waits for.
func (r *runner) note(t *testing.T, want string) {
	t.Helper()
	for {
		changed := r.runner.Progress.Changes()
		if strings.Contains(r.runner.Progress.Of("f").Note, want) {
			return
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatalf("it never said %q", want)
		}
	}
}

func TestARunnerWaitsForOneThatGivesSignsOfLife(t *testing.T) {
	onEach(t, func(t *testing.T, open func(string) *runner) {
		one, other := open("one"), open("other")
		first := one.start(t.Context())
		first.await(t)
		second := other.start(t.Context())
		other.note(t, "waiting: it is run by one/1/")
		for range 2 * staleBeats { // by the changes of the heartbeat, not by the clock
			o, _, err := one.runner.Ledger.Owner(t.Context(), "f")
			for now := o; err == nil && now.Same(o); {
				now, _, err = one.runner.Ledger.Owner(t.Context(), "f")
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-second.began:
			t.Fatal("the flow was taken from a runner that is alive")
		default:
		}
		close(first.leave)
		if err := <-first.ended; err != nil {
			t.Fatal(err)
		}
		one.Release(t.Context())
		second.await(t)
		close(second.leave)
		if err := <-second.ended; err != nil {
			t.Error(err)
		}
	})
}

func TestASilentRunnersFlowIsTakenOverAndItsSessionEnds(t *testing.T) {
	onEach(t, func(t *testing.T, open func(string) *runner) {
		one, other := open("one"), open("other")
		one.runner.Heartbeat = time.Hour
		first := one.start(t.Context())
		first.await(t)
		second := other.start(t.Context())
		second.await(t)
		epoch := one.epoch
		if err := one.sign(t.Context(), epoch, time.Minute); !errors.Is(err, ledger.ErrFenced) {
			t.Errorf("a sign of life after the takeover: %v", err)
		}
		close(second.leave)
		close(first.leave)
		<-first.ended
		if err := <-second.ended; err != nil {
			t.Error(err)
		}
	})
}

func TestASessionEndsWhenItsFlowIsTakenOver(t *testing.T) {
	onEach(t, func(t *testing.T, open func(string) *runner) {
		one, other := open("one"), open("other")
		first := one.start(t.Context())
		first.await(t)
		for { // as somebody who doesn't wait
			judged, _, err := other.runner.Ledger.Owner(t.Context(), "f")
			if err != nil {
				t.Fatal(err)
			}
			if _, err = other.runner.Ledger.TakeOver(t.Context(), "f", other.runner.Name, 0, judged); err == nil {
				break
			}
		}
		err := <-first.ended
		if !errors.Is(err, ledger.ErrFenced) || !strings.Contains(err.Error(), "was taken over by other/1/") {
			t.Errorf("it ended with %v", err)
		}
		if _, err := one.Pause(t.Context(), time.Hour); !errors.Is(err, ledger.ErrFenced) {
			t.Errorf("the pause after it ended with %v", err)
		}
		if err := one.Session(t.Context(), nil); !errors.Is(err, ledger.ErrFenced) {
			t.Errorf("the next session ended with %v", err)
		}
	})
}

func TestAFlowIsKeptThroughThePauseBetweenSessions(t *testing.T) {
	onEach(t, func(t *testing.T, open func(string) *runner) {
		one, other := open("one"), open("other")
		first := one.start(t.Context())
		first.await(t)
		close(first.leave)
		if err := <-first.ended; err != nil {
			t.Fatal(err)
		}
		second := other.start(t.Context())
		other.note(t, "waiting: it is run by one/1/")
		if again, err := one.Pause(t.Context(), 3*staleBeats*testBeat); err != nil || !again {
			t.Fatalf("the pause ended with %v, %v", again, err)
		}
		select {
		case <-second.began:
			t.Fatal("the flow was taken over in the pause")
		default:
		}
		close(one.stop)
		if again, err := one.Pause(t.Context(), time.Hour); err != nil || again {
			t.Errorf("asked to stop, the pause ended with %v, %v", again, err)
		}
		one.Release(t.Context())
		second.await(t)
		close(second.leave)
		<-second.ended
	})
}

func TestAWaitingRunnerEndsWhenAskedToStop(t *testing.T) {
	onEach(t, func(t *testing.T, open func(string) *runner) {
		one, other := open("one"), open("other")
		first := one.start(t.Context())
		first.await(t)
		second := other.start(t.Context())
		other.note(t, "waiting: it is run by")
		close(other.stop)
		if err := <-second.ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
		other.Release(t.Context())
		if o, _, err := one.runner.Ledger.Owner(t.Context(), "f"); err != nil || o.Name != one.runner.Name {
			t.Errorf("the flow is run by %q, %v", o.Name, err)
		}
		close(first.leave)
		<-first.ended
	})
}

func TestARunnerThatIsCutOffStopsOfItself(t *testing.T) {
	t.Parallel()
	direct := pgtest.Shared(t).Database(t)
	proxy, dsn := pgtest.Through(t, direct)
	one := postgresRunner(t, "one", dsn)
	first := one.start(t.Context())
	first.await(t)
	proxy.Cut()
	err := <-first.ended
	if _, ok := errors.AsType[*CutOffError](err); !ok || errors.Is(err, ledger.ErrFenced) {
		t.Errorf("it ended with %v, expected that it was cut off", err)
	}
	if err := one.Session(t.Context(), nil); !ledger.Busy(err) {
		t.Errorf("the next session ended with %v, expected a failure that may pass", err)
	}
	proxy.Mend()
	second := one.start(t.Context())
	second.await(t)
	close(second.leave)
	if err := <-second.ended; err != nil {
		t.Error(err)
	}
}

// Whoever can't look can't know who is silent: a runner that comes back to the state database does not take a flow whose owner
// was there all the time.
func TestARunnerThatCouldNotLookWaitsOn(t *testing.T) {
	t.Parallel()
	direct := pgtest.Shared(t).Database(t)
	proxy, dsn := pgtest.Through(t, direct)
	one, other := postgresRunner(t, "one", direct), postgresRunner(t, "other", dsn)
	first := one.start(t.Context())
	first.await(t)
	second := other.start(t.Context())
	other.note(t, "waiting: it is run by one/1/")
	proxy.Cut()
	other.note(t, "waiting: read the owner")
	proxy.Mend()
	other.note(t, "waiting: it is run by one/1/")
	close(first.leave)
	if err := <-first.ended; err != nil {
		t.Fatal(err)
	}
	one.Release(t.Context())
	second.await(t)
	close(second.leave)
	if err := <-second.ended; err != nil {
		t.Error(err)
	}
}

func TestSilenceIsJudgedByWhatWasSeen(t *testing.T) {
	t.Parallel()
	const stale = 10 * time.Second
	at := time.UnixMicro(1)
	elsewhere := ledger.Owner{Flow: "f", Epoch: 3, Name: "there/1/place-1-x", Heartbeat: at}
	with := func(change func(*ledger.Owner)) ledger.Owner {
		o := elsewhere
		change(&o)
		return o
	}
	beat := with(func(o *ledger.Owner) { o.Heartbeat = at.Add(-time.Hour) }) // a clock that was set back
	type look struct {
		after time.Duration
		owner ledger.Owner
		gone  bool
	}
	for name, looks := range map[string][]look{
		"silent for long before the first look": {{0, with(func(o *ledger.Owner) { o.Silent = time.Minute }), true}},
		"silent while it is looked at":          {{0, elsewhere, false}, {9 * time.Second, elsewhere, false}, {2 * time.Second, elsewhere, true}},
		"old by a clock that was set on meanwhile": {{0, elsewhere, false},
			{time.Second, with(func(o *ledger.Owner) { o.Silent = time.Hour }), false}},
		"from the future": {{0, with(func(o *ledger.Owner) { o.Silent = -time.Hour }), false},
			{11 * time.Second, with(func(o *ledger.Owner) { o.Silent = -time.Hour }), true}},
		"a sign by a clock that was set back": {{0, elsewhere, false}, {9 * time.Second, beat, false}, {9 * time.Second, beat, false},
			{2 * time.Second, beat, true}},
		"another owner": {{0, elsewhere, false}, {11 * time.Second, with(func(o *ledger.Owner) { o.Epoch, o.Name = 4, "new/1/place-1-x" }), false}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s sighting
				for i, l := range looks {
					time.Sleep(l.after)
					if gone := s.gone(l.owner, stale); gone != l.gone {
						t.Errorf("look %d: gone is %v", i, gone)
					}
				}
			})
		})
	}
}

func TestAnOwnerOnThisMachineIsLookedFor(t *testing.T) {
	t.Parallel()
	self := NewOwner()
	parts := strings.Split(self, "/")
	marks := strings.Split(parts[2], "-")
	if again := NewOwner(); again == self {
		t.Errorf("two runs are both called %s", self)
	}
	child := exec.CommandContext(t.Context(), "cat")
	input, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	dead := fmt.Sprintf("%s/%d/%s-%s-x", parts[0], child.Process.Pid, marks[0], started(child.Process.Pid))
	if got := fateOf(dead); got != lives {
		t.Errorf("%s: fate %d, want %d", dead, got, lives)
	}
	if err := errors.Join(input.Close(), child.Wait()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fate{
		self: lives,
		dead: ended,
		fmt.Sprintf("%s/%s/%s-1-x", parts[0], parts[1], marks[0]):          ended, // another process has its id now
		fmt.Sprintf("%s/%s/%s-%s-x", parts[0], parts[1], "ffff", marks[1]): unknown,
		fmt.Sprintf("elsewhere/%s/%s-%s-x", parts[1], marks[0], marks[1]):  unknown,
		"somebody": unknown,
	} {
		if got := fateOf(name); got != want {
			t.Errorf("%s: fate %d, want %d", name, got, want)
		}
	}
	long := time.Hour
	for name, want := range map[string]bool{self: true, dead: false, "elsewhere/1/place-1-x": false, "": false} {
		if got := Alive(ledger.Owner{Name: name, Silent: long}); got != want {
			t.Errorf("%q, not heard of for long: alive is %v", name, got)
		}
	}
	if note := Silence(ledger.Owner{Name: self, Silent: long}); !strings.Contains(note, "1h0m0s") || Silence(ledger.Owner{Name: self}) != "" {
		t.Errorf("of one that is silent for an hour: %q", note)
	}
	if !Alive(ledger.Owner{Name: "elsewhere/1/place-1-x", Silent: time.Second}) {
		t.Error("an owner that was heard a second ago is not alive")
	}
}
