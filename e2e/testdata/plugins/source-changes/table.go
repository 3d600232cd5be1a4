package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk/change"
)

func schema() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "amount", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "note", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
}

var key = []string{"id"}

type row struct {
	Table  string `json:"table"`
	ID     int64  `json:"id"`
	Amount int64  `json:"amount"`
	Note   string `json:"note"`
}

// table is a made-up table.
type table struct {
	keys int64
	rows map[int64]row
}

func (*table) streams() []string { return []string{accounts} }

func (t *table) transact(number int64, out builders) {
	b := out[accounts]
	random := rand.New(rand.NewPCG(uint64(number), 7)) //nolint:gosec // made-up rows
	if number%701 == 700 {
		clear(t.rows)
		if b != nil {
			b.AppendTruncate(of(change.Truncate, number, 1))
		}
		return
	}
	for seq := range 1 + random.Int64N(4) {
		t.change(random, number, seq+1, b)
	}
}

func of(op change.Op, number, seq int64) change.Change {
	return change.Change{
		Op: op, Pos: binary.BigEndian.AppendUint64(nil, uint64(number)), TxSeq: seq, //nolint:gosec // counted from 0
		Ts: time.UnixMilli(1_700_000_000_000 + number).UTC(),
	}
}

func (t *table) change(random *rand.Rand, number, seq int64, b *change.Builder) {
	id := random.Int64N(t.keys)
	have, there := t.rows[id]
	next := row{ID: id, Amount: random.Int64N(1000), Note: fmt.Sprintf("note %d.%d", number, seq)}
	switch what := random.IntN(10); {
	case !there:
		t.rows[id] = next
		put(b, next, of(change.Insert, number, seq), nil)
	case what < 2:
		delete(t.rows, id)
		if b != nil {
			b.Column(0).(*array.Int64Builder).Append(id)
			b.Column(1).AppendNull()
			b.Column(2).AppendNull()
			b.Append(of(change.Delete, number, seq))
		}
	case what < 4:
		to := random.Int64N(t.keys)
		if _, taken := t.rows[to]; taken {
			to = id
		}
		delete(t.rows, id)
		next.ID = to
		c := of(change.Update, number, seq)
		if what == 2 {
			next.Note, c.Unchanged = have.Note, []string{"note"}
		}
		t.rows[to] = next
		var before *int64
		if to != id {
			before = &id
		}
		put(b, next, c, before)
	default:
		c := of(change.Update, number, seq)
		if what%2 == 0 {
			next.Note, c.Unchanged = have.Note, []string{"note"}
		}
		t.rows[id] = next
		put(b, next, c, nil)
	}
}

// put appends a row with what is unchanged left out.
func put(b *change.Builder, r row, c change.Change, before *int64) {
	if b == nil {
		return
	}
	b.Column(0).(*array.Int64Builder).Append(r.ID)
	b.Column(1).(*array.Int64Builder).Append(r.Amount)
	if len(c.Unchanged) > 0 {
		b.Column(2).AppendNull()
	} else {
		b.Column(2).(*array.StringBuilder).Append(r.Note)
	}
	if before != nil {
		old := b.Before()
		old.Append(true)
		old.FieldBuilder(0).(*array.Int64Builder).Append(*before)
		old.FieldBuilder(1).AppendNull()
		old.FieldBuilder(2).AppendNull()
	}
	b.Append(c)
}

// text is what the table holds, a JSON object a line, by key.
func (t *table) text(name string) ([]byte, error) {
	var out []byte
	for _, id := range slices.Sorted(maps.Keys(t.rows)) {
		r := t.rows[id]
		r.Table = name
		line, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		out = append(append(out, line...), '\n')
	}
	return out, nil
}
