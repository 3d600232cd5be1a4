package pgoutput_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
)

func (s *site) tables(t *testing.T) {
	t.Helper()
	s.exec(t, "create table t (id int primary key, v text)", "create table u (a int, b int)", "create publication p for all tables")
	s.slots(t)
}

func TestTransactionsComeInTheOrderOfTheirCommits(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.tables(t)
	a, b, c := s.connect(t), s.connect(t), s.connect(t)
	run(t, a, "begin", "insert into t values (1, 'a')")
	run(t, b, "begin", "insert into t values (2, 'b')")
	run(t, c, "begin", "insert into t values (3, 'c')")
	run(t, a, "insert into t values (11, 'a')")
	run(t, b, "commit")
	run(t, c, "rollback")
	run(t, a, "commit")
	s.exec(t, "insert into t values (4, 'd')")
	s.compare(t, false)
}

// Blocks of three transactions come in turns. They commit in another order than they began, one is rolled back, and a short one
// commits between them.
func TestStreamedTransactionsThatInterleave(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.tables(t)
	a, b, c := s.connect(t), s.connect(t), s.connect(t)
	run(t, a, "begin", bulk(1, 500))
	run(t, b, "begin", bulk(10001, 10500), "savepoint s", bulk(10501, 11000))
	run(t, c, "begin", bulk(20001, 20500))
	run(t, a, bulk(501, 1000))
	run(t, b, "rollback to s", bulk(11001, 11500))
	s.exec(t, "insert into u values (1, 2)")
	run(t, c, bulk(20501, 21000), "rollback")
	run(t, b, "commit")
	run(t, a, bulk(1001, 1500), "commit")
	s.compare(t, true)
}

// A transaction that is streamed has the columns that were published when it was sent, and those that are sent later have the new
// ones, though they commit before it.
func TestAStreamedTransactionKeepsItsOwnColumns(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.exec(t, "create table t (id int primary key, v text, w text)", "create publication p for table t (id, v)")
	s.slots(t)
	a := s.connect(t)
	run(t, a, "begin", "insert into t select i, repeat('v', 300), 'w' from generate_series(1, 1000) i")
	s.exec(t, "alter publication p set table t (id, w)", "insert into t values (2001, 'v', 'w')")
	run(t, a, "commit")
	s.exec(t, "insert into t values (2002, 'v', 'w')")
	l := s.tell(t, s.messages(t, version2, "64kB"), 1000)
	var got []string
	for _, r := range l.relations {
		got = append(got, r.Columns[1].Name)
	}
	if diff := cmp.Diff([]string{"w", "v", "w"}, got); diff != "" {
		t.Errorf("second columns: %s", diff)
	}
	for _, line := range l.lines {
		if strings.Contains(line, " v[text]:'w'") || strings.Contains(line, " w[text]:'v") {
			t.Fatalf("a value under another column's name: %s", line[:100])
		}
	}
}

func TestAPartitionedTableComesUnderItsRoot(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.exec(t, "create table part (id int primary key, v text) partition by range (id)", "create table part1 partition of part for values from (0) to (10)",
		"create table part2 (v text, id int not null)", "alter table part attach partition part2 for values from (10) to (20)",
		"create publication p for all tables with (publish_via_partition_root)")
	s.slots(t)
	s.exec(t, "insert into part values (1, 'a'), (11, 'b')", "update part set id = 12 where id = 1", "truncate part")
	want := []string{
		"BEGIN", "table public.part: INSERT: id[integer]:1 v[text]:'a'", "table public.part: INSERT: id[integer]:11 v[text]:'b'", "COMMIT",
		"BEGIN", "table public.part: DELETE: id[integer]:1", "table public.part: INSERT: id[integer]:12 v[text]:'a'", "COMMIT",
		"BEGIN", "table public.part: TRUNCATE: (no-flags)", "COMMIT",
	}
	if diff := cmp.Diff(want, s.tell(t, s.messages(t, version2, "64kB"), 0).lines); diff != "" {
		t.Error(diff)
	}
}

func TestGeneratedColumnsAreNotInTheStream(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.exec(t, "create table g (id int primary key, n int generated always as (id + 1) stored, v text)", "create publication p for all tables")
	s.slots(t)
	s.exec(t, "insert into g (id, v) values (1, 'a')")
	l := s.tell(t, s.messages(t, version2, "64kB"), 0)
	want := []pgoutput.RelationColumn{{Key: true, Name: "id", Type: 23, Modifier: -1}, {Name: "v", Type: 25, Modifier: -1}}
	if diff := cmp.Diff(want, l.relations[0].Columns); diff != "" {
		t.Error(diff)
	}
}

