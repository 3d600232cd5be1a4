package pgoutput_test

import (
	"context"
	"strings"
	"testing"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
)

// tpcb is pgbench's tables and one of its transactions, a hundred times.
var tpcb = []string{
	"create table pgbench_branches (bid int primary key, bbalance int, filler char(88))",
	"create table pgbench_tellers (tid int primary key, bid int, tbalance int, filler char(84))",
	"create table pgbench_accounts (aid int primary key, bid int, abalance int, filler char(84))",
	"create table pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))",
	"insert into pgbench_branches select i, 0, '' from generate_series(1, 10) i", "insert into pgbench_tellers select i, i / 10 + 1, 0, '' from generate_series(1, 100) i",
	"insert into pgbench_accounts select i, i / 100 + 1, 0, '' from generate_series(1, 1000) i", "create publication p for all tables",
}

const tpcbRun = `do $$ declare d int; a int; begin for i in 1..100 loop
	d := (i * 7919) % 9999 - 5000; a := (i * 613) % 1000 + 1;
	update pgbench_accounts set abalance = abalance + d where aid = a;
	update pgbench_tellers set tbalance = tbalance + d where tid = i;
	update pgbench_branches set bbalance = bbalance + d where bid = i % 10 + 1;
	insert into pgbench_history values (i, i % 10 + 1, a, d, now());
	commit; end loop; end $$`

func TestPgbenchsTransactions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.exec(t, tpcb...)
	s.slots(t)
	s.exec(t, tpcbRun)
	s.compare(t, false)
	messages := s.messages(t, version2, "64MB")
	if got := kinds(messages); strings.Count(got, "U") != 300 || strings.Count(got, "B") != 100 {
		t.Errorf("messages are %s", got)
	}
	if *recording {
		save(t, "pgbench", messages)
	}
}

// BenchmarkDecode reports changes a second of pgbench's transactions, begin and commit included.
func BenchmarkDecode(b *testing.B) {
	messages := unpacked(recorded(b, "pgbench.bin")[0])
	var d pgoutput.Decoder
	changes := 0
	b.ReportAllocs()
	for b.Loop() {
		for _, raw := range messages {
			m, err := d.Decode(raw)
			if err != nil {
				b.Fatal(err)
			}
			switch m.(type) {
			case *pgoutput.Insert, *pgoutput.Update:
				changes++
			}
		}
	}
	b.ReportMetric(float64(changes)/b.Elapsed().Seconds(), "changes/s")
}

type counter struct{ changes int }

func (c *counter) Begin(context.Context, pgoutput.Transaction) error  { return nil }
func (c *counter) Relation(context.Context, *pgoutput.Relation) error { return nil }
func (c *counter) Text(context.Context, *pgoutput.Text) error         { return nil }
func (c *counter) Commit(context.Context, pgoutput.Transaction) error { return nil }
func (c *counter) Change(context.Context, *pgoutput.Change) error {
	c.changes++
	return nil
}

// BenchmarkAssemble does the same up to the consumer.
func BenchmarkAssemble(b *testing.B) {
	messages := unpacked(recorded(b, "pgbench.bin")[0])
	c := &counter{}
	a, err := pgoutput.NewAssembler(pgoutput.Settings{Folder: b.TempDir()}, c)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, raw := range messages {
			if err := a.Push(b.Context(), raw); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(c.changes)/b.Elapsed().Seconds(), "changes/s")
}

// BenchmarkAssembleStreamed spills the rows of a transaction that commits later.
func BenchmarkAssembleStreamed(b *testing.B) {
	const rows = 10_000
	relation := &pgoutput.Relation{XID: 1, ID: 7, Name: "t", Columns: make([]pgoutput.RelationColumn, 4)}
	value := pgoutput.Column{Kind: pgoutput.KindText, Data: []byte(strings.Repeat("1", 20))}
	row := encode(&pgoutput.Update{XID: 1, Relation: 7, New: []pgoutput.Column{value, value, value, value}}, true)
	c := &counter{}
	a, err := pgoutput.NewAssembler(pgoutput.Settings{Folder: b.TempDir(), Memory: 64 << 10}, c)
	if err != nil {
		b.Fatal(err)
	}
	messages := [][]byte{encode(&pgoutput.StreamStart{XID: 1, First: true}, false), encode(relation, true)}
	for range rows {
		messages = append(messages, row)
	}
	messages = append(messages, []byte{'E'}, commit(1, 8))
	for b.Loop() {
		for _, raw := range messages {
			if err := a.Push(b.Context(), raw); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(c.changes)/b.Elapsed().Seconds(), "changes/s")
}
