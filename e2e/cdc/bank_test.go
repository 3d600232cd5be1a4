package cdc_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/e2e/rig"
)

// bank is a project that follows pgbench's tables into datasets with a key, and looks at them while others work.
type bank struct {
	*rig.Project
	t      *testing.T
	load   *workload
	agreed bool // the sums have been equal, as they must be from then on
	looks  int
}

func openBank(t *testing.T, load *workload) *bank {
	t.Helper()
	p := rig.New(t, "cdc").With("BANK_DSN=" + load.server.DSN("postgres"))
	p.Limit = 20 * time.Minute
	return &bank{Project: p, t: t, load: load}
}

// start follows the tables.
func (b *bank) start() *rig.Running {
	b.t.Helper()
	return b.Start("run", "bank")
}

// finish reads what there is and ends.
func (b *bank) finish() {
	b.t.Helper()
	b.Must("run", "bank", "--env", "once")
}

const sums = `select
	(select count(*) from processing.bank.pgbench_accounts) as accounts,
	(select sum(abalance) from processing.bank.pgbench_accounts) as a,
	(select sum(bbalance) from processing.bank.pgbench_branches) as b,
	(select sum(tbalance) from processing.bank.pgbench_tellers) as t,
	(select coalesce(sum(delta), 0) from processing.bank.pgbench_history) as h`

// look asks for the sums. Until the tables have been read for the first time, they may differ; once they were equal, never again.
func (b *bank) look() {
	b.t.Helper()
	r := b.Run("query", "-o", "json", sums)
	if r.Code != 0 { // there is nothing yet, or who kept the servers up has just been killed
		return
	}
	var rows []struct {
		Accounts   int64
		A, B, T, H json.Number // null as long as a table is empty, text where it is large
	}
	if err := json.Unmarshal([]byte(r.Out), &rows); err != nil || len(rows) != 1 {
		b.t.Fatalf("sums: %v in %s", err, r.Out)
	}
	at := rows[0]
	equal := at.Accounts == int64(b.load.scale)*100_000 && at.A == at.B && at.A == at.T && at.A == at.H
	if equal {
		b.agreed = true
		b.looks++
	} else if b.agreed {
		b.t.Errorf("the books don't agree: %+v", at)
	}
}

// everyUnit holds the sums of each unit against each other, as the noted changes have them. It returns how many units it has compared.
func (b *bank) everyUnit() int {
	b.t.Helper()
	rows := b.Query(strings.ReplaceAll(books, "{keys}", fmt.Sprint(b.load.scale*(100_000+10+1))))
	if len(rows) != 1 {
		b.t.Fatalf("units: %v", rows)
	}
	if rows[0]["wrong"] != float64(0) {
		b.t.Errorf("of %v units %v have books that don't agree, the first is %v", rows[0]["units"], rows[0]["wrong"], rows[0]["first"])
	}
	return int(rows[0]["units"].(float64))
}

// books are the four sums as of each unit. Those in which the tables were still being read for the first time are left out: all keys
// must be there, and no row of a snapshot of the table without one may follow.
const books = `
with steps as (
	select _qanat_seq as seq, 'a' as book, abalance - coalesce(lag(abalance) over (partition by aid order by _qanat_seq), 0) as step,
		(lag(aid) over (partition by aid order by _qanat_seq) is null)::int as fresh from processing.bank.pgbench_accounts__changes
	union all
	select _qanat_seq, 'b', bbalance - coalesce(lag(bbalance) over (partition by bid order by _qanat_seq), 0),
		(lag(bid) over (partition by bid order by _qanat_seq) is null)::int from processing.bank.pgbench_branches__changes
	union all
	select _qanat_seq, 't', tbalance - coalesce(lag(tbalance) over (partition by tid order by _qanat_seq), 0),
		(lag(tid) over (partition by tid order by _qanat_seq) is null)::int from processing.bank.pgbench_tellers__changes
	union all
	select _qanat_seq, 'h', delta, 0 from processing.bank.pgbench_history
), units as (
	select seq, sum(step) filter (book = 'a') as a, sum(step) filter (book = 'b') as b, sum(step) filter (book = 't') as t,
		sum(step) filter (book = 'h') as h, sum(fresh) as fresh from steps group by seq
), running as (
	select seq, sum(coalesce(a, 0)) over w as a, sum(coalesce(b, 0)) over w as b, sum(coalesce(t, 0)) over w as t, sum(coalesce(h, 0)) over w as h,
		sum(fresh) over w as keys from units window w as (order by seq)
), read as (
	select greatest((select min(seq) from running where keys >= {keys}),
		(select coalesce(max(_qanat_seq), 0) from processing.bank.pgbench_history where _op = 0)) as seq
)
select count(*) as units, count(*) filter (a <> b or a <> t or a <> h) as wrong, min(seq) filter (a <> b or a <> t or a <> h) as first
from running where seq >= (select seq from read)`