func TestTheOriginIsKnownWhenATransactionBegins(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.tables(t)
	origin := s.ours + "_origin"
	s.exec(t, fmt.Sprintf("select pg_replication_origin_create('%s')", origin), fmt.Sprintf("select pg_replication_origin_session_setup('%s')", origin),
		"begin", "insert into t values (1, 'a')", "commit", "begin", bulk(2, 1000), "commit")
	for _, memory := range []string{"64kB", "64MB"} {
		l := s.tell(t, s.messages(t, version2, memory), 0)
		if len(l.commits) != 2 || l.commits[0].Origin != origin || l.commits[1].Origin != origin || l.commits[1].Streamed != (memory == "64kB") {
			t.Errorf("%s: %+v, want two from %s", memory, l.commits, origin)
		}
	}
}

func TestTheCommitIsPostgresOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.exec(t, "create table t (id int primary key, v text)", "create publication p for all tables")
	s.slots(t)
	var xid, end string
	var now time.Time
	s.exec(t, "insert into t values (1, 'a')")
	if err := s.sql.QueryRow(t.Context(), "select xmin::text, pg_current_wal_lsn()::text, now() from t").Scan(&xid, &end, &now); err != nil {
		t.Fatal(err)
	}
	commits := s.tell(t, s.messages(t, version2, "64MB"), 0).commits
	if len(commits) != 1 || fmt.Sprint(commits[0].XID) != xid || commits[0].Committed.After(now) || now.Sub(commits[0].Committed) > time.Hour {
		t.Errorf("%+v, want transaction %s at about %s", commits, xid, now)
	}
	if limit, err := pgoutput.ParseLSN(end); err != nil || commits[0].End > limit {
		t.Errorf("%s ends behind the log's end %s (%v)", commits[0].End, end, err)
	}
}

// made is a stream that no server sent: one block of a transaction with n rows.
func made(xid uint32, first bool, n int) [][]byte {
	start := &pgoutput.StreamStart{XID: xid, First: first}
	relation := &pgoutput.Relation{XID: xid, ID: 7, Schema: "s", Name: "t", Identity: 'd', Columns: []pgoutput.RelationColumn{{Name: "c", Type: 25}}}
	row := &pgoutput.Insert{XID: xid, Relation: 7, New: []pgoutput.Column{{Kind: pgoutput.KindText, Data: []byte(strings.Repeat("x", 1000))}}}
	out := [][]byte{encode(start, false), encode(relation, true)}
	for range n {
		out = append(out, encode(row, true))
	}
	return append(out, []byte{'E'})
}

func commit(xid uint32, at pgoutput.LSN) []byte {
	return encode(&pgoutput.StreamCommit{XID: xid, LSN: at, End: at + 8, Committed: time.UnixMicro(0)}, false)
}

type tally struct {
	rows    int
	commits []uint32
	err     error
}

func (c *tally) Begin(context.Context, pgoutput.Transaction) error  { return nil }
func (c *tally) Relation(context.Context, *pgoutput.Relation) error { return nil }
func (c *tally) Text(context.Context, *pgoutput.Text) error         { return nil }
func (c *tally) Change(context.Context, *pgoutput.Change) error {
	c.rows++
	return c.err
}

func (c *tally) Commit(_ context.Context, tx pgoutput.Transaction) error {
	c.commits = append(c.commits, tx.XID)
	return nil
}

