package rig

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
)

const postgresUser = "qanat"

// PostgresServer is a PostgreSQL server of the test's own.
type PostgresServer struct {
	address  string
	password string
}

// Postgres starts a server from the binaries in QANAT_POSTGRES_BIN, the path, or where Debian puts them, on loopback with a random
// password and files of its own, and kills it when the test ends. It refuses to run as root: as root it runs as another user.
func Postgres(t testing.TB) *PostgresServer {
	t.Helper()
	bin := postgresBin(t)
	// Not in t.TempDir, which other users can't reach.
	dir, err := os.MkdirTemp("", "qanat-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	password := rand.Text()
	secret, data := filepath.Join(dir, "password"), filepath.Join(dir, "data")
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	as := another(t, dir, secret)
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", postgresUser, "--auth=scram-sha-256", "--pwfile="+secret,
		"--no-sync", "--encoding=UTF8", "--locale=C")
	initdb.Dir, initdb.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as}
	if said, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, said)
	}
	said := ""
	for range serverTries {
		p := &PostgresServer{address: freeAddress(t.Context(), t), password: password}
		host, port, err := net.SplitHostPort(p.address)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-h", host, "-p", port, "-k", "",
			"-c", "fsync=off", "-c", "max_connections=200")
		cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as}
		s := startServer(t, cmd)
		t.Cleanup(func() { // at once, but not so suddenly that shared memory stays behind
			_ = cmd.Process.Signal(syscall.SIGQUIT)
			<-s.ended
		})
		if s.await(t.Context(), p.ready) {
			return p
		}
		said = s.said()
	}
	t.Fatalf("PostgreSQL from %q did not start:\n%s", bin, said)
	return nil
}

// another is a user to run as instead of root, who then owns the paths; nil for anybody else.
func another(t testing.TB, paths ...string) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(account.Uid, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		gid, err := strconv.ParseUint(account.Gid, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if err := os.Chown(path, int(uid), int(gid)); err != nil {
				t.Fatal(err)
			}
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	t.Fatal("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")
	return nil
}

// postgresBin is the folder of initdb and postgres.
func postgresBin(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("QANAT_POSTGRES_BIN"); dir != "" {
		return dir
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		t.Fatal("no PostgreSQL server: run \"make tools\", or set QANAT_POSTGRES_BIN to the folder of initdb and postgres")
	}
	return filepath.Dir(found[len(found)-1])
}

func (p *PostgresServer) dsn() string {
	return (&url.URL{Scheme: "postgres", User: url.UserPassword(postgresUser, p.password), Host: p.address, Path: "postgres"}).String()
}

func (p *PostgresServer) ready(ctx context.Context) error {
	db, err := sql.Open("pgx", p.dsn())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.PingContext(ctx)
}

// Open connects to the server past Qanat. Tables are looked for in a schema.
func (p *PostgresServer) Open(t testing.TB, schema string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", p.dsn()+"?search_path="+schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Env are the variables that Block refers to.
func (p *PostgresServer) Env() []string { return []string{"STATE_DSN=" + p.dsn()} }

// Block is the state block of a project file that uses the server.
func (p *PostgresServer) Block() string {
	return "state:\n  type: postgres\n  dsn: ${env:STATE_DSN}\n"
}
