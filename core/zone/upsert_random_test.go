package zone_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/upkeep"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

// walk does random things to a dataset of accounts and to a map.
type walk struct {
	t       *testing.T
	rng     *rand.Rand
	d       *zone.Dataset
	epoch   uint64
	states  []balances // by seq; those above the last are undone
	visible int64      // what the ledger has
	views   map[int64]balances
	log     []string

	converted, compacted int64
}

func (w *walk) seq() int64    { return int64(len(w.states) - 1) }
func (w *walk) now() balances { return w.states[w.seq()] }

func (w *walk) note(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

func (w *walk) key() account {
	return account{bank: string(rune('a' + w.rng.IntN(3))), id: int64(w.rng.IntN(25))}
}

// edit is a unit to do.
func (w *walk) edit() edit {
	e := edit{set: balances{}, truncate: w.rng.IntN(20) == 0}
	for range w.rng.IntN(12) {
		e.set[w.key()] = w.rng.Int64N(1 << 40)
	}
	gone := map[account]bool{}
	for range w.rng.IntN(6) {
		if key := w.key(); !has(e.set, key) {
			gone[key] = true
		}
	}
	e.gone = mapKeys(gone)
	return e
}

func (w *walk) unit() {
	e := w.edit()
	seq := w.seq() + 1
	w.note("unit %d: %d rows, %d keys, truncate %t", seq, len(e.set), len(e.gone), e.truncate)
	s := mustEdit(w.t, w.d, at("f", w.epoch, seq), e)
	w.states = append(w.states, e.apply(w.now()))
	if n := int64(len(w.now())); s.Rows < n || s.Rows-s.Keys > n {
		w.t.Errorf("unit %d: %d rows and %d keys, there are %d", seq, s.Rows, s.Keys, n)
	}
	if w.rng.IntN(4) == 0 {
		w.views[s.ID] = w.now()
	}
}

func has[K comparable, V any](m map[K]V, key K) bool {
	_, ok := m[key]
	return ok
}

func (w *walk) undo() {
	to := w.visible + w.rng.Int64N(w.seq()-w.visible+1)
	w.note("undo to %d", to)
	if _, err := w.d.Undo(w.t.Context(), "f", w.epoch, to); err != nil {
		w.t.Fatalf("undo to %d: %v", to, err)
	}
	w.states = w.states[:to+1]
}

// held commits a unit to a branch, and releases or drops it after a while in which nothing but upkeep and fences come.
func (w *walk) held() {
	const branch = "held/f"
	e := w.edit()
	r := stageEdit(w.t, w.d, at("f", w.epoch, w.seq()+1), e)
	r.Branch = branch
	w.note("hold %d: %d rows, %d keys, truncate %t", w.seq()+1, len(e.set), len(e.gone), e.truncate)
	if _, err := w.d.Commit(w.t.Context(), r); err != nil {
		w.t.Fatal(err)
	}
	held := e.apply(w.now())
	if diff := cmp.Diff(held, balancesOf(w.t, w.d, zone.ScanRequest{Branch: branch})); diff != "" {
		w.t.Errorf("on the branch: %s", diff)
	}
	for range w.rng.IntN(3) {
		w.tend()
	}
	if w.rng.IntN(2) == 0 {
		w.fence()
	}
	w.check()
	if w.rng.IntN(3) == 0 {
		if err := w.d.DropBranch(w.t.Context(), branch, at("f", w.epoch, 0)); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	for range 2 {
		s, err := w.d.Release(w.t.Context(), branch, at("f", w.epoch, w.seq()+1))
		if err != nil || s.Mark.Seq != w.seq()+1 {
			w.t.Fatalf("release: snapshot %+v, error %v", s, err)
		}
	}
	w.states = append(w.states, held)
}

// replayed puts other rows in the place of all that there are.
func (w *walk) replayed() {
	seq := w.seq() + 1
	if seq == 1 {
		return
	}
	e := edit{set: w.edit().set, truncate: true}
	files := stageEdit(w.t, w.d, at("f", w.epoch, 1+w.rng.Int64N(seq-1)), e).Files
	w.note("replay %d: %d rows", seq, len(e.set))
	s, err := w.d.Rebuild(w.t.Context(), zone.RebuildRequest{
		Mark: at("f", w.epoch, seq), Units: []zone.UnitRange{{Upto: seq - 1}}, Files: files,
	})
	if err != nil || s.Kind != zone.KindReplay {
		w.t.Fatalf("replay: snapshot %+v, error %v", s, err)
	}
	w.states = append(w.states, e.apply(w.now()))
}

func (w *walk) fence() {
	w.epoch++
	w.note("fence %d", w.epoch)
	if _, err := w.d.Fence(w.t.Context(), "f", w.epoch); err != nil {
		w.t.Fatal(err)
	}
}

// tend does some of the upkeep.
func (w *walk) tend() {
	p := ruthless()
	p.Convert, p.Compact.Off = w.rng.IntN(4)-1, w.rng.IntN(3) == 0
	p.Compact.Files = 2 + w.rng.IntN(3)
	if w.rng.IntN(2) == 0 {
		p.Snapshots = upkeep.Snapshots{Keep: 100}
	}
	p.Compact.Deleted = 1 + w.rng.IntN(50)
	if w.rng.IntN(2) == 0 {
		w.visible = w.seq()
	}
	r := upkeep.Request{Policy: p, Visible: map[string]int64{"f": w.visible}, Sweep: true}
	for id := range w.views {
		r.Pinned = append(r.Pinned, upkeep.Pin{Snapshot: id})
	}
	report, err := w.d.Upkeep(w.t.Context(), r)
	w.converted += report.Converted.Count
	w.compacted += report.Compacted.Count
	w.note("upkeep, converting at %d, compacting %t, keeping %d: %d converted, %d compacted", p.Convert, !p.Compact.Off, p.Snapshots.Keep,
		report.Converted.Count, report.Compacted.Count)
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *walk) step() {
	switch n := w.rng.IntN(22); {
	case n == 21:
		w.held()
	case n == 20:
		w.replayed()
	case n < 10:
		w.unit()
	case n < 11:
		w.undo()
	case n < 12:
		w.fence()
	case n < 15:
		w.visible = w.seq() - w.rng.Int64N(w.seq()-w.visible+1)
	default:
		w.tend()
	}
}

func (w *walk) check() {
	w.t.Helper()
	if diff := cmp.Diff(w.now(), balancesOf(w.t, w.d, zone.ScanRequest{})); diff != "" {
		w.t.Errorf("at the head: %s", diff)
	}
	if diff := cmp.Diff(w.now(), foreign(w.t, w.d)); diff != "" {
		w.t.Errorf("at the head, by iceberg-go: %s", diff)
	}
	few, err := zone.ScanHolding(w.t.Context(), w.d, 5)
	if err != nil {
		w.t.Fatal(err)
	}
	if diff := cmp.Diff(w.now(), gathered(w.t, few)); diff != "" {
		w.t.Errorf("at the head, with few keys in memory: %s", diff)
	}
	if n, err := w.d.Count(w.t.Context(), 0); err != nil || n != int64(len(w.now())) {
		w.t.Errorf("%d rows are counted, there are %d, error %v", n, len(w.now()), err)
	}
	w.checkUnits()
	for id := range w.views {
		w.checkView(id)
		break // any one; all of them at the end
	}
	w.lookUp()
	m := mark(w.t, w.d, "f")
	if m.Seq != w.seq() {
		w.t.Errorf("mark %+v, expected seq %d", m, w.seq())
	}
	if head := reload(w.t, w.d).Head(); head.Keys == 0 && head.Rows != int64(len(w.now())) {
		w.t.Errorf("the head says %d rows, there are %d", head.Rows, len(w.now()))
	}
}

// checkUnits reads the rows of some units, as iceberg-go does.
func (w *walk) checkUnits() {
	w.t.Helper()
	after := w.rng.Int64N(w.seq() + 1)
	r := zone.UnitRange{After: after, Upto: after + 1 + w.rng.Int64N(3)}
	filter := iceberg.NewAnd(iceberg.GreaterThan(iceberg.Reference(zone.ColumnSeq), r.After),
		iceberg.LessThanEqual(iceberg.Reference(zone.ColumnSeq), r.Upto))
	want := foreign(w.t, w.d, table.WithRowFilter(filter))
	if r.Upto%2 == 0 {
		r.Flow = "f"
	}
	if diff := cmp.Diff(want, balancesOf(w.t, w.d, zone.ScanRequest{Units: []zone.UnitRange{r}})); diff != "" {
		w.t.Errorf("units %+v: %s", r, diff)
	}
}

func (w *walk) checkView(id int64) {
	w.t.Helper()
	if diff := cmp.Diff(w.views[id], balancesOf(w.t, w.d, zone.ScanRequest{Snapshot: id})); diff != "" {
		w.t.Errorf("at snapshot %d: %s", id, diff)
	}
}

// lookUp asks for some keys, of which some have no row.
func (w *walk) lookUp() {
	w.t.Helper()
	asked, want := map[account]bool{}, balances{}
	for range w.rng.IntN(10) {
		key := w.key()
		asked[key] = true
		if value, there := w.now()[key]; there {
			want[key] = value
		}
	}
	if diff := cmp.Diff(want, lookUp(w.t, w.d, 0, mapKeys(asked)...)); diff != "" {
		w.t.Errorf("looked up: %s", diff)
	}
}

// Whatever is done to a dataset, its rows are those of a map to which the same is done.
func TestADatasetWithAKeyIsAMap(t *testing.T) {
	t.Parallel()
	seeds, steps := uint64(2), 30
	if os.Getenv("QANAT_SLOW") != "" {
		seeds, steps = 40, 60
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			z := zonetest.Open(t, server(t))
			w := &walk{
				t: t, rng: rand.New(rand.NewPCG(seed, 7)), d: createKeyed(t, z, "processing.bank.accounts"), epoch: 1,
				states: []balances{{}}, views: map[int64]balances{},
			}
			for range steps {
				w.step()
				w.check()
				if t.Failed() {
					for _, line := range w.log {
						t.Log(line)
					}
					return
				}
			}
			for id := range w.views {
				w.checkView(id)
			}
			if w.converted == 0 || w.compacted == 0 {
				t.Errorf("%d files of keys were converted, %d files of rows compacted", w.converted, w.compacted)
			}
		})
	}
}
