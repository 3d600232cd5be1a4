package replica_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
)

// small makes the server stream transactions early.
const small = "?logical_decoding_work_mem=64kB"

func TestAStreamedTransactionComesWholeAlthoughQuietLogIsConfirmedMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.published(t)
	f := follow(t, start(t, dial(t, s.dsn+small), s.settings(0)))
	long := &site{dsn: s.dsn}
	long.connect(t)
	long.exec(t, "begin", "insert into t select i, repeat('x', 300) from generate_series(1, 1000) i", "savepoint s",
		"insert into t select i, repeat('x', 300) from generate_series(1001, 2000) i", "rollback to s")
	s.exec(t, "insert into t values (3000, 'short')")
	f.changes(t, 1)
	if f.assembler.Kept().Transactions != 1 || f.lines[0] != "I 3000,short" {
		t.Fatalf("%+v is kept, and came %v", f.assembler.Kept(), f.lines)
	}
	if err := f.stream.Confirm(f.last.End); err != nil {
		t.Fatal(err)
	}
	quiet := s.signOfLife(t, f)
	if err := f.stream.Confirm(quiet); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the quiet position reached the slot", func() bool { return s.slot(t).ConfirmedFlush == quiet })
	shut(t, f.stream)
	again := follow(t, start(t, dial(t, s.dsn+small), s.settings(quiet)))
	long.exec(t, "insert into t values (4000, 'last')", "commit")
	again.changes(t, 1001)
	if !again.last.Streamed || again.lines[1000] != "I 4000,last" {
		t.Errorf("%+v, the last of %d changes: %s", again.last, len(again.lines), again.lines[1000])
	}
}

func TestOneOfManyGetsTheSlot(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.published(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	var streams []*replica.Stream
	for range 5 {
		c := s.replica(t)
		group.Go(func() {
			stream, err := c.Start(t.Context(), s.settings(0))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				streams = append(streams, stream)
			} else if replica.KindOf(err) != replica.SlotInUse {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if len(streams) != 1 {
		t.Errorf("%d have the slot", len(streams))
	}
	for _, stream := range streams {
		shut(t, stream)
	}
}

// A large transaction is being sent: Close does not wait for its end, and nothing of it is confirmed.
func TestCloseInTheMiddleOfATransaction(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.published(t)
	f := follow(t, s.stream(t, 0))
	before := s.slot(t).ConfirmedFlush
	s.exec(t, "insert into t select i, repeat('x', 100) from generate_series(1, 20000) i")
	if err := f.until(t, func(replica.Frame) bool { return len(f.lines) == 10 }); err != nil {
		t.Fatal(err)
	}
	shut(t, f.stream)
	if got := s.slot(t).ConfirmedFlush; got != before {
		t.Errorf("the slot moved from %s to %s", before, got)
	}
	again := follow(t, s.stream(t, before))
	again.changes(t, 20000)
}

func TestACancelledContextEndsTheClose(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.published(t)
	proxy, dsn := pgtest.Through(t, s.dsn)
	stream := start(t, dial(t, dsn), s.settings(0))
	proxy.Hold()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := stream.Close(ctx); err != nil {
		t.Error(err)
	}
	if _, err := stream.Receive(t.Context()); replica.KindOf(err) != replica.ConnectionLost {
		t.Errorf("a closed stream gives %v", err)
	}
}

// BenchmarkStream reports changes a second from a slot to an assembler's consumer: pgbench's transactions, four changes each.
func BenchmarkStream(b *testing.B) {
	s := &site{dsn: pgtest.Shared(b).Database(b), name: "bench"}
	ctx := b.Context()
	s.sql = must(pgx.Connect(ctx, s.dsn))(b)
	defer func() { _ = s.sql.Close(ctx) }()
	run := func(sql string) {
		if _, err := s.sql.Exec(ctx, sql); err != nil {
			b.Fatal(err)
		}
	}
	run("create table a (id int primary key, bid int, balance int, filler char(84))")
	run("insert into a select i, 1, 0, '' from generate_series(1, 10000) i")
	run("create publication p for all tables")
	const transactions, from = 25_000, pgoutput.LSN(0)
	run("select pg_create_logical_replication_slot('bench', 'pgoutput')")
	run(fmt.Sprintf(`do $$ begin for i in 1..%d loop
		update a set balance = balance + i where id = i %% 10000 + 1; update a set balance = balance - i where id = (i * 7) %% 10000 + 1;
		update a set balance = balance + 1 where id = (i * 11) %% 10000 + 1; update a set bid = i where id = (i * 13) %% 10000 + 1; commit; end loop; end $$`, transactions))
	changes := 0
	for b.Loop() {
		changes += s.readAll(b, from, 4*transactions)
	}
	b.ReportMetric(float64(changes)/b.Elapsed().Seconds(), "changes/s")
	run("select pg_drop_replication_slot('bench')")
}

func must[T any](v T, err error) func(b *testing.B) T {
	return func(b *testing.B) T {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		return v
	}
}

func dialed(ctx context.Context, dsn string) (*replica.Conn, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	return replica.Connect(ctx, config)
}

type counter struct {
	recorder
	changes int
}

func (c *counter) Change(context.Context, *pgoutput.Change) error {
	c.changes++
	return nil
}

func (s *site) readAll(b *testing.B, from pgoutput.LSN, want int) int {
	conn := must(dialed(b.Context(), s.dsn))(b)
	stream, err := conn.Start(b.Context(), s.settings(from))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = stream.Close(b.Context()) }()
	c := &counter{}
	dir, err := os.MkdirTemp(b.TempDir(), "")
	if err != nil {
		b.Fatal(err)
	}
	a, err := pgoutput.NewAssembler(pgoutput.Settings{Folder: dir}, c)
	if err != nil {
		b.Fatal(err)
	}
	for c.changes < want || a.InTransaction() {
		f, err := stream.Receive(b.Context())
		if err == nil && f.Data != nil {
			err = a.Push(b.Context(), f.Data)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	return c.changes
}
