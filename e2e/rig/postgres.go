package rig

import (
	"database/sql"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver

	"github.com/qanat-data/qanat/internal/pgtest"
)

// PostgresServer is a PostgreSQL server of the test's own, which may hold the state of a project.
type PostgresServer struct{ *pgtest.Server }

// Postgres starts a server with the settings that are PostgreSQL's own where pgtest's are those of small servers for many packages:
// it works as an operator's does. Settings are of the form name=value.
func Postgres(t testing.TB, settings ...string) *PostgresServer {
	t.Helper()
	return &PostgresServer{pgtest.Own(t, append([]string{"autovacuum=on", "jit=on", "shared_buffers=128MB"}, settings...)...)}
}

// Open connects to the server past Qanat. Tables are looked for in a schema.
func (p *PostgresServer) Open(t testing.TB, schema string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", p.DSN("postgres")+"?search_path="+schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Env are the variables that Block refers to.
func (p *PostgresServer) Env() []string { return []string{"STATE_DSN=" + p.DSN("postgres")} }

// Block is the state block of a project file that uses the server.
func (p *PostgresServer) Block() string {
	return "state:\n  type: postgres\n  dsn: ${env:STATE_DSN}\n"
}
