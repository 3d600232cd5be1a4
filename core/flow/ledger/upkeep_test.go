package ledger_test

import (
	"testing"
	"time"

	"github.com/qanat-data/qanat/core/flow/ledger"
)

func TestUpkeepIsHeldByOneAtATime(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		take := func(owner string, lease time.Duration) (ledger.Upkeep, bool) {
			t.Helper()
			u, ours, err := l.TakeUpkeep(t.Context(), "landing.shop.orders", owner, lease)
			if err != nil {
				t.Fatal(err)
			}
			return u, ours
		}
		u, ours := take("a", time.Hour)
		if !ours || u.Commits != 0 || u.SinceSweep < 24*time.Hour {
			t.Fatalf("first: %+v, %t", u, ours)
		}
		if other, ours := take("b", time.Hour); ours || other.Owner != "a" {
			t.Errorf("b took it from %q", other.Owner)
		}
		if _, ours := take("a", time.Hour); !ours {
			t.Error("a can't hold it for longer")
		}
		u.Commits = 7
		if err := l.EndUpkeep(t.Context(), ledger.Upkeep{Dataset: u.Dataset, Owner: "b", Commits: 99}, true); err != nil {
			t.Fatal(err)
		}
		if err := l.EndUpkeep(t.Context(), u, true); err != nil {
			t.Fatal(err)
		}
		u, ours = take("b", -time.Second) // it is over at once, as after a crash
		if !ours || u.Commits != 7 || u.SinceSweep > time.Hour || u.SinceSweep < 0 {
			t.Errorf("second: %+v, %t", u, ours)
		}
		if _, ours := take("c", time.Hour); !ours {
			t.Error("c can't take what b let run out")
		}
		if err := l.EndUpkeep(t.Context(), u, false); err != nil { // b's end comes too late
			t.Fatal(err)
		}
		if u, _ := take("d", time.Hour); u.Owner != "c" {
			t.Errorf("c lost it to %q", u.Owner)
		}
	})
}

func TestReadersAreSentOnOnlyFromWhereTheyAre(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		const dataset = "processing.shop.orders"
		for _, flow := range []string{"p.f", "p.g"} {
			if err := l.AddWriter(t.Context(), ledger.Writer{Dataset: dataset, Flow: flow, Mode: "append"}); err != nil {
				t.Fatal(err)
			}
			u := unit(flow, takeOver(t, l, flow), 1)
			u.Datasets = map[string]ledger.Output{dataset: {Snapshot: 10}}
			if err := l.Append(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		}
		steps := []struct {
			flow     string
			from, to int64
			moved    bool
		}{{"p.f", 9, 20, false}, {"p.f", 10, 20, true}, {"p.f", 10, 30, false}, {"", 10, 40, true}}
		for _, s := range steps {
			moved, err := l.Repin(t.Context(), dataset, s.flow, s.from, s.to)
			if err != nil || moved != s.moved {
				t.Errorf("%+v: moved %t, %v", s, moved, err)
			}
		}
		view, err := l.View(t.Context(), dataset)
		if err != nil || view.Snapshots["p.f"] != 20 || view.Snapshots["p.g"] != 40 {
			t.Errorf("view %+v, %v", view, err)
		}
		if _, err := l.Repin(t.Context(), dataset, "", 0, 5); err == nil {
			t.Error("readers were sent on from nowhere")
		}
	})
}
