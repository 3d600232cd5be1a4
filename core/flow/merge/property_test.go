package merge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/qanat-data/qanat/sdk/change"
)

// budgets that hold everything, force compaction, and force files of files.
var budgets = []int64{1 << 30, 6000, 6000, 2500, 2500, 900, 900, 1}

// history draws a table and a history of it, right or wrong: a source's word is taken for nothing but what it says.
func history(t *rapid.T, keys int) (map[int]modelRow, [][]step) {
	value := func(label string) string {
		return rapid.SampledFrom([]string{null, "1", "2", "3"}).Draw(t, label)
	}
	table := map[int]modelRow{}
	for k := range keys {
		if rapid.Bool().Draw(t, "there") {
			table[k] = modelRow{"a": value("a"), "s": "t" + fmt.Sprint(k)}
		}
	}
	n := 0
	draw := func() step {
		n++
		s := step{
			op: change.Op(rapid.SampledFrom([]int{0, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 4, 9}).Draw(t, "op")), n: n, before: -1,
			key: rapid.IntRange(0, keys-1).Draw(t, "key"), a: value("a"), s: value("s"), oldA: value("oldA"), oldS: value("oldS"),
		}
		if s.op == change.Truncate && rapid.IntRange(0, 3).Draw(t, "rare") != 0 {
			s.op = change.Update
		}
		if s.op != change.Truncate && rapid.IntRange(0, 30).Draw(t, "null") == 0 {
			s.key = -1
		}
		if s.op == change.Update {
			s.unchanged = rapid.SampledFrom([][]string{nil, nil, {"a"}, {"s"}, {"a", "s"}, {"s", "id", "no such"}}).Draw(t, "unchanged")
			if rapid.IntRange(0, 2).Draw(t, "before") == 0 {
				s.before = rapid.IntRange(0, keys-1).Draw(t, "old key")
				s.full = rapid.Bool().Draw(t, "full")
			}
		}
		return s
	}
	var batches [][]step
	for range rapid.IntRange(1, 12).Draw(t, "batches") {
		var steps []step
		for range rapid.IntRange(0, 12).Draw(t, "rows") {
			steps = append(steps, draw())
		}
		batches = append(batches, steps)
	}
	return table, batches
}

func (s *shape) settings(alloc memory.Allocator, table map[int]modelRow, folder string) Settings {
	return Settings{Table: s.table(), Key: s.names(), Lookup: s.lookup(alloc, table), Folder: folder, Alloc: alloc, At: time.UnixMicro(1)}
}

func TestTheNetEffectIsThatOfApplyingChangeByChange(t *testing.T) {
	t.Parallel()
	for _, s := range []shape{plainKey, pairKey} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			rapid.Check(t, func(r *rapid.T) {
				table, batches := history(r, rapid.SampledFrom([]int{3, 40}).Draw(r, "keys"))
				m := newModel(table)
				total := 0
				for _, b := range batches {
					for _, c := range b {
						m.apply(c)
						total++
					}
				}
				rows, changes := m.finish()
				for _, budget := range drawBudgets(r) {
					alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
					settings := s.settings(alloc, table, folder)
					settings.Budget, settings.BatchRows, settings.LookupKeys = budget, 3, 2
					n := 0
					got := s.runWith(t, settings, batches, table, func(m *Merge) error { // now and then, only what counts is kept
						if n++; n%3 > 0 {
							return nil
						}
						return m.top.compact(m.top.fold.states)
					})
					same(r, budget, "rows", rows, got.rows)
					same(r, budget, "changes", changes, got.changes)
					same(r, budget, "rejected", m.rejected, got.rejected)
					want := Counts{In: int64(total), Merged: int64(total - len(m.rejected)), Rejected: int64(len(m.rejected))}
					if got.truncated != m.truncated || got.counts != want {
						r.Fatalf("budget %d: truncated %v, counts %+v, expected %v and %+v", budget, got.truncated, got.counts, m.truncated, want)
					}
					free(r, alloc)
				}
			})
		})
	}
}

func TestHistoryKeepsEveryVersion(t *testing.T) {
	t.Parallel()
	s := pairKey
	folder := t.TempDir()
	rapid.Check(t, func(r *rapid.T) {
		table, batches := history(r, rapid.SampledFrom([]int{3, 40}).Draw(r, "keys"))
		m := newModel(table)
		for _, b := range batches {
			for _, c := range b {
				m.apply(c)
			}
		}
		versions := m.history()
		for _, budget := range drawBudgets(r) {
			alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
			settings := s.settings(alloc, table, folder)
			settings.Budget, settings.BatchRows, settings.LookupKeys, settings.Mode = budget, 3, 2, History
			got := s.run(t, settings, batches, table)
			same(r, budget, "versions", versions, got.versions)
			same(r, budget, "endings", m.endings, got.endings)
			same(r, budget, "rejected", m.rejected, got.rejected)
			free(r, alloc)
		}
	})
}

func TestEqualBatchesGiveEqualPartsInEqualOrder(t *testing.T) {
	t.Parallel()
	s := pairKey
	folder := t.TempDir()
	rapid.Check(t, func(r *rapid.T) {
		table, batches := history(r, 20)
		settings := s.settings(memory.DefaultAllocator, table, folder)
		settings.Budget, settings.BatchRows = rapid.SampledFrom(budgets).Draw(r, "budget"), 3
		settings.Mode = rapid.SampledFrom([]Mode{Net, History}).Draw(r, "mode")
		one, two := s.run(t, settings, batches, table), s.run(t, settings, batches, table)
		if !slices.Equal(one.parts, two.parts) {
			r.Fatal("other parts, or another order, the second time")
		}
	})
}

// drawBudgets are one that holds everything, and one that perhaps does not.
func drawBudgets(r *rapid.T) []int64 {
	return []int64{budgets[0], rapid.SampledFrom(budgets[1:]).Draw(r, "budget")}
}

func same(r *rapid.T, budget int64, what string, want, got []string) {
	if diff := cmp.Diff(slices.Concat([]string{""}, want), slices.Concat([]string{""}, got)); diff != "" {
		r.Fatalf("budget %d: %s: (-model +merge)\n%s", budget, what, diff)
	}
}

func free(r *rapid.T, alloc *memory.CheckedAllocator) {
	if alloc.CurrentAlloc() != 0 {
		r.Fatalf("%d bytes were not released", alloc.CurrentAlloc())
	}
}
