package replica_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Stopping(m)) }

// site is a database of a test's own with an ordinary connection.
type site struct {
	dsn  string
	name string // of its slot: slots belong to the whole server
	sql  *pgx.Conn
}

func newSite(t *testing.T, server *pgtest.Server) *site {
	t.Helper()
	s := &site{dsn: server.Database(t)}
	s.connect(t)
	s.name = "s_" + one[string](t, s, "select current_database()::text")
	t.Cleanup(func() { s.dropSlots() })
	return s
}

func (s *site) connect(t *testing.T) {
	t.Helper()
	var err error
	if s.sql, err = pgx.Connect(t.Context(), s.dsn); err != nil {
		t.Fatal(err)
	}
	conn := s.sql
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
}

func (s *site) dropSlots() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return // the server is gone, with its slots
	}
	defer func() { _ = conn.Close(ctx) }()
	_, _ = conn.Exec(ctx, "select pg_terminate_backend(active_pid) from pg_replication_slots where database = current_database() and active")
	for range 100 {
		if _, err := conn.Exec(ctx, "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"); err == nil {
			return
		}
	}
}

func (s *site) exec(t *testing.T, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := s.sql.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func one[T any](t *testing.T, s *site, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := s.sql.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func (s *site) slot(t *testing.T) replica.Slot {
	t.Helper()
	found, err := replica.LookUpSlot(t.Context(), s.sql, s.name)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (s *site) replica(t *testing.T) *replica.Conn {
	t.Helper()
	return dial(t, s.dsn)
}

func dial(t *testing.T, dsn string) *replica.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	c, err := replica.Connect(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// published makes a table, a publication of all tables and a slot.
func (s *site) published(t *testing.T) {
	t.Helper()
	s.exec(t, "create table t (id int primary key, v text)", "create publication p for all tables")
	if _, err := s.replica(t).CreateSlot(t.Context(), s.name); err != nil {
		t.Fatal(err)
	}
}

func (s *site) settings(from pgoutput.LSN) replica.Settings {
	return replica.Settings{Slot: s.name, Publications: []string{"p"}, From: from}
}

func start(t *testing.T, c *replica.Conn, settings replica.Settings) *replica.Stream {
	t.Helper()
	stream, err := c.Start(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stream.Close(context.Background()) })
	return stream
}

func (s *site) stream(t *testing.T, from pgoutput.LSN) *replica.Stream {
	t.Helper()
	return start(t, s.replica(t), s.settings(from))
}

func shut(t *testing.T, stream *replica.Stream) {
	t.Helper()
	if err := stream.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// recorder is a consumer that writes down what it gets.
type recorder struct {
	lines []string
	last  pgoutput.Transaction
	texts []string
}

func (r *recorder) Begin(context.Context, pgoutput.Transaction) error  { return nil }
func (r *recorder) Relation(context.Context, *pgoutput.Relation) error { return nil }
func (r *recorder) Text(_ context.Context, t *pgoutput.Text) error {
	r.texts = append(r.texts, string(t.Content))
	return nil
}

func (r *recorder) Change(_ context.Context, c *pgoutput.Change) error {
	var values []string
	for _, column := range append(append([]pgoutput.Column{}, c.Old...), c.New...) {
		values = append(values, string(column.Data))
	}
	r.lines = append(r.lines, string(c.Op)+" "+strings.Join(values, ","))
	return nil
}

func (r *recorder) Commit(_ context.Context, tx pgoutput.Transaction) error {
	r.last = tx
	return nil
}

// follower reads a stream into a recorder.
type follower struct {
	*recorder
	stream    *replica.Stream
	assembler *pgoutput.Assembler
}

func follow(t *testing.T, stream *replica.Stream) *follower {
	t.Helper()
	f := &follower{recorder: &recorder{}, stream: stream}
	var err error
	if f.assembler, err = pgoutput.NewAssembler(pgoutput.Settings{Folder: t.TempDir()}, f.recorder); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.assembler.Close() })
	return f
}

// until reads frames until one is the last.
func (f *follower) until(t *testing.T, last func(replica.Frame) bool) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		frame, err := f.stream.Receive(ctx)
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				t.Fatal("what the test waits for did not come")
			}
			return err
		}
		if frame.Data != nil {
			if err := f.assembler.Push(ctx, frame.Data); err != nil {
				t.Fatal(err)
			}
		}
		if last(frame) {
			return nil
		}
	}
}

// changes reads until there are so many, and their transaction is whole.
func (f *follower) changes(t *testing.T, n int) {
	t.Helper()
	if err := f.until(t, func(replica.Frame) bool { return len(f.lines) >= n && !f.assembler.InTransaction() }); err != nil {
		t.Fatal(err)
	}
}

// eventually polls, for what another process does in its own time.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for range 1000 {
		if done() {
			return
		}
		<-ticker.C
	}
	t.Fatalf("it never came about that %s", what)
}

func wantKind(t *testing.T, err error, kind replica.Kind) *replica.Error {
	t.Helper()
	var e *replica.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("got %v (%q), want %q", err, replica.KindOf(err), kind)
	}
	return e
}

func lsn(t *testing.T, text string) pgoutput.LSN {
	t.Helper()
	l, err := pgoutput.ParseLSN(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (s *site) wal(t *testing.T) pgoutput.LSN {
	t.Helper()
	return lsn(t, one[string](t, s, "select pg_current_wal_lsn()::text"))
}
