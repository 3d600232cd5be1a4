package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Stopping(m)) }

// site is a database of a test's own with a connection to it.
type site struct {
	dsn  string
	sql  *pgx.Conn
	flow string
}

func newSite(t testing.TB, statements ...string) *site {
	t.Helper()
	return newSiteOn(t, pgtest.Shared(t), statements...)
}

func newSiteOn(t testing.TB, server *pgtest.Server, statements ...string) *site {
	t.Helper()
	s := &site{dsn: server.Database(t), flow: "shop.orders"}
	s.sql = s.connect(t)
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

func (s *site) exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := s.sql.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// rows are those of a query, as PostgreSQL prints them.
func (s *site) rows(t testing.TB, sql string) []string {
	t.Helper()
	rows, err := s.sql.Query(t.Context(), "select r::text from ("+sql+") r")
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return out
}

func (s *site) want(t testing.TB, sql string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), s.rows(t, sql)); diff != "" {
		t.Errorf("%s\n%s", sql, diff)
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

// open makes a sink as a new process would.
func (s *site) open(t testing.TB, c Config, mode sdk.WriteMode) *Sink {
	t.Helper()
	if c.DSN == "" {
		c.DSN = sdk.Secret(s.dsn)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	sink, err := New(t.Context(), c, sdk.Env{Log: hclog.NewNullLogger(), Alloc: memory.DefaultAllocator, Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close(context.Background()) })
	if _, err := sink.Open(t.Context(), sdk.OpenRequest{Flow: s.flow, Mode: mode}); err != nil {
		t.Fatal(err)
	}
	return sink
}

// begin opens a sink, prepares it for streams and begins an epoch.
func (s *site) begin(t testing.TB, c Config, mode sdk.WriteMode, epoch uint64, streams ...sdk.SchemaChange) (*Sink, sdk.Mark) {
	t.Helper()
	sink := s.open(t, c, mode)
	mark, err := sink.Begin(t.Context(), epoch)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, sink, streams...)
	return sink, mark
}

func apply(t testing.TB, sink *Sink, streams ...sdk.SchemaChange) {
	t.Helper()
	for _, c := range streams {
		if _, err := sink.PlanSchema(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := sink.ApplySchema(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t testing.TB, sink *Sink, stream string, version int, record arrow.RecordBatch) []sdk.Rejection {
	t.Helper()
	rejected, err := sink.Write(t.Context(), sdk.Batch{Stream: stream, Version: version, Record: record})
	if err != nil {
		t.Fatal(err)
	}
	return rejected
}

func commit(t testing.TB, sink *Sink, m sdk.Mark) []sdk.Rejection {
	t.Helper()
	rejected, err := sink.Commit(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return rejected
}

func none(t testing.TB, rejected []sdk.Rejection) {
	t.Helper()
	if len(rejected) > 0 {
		t.Fatalf("%d rows were rejected: %+v", len(rejected), rejected[0])
	}
}

func mark(epoch, seq uint64) sdk.Mark {
	return sdk.Mark{Epoch: epoch, Seq: seq, Position: fmt.Appendf(nil, `{ "offset": %d, "<": "ü"}`, seq)}
}

var orders = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "note", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

func ordersStream(key ...string) sdk.SchemaChange {
	return sdk.SchemaChange{Stream: "orders", Version: 1, Schema: orders, Key: key}
}

// numbered are n made-up orders.
func numbered(first int64, n int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, orders)
	defer b.Release()
	for i := range int64(n) {
		b.Field(0).(*array.Int64Builder).Append(first + i)
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("note %d", first+i))
	}
	return b.NewRecordBatch()
}

// record makes a batch of rows given in JSON, one object each.
func record(t testing.TB, schema *arrow.Schema, rows ...string) arrow.RecordBatch {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, row := range rows {
		if err := b.UnmarshalJSON([]byte(row)); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
	}
	return b.NewRecordBatch()
}
