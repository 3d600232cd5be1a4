package main

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/qanat-data/qanat/sdk"
)

func TestUnitsShowWithTheirCommitAndOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	sink, from := s.begin(t, Config{}, sdk.Append, 1, ordersStream())
	if from.Seq != 0 {
		t.Errorf("a new flow has the mark %+v", from)
	}
	none(t, write(t, sink, "orders", 1, numbered(1, 2)))
	s.want(t, "select * from orders")
	none(t, commit(t, sink, mark(1, 1)))
	s.want(t, "select * from orders order by id", "(1,\"note 1\")", "(2,\"note 2\")")
	none(t, commit(t, sink, mark(1, 1)))
	none(t, write(t, sink, "orders", 1, numbered(1, 2)))
	none(t, commit(t, sink, mark(1, 1)))
	none(t, commit(t, sink, mark(1, 2)))
	next, last := s.begin(t, Config{}, sdk.Append, 1, ordersStream())
	if diff := cmp.Diff(mark(1, 2), last); diff != "" {
		t.Error(diff)
	}
	none(t, write(t, next, "orders", 1, numbered(3, 1)))
	none(t, commit(t, next, mark(1, 3)))
	s.want(t, "select count(*), sum(id) from orders", "(3,6)")
	other := mark(1, 3)
	other.Position = []byte(`{"offset":99}`)
	if _, err := next.Commit(t.Context(), other); err == nil {
		t.Error("other rows were taken under a committed seq")
	}
}

func TestNewerWritersFenceOlderOnesOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fenced := func(what string, err error) {
		t.Helper()
		if sdk.KindOf(err) != sdk.KindFenced {
			t.Errorf("%s: %v, expected Fenced", what, err)
		}
	}
	old, _ := s.begin(t, Config{}, sdk.Append, 3, ordersStream())
	none(t, write(t, old, "orders", 1, numbered(1, 1)))
	now, _ := s.begin(t, Config{}, sdk.Append, 5, ordersStream())
	_, err := old.Commit(t.Context(), mark(3, 1))
	fenced("commit of staged rows", err)
	_, err = s.open(t, Config{}, sdk.Append).Begin(t.Context(), 4)
	fenced("begin of an older epoch", err)
	none(t, write(t, now, "orders", 1, numbered(1, 1)))
	twin, _ := s.begin(t, Config{}, sdk.Append, 5, ordersStream())
	_, err = now.Write(t.Context(), sdk.Batch{Stream: "orders", Version: 1, Record: numbered(1, 1)})
	fenced("a second writer of the same epoch has begun", err)
	_, err = now.Commit(t.Context(), mark(5, 1))
	fenced("its commit", err)
	none(t, write(t, twin, "orders", 1, numbered(1, 1)))
	none(t, commit(t, twin, mark(5, 1)))
	_, err = old.Commit(t.Context(), mark(3, 1))
	fenced("commit of a committed seq by an old writer", err)
	s.want(t, "select count(*) from orders", "(1)")
}

// PostgreSQL fails a second "create … if not exists" of what is being created.
func TestFlowsThatBeginAtOnceMakeTheirTablesTogether(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var group errgroup.Group
	for i := range 6 {
		sink := (&site{dsn: s.dsn, flow: fmt.Sprint("flow ", i)}).open(t, Config{Schema: "made at once"}, sdk.Append)
		group.Go(func() error {
			if _, err := sink.Begin(t.Context(), 1); err != nil {
				return err
			}
			if err := sink.ApplySchema(t.Context(), ordersStream()); err != nil {
				return err
			}
			if _, err := sink.Write(t.Context(), sdk.Batch{Stream: "orders", Version: 1, Record: numbered(int64(i), 1)}); err != nil {
				return err
			}
			_, err := sink.Commit(t.Context(), mark(1, 1))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	s.want(t, `select count(*) from "made at once".orders`, "(6)")
}

func TestRowsThatTheTargetRefusesComeBackAndTheRestStand(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table orders (id int primary key check (id <> 7), note varchar(8) not null)")
	sink, _ := s.begin(t, Config{Evolve: new(bool)}, sdk.Append, 1, ordersStream())
	none(t, write(t, sink, "orders", 1, numbered(100, 3)))
	rejected := write(t, sink, "orders", 1, record(t, orders, `{"id":1,"note":"a"}`, `{"id":101,"note":"b"}`, `{"id":7,"note":"c"}`, `{"id":8}`,
		`{"id":9,"note":"much too long"}`, `{"id":99999999999,"note":"d"}`, `{"id":2,"note":"zero \u0000"}`, `{"id":3,"note":"e"}`, `{"id":3,"note":"f"}`))
	got := map[int]string{}
	for _, r := range rejected {
		got[r.Row] = r.Code
	}
	want := map[int]string{1: "not_unique", 2: "check", 3: "not_null", 4: "too_long", 5: "out_of_range", 6: "zero_byte", 8: "not_unique"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	none(t, commit(t, sink, mark(1, 1)))
	s.want(t, "select * from orders order by id", "(1,a)", "(3,e)", "(100,\"note 100\")", "(101,\"note 101\")", "(102,\"note 102\")")
}