func assembler(t *testing.T, folder string, memory int, to pgoutput.Consumer) *pgoutput.Assembler {
	t.Helper()
	a, err := pgoutput.NewAssembler(pgoutput.Settings{Folder: folder, Memory: memory}, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

func push(t *testing.T, a *pgoutput.Assembler, messages ...[]byte) {
	t.Helper()
	for _, m := range messages {
		if err := a.Push(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

func TestManyOpenTransactionsShareTheMemory(t *testing.T) {
	t.Parallel()
	const memory, open, blocks, rows = 1 << 20, 20, 10, 50
	folder := t.TempDir()
	to := &tally{}
	a := assembler(t, folder, memory, to)
	var most pgoutput.Kept
	for block := range blocks {
		for xid := range uint32(open) {
			for _, m := range made(xid+1, block == 0, rows) {
				push(t, a, m)
				k := a.Kept()
				most.Memory, most.Files = max(most.Memory, k.Memory), max(most.Files, k.Files)
			}
		}
	}
	if most.Memory > memory || most.Files < open*blocks*rows*1000-memory {
		t.Errorf("at most %+v were kept, want %d in memory and the rest in files", most, memory)
	}
	push(t, a, encode(&pgoutput.StreamAbort{XID: 5, Sub: 5}, false))
	for xid := uint32(open); xid > 0; xid-- {
		if xid != 5 {
			push(t, a, commit(xid, pgoutput.LSN(1000-xid)))
		}
	}
	if to.rows != (open-1)*blocks*rows || len(to.commits) != open-1 || to.commits[0] != open {
		t.Errorf("got %d rows of %v", to.rows, to.commits)
	}
	if left := files(t, folder); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

func TestAMessageLargerThanTheMemoryIsKept(t *testing.T) {
	t.Parallel()
	to := &tally{}
	a := assembler(t, t.TempDir(), 10, to)
	push(t, a, made(1, true, 3)...)
	push(t, a, commit(1, 100))
	if to.rows != 3 {
		t.Errorf("got %d rows, want 3", to.rows)
	}
}

func TestTheFolderIsCleanedOfWhatADeadAssemblerLeft(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "a [b] *", "c")
	dead, err := pgoutput.NewAssembler(pgoutput.Settings{Folder: folder, Memory: 10}, &tally{})
	if err != nil {
		t.Fatal(err)
	}
	push(t, dead, made(1, true, 3)...)
	mine := filepath.Join(folder, "notes.txt")
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if len(files(t, strings.NewReplacer("[", `\[`, "*", `\*`).Replace(folder))) != 2 {
		t.Fatal("nothing was spilled")
	}
	to := &tally{}
	a := assembler(t, folder, 10, to)
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("left are %v (%v), want what the assembler did not write", left, err)
	}
	push(t, a, made(1, true, 2)...)
	push(t, a, commit(1, 100))
	if to.rows != 2 {
		t.Errorf("got %d rows, want 2", to.rows)
	}
}

func TestASpillThatFailsEndsTheAssembler(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, folder string){
		"no folder": func(t *testing.T, folder string) { remove(t, folder) },
		"a full disk": func(t *testing.T, folder string) {
			if err := os.Symlink("/dev/full", filepath.Join(folder, "1.stream")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), "f")
			to := &tally{}
			a := assembler(t, folder, 10, to)
			spoil(t, folder)
			var failed error
			for _, m := range append(made(1, true, 3), commit(1, 100)) {
				err := a.Push(t.Context(), m)
				if failed != nil && !errors.Is(err, failed) {
					t.Errorf("after %v came %v", failed, err)
				}
				failed = err
			}
			if failed == nil || to.rows > 0 || len(to.commits) > 0 {
				t.Errorf("%v, and %d rows were delivered", failed, to.rows)
			}
		})
	}
}

func remove(t *testing.T, folder string) {
	t.Helper()
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
}

func TestAFileThatLostItsEndIsNoTransaction(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	to := &tally{}
	a := assembler(t, folder, 10, to)
	push(t, a, made(1, true, 3)...)
	if err := os.Truncate(files(t, folder)[0], 2500); err != nil {
		t.Fatal(err)
	}
	if err := a.Push(t.Context(), commit(1, 100)); err == nil || len(to.commits) > 0 {
		t.Errorf("%v, commits: %v", err, to.commits)
	}
}

func TestAConsumersErrorEndsTheAssembler(t *testing.T) {
	t.Parallel()
	to := &tally{err: errors.New("no")}
	a := assembler(t, t.TempDir(), 10, to)
	push(t, a, made(1, true, 3)...)
	for range 2 {
		if err := a.Push(t.Context(), commit(1, 100)); !errors.Is(err, to.err) {
			t.Errorf("got %v, want the consumer's error", err)
		}
	}
	if to.rows != 1 || len(to.commits) > 0 {
		t.Errorf("the consumer got %d rows and %v", to.rows, to.commits)
	}
}

func TestWhatBreaksTheProtocolIsRefused(t *testing.T) {
	t.Parallel()
	begin := encode(&pgoutput.Begin{Final: 5, Committed: time.UnixMicro(0), XID: 1}, false)
	row := encode(&pgoutput.Insert{Relation: 7}, false)
	block := made(1, true, 1)
	for name, messages := range map[string][][]byte{
		"a row outside":                   {row},
		"a relation nobody announced":     {begin, row},
		"a begin inside":                  {begin, begin},
		"a stream inside":                 {begin, block[0]},
		"another commit":                  {begin, encode(&pgoutput.Commit{LSN: 6, Committed: time.UnixMicro(0)}, false)},
		"a commit of nothing":             {commit(1, 5)},
		"a block that is not the first":   {made(1, false, 1)[0]},
		"a first block twice":             {block[0], []byte{'E'}, block[0]},
		"a begin inside of a block":       {block[0], begin},
		"a stream block within another":   {block[0], block[0]},
		"a block's end without its start": {[]byte{'E'}},
		"a tuple that does not fit": {
			block[0], block[1], encode(&pgoutput.Insert{XID: 1, Relation: 7}, true), []byte{'E'}, commit(1, 5),
		},
		"nothing": {{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := assembler(t, t.TempDir(), 0, &tally{})
			for i, m := range messages {
				if err := a.Push(t.Context(), m); (err != nil) != (i == len(messages)-1) || err != nil && !errors.Is(err, pgoutput.ErrMalformed) {
					t.Errorf("message %d: %v", i, err)
				}
			}
		})
	}
}
