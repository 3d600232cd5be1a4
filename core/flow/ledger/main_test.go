package ledger_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/instance"
	"github.com/qanat-data/qanat/internal/pgtest"
)

func TestMain(m *testing.M) {
	os.Exit(pgtest.Stopping(m).Run())
}

// database is a state database of a test's own. Each connect is another process's view of it.
type database struct {
	dialect ledger.Dialect
	connect func(ctx context.Context) (*sql.DB, error)
}

// onEach runs a test on every database that a ledger may lie in.
func onEach(t *testing.T, test func(t *testing.T, d database)) {
	t.Helper()
	t.Parallel()
	t.Run(string(ledger.SQLite), func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "state.db")
		test(t, database{ledger.SQLite, func(ctx context.Context) (*sql.DB, error) { return instance.OpenState(ctx, path) }})
	})
	t.Run(string(ledger.Postgres), func(t *testing.T) {
		t.Parallel()
		dsn := pgtest.Shared(t).Database(t)
		test(t, database{ledger.Postgres, func(ctx context.Context) (*sql.DB, error) { return instance.OpenPostgres(ctx, dsn, "qanat_test") }})
	})
}

func (d database) open(t *testing.T) *sql.DB {
	t.Helper()
	db, err := d.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (d database) ledger(t *testing.T) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), d.open(t), d.dialect)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
