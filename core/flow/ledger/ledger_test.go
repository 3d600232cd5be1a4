package ledger_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/flow/ledger"
)

func takeOver(t *testing.T, l *ledger.Ledger, flow string) uint64 {
	t.Helper()
	epoch, err := l.TakeOver(t.Context(), flow, "me", 0, ledger.Owner{})
	if err != nil {
		t.Fatal(err)
	}
	return epoch
}

func unit(flow string, epoch uint64, seq int64) ledger.Unit {
	return ledger.Unit{
		Flow: flow, Seq: seq, Epoch: epoch, Verdict: ledger.Committed, Position: json.RawMessage(`{"at":1}`), LogEnd: 10,
		Stages: []ledger.Stage{{Name: "source", Maps: true, In: 5, Out: 4, Rejected: 1}}, Committed: time.UnixMicro(1000),
	}
}

func TestAppendedUnitsComeBackAsTheyWere(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		epoch := takeOver(t, l, "p.f")
		want := unit("p.f", epoch, 1)
		if err := l.Append(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		got, found, err := l.Last(t.Context(), "p.f")
		if err != nil || !found {
			t.Fatal(found, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAppendRefusesGapsRepeatsAndOldEpochs(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		old := takeOver(t, l, "p.f")
		if err := l.Append(t.Context(), unit("p.f", old, 2)); err == nil {
			t.Error("unit 2 was accepted as the first")
		}
		if err := l.Append(t.Context(), unit("p.f", old, 1)); err != nil {
			t.Fatal(err)
		}
		if err := l.Append(t.Context(), unit("p.f", old, 1)); err == nil {
			t.Error("unit 1 was accepted twice")
		}
		if now := takeOver(t, l, "p.f"); now <= old {
			t.Errorf("epoch %d follows %d", now, old)
		}
		for name, err := range map[string]error{
			"append":  l.Append(t.Context(), unit("p.f", old, 2)),
			"check":   l.Check(t.Context(), "p.f", old),
			"beat":    l.Beat(t.Context(), "p.f", old),
			"release": l.Release(t.Context(), "p.f", old),
		} {
			if !errors.Is(err, ledger.ErrFenced) {
				t.Errorf("%s by an old epoch: %v, want ErrFenced", name, err)
			}
		}
	})
}

func TestTakeOverIsAboveEveryEpochSeen(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		epoch, err := l.TakeOver(t.Context(), "p.f", "me", 41, ledger.Owner{})
		if err != nil || epoch != 42 {
			t.Errorf("epoch %d, %v; want 42", epoch, err)
		}
	})
}

func TestConcurrentTakeOversGetDifferentEpochs(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		var mu sync.Mutex
		seen := map[uint64]bool{}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				epoch, err := l.TakeOver(t.Context(), "p.f", "me", 0, ledger.Owner{})
				mu.Lock()
				defer mu.Unlock()
				if err != nil || seen[epoch] {
					t.Errorf("epoch %d: %v", epoch, err)
				}
				seen[epoch] = true
			})
		}
		all.Wait()
	})
}

