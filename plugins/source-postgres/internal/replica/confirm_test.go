package replica_test

import (
	"testing"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
)

// signOfLife makes the server send one behind a position: it does when it has read log that holds nothing for the stream.
func (s *site) signOfLife(t *testing.T, f *follower) pgoutput.LSN {
	t.Helper()
	s.exec(t, "create table if not exists quiet (i int)", "drop table quiet")
	at := s.wal(t)
	var end pgoutput.LSN
	if err := f.until(t, func(frame replica.Frame) bool { end = frame.End; return end >= at }); err != nil {
		t.Fatal(err)
	}
	return end
}

func TestOnlyConfirmedPositionsReachTheServer(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.published(t)
	before := s.slot(t).ConfirmedFlush
	settings := s.settings(0)
	settings.StatusEvery = 1e6 // a status each millisecond: whatever it says wrong, it says often
	f := follow(t, start(t, s.replica(t), settings))
	s.exec(t, "insert into t values (1, 'a')")
	f.changes(t, 1)
	first := f.last
	s.exec(t, "insert into t values (2, 'b')")
	f.changes(t, 2)
	second := f.last
	s.signOfLife(t, f)
	if got := s.slot(t).ConfirmedFlush; got != before {
		t.Errorf("the slot moved from %s to %s, and nothing was confirmed", before, got)
	}
	if err := f.stream.Confirm(first.End); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the confirmed position reached the slot", func() bool { return s.slot(t).ConfirmedFlush == first.End })
	wantKind(t, f.stream.Confirm(second.End+1<<40), replica.NotReceived)
	if err := f.stream.Confirm(1); err != nil { // an old position changes nothing
		t.Fatal(err)
	}
	s.signOfLife(t, f)
	shut(t, f.stream)
	if got := s.slot(t).ConfirmedFlush; got != first.End {
		t.Errorf("the slot stands at %s, confirmed was %s", got, first.End)
	}
	again := follow(t, s.stream(t, first.End))
	again.changes(t, 1)
	if again.lines[0] != "I 2,b" || again.last != second {
		t.Errorf("got %v and %+v, want the transaction that was not confirmed, %+v", again.lines, again.last, second)
	}
}

func TestPlacesWithoutChangesAreConfirmedAsOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.published(t)
	f := follow(t, s.stream(t, 0))
	quiet := s.signOfLife(t, f)
	if err := f.stream.Confirm(quiet); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the quiet position reached the slot", func() bool { return s.slot(t).ConfirmedFlush == quiet })
	lag := f.stream.Lag()
	if lag.Confirmed != quiet || lag.Received < quiet || lag.Bytes != int64(lag.Server-quiet) {
		t.Errorf("lag is %+v, confirmed was %s", lag, quiet)
	}
}

func TestMessagesAloneCanBeConfirmed(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.published(t)
	f := follow(t, s.stream(t, 0))
	s.exec(t, "select pg_logical_emit_message(true, 'qanat', 'beat')", "select pg_logical_emit_message(false, 'qanat', 'now')")
	quiet := s.signOfLife(t, f)
	if len(f.texts) != 2 {
		t.Errorf("texts are %q, want two", f.texts)
	}
	if err := f.stream.Confirm(quiet); err != nil {
		t.Error(err)
	}
}

// A caller stores a position before it confirms it. If it did not, Start says so instead of going on.
func TestAPositionBehindTheSlotIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Shared(t))
	s.published(t)
	f := follow(t, s.stream(t, 0))
	s.exec(t, "insert into t values (1, 'a')")
	f.changes(t, 1)
	first := f.last.End
	s.exec(t, "insert into t values (2, 'b')")
	f.changes(t, 2)
	if err := f.stream.Confirm(f.last.End); err != nil {
		t.Fatal(err)
	}
	shut(t, f.stream)
	_, err := s.replica(t).Start(t.Context(), s.settings(first))
	if e := wantKind(t, err, replica.PositionGone); e.At != f.last.End {
		t.Errorf("the error names %s, want %s", e.At, f.last.End)
	}
	_, err = s.replica(t).Start(t.Context(), s.settings(s.wal(t)+1<<40))
	wantKind(t, err, replica.PositionGone)
}

func TestATransactionOpenWhileOthersAreConfirmedIsNotLost(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	s := newSite(t, server)
	s.published(t)
	long := &site{dsn: s.dsn}
	long.connect(t)
	f := follow(t, s.stream(t, 0))
	long.exec(t, "begin", "insert into t values (1, 'long')")
	s.exec(t, "insert into t values (2, 'short')")
	f.changes(t, 1)
	if err := f.stream.Confirm(f.last.End); err != nil {
		t.Fatal(err)
	}
	quiet := s.signOfLife(t, f)
	if err := f.stream.Confirm(quiet); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the quiet position reached the slot", func() bool { return s.slot(t).ConfirmedFlush == quiet })
	shut(t, f.stream)
	long.exec(t, "commit")
	again := follow(t, s.stream(t, quiet))
	again.changes(t, 1)
	if again.lines[0] != "I 1,long" {
		t.Errorf("got %v, want the long transaction's row", again.lines)
	}
}
