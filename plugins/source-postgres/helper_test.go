package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/follow"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := atOnce(); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(pgtest.Stopping(m), goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(built.dir)
		os.Exit(code)
	}))
}

// atOnce lets more tests run beside each other than there are processors, unless the command line says how many: most of the time they wait
// for the server.
func atOnce() error {
	const enough = "6"
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", enough)
}

// brisk is a pace that does not keep tests waiting.
func brisk() follow.Pace {
	p := follow.Standard()
	p.Quiet, p.Report, p.Look, p.Fill, p.FirstPause, p.LongestPause = 100*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond, 200*time.Millisecond
	return p
}

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// site is a database of a test's own with a connection to it.
type site struct {
	dsn  string
	sql  *pgx.Conn
	pace follow.Pace // of its sources
}

func newSite(t testing.TB, statements ...string) *site {
	t.Helper()
	return newSiteOn(t, pgtest.Shared(t), statements...)
}

func newSiteOn(t testing.TB, server *pgtest.Server, statements ...string) *site {
	t.Helper()
	s := &site{dsn: server.Database(t), pace: brisk()}
	s.sql = s.connect(t)
	t.Cleanup(func() { s.dropSlots() })
	s.exec(t, statements...)
	return s
}

func (s *site) connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (s *site) dropSlots() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return // the server is gone, with its slots
	}
	defer func() { _ = conn.Close(ctx) }()
	for range 100 {
		_, _ = conn.Exec(ctx, "select pg_terminate_backend(active_pid) from pg_replication_slots where database = current_database() and active")
		if _, err := conn.Exec(ctx, "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"); err == nil {
			return
		}
	}
}

func (s *site) exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := s.sql.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func one[T any](t testing.TB, s *site, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := s.sql.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// source opens a source on the site.
func (s *site) source(t testing.TB, c Config) *Source {
	t.Helper()
	if c.DSN == "" {
		c.DSN = sdk.Secret(s.dsn)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	source, err := New(t.Context(), c, sdk.Env{Log: hclog.NewNullLogger(), Alloc: memory.DefaultAllocator, Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	source.pace = s.pace
	t.Cleanup(func() { _ = source.Close(context.Background()) })
	return source
}

// read reads to the end from a position.
func (s *site) read(t testing.TB, c Config, at sdk.Position) *plugintest.Recorder {
	t.Helper()
	r, err := s.tryRead(t, c, at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *site) tryRead(t testing.TB, c Config, at sdk.Position) (*plugintest.Recorder, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	source := s.source(t, c)
	defer func() { _ = source.Close(context.WithoutCancel(ctx)) }()
	r := &plugintest.Recorder{}
	t.Cleanup(r.Release)
	return r, source.Read(ctx, sdk.ReadRequest{Position: at, Stop: make(chan struct{})}, r)
}

func last(t testing.TB, r *plugintest.Recorder) sdk.Position {
	t.Helper()
	if len(r.Checkpoints) == 0 {
		t.Fatal("there was no checkpoint")
	}
	return r.Checkpoints[len(r.Checkpoints)-1]
}

type row = map[string]any

// rowsOf are a record's rows as JSON has them.
func rowsOf(t testing.TB, record arrow.RecordBatch) []row {
	t.Helper()
	raw, err := record.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	var rows []row
	if err := decoder.Decode(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

func streamRows(t testing.TB, r *plugintest.Recorder, stream string) []row {
	t.Helper()
	var out []row
	for _, record := range r.Records(stream) {
		out = append(out, rowsOf(t, record)...)
	}
	return out
}

// column is the values of a column as text.
func column(rows []row, name string) []string {
	var out []string
	for _, r := range rows {
		out = append(out, fmt.Sprint(r[name]))
	}
	return out
}

func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for range patience / (20 * time.Millisecond) {
		if done() {
			return
		}
		<-ticker.C
	}
	t.Fatalf("it never came about that %s", what)
}
