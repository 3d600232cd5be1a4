package keyed

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/flow/merge"
	"github.com/qanat-data/qanat/sdk/change"
)

// However changes are cut into units and batches, and whoever commits them, the versions are those of applying change by change.
func TestHistoryIsThatOfApplyingChangeByChange(t *testing.T) {
	t.Parallel()
	seeds, units := uint64(4), 10
	if os.Getenv("QANAT_SLOW") != "" {
		seeds, units = 16, 15
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 4))
			s, m := newShelf(t), newModel()
			if seed%2 == 1 {
				s.budget = 2000 // changes go to files
			}
			at := int64(1000)
			for range units {
				var batches [][]edit
				for range random.IntN(4) {
					var edits []edit
					for range random.IntN(8) {
						at += random.Int64N(20) - 4 // clocks are set back, too
						edits = append(edits, m.transaction(random, at)...)
					}
					batches = append(batches, edits)
				}
				if random.IntN(3) == 0 {
					s.open(false)
				}
				s.unit(batches...)
				s.check(m, fmt.Sprintf("seed %d, unit %d", seed, s.seq))
			}
			if len(s.refused) > 0 {
				t.Errorf("refused: %v", s.refused)
			}
		})
	}
}

func TestAVersionThatATruncateEndsEndsAtItsTimeOrBefore(t *testing.T) {
	t.Parallel()
	s, m := newShelf(t), newModel()
	insert := func(id, at int64) edit { return edit{op: change.Insert, id: id, before: -1, a: id, s: "first", at: at} }
	first := []edit{insert(1, 10), insert(2, 10), insert(3, 10)}
	second := []edit{
		{op: change.Update, id: 1, before: -1, a: 11, s: "second", at: 20}, {op: change.Delete, id: 2, before: -1, at: 21},
		insert(5, 22), {op: change.Truncate, before: -1, at: 30}, insert(2, 40), insert(3, 40), {op: change.Truncate, before: -1, at: 50}, insert(3, 60),
	}
	for i, edits := range [][]edit{first, second} {
		for _, e := range edits {
			m.apply(e)
		}
		s.unit(edits)
		s.check(m, fmt.Sprintf("unit %d", i))
	}
	want := []string{
		"1: 1 first [10,20)", "1: 11 second [20,30)", "2: 2 first [10,21)", "2: 2 first [40,50)", "3: 3 first [10,30)",
		"3: 3 first [40,50)", "3: 3 first [60,-1)", "5: 5 first [22,30)",
	}
	if diff := cmp.Diff(want, linesOf(s.rows())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A snapshot's rows have no time. What is known of them is that they were there before the changes that follow.
func TestSnapshotRowsHoldFromTheUnitsTimeOrFromTheNextChange(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.now = 1000
	var rows []edit
	for id := range int64(3) {
		rows = append(rows, edit{op: change.Snapshot, id: id, before: -1, s: "there", at: -1})
	}
	s.unit(rows)
	s.open(false)
	s.now = 2000
	s.unit([]edit{{op: change.Update, id: 1, before: -1, s: "then", at: 500}, {op: change.Update, id: 2, before: -1, s: "then", at: 1500}})
	want := []string{"0: 0 there [1000,-1)", "1: 0 then [500,-1)", "1: 0 there [500,500)", "2: 0 then [1500,-1)", "2: 0 there [1000,1500)"}
	if diff := cmp.Diff(want, linesOf(s.rows())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRowsThatAreNoChangesAreVersionsOfTheUnitsTime(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	unit := func(now int64, rows ...values) {
		s.now = now
		s.begin(accounts)
		b := array.NewRecordBuilder(s.alloc, accounts)
		defer b.Release()
		for _, r := range rows {
			b.Field(0).(*array.Int64Builder).Append(7)
			b.Field(1).(*array.Int64Builder).Append(r.a)
			b.Field(2).(*array.StringBuilder).Append(r.s)
		}
		s.write(b.NewRecordBatch())
		s.commit()
	}
	unit(100, values{1, "one"}, values{2, "two"})
	unit(200, values{3, "three"})
	s.open(false)
	unit(150, values{4, "four"}) // the clock was set back
	want := []string{"7: 1 one [100,100)", "7: 2 two [100,200)", "7: 3 three [200,200)", "7: 4 four [200,-1)"}
	if diff := cmp.Diff(want, linesOf(s.rows())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestARowThatCantBeCompletedIsRefusedAndEndsTheOneBefore(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.unit([]edit{{op: change.Insert, id: 1, before: -1, s: "known", at: 10}})
	s.unit([]edit{
		{op: change.Delete, id: 1, before: -1, at: 20}, {op: change.Update, id: 1, before: -1, unchanged: true, at: 30},
		{op: change.Update, id: 2, before: -1, unchanged: true, at: 30},
	})
	if diff := cmp.Diff([]string{merge.CodeNoRow, merge.CodeNoRow}, s.refused); diff != "" {
		t.Errorf("refused: %s", diff)
	}
	if diff := cmp.Diff([]string{"1: 0 known [10,20)"}, linesOf(s.rows())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A unit that takes the place of all there was has the versions of its own changes, and tells readers of the net changes.
func TestHistoryIsMadeAnewFromAllChanges(t *testing.T) {
	t.Parallel()
	s, m := newShelf(t), newModel()
	random := rand.New(rand.NewPCG(5, 5))
	var all []edit
	for number := range int64(60) {
		all = append(all, m.transaction(random, 1000+number)...)
	}
	s.unit(all[:len(all)/2])
	s.unit(all[len(all)/2:])
	s.check(m, "in two units")
	s.open(true)
	s.unit(all)
	s.check(m, "anew")
	s.open(false)
	for number := range int64(10) {
		s.unit(m.transaction(random, 1050+number))
	}
	s.check(m, "and on")
}

func TestVersionsFollowTheirTablesColumns(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.unit([]edit{{op: change.Insert, id: 1, before: -1, a: 1, s: "old", at: 10}})
	wide := arrow.NewSchema(append(accounts.Fields(), arrow.Field{Name: "more", Type: arrow.BinaryTypes.String, Nullable: true}), nil)
	s.begin(change.Schema(wide, []string{"id"}))
	b := change.NewBuilder(s.alloc, wide, []string{"id"})
	defer b.Release()
	b.Column(0).(*array.Int64Builder).Append(1)
	b.Column(1).(*array.Int64Builder).Append(2)
	b.Column(2).AppendNull()
	b.Column(3).(*array.StringBuilder).Append("new")
	b.Append(change.Change{Op: change.Update, Unchanged: []string{"s"}})
	batch, err := b.Batch()
	if err != nil {
		t.Fatal(err)
	}
	s.write(batch)
	s.commit()
	got := map[string]string{}
	s.scan(s.name, func(b arrow.RecordBatch, row int) {
		got[keptAt(b, row).String()] = columnOf(b, "more").ValueStr(row)
	})
	if diff := cmp.Diff(map[string]string{"1: 1 old [10,10)": array.NullValueStr, "1: 2 old [10,-1)": "new"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var names []string
	for _, f := range s.dataset(s.name).Schema().Fields() {
		names = append(names, f.Name)
	}
	if diff := cmp.Diff([]string{"id", "a", "s", "valid_from", "valid_to", "_version", "more"}, names); diff != "" {
		t.Errorf("columns: %s", diff)
	}
}

func TestAFormSaysWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]Form{
		`there is no column "nothing", which is in the key`: {Key: []string{"id", "nothing"}},
		`there is a column "valid_to" already, which history adds: give it another name in a transform`: {
			Key: []string{"id"}, History: true,
		},
	} {
		stream := arrow.NewSchema(append(accounts.Fields(), arrow.Field{Name: change.ColumnValidTo, Type: arrow.BinaryTypes.String}), nil)
		if _, _, err := f.Table(stream); err == nil || err.Error() != want {
			t.Errorf("got %v, expected %s", err, want)
		}
	}
}