// table is how rows of one of the tables are printed, here and there.
type table struct{ name, here, there string }

var tables = []table{
	{"pgbench_accounts", "aid, bid, abalance, coalesce(filler, '-')", ""},
	{"pgbench_branches", "bid, bbalance, coalesce(filler, '-')", ""},
	{"pgbench_tellers", "tid, bid, tbalance, coalesce(filler, '-')", ""},
	{
		"pgbench_history", "tid, bid, aid, delta, epoch_us(mtime), coalesce(filler, '-')",
		"tid, bid, aid, delta, (extract(epoch from mtime) * 1000000)::bigint, coalesce(filler, '-')",
	},
}

// compare holds every table row for row against those of a server.
func (b *bank) compare(server *rig.PostgresServer, who string) {
	b.t.Helper()
	for _, x := range tables {
		if x.there == "" {
			x.there = x.here
		}
		order := " order by all"
		have := b.Must("query", "-o", "csv", "select "+x.here+" from processing.bank."+x.name+order)
		_, have, _ = strings.Cut(strings.ReplaceAll(have, `"`, ""), "\n") // without the names; the two quote differently
		want := server.SQL(b.t, "postgres", "copy (select "+x.there+" from "+x.name+" order by "+ordinals(x.there)+") to stdout with csv")
		want = strings.ReplaceAll(want, `"`, "")
		if have == want {
			continue
		}
		b.t.Errorf("%s is not as %s has it (- there, + here), %d rows there and %d here:\n%.4000s", x.name, who,
			strings.Count(want, "\n"), strings.Count(have, "\n"), differing(want, have))
	}
}

// ordinals are the numbers of the columns that a select list has.
func ordinals(list string) string {
	depth, n := 0, 1
	for _, r := range list {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			n++
		}
	}
	var out []string
	for i := range n {
		out = append(out, fmt.Sprint(i+1))
	}
	return strings.Join(out, ", ")
}

// differing is the difference of long texts, by their lines.
func differing(want, have string) string {
	there := map[string]int{}
	for line := range strings.Lines(want) {
		there[line]++
	}
	for line := range strings.Lines(have) {
		there[line]--
	}
	for line, n := range there {
		if n == 0 {
			delete(there, line)
		}
	}
	return cmp.Diff(map[string]int{}, there)
}

// awaitTables lets runs go on until the tables have been read.
func (b *bank) awaitTables(running *rig.Running) *rig.Running {
	b.t.Helper()
	for limit := time.Now().Add(5 * time.Minute); !b.agreed; {
		if time.Now().After(limit) {
			b.t.Fatalf("the tables have not been read:\n%s", running.Err())
		}
		b.wait(running, time.Second)
		running = b.again(running)
		b.look()
	}
	return running
}

// again starts a run that has ended once more.
func (b *bank) again(running *rig.Running) *rig.Running {
	b.t.Helper()
	select {
	case <-running.Done():
		return b.start()
	default:
		return running
	}
}

// wait lets a run go on for a while, unless it ends.
func (b *bank) wait(running *rig.Running, d time.Duration) {
	b.t.Helper()
	select {
	case <-running.Done():
	case <-time.After(d):
	}
}

// strike kills something, or nothing.
func (b *bank) strike(running *rig.Running, what int) string {
	b.t.Helper()
	switch what {
	case 0:
		running.Signal(syscall.SIGKILL)
		return "runtime"
	case 1, 2:
		name := []string{"", "source-postgres", "runtime and server"}[what]
		if what == 2 {
			running.Signal(syscall.SIGKILL)
			b.load.server.Crash()
			b.load.server.Start(b.t)
			return name
		}
		for _, pid := range running.Plugins()[name] {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return name
	case 3:
		b.load.server.Crash()
		b.load.server.Start(b.t)
		return "server, crashed"
	}
	b.load.server.Stop()
	b.load.server.Start(b.t)
	return "server, restarted"
}
