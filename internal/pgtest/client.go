package pgtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Password is the superuser's.
func (s *Server) Password() string { return s.password }

// DSN is the superuser's connection string of a database.
func (s *Server) DSN(database string) string {
	return (&url.URL{Scheme: "postgres", User: url.UserPassword(superuser, s.password), Host: s.address, Path: database}).String()
}

// Database makes an empty database for a test and returns its DSN.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := "t" + strings.ToLower(rand.Text()[:12])
	s.SQL(t, "postgres", "create database "+name)
	return s.DSN(name)
}

// Program is the path of one of the server's programs.
func (s *Server) Program(name string) string { return filepath.Join(s.bin, name) }

// Tool readies one of the server's programs, such as psql or pgbench, to work on a database of it.
func (s *Server) Tool(ctx context.Context, name, database string, args ...string) *exec.Cmd {
	host, port, _ := net.SplitHostPort(s.address)             // which is what launch has split
	cmd := exec.CommandContext(ctx, s.Program(name), args...) //nolint:gosec // a tool of tests
	cmd.Env = append(os.Environ(), "PGHOST="+host, "PGPORT="+port, "PGUSER="+superuser, "PGPASSWORD="+s.password, "PGDATABASE="+database)
	return cmd
}

// Must runs one of the server's programs, which must succeed, and returns what it printed.
func (s *Server) Must(t testing.TB, name, database string, args ...string) string {
	t.Helper()
	cmd := s.Tool(t.Context(), name, database, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, said.String())
	}
	return string(out)
}

// SQL runs statements in a database as the superuser and returns what they give, a line for each row.
func (s *Server) SQL(t testing.TB, database, statements string) string {
	t.Helper()
	return s.Must(t, "psql", database, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statements)
}
