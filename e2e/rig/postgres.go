package rig

import (
	"bytes"
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
	"strings"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
)

const postgresUser = "qanat"

// PostgresServer is a PostgreSQL server of the test's own.
type PostgresServer struct {
	t        testing.TB
	address  string
	password string
	dir, bin string
	settings []string
	as       *syscall.Credential
	command  *exec.Cmd
	process  *process
}

// Postgres starts a server from the binaries in QANAT_POSTGRES_BIN, the path, or where Debian puts them, on loopback with a random
// password and files of its own, and kills it when the test ends. It refuses to run as root: as root it runs as another user.
// Settings are of the form name=value.
func Postgres(t testing.TB, settings ...string) *PostgresServer {
	t.Helper()
	// Not in t.TempDir, which other users can't reach.
	dir, err := os.MkdirTemp("", "qanat-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &PostgresServer{t: t, password: rand.Text(), dir: dir, bin: postgresBin(t), settings: settings}
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(p.password), 0o600); err != nil {
		t.Fatal(err)
	}
	p.as = another(t, dir, secret)
	initdb := exec.Command(filepath.Join(p.bin, "initdb"), "-D", p.data(), "-U", postgresUser, "--auth=scram-sha-256", "--pwfile="+secret,
		"--no-sync", "--encoding=UTF8", "--locale=C")
	initdb.Dir, initdb.SysProcAttr = dir, &syscall.SysProcAttr{Credential: p.as}
	if said, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, said)
	}
	t.Cleanup(p.Crash)
	for range serverTries {
		p.address = freeAddress(t.Context(), t)
		if p.start() {
			return p
		}
	}
	t.Fatalf("PostgreSQL from %q did not start:\n%s", p.bin, p.process.said())
	return nil
}

func (p *PostgresServer) data() string { return filepath.Join(p.dir, "data") }

// start starts the server at its address and says whether it answers.
func (p *PostgresServer) start() bool {
	p.t.Helper()
	host, port, err := net.SplitHostPort(p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	args := []string{"-D", p.data(), "-h", host, "-p", port, "-k", "", "-c", "fsync=off", "-c", "max_connections=200"}
	for _, s := range p.settings {
		args = append(args, "-c", s)
	}
	p.command = exec.Command(filepath.Join(p.bin, "postgres"), args...)
	p.command.Dir, p.command.SysProcAttr = p.dir, &syscall.SysProcAttr{Credential: p.as}
	p.process = startServer(p.t, p.command)
	return p.process.await(p.t.Context(), p.ready)
}

// Crash ends the server at once, without a last checkpoint, but not so suddenly that shared memory stays behind.
func (p *PostgresServer) Crash() { p.end(syscall.SIGQUIT) }

// Stop ends the server as an operator would: sessions are ended, a checkpoint is written.
func (p *PostgresServer) Stop() { p.end(syscall.SIGINT) }

func (p *PostgresServer) end(by syscall.Signal) {
	_ = p.command.Process.Signal(by)
	<-p.process.ended
}

// Start starts a server that has been ended, on its files and at its address.
func (p *PostgresServer) Start() {
	p.t.Helper()
	if !p.start() {
		p.t.Fatalf("PostgreSQL did not start again:\n%s", p.process.said())
	}
}

// Program is the path of one of the server's programs.
func (p *PostgresServer) Program(name string) string { return filepath.Join(p.bin, name) }

// Tool readies one of the server's programs, such as psql or pgbench, to work on a database of it.
func (p *PostgresServer) Tool(ctx context.Context, name, database string, args ...string) *exec.Cmd {
	p.t.Helper()
	host, port, err := net.SplitHostPort(p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, p.Program(name), args...)
	cmd.Env = append(os.Environ(), "PGHOST="+host, "PGPORT="+port, "PGUSER="+postgresUser, "PGPASSWORD="+p.password, "PGDATABASE="+database)
	return cmd
}

// Must runs one of the server's programs, which must succeed, and returns what it printed.
func (p *PostgresServer) Must(name, database string, args ...string) string {
	p.t.Helper()
	cmd := p.Tool(p.t.Context(), name, database, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, said.String())
	}
	return string(out)
}

// SQL runs statements in a database and returns what they give, a line for each row.
func (p *PostgresServer) SQL(database, statements string) string {
	p.t.Helper()
	return p.Must("psql", database, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statements)
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
		if path, err = filepath.EvalSymlinks(path); err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(path)
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		t.Fatal("no PostgreSQL server: run \"make tools\", or set QANAT_POSTGRES_BIN to the folder of initdb and postgres")
	}
	return filepath.Dir(found[len(found)-1])
}

// DSN is the connection string of a database.
func (p *PostgresServer) DSN(database string) string {
	return (&url.URL{Scheme: "postgres", User: url.UserPassword(postgresUser, p.password), Host: p.address, Path: database}).String()
}

func (p *PostgresServer) ready(ctx context.Context) error {
	db, err := sql.Open("pgx", p.DSN("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.PingContext(ctx)
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
