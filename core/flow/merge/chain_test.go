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

// move is a change of one transaction: from 0 has no _before, and an old text of "" leaves it out of _before. A text of "~" is not sent.
type move struct {
	op       change.Op
	from, to int64
	text     string
	old      string
}

var moving = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "text", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "ratio", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
}, nil)

func movingBatch(t *testing.T, alloc memory.Allocator, moves []move) arrow.RecordBatch {
	t.Helper()
	b := change.NewBuilder(alloc, moving, []string{"id"})
	defer b.Release()
	for i, m := range moves {
		c := change.Change{Op: m.op, Pos: []byte{1}, TxSeq: int64(i + 1), Ts: time.UnixMicro(10)}
		b.Column(0).(*array.Int64Builder).Append(m.to)
		switch m.text {
		case "":
			b.Column(1).AppendNull()
		case "~":
			b.Column(1).AppendNull()
			c.Unchanged = []string{"text"}
		default:
			b.Column(1).(*array.StringBuilder).Append(m.text)
		}
		b.Column(2).AppendNull()
		if m.from != 0 {
			b.Before().Append(true)
			b.Before().FieldBuilder(0).(*array.Int64Builder).Append(m.from)
			if m.old == "" {
				b.Before().FieldBuilder(1).AppendNull()
			} else {
				b.Before().FieldBuilder(1).(*array.StringBuilder).Append(m.old)
			}
			b.Before().FieldBuilder(2).AppendNull()
		}
		b.Append(c)
	}
	out, err := b.Batch()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Where a key is checked only at the end of a transaction, two rows may have it in between. The row that moves on, or goes, is the one
// that _before shows.
func TestRowsThatShareAKeyWithinATransactionAreToldApart(t *testing.T) {
	t.Parallel()
	const i, u, d = change.Insert, change.Update, change.Delete
	for name, c := range map[string]struct {
		moves []move
		want  []string // final rows, and deleted keys
	}{
		"every key is raised": {
			[]move{{u, 1, 2, "one", "one"}, {u, 2, 3, "two", "two"}, {u, 3, 4, "three", "three"}},
			[]string{"1 gone", "2 one", "3 two", "4 three"},
		},
		"with columns that are not sent": {
			[]move{{u, 1, 2, "~", "one"}, {u, 2, 3, "~", "two"}}, []string{"1 gone", "2 one", "3 two"},
		},
		"two rows change places": {
			[]move{{u, 1, 2, "one", "one"}, {u, 2, 1, "two", "two"}}, []string{"1 two", "2 one"},
		},
		"a row takes the place of one that goes then": {
			[]move{{u, 1, 2, "one", "one"}, {d, 2, 2, "", "two"}}, []string{"1 gone", "2 one"},
		},
		"a new row takes the place of one that moves then": {
			[]move{{i, 0, 2, "new", ""}, {u, 2, 3, "two", "two"}}, []string{"2 new", "3 two"},
		},
		"one row moves twice": {
			[]move{{u, 1, 2, "one", "one"}, {u, 2, 3, "one", "one"}}, []string{"1 gone", "2 gone", "3 one"},
		},
		"one row moves, changes and moves": {
			[]move{{u, 1, 2, "one", "one"}, {u, 2, 2, "uno", "one"}, {u, 2, 3, "uno", "uno"}}, []string{"1 gone", "2 gone", "3 uno"},
		},
		"one row comes and goes": {
			[]move{{i, 0, 2, "new", ""}, {d, 2, 2, "", "new"}}, []string{"2 gone"},
		},
		"only the key is known": {
			[]move{{u, 1, 2, "one", ""}, {u, 2, 3, "one", ""}}, []string{"1 gone", "2 gone", "3 one"},
		},
	} {
		for _, mode := range []Mode{Net, History} {
			t.Run(fmt.Sprint(name, mode), func(t *testing.T) {
				t.Parallel()
				got := merged(t, c.moves, mode)
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		}
	}
}

// merged are the rows that hold in the end, and the keys that are touched and have none.
func merged(t *testing.T, moves []move, mode Mode) []string {
	t.Helper()
	alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer alloc.AssertSize(t, 0)
	m, err := New(Settings{Table: moving, Key: []string{"id"}, Mode: mode, At: time.UnixMicro(1), Alloc: alloc})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, half := range [][]move{moves[:1], moves[1:]} { // a transaction may lie in several batches
		batch := movingBatch(t, alloc, half)
		_, err := m.Add(t.Context(), batch)
		batch.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
	touched, rows := map[int64]bool{}, map[int64]string{}
	for p, err := range m.Parts(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []arrow.RecordBatch{p.Keys, p.Upserts, p.Versions} {
			for row := 0; b != nil && row < int(b.NumRows()); row++ {
				id := b.Column(0).(*array.Int64).Value(row)
				if touched[id] = true; b == p.Upserts || b == p.Versions && b.Column(4).IsNull(row) {
					rows[id] = b.Column(1).ValueStr(row)
				}
			}
		}
	}
	var out []string
	for id := range touched {
		if text, ok := rows[id]; ok {
			out = append(out, fmt.Sprintf("%d %s", id, text))
		} else {
			out = append(out, fmt.Sprintf("%d gone", id))
		}
	}
	slices.Sort(out)
	return out
}