func TestViewShowsCommittedUnitsAndNotHeldOnes(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		epoch := takeOver(t, l, "p.f")
		if err := l.AddWriter(t.Context(), ledger.Writer{Dataset: "processing.a.b", Flow: "p.f", Mode: "append"}); err != nil {
			t.Fatal(err)
		}
		view := func() ledger.View {
			v, err := l.View(t.Context(), "processing.a.b")
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		if !view().Empty() {
			t.Error("a dataset without a unit is visible")
		}
		first, quiet, held := unit("p.f", epoch, 1), unit("p.f", epoch, 2), unit("p.f", epoch, 3)
		first.Datasets = map[string]ledger.Output{"processing.a.b": {Snapshot: 100, Rows: 4}}
		held.Verdict, held.Datasets = ledger.Held, map[string]ledger.Output{"processing.a.b": {Snapshot: 300, Rows: 4}}
		for _, u := range []ledger.Unit{first, quiet, held} {
			if err := l.Append(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		}
		want := ledger.View{Dataset: "processing.a.b", Snapshot: 100, Seqs: map[string]int64{"p.f": 2}}
		if diff := cmp.Diff(want, view()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestADatasetThatIsReplacedHasOneWriter(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		add := func(dataset, flow, mode string) error {
			return l.AddWriter(t.Context(), ledger.Writer{Dataset: dataset, Flow: flow, Mode: mode})
		}
		for _, ok := range []error{
			add("processing.a.b", "p.one", "append"), add("processing.a.b", "p.two", "append"), add("processing.a.b", "p.two", "append"),
			add("landing.a.b", "p.one", "append"), add("curated.a.b", "p.one", "overwrite"),
		} {
			if ok != nil {
				t.Error(ok)
			}
		}
		for _, refused := range []error{
			add("landing.a.b", "p.two", "append"), add("curated.a.b", "p.two", "append"), add("processing.a.b", "p.three", "overwrite"),
		} {
			if refused == nil || !strings.Contains(refused.Error(), "is written by flow") {
				t.Errorf("%v, want a refusal that names the writer", refused)
			}
		}
	})
}

func TestLargePositionsAreKeptOnlyForTheNewestUnits(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		epoch := takeOver(t, l, "p.f")
		large := json.RawMessage(`"` + strings.Repeat("x", 10_000) + `"`)
		for seq := range int64(20) {
			u := unit("p.f", epoch, seq+1)
			u.Position = large
			if err := l.Append(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		}
		units, err := l.Units(t.Context(), "p.f", 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range units {
			if kept := len(u.Position) > 0; kept != (u.Seq > 4) {
				t.Errorf("unit %d: position kept is %v", u.Seq, kept)
			}
		}
	})
}

func TestViewsShowAUnitInAllItsDatasetsOrInNone(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		epoch := takeOver(t, l, "p.f")
		datasets := []string{"processing.a.one", "processing.a.two"}
		for _, dataset := range datasets {
			if err := l.AddWriter(t.Context(), ledger.Writer{Dataset: dataset, Flow: "p.f", Mode: "append"}); err != nil {
				t.Fatal(err)
			}
		}
		const units = 200
		var writer sync.WaitGroup
		writer.Go(func() {
			for seq := int64(1); seq <= units; seq++ {
				u := unit("p.f", epoch, seq)
				u.Datasets = map[string]ledger.Output{datasets[0]: {Snapshot: seq}, datasets[1]: {Snapshot: seq}}
				if err := l.Append(t.Context(), u); err != nil {
					t.Error(err)
					return
				}
			}
		})
		for last := int64(0); last < units && !t.Failed(); {
			views, err := l.Views(t.Context(), datasets...)
			if err != nil {
				t.Fatal(err)
			}
			one, two := views[0], views[1]
			if one.Snapshot != two.Snapshot || one.Seqs["p.f"] != two.Seqs["p.f"] || one.Snapshot != one.Seqs["p.f"] {
				t.Fatalf("torn: %+v, %+v", one, two)
			}
			last = one.Snapshot
		}
		writer.Wait()
	})
}

func TestALockedStateDatabaseIsToldFromOtherFailures(t *testing.T) {
	t.Parallel()
	path := "file:" + filepath.Join(t.TempDir(), "state.db") + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(1)&_txlock=immediate"
	var dbs [2]*sql.DB
	for i := range dbs {
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		dbs[i] = db
	}
	l, err := ledger.Open(t.Context(), dbs[0], ledger.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := dbs[1].BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := l.TakeOver(t.Context(), "p.f", "me", 0, ledger.Owner{}); !ledger.Busy(err) {
		t.Errorf("%v, want a locked database", err)
	}
	if ledger.Busy(ledger.ErrFenced) {
		t.Error("a fenced runner is taken for a locked database")
	}
}
