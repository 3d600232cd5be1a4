package main

import (
	"context"
	"testing"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

// counter is an emitter that counts rows and keeps nothing.
type counter struct {
	plugintest.Recorder
	rows int64
}

func (c *counter) Batch(_ context.Context, b sdk.Batch) error {
	c.rows += b.Record.NumRows()
	b.Record.Release()
	return nil
}

// BenchmarkFullRead reads pgbench_accounts of scale 10, a million rows.
func BenchmarkFullRead(b *testing.B) {
	s := newSite(b)
	s.pgbench(b, "-i", "-q", "-s", "10")
	for _, config := range []Config{{Connections: 1}, {Connections: 2}} {
		config.Tables = []string{"pgbench_accounts"}
		b.Run(map[int]string{1: "one", 2: "two"}[config.Connections], func(b *testing.B) {
			var rows int64
			for b.Loop() {
				rows += s.count(b, config, nil)
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func (s *site) pgbench(b *testing.B, args ...string) {
	b.Helper()
	pgtest.Shared(b).Must(b, "pgbench", "postgres", append(args, s.dsn)...)
}

func (s *site) count(b *testing.B, c Config, at sdk.Position) int64 {
	b.Helper()
	out := &counter{}
	if err := s.source(b, c).Read(b.Context(), sdk.ReadRequest{Position: at}, out); err != nil {
		b.Fatal(err)
	}
	return out.rows
}

// BenchmarkChanges streams pgbench's transactions: three updates and an insert each.
func BenchmarkChanges(b *testing.B) {
	s := newSite(b)
	s.pgbench(b, "-i", "-q", "-s", "1")
	config := Config{Mode: "cdc"}
	r := &plugintest.Recorder{}
	if err := s.source(b, config).Read(b.Context(), sdk.ReadRequest{}, r); err != nil {
		b.Fatal(err)
	}
	at := r.Checkpoints[len(r.Checkpoints)-1]
	r.Release()
	const transactions = 125_000
	s.exec(b, `create procedure work(n int) language plpgsql as $$ begin for i in 1..n loop
		update pgbench_accounts set abalance = abalance + i % 1000 where aid = i * 7 % 100000 + 1; update pgbench_tellers set tbalance = tbalance + i % 1000 where tid = i % 10 + 1;
		update pgbench_branches set bbalance = bbalance + i % 1000 where bid = 1; insert into pgbench_history values (i % 10 + 1, 1, i * 7 % 100000 + 1, i, now()); commit; end loop; end $$`)
	s.exec(b, "set synchronous_commit = off", "call work(125000)")
	b.ResetTimer()
	var changes int64
	for b.Loop() {
		changes += s.count(b, config, at)
	}
	if changes%(4*transactions) != 0 {
		b.Errorf("%d changes", changes)
	}
	b.ReportMetric(float64(changes)/b.Elapsed().Seconds(), "changes/s")
}
