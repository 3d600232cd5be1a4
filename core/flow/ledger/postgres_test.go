package ledger_test

import (
	"bytes"
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/instance"
	"github.com/qanat-data/qanat/internal/pgtest"
)

func openPostgres(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := instance.OpenPostgres(t.Context(), dsn, "qanat_test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// The commit is lost on its way there, or its answer on the way back; either way the unit is in the ledger once.
func TestACommitWithoutAnAnswerIsLookedUp(t *testing.T) {
	t.Parallel()
	for name, fate := range map[string]pgtest.Fate{"lost on the way there": pgtest.Lose, "lost on the way back": pgtest.Unheeded} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy, dsn := pgtest.Through(t, pgtest.Shared(t).Database(t))
			l, err := ledger.Open(t.Context(), openPostgres(t, dsn), ledger.Postgres)
			if err != nil {
				t.Fatal(err)
			}
			epoch := takeOver(t, l, "p.f")
			var cut atomic.Int32
			proxy.Spy(func(piece []byte) pgtest.Fate {
				if !bytes.Contains(piece, []byte("commit\x00")) || cut.Add(1) > 2 {
					return pgtest.Pass
				}
				return fate
			})
			want := unit("p.f", epoch, 1)
			if err := l.Append(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			if cut.Load() == 0 {
				t.Fatal("no commit was seen")
			}
			units, err := l.Units(t.Context(), "p.f", 0, 10)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]ledger.Unit{want}, units); diff != "" {
				t.Error(diff)
			}
			if totals, err := l.Totals(t.Context(), "p.f"); err != nil || len(totals) != 1 || totals[0].In != 5 {
				t.Errorf("totals %+v, %v: the unit counts once", totals, err)
			}
		})
	}
}

// A unit that was committed without an answer stays committed, even if the flow was taken over before it was looked up.
func TestALostCommitIsFoundBehindATakeOver(t *testing.T) {
	t.Parallel()
	direct := pgtest.Shared(t).Database(t)
	proxy, dsn := pgtest.Through(t, direct)
	var ledgers [2]*ledger.Ledger
	for i, dsn := range []string{dsn, direct} {
		var err error
		if ledgers[i], err = ledger.Open(t.Context(), openPostgres(t, dsn), ledger.Postgres); err != nil {
			t.Fatal(err)
		}
	}
	one, other := ledgers[0], ledgers[1]
	epoch := takeOver(t, one, "p.f")
	var cut atomic.Bool
	taken := make(chan error, 1)
	proxy.Spy(func(piece []byte) pgtest.Fate {
		if !bytes.Contains(piece, []byte("commit\x00")) || cut.Swap(true) {
			return pgtest.Pass
		}
		go func() { taken <- takeOverBehind(t, other) }()
		return pgtest.Unheeded
	})
	if err := one.Append(t.Context(), unit("p.f", epoch, 1)); err != nil {
		t.Fatal(err)
	}
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
	if err := one.Append(t.Context(), unit("p.f", epoch, 2)); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("the next unit: %v, expected it to be fenced out", err)
	}
}

// takeOverBehind takes the flow over as soon as its first unit is there.
func takeOverBehind(t *testing.T, l *ledger.Ledger) error {
	for {
		_, found, err := l.Last(t.Context(), "p.f")
		if err != nil {
			return err
		}
		if found {
			_, err = l.TakeOver(t.Context(), "p.f", "other", 0, owner(t, l, "p.f"))
			return err
		}
	}
}

func TestProcessesMayMakeTheTablesAtOnce(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Shared(t).Database(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			db, err := instance.OpenPostgres(t.Context(), dsn, "qanat_test")
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = db.Close() }()
			if _, err := ledger.Open(t.Context(), db, ledger.Postgres); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestFailuresOfPostgresThatMayPassAreToldFromOthers(t *testing.T) {
	t.Parallel()
	server := pgtest.Own(t)
	dsn := server.Database(t)
	l, err := ledger.Open(t.Context(), openPostgres(t, dsn), ledger.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	epoch := takeOver(t, l, "p.f")

	wrong, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	wrong.User = url.UserPassword("qanat", "wrong-password")
	if _, err := instance.OpenPostgres(t.Context(), wrong.String(), "qanat_test"); err == nil || ledger.Busy(err) || strings.Contains(err.Error(), "wrong-password") {
		t.Errorf("a wrong password: %v; it does not pass, and is not told", err)
	}
	server.Crash()
	for range 2 { // on a connection of the pool, and on a new one
		if err := l.Append(t.Context(), unit("p.f", epoch, 1)); !ledger.Busy(err) {
			t.Errorf("a server that is down: %v, expected a failure that may pass", err)
		}
	}
	server.Start(t)
	if err := l.Append(t.Context(), unit("p.f", epoch, 1)); err != nil {
		t.Errorf("a server that is back: %v", err)
	}
}

func TestDeadlocksMayPass(t *testing.T) {
	t.Parallel()
	db := openPostgres(t, pgtest.Shared(t).Database(t))
	exec := func(run func(string) error, statements ...string) error {
		for _, s := range statements {
			if err := run(s); err != nil {
				return err
			}
		}
		return nil
	}
	all := func(s string) error { _, err := db.ExecContext(t.Context(), s); return err }
	if err := exec(all, "create table a (n int)", "insert into a values (1), (2)"); err != nil {
		t.Fatal(err)
	}
	var both, ready sync.WaitGroup
	ready.Add(2)
	failures := make([]error, 2)
	for i, order := range [][]string{{"1", "2"}, {"2", "1"}} {
		both.Go(func() {
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				failures[i] = err
				ready.Done()
				return
			}
			defer func() { _ = tx.Rollback() }()
			run := func(s string) error { _, err := tx.ExecContext(t.Context(), s); return err }
			err = run("select from a where n = " + order[0] + " for update")
			ready.Done()
			ready.Wait()
			failures[i] = errors.Join(err, run("select from a where n = "+order[1]+" for update"))
		})
	}
	both.Wait()
	if err := errors.Join(failures...); !ledger.Busy(err) || !strings.Contains(err.Error(), "40P01") {
		t.Errorf("%v, expected a deadlock that counts as a failure that may pass", err)
	}
}

// A runner that stands still in the middle of a transaction holds the flow's row. The server ends its transaction before long.
func TestATransactionThatStandsStillIsEnded(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Shared(t).Database(t)
	stuck := openPostgres(t, dsn+"?idle_in_transaction_session_timeout=200ms")
	l, err := ledger.Open(t.Context(), stuck, ledger.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	takeOver(t, l, "p.f")
	tx, err := stuck.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), "select from qanat_owners where flow = 'p.f' for update"); err != nil {
		t.Fatal(err)
	}
	other, err := ledger.Open(t.Context(), openPostgres(t, dsn), ledger.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.TakeOver(t.Context(), "p.f", "other", 0, owner(t, other, "p.f")); err != nil {
		t.Error(err)
	}
	if err := tx.Commit(); !ledger.Busy(err) {
		t.Errorf("the transaction that stood still ended with %v", err)
	}
}
