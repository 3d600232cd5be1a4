package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
)

// behind says whether a place in the log is behind another.
func (s *site) behind(t testing.TB, place, other string) bool {
	t.Helper()
	return one[bool](t, s, "select $1::text::pg_lsn < $2::text::pg_lsn", place, other)
}

// noise makes log that holds nothing for the stream, and returns its end.
func (s *site) noise(t testing.TB) string {
	t.Helper()
	s.exec(t, "insert into noise select repeat(md5(i::text), 30) from generate_series(1, 2000) i")
	return s.target(t)
}

func TestAQuietDatabaseLetsTheLogGo(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key)", "create table noise (v text)", "insert into t values (1)")
	config := cdc("t")
	config.Heartbeat = sdk.Duration(100 * time.Millisecond)
	r := s.follow(t, config, nil, nil)
	r.until(t, "t", 1)
	end := s.noise(t)
	eventually(t, "the slot moved past what is not published", func() bool {
		if err := r.source.Ack(t.Context(), r.at()); err != nil {
			t.Fatal(err)
		}
		return !s.behind(t, s.confirmed(t), end)
	})
	if rows := r.changes("t"); len(rows) != 1 {
		t.Errorf("%v", rows)
	}
	r.end(t)
}

// A position past log without changes goes the way of all others: it is a checkpoint, then a row of the ledger, then confirmed. So wherever
// the way is cut, the slot is not ahead of the ledger, and the read goes on.
func TestQuietPositionsAreStoredBeforeTheyAreConfirmed(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key)", "create table noise (v text)", "insert into t values (0)")
	config := cdc("t")
	var ledger, acked sdk.Position
	var got []string
	for pass, c := range []struct {
		killed            string
		stored, confirmed bool
	}{
		{"before the ledger's row", false, false}, {"between the ledger's row and its Ack", true, false}, {"after Ack", true, true},
		{"before the ledger's row, again", false, false}, {"after Ack, again", true, true},
	} {
		r := s.follow(t, config, ledger, ledger)
		r.until(t, "t", 1)
		ledger = r.at()
		got = append(got, column(r.changes("t"), "id")...)
		if err := r.source.Ack(t.Context(), ledger); err != nil {
			t.Fatal(err)
		}
		acked = ledger
		end := s.noise(t)
		eventually(t, "the position moved past what is not published", func() bool { return !s.behind(t, positionLSN(t, r.at()), end) })
		if c.stored {
			ledger = r.at()
		}
		if c.confirmed {
			acked = ledger
			if err := r.source.Ack(t.Context(), acked); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "the slot moved to what was acknowledged", func() bool { return s.confirmed(t) == positionLSN(t, acked) })
		r.kill()
		if at := s.confirmed(t); at != positionLSN(t, acked) || s.behind(t, positionLSN(t, ledger), at) {
			t.Fatalf("killed %s: the slot is at %s, acknowledged is %s, the ledger has %s", c.killed, at, positionLSN(t, acked), positionLSN(t, ledger))
		}
		s.noise(t)
		s.exec(t, fmt.Sprintf("insert into t values (%d)", pass+1))
	}
	r := s.follow(t, config, ledger, ledger)
	r.until(t, "t", 1)
	s.same(t, r, nil)
	got = append(got, column(r.changes("t"), "id")...)
	if diff := cmp.Diff([]string{"0", "1", "2", "3", "4", "5"}, got); diff != "" {
		t.Error(diff)
	}
	r.end(t)
}
