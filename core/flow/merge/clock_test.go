package merge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk/change"
)

// timed are changes of rows with a key: at -1 has no time, op 255 makes all of them plain rows.
type timed struct {
	id int64
	op change.Op
	at int64
}

func timedBatch(t *testing.T, alloc memory.Allocator, rows []timed) arrow.RecordBatch {
	t.Helper()
	table := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil)
	b := change.NewBuilder(alloc, table, nil)
	defer b.Release()
	for _, r := range rows {
		c := change.Change{Op: r.op}
		if r.at >= 0 {
			c.Ts = time.UnixMicro(r.at)
		}
		b.Column(0).(*array.Int64Builder).Append(r.id)
		b.Append(c)
	}
	batch, err := b.Batch()
	if err != nil {
		t.Fatal(err)
	}
	if rows[0].op.Valid() {
		return batch
	}
	defer batch.Release()
	return array.NewRecordBatch(table, batch.Columns()[:1], batch.NumRows())
}

func TestTimeDoesNotGoBack(t *testing.T) {
	t.Parallel()
	const i, u, s, plain = change.Insert, change.Update, change.Snapshot, change.Op(255)
	for name, c := range map[string]struct {
		since, at int64
		rows      []timed
		want      []string
		until     int64
	}{
		"in order":                                  {0, 90, []timed{{1, i, 10}, {1, u, 20}, {1, u, 20}}, []string{"1 [10,20)", "1 [20,)", "1 [20,20)"}, 20},
		"another row's change was later":            {0, 90, []timed{{1, i, 10}, {2, i, 30}, {1, u, 20}}, []string{"1 [10,30)", "1 [30,)", "2 [30,)"}, 30},
		"an earlier unit's was":                     {25, 90, []timed{{1, i, 10}, {1, u, 40}}, []string{"1 [25,40)", "1 [40,)"}, 40},
		"a snapshot without a time, taken long ago": {0, 90, []timed{{1, s, -1}, {2, s, -1}, {1, u, 20}}, []string{"1 [20,)", "1 [20,20)", "2 [90,)"}, 20},
		"a snapshot behind changes":                 {25, 90, []timed{{1, s, -1}, {1, u, 40}}, []string{"1 [25,40)", "1 [40,)"}, 40},
		"rows that are no changes":                  {0, 90, []timed{{1, plain, -1}, {1, plain, -1}}, []string{"1 [90,)", "1 [90,90)"}, 90},
		"and a clock that was set back":             {95, 90, []timed{{1, plain, -1}}, []string{"1 [95,)"}, 95},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
			defer alloc.AssertSize(t, 0)
			settings := Settings{
				Table: schema("id", arrow.PrimitiveTypes.Int64), Key: []string{"id"}, Mode: History, At: time.UnixMicro(c.at), Alloc: alloc,
			}
			if c.since > 0 {
				settings.Since = time.UnixMicro(c.since)
			}
			m, err := New(settings)
			if err != nil {
				t.Fatal(err)
			}
			batch := timedBatch(t, alloc, c.rows)
			defer batch.Release()
			if _, err := m.Add(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, intervals(t, m)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if until := m.Until().UnixMicro(); until != c.until {
				t.Errorf("until %d, expected %d", until, c.until)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// intervals are when versions held.
func intervals(t *testing.T, m *Merge) []string {
	t.Helper()
	var out []string
	for p, err := range m.Parts(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for row := 0; p.Versions != nil && row < int(p.Versions.NumRows()); row++ {
			id, from, to := p.Versions.Column(0).(*array.Int64), p.Versions.Column(1).(*array.Timestamp), p.Versions.Column(2).(*array.Timestamp)
			line := fmt.Sprintf("%d [%d,", id.Value(row), from.Value(row))
			if to.IsValid(row) {
				line += fmt.Sprint(int64(to.Value(row)))
			}
			out = append(out, line+")")
		}
	}
	slices.Sort(out)
	return out
}
