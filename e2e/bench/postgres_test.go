package bench_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the state database's driver

	"github.com/qanat-data/qanat/e2e/rig"
)

// How much is read: pgbench's scale, rows of the wide table, changes of the stream.
const (
	scale       = 20
	wideRows    = 1_000_000
	transaction = 1000 // changes in one
	perSecond   = 1000 // changes, where the time until they are visible is measured
	latencyFor  = 60 * time.Second
)

func server(b *testing.B, scale int) *rig.PostgresServer {
	b.Helper()
	s := rig.Postgres(b, "shared_buffers=512MB", "max_wal_size=8GB")
	s.Must(b, "pgbench", "postgres", "-i", "-q", "-s", strconv.Itoa(scale))
	return s
}

func project(b *testing.B, s *rig.PostgresServer, env ...string) *rig.Project {
	b.Helper()
	p := rig.New(b, "bench").With(append(env, "BENCH_DSN="+s.DSN("postgres"))...)
	p.Limit = 20 * time.Minute
	return p
}

// wide is a table of thirty columns of the usual types.
func wide() string {
	columns := []string{"id bigint primary key"}
	values := []string{"i"}
	for n := range 29 {
		kind := []struct{ of, value string }{
			{"integer", "i % 1000 + %d"}, {"text", "'text number ' || (i * %d) % 5000"}, {"numeric(12,2)", "(i * %d %% 100000) / 100.0"},
			{"timestamptz", "timestamptz '2026-01-01' + i * interval '%d seconds'"}, {"double precision", "i * 1.%d"}, {"boolean", "i %% (%d + 2) = 0"},
		}[n%6]
		columns = append(columns, fmt.Sprintf("c%02d %s", n, kind.of))
		values = append(values, strings.ReplaceAll(strings.ReplaceAll(kind.value, "%d", strconv.Itoa(n+1)), "%%", "%"))
	}
	return fmt.Sprintf("create table wide (%s); insert into wide select %s from generate_series(1, %d) i; analyze wide",
		strings.Join(columns, ", "), strings.Join(values, ", "), wideRows)
}

// BenchmarkPostgresFull reads whole tables into landing, from the start of the command to its end, and has psql write the same tables as
// text beside it.
func BenchmarkPostgresFull(b *testing.B) {
	s := server(b, scale)
	s.SQL(b, "postgres", wide())
	for table, rows := range map[string]int{"pgbench_accounts": scale * 100_000, "wide": wideRows} {
		b.Run(table, func(b *testing.B) {
			var ours, theirs time.Duration
			var core, plugins int64
			var flow float64
			for range b.N {
				p := project(b, s, "BENCH_TABLE="+table)
				began := time.Now()
				running := p.Start("run", "full", "-o", "json")
				c, pl := peaks(b, running)
				ours += time.Since(began)
				core, plugins = max(core, c), max(plugins, pl)
				flow += landed(b, running.Wait(), rows)
				theirs += copyOut(b, s, table)
			}
			b.ReportMetric(float64(rows*b.N)/ours.Seconds()/1e3, "krows/s")
			b.ReportMetric(float64(rows*b.N)/flow/1e3, "flow-krows/s")
			b.ReportMetric(float64(rows*b.N)/theirs.Seconds()/1e3, "psql-krows/s")
			memory(b, core, plugins)
		})
	}
}

// landed holds the rows of a run against those that were to be read, and returns how long its flow took, without the start of servers.
func landed(b *testing.B, r rig.Result, rows int) float64 {
	b.Helper()
	var summary struct {
		Flows []struct {
			Written int `json:"rows_written"`
			Seconds float64
		}
	}
	if r.Code != 0 || json.Unmarshal([]byte(r.Out), &summary) != nil || len(summary.Flows) != 1 || summary.Flows[0].Written != rows {
		b.Fatalf("exit %d, expected %d rows of one flow\n%s\n%s", r.Code, rows, r.Out, r.Err)
	}
	return summary.Flows[0].Seconds
}

func memory(b *testing.B, core, plugins int64) {
	b.Helper()
	b.ReportMetric(float64(core)/(1<<20), "core-MiB")
	b.ReportMetric(float64(plugins)/(1<<20), "plugin-MiB")
	b.ReportMetric(0, "ns/op") // not of interest
}

