package replica_test

import (
	"fmt"
	"testing"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
)

func TestAnExportedSnapshotAndTheStreamMeetWithoutGapOrOverlap(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.exec(t, "create table t (id int primary key, v text)", "create publication p for all tables", "insert into t values (1, 'before')")
	c := s.replica(t)
	created, err := c.CreateSlotWithSnapshot(t.Context(), s.name)
	if err != nil || created.Name != s.name || created.Snapshot == "" || created.Consistent != s.slot(t).ConfirmedFlush {
		t.Fatalf("%+v, %v, and the slot is %+v", created, err, s.slot(t))
	}
	s.exec(t, "insert into t values (2, 'after')")
	_, err = c.IdentifySystem(t.Context())
	wantKind(t, err, replica.SnapshotHeld)
	s.exec(t, "begin isolation level repeatable read", fmt.Sprintf("set transaction snapshot '%s'", created.Snapshot))
	if n := one[int](t, s, "select count(*) from t"); n != 1 {
		t.Errorf("the snapshot has %d rows, want the one before the slot", n)
	}
	s.exec(t, "commit")
	if err := c.ReleaseSnapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.exec(t, "begin isolation level repeatable read")
	if _, err := s.sql.Exec(t.Context(), fmt.Sprintf("set transaction snapshot '%s'", created.Snapshot)); err == nil {
		t.Error("the snapshot outlives its release")
	}
	s.exec(t, "rollback")
	f := follow(t, start(t, c, s.settings(created.Consistent)))
	f.changes(t, 1)
	if f.lines[0] != "I 2,after" {
		t.Errorf("got %v, want the row after the slot", f.lines)
	}
}

func TestTwoSlotsOfADatabaseMoveByThemselves(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.published(t)
	other := &site{dsn: s.dsn, name: s.name + "_other", sql: s.sql}
	if _, err := s.replica(t).CreateSlot(t.Context(), other.name); err != nil {
		t.Fatal(err)
	}
	before := other.slot(t).ConfirmedFlush
	f, g := follow(t, s.stream(t, 0)), follow(t, other.stream(t, 0))
	s.exec(t, "insert into t values (1, 'a')")
	f.changes(t, 1)
	g.changes(t, 1)
	if err := f.stream.Confirm(f.last.End); err != nil {
		t.Fatal(err)
	}
	shut(t, f.stream)
	shut(t, g.stream)
	if s.slot(t).ConfirmedFlush != f.last.End || other.slot(t).ConfirmedFlush != before {
		t.Errorf("slots stand at %s and %s, want %s and %s", s.slot(t).ConfirmedFlush, other.slot(t).ConfirmedFlush, f.last.End, before)
	}
}

func TestASlotShowsItsLag(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.published(t)
	was := s.slot(t)
	s.exec(t, "insert into t select i, repeat('x', 1000) from generate_series(1, 1000) i")
	now := s.slot(t)
	if now.Lag < was.Lag+1_000_000 || now.Lag != int64(now.Current-now.ConfirmedFlush) || now.Retained < now.Lag {
		t.Errorf("before a megabyte %+v, behind it %+v", was, now)
	}
}

// What is streamed is text whose form depends on settings of server, database and role.
func TestValuesHaveOneFormWhateverTheSettings(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	for _, set := range []string{"datestyle = 'German'", "intervalstyle = 'iso_8601'", "timezone = 'Asia/Tokyo'", "extra_float_digits = 0", "bytea_output = 'escape'"} {
		s.exec(t, fmt.Sprintf("alter database %s set %s", s.name[2:], set))
	}
	s.exec(t, "create table v (id int primary key, at timestamptz, i interval, f float8, b bytea)", "create publication p for all tables")
	c := s.replica(t)
	if _, err := c.CreateSlot(t.Context(), s.name); err != nil {
		t.Fatal(err)
	}
	f := follow(t, start(t, c, s.settings(0)))
	s.exec(t, `insert into v values (1, '2024-01-02 03:04:05+00', '1 day 2 hours', 0.1::float8 + 0.2::float8, '\x0102')`)
	f.changes(t, 1)
	if want := `I 1,2024-01-02 03:04:05+00,1 day 02:00:00,0.30000000000000004,\x0102`; f.lines[0] != want {
		t.Errorf("got  %s\nwant %s", f.lines[0], want)
	}
}
