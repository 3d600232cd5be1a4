package pgoutput_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Stopping(m)) }

// site is a database of a test's own with two slots: one that we decode, and one that PostgreSQL's test_decoding does.
type site struct {
	dsn          string
	sql          *pgx.Conn
	ours, theirs string
	types        map[uint32]string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{dsn: pgtest.Shared(t).Database(t)}
	s.sql = s.connect(t)
	var name string
	if err := s.sql.QueryRow(t.Context(), "select current_database()::text").Scan(&name); err != nil {
		t.Fatal(err)
	}
	s.ours, s.theirs = name+"_ours", name+"_theirs"
	t.Cleanup(s.drop)
	return s
}

func (s *site) connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (s *site) drop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, _ = s.sql.Exec(ctx, "rollback")
	_, _ = s.sql.Exec(ctx, "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()")
}

func (s *site) exec(t *testing.T, statements ...string) { t.Helper(); run(t, s.sql, statements...) }

func run(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// slots makes both, with nothing between them.
func (s *site) slots(t *testing.T) {
	t.Helper()
	s.exec(t, fmt.Sprintf("select pg_create_logical_replication_slot('%s', 'pgoutput')", s.ours),
		fmt.Sprintf("select pg_create_logical_replication_slot('%s', 'test_decoding')", s.theirs))
}

// options of the output plugin.
const (
	version1 = "'proto_version', '1', 'messages', 'true'"
	version2 = "'proto_version', '2', 'messages', 'true', 'streaming', 'on'"
)

// messages are what the server sends, decoded with so much memory.
func (s *site) messages(t *testing.T, options, memory string) [][]byte {
	t.Helper()
	s.exec(t, fmt.Sprintf("set logical_decoding_work_mem = '%s'", memory))
	rows, err := s.sql.Query(t.Context(), fmt.Sprintf(
		"select data from pg_logical_slot_peek_binary_changes('%s', null, null, 'publication_names', 'p', %s)", s.ours, options))
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var truncated = regexp.MustCompile(`^table (.*): TRUNCATE:(.*)$`)

// oracle is the list of changes that test_decoding makes of the same log, a truncate of several tables taken apart.
func (s *site) oracle(t *testing.T) []string {
	t.Helper()
	rows, err := s.sql.Query(t.Context(), fmt.Sprintf(
		"select data from pg_logical_slot_peek_changes('%s', null, null, 'include-xids', '0', 'skip-empty-xacts', '1')", s.theirs))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, line := range lines {
		if m := truncated.FindStringSubmatch(line); m != nil {
			for table := range strings.SplitSeq(m[1], ", ") {
				out = append(out, fmt.Sprintf("table %s: TRUNCATE:%s", table, m[2]))
			}
			continue
		}
		out = append(out, line)
	}
	return out
}

func (s *site) loadTypes(t *testing.T) {
	t.Helper()
	rows, err := s.sql.Query(t.Context(), "select oid, format_type(oid, null) from pg_type")
	if err != nil {
		t.Fatal(err)
	}
	s.types = map[uint32]string{}
	var oid uint32
	var name string
	if _, err := pgx.ForEachRow(rows, []any{&oid, &name}, func() error { s.types[oid] = name; return nil }); err != nil {
		t.Fatal(err)
	}
}

// teller is a consumer that writes what it gets as test_decoding does.
type teller struct {
	t         *testing.T
	types     map[uint32]string
	lines     []string
	relations []*pgoutput.Relation
	commits   []pgoutput.Transaction
	begun     *pgoutput.Transaction
	changes   int64
	latest    map[uint32]*pgoutput.Relation
	fail      func() error
}

func (l *teller) Begin(_ context.Context, tx pgoutput.Transaction) error {
	if l.begun != nil {
		l.t.Errorf("transaction %d begins inside of another", tx.XID)
	}
	l.begun, l.changes = &tx, 0
	return nil
}

func (l *teller) Relation(_ context.Context, r *pgoutput.Relation) error {
	if l.latest == nil {
		l.latest = map[uint32]*pgoutput.Relation{}
	}
	l.relations = append(l.relations, r)
	l.latest[r.ID] = r
	return nil
}

func (l *teller) Text(_ context.Context, m *pgoutput.Text) error {
	transactional := 0
	if m.Transactional {
		transactional = 1
	}
	l.lines = append(l.lines, fmt.Sprintf("message: transactional: %d prefix: %s, sz: %d content:%s", transactional, m.Prefix, len(m.Content), m.Content))
	return nil
}

func (l *teller) Commit(_ context.Context, tx pgoutput.Transaction) error {
	if l.begun == nil || tx.XID != l.begun.XID || tx.LSN != l.begun.LSN || tx.Changes != l.changes || tx.End <= tx.LSN {
		l.t.Errorf("transaction %+v with %d changes commits as %+v", l.begun, l.changes, tx)
	}
	if n := len(l.commits); n > 0 && l.commits[n-1].LSN >= tx.LSN {
		l.t.Errorf("%s commits behind %s", tx.LSN, l.commits[n-1].LSN)
	}
	l.begun = nil
	l.commits = append(l.commits, tx)
	if tx.Changes > 0 {
		l.lines = append(l.lines, "COMMIT")
	}
	return nil
}

func (l *teller) Change(_ context.Context, c *pgoutput.Change) error {
	if l.fail != nil {
		if err := l.fail(); err != nil {
			return err
		}
	}
	if l.begun == nil || c.Ordinal != l.changes+1 || l.latest[c.Relation.ID] != c.Relation {
		l.t.Errorf("change %d of %q comes behind %d in %+v", c.Ordinal, c.Relation.Name, l.changes, l.begun)
	}
	if l.changes++; l.changes == 1 {
		l.lines = append(l.lines, "BEGIN")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "table %s.%s: ", ident(c.Relation.Schema), ident(c.Relation.Name))
	switch c.Op {
	case pgoutput.OpInsert:
		b.WriteString("INSERT:" + l.tuple(c.Relation, c.New, false))
	case pgoutput.OpUpdate:
		b.WriteString("UPDATE:")
		if c.Old != nil {
			b.WriteString(" old-key:" + l.tuple(c.Relation, c.Old, true) + " new-tuple:")
		}
		b.WriteString(l.tuple(c.Relation, c.New, false))
	case pgoutput.OpDelete:
		b.WriteString("DELETE:" + l.tuple(c.Relation, c.Old, true))
	case pgoutput.OpTruncate:
		b.WriteString("TRUNCATE:" + flags(c))
	}
	l.lines = append(l.lines, b.String())
	return nil
}

func flags(c *pgoutput.Change) string {
	out := ""
	if c.RestartIdentity {
		out += " restart_seqs"
	}
	if c.Cascade {
		out += " cascade"
	}
	if out == "" {
		return " (no-flags)"
	}
	return out
}

func (l *teller) tuple(r *pgoutput.Relation, columns []pgoutput.Column, skipNulls bool) string {
	var b strings.Builder
	for i, c := range columns {
		if c.Kind == pgoutput.KindNull && skipNulls {
			continue
		}
		kind := l.types[r.Columns[i].Type]
		fmt.Fprintf(&b, " %s[%s]:", ident(r.Columns[i].Name), kind)
		switch c.Kind {
		case pgoutput.KindNull:
			b.WriteString("null")
		case pgoutput.KindUnchanged:
			b.WriteString("unchanged-toast-datum")
		default:
			b.WriteString(written(kind, string(c.Data)))
		}
	}
	return b.String()
}

func written(kind, text string) string {
	switch kind {
	case "smallint", "integer", "bigint", "oid", "real", "double precision", "numeric":
		return text
	case "bit", "bit varying":
		return "B'" + text + "'"
	case "boolean":
		return map[string]string{"t": "true", "f": "false"}[text]
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

var plain = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

func ident(name string) string {
	if plain.MatchString(name) {
		return name
	}
	return pgx.Identifier{name}.Sanitize()
}

// tell puts messages through an assembler that keeps so many bytes in memory, in a folder that it must leave empty.
func (s *site) tell(t *testing.T, messages [][]byte, memory int) *teller {
	t.Helper()
	s.loadTypes(t)
	l := &teller{t: t, types: s.types}
	folder := t.TempDir()
	a, err := pgoutput.NewAssembler(pgoutput.Settings{Folder: folder, Memory: memory}, l)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if err := a.Push(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		clear(m) // who keeps more of it than allowed shows
	}
	if kept := a.Kept(); kept != (pgoutput.Kept{}) {
		t.Errorf("%+v is kept at the end", kept)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	return l
}

func files(t *testing.T, folder string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