// copyOut is how long psql takes to print a table.
func copyOut(b *testing.B, s *rig.PostgresServer, table string) time.Duration {
	b.Helper()
	cmd := s.Tool(b.Context(), "psql", "postgres", "-X", "-q", "-c", `\copy `+table+" to stdout")
	cmd.Stdout = io.Discard
	began := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

// following is a project whose tables have been read, so that only changes come.
func following(b *testing.B, scale int) (*rig.PostgresServer, *rig.Project) {
	b.Helper()
	s := server(b, scale)
	p := project(b, s)
	p.Must("run", "changes", "--env", "once")
	return s, p
}

// BenchmarkPostgresChanges reads a million changes that have piled up into landing, from the start of the command to its end, and has
// pg_recvlogical take the same from a slot of its own.
func BenchmarkPostgresChanges(b *testing.B) {
	const changes = 1_000_000
	s, p := following(b, changes/100_000)
	var ours, theirs time.Duration
	var core, plugins int64
	for range b.N {
		s.SQL(b, "postgres", "select pg_create_logical_replication_slot('theirs', 'pgoutput')")
		s.SQL(b, "postgres", fmt.Sprintf(`do $$ begin for i in 0..%d loop
			update pgbench_accounts set abalance = abalance + 1 where aid between i * %d + 1 and (i + 1) * %d; commit; end loop; end $$`,
			changes/transaction-1, transaction, transaction))
		end := strings.TrimSpace(s.SQL(b, "postgres", "select pg_current_wal_lsn()"))
		began := time.Now()
		running := p.Start("run", "changes", "--env", "once", "-o", "json")
		c, pl := peaks(b, running)
		ours += time.Since(began)
		core, plugins = max(core, c), max(plugins, pl)
		landed(b, running.Wait(), changes)
		began = time.Now()
		cmd := s.Tool(b.Context(), "pg_recvlogical", "postgres", "-d", "postgres", "-S", "theirs", "--start", "--endpos="+end, "-f", "-",
			"-o", "proto_version=1", "-o", "publication_names=qanat_postgres")
		cmd.Stdout = io.Discard
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		theirs += time.Since(began)
		s.SQL(b, "postgres", "select pg_drop_replication_slot('theirs')")
	}
	b.ReportMetric(float64(changes*b.N)/ours.Seconds()/1e3, "kchanges/s")
	b.ReportMetric(float64(changes*b.N)/theirs.Seconds()/1e3, "pg_recvlogical-kchanges/s")
	memory(b, core, plugins)
}

// BenchmarkPostgresVisible measures how long after a commit at the source its rows can be read from landing, while pgbench makes a
// thousand changes a second: the unit's time in the ledger less the transaction's.
func BenchmarkPostgresVisible(b *testing.B) {
	s, p := following(b, 1)
	for range b.N {
		running := p.Start("run", "changes")
		s.Must(b, "pgbench", "postgres", "-n", "-c", "4", "-R", strconv.Itoa(perSecond/4), "-T", strconv.Itoa(int(latencyFor.Seconds())))
		running.Signal(syscall.SIGINT)
		core, plugins := peaks(b, running)
		if r := running.Wait(); r.Code != 0 {
			b.Fatalf("exit %d\n%s", r.Code, r.Err)
		}
		late := lateness(b, p)
		b.ReportMetric(float64(len(late))/latencyFor.Seconds(), "changes/s")
		b.ReportMetric(late[len(late)/2].Seconds(), "p50-s")
		b.ReportMetric(late[len(late)*99/100].Seconds(), "p99-s")
		b.ReportMetric(late[len(late)-1].Seconds(), "max-s")
		memory(b, core, plugins)
	}
}

// lateness is how long each streamed change took to be visible, sorted.
func lateness(b *testing.B, p *rig.Project) []time.Duration {
	b.Helper()
	visible := commits(b, filepath.Join(p.Dir, ".qanat", "state.db"))
	var rows []map[string]any
	p.JSON(&rows, "query", `select _qanat_seq as seq, epoch_us(_ts) as at, count(*) as n from (
		select _qanat_seq, _ts, _op from landing.changes.pgbench_accounts union all
		select _qanat_seq, _ts, _op from landing.changes.pgbench_branches union all
		select _qanat_seq, _ts, _op from landing.changes.pgbench_tellers union all
		select _qanat_seq, _ts, _op from landing.changes.pgbench_history) where _op > 0 group by all`)
	var late []time.Duration
	for _, r := range rows {
		at := visible[int64(r["seq"].(float64))] - int64(r["at"].(float64))
		for range int(r["n"].(float64)) {
			late = append(late, time.Duration(at)*time.Microsecond)
		}
	}
	if len(late) == 0 {
		b.Fatal("no change was read")
	}
	slices.Sort(late)
	return late
}

// commits is when each unit of landing was committed, in microseconds.
func commits(b *testing.B, state string) map[int64]int64 {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+state+"?mode=ro")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(b.Context(), "select seq, committed_at from qanat_ledger where flow = 'changes.landing'")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	at := map[int64]int64{}
	for rows.Next() {
		var seq, committed int64
		if err := rows.Scan(&seq, &committed); err != nil {
			b.Fatal(err)
		}
		at[seq] = committed
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	return at
}
