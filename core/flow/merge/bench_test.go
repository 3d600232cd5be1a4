package merge

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/change"
)

const benchRows = 1 << 20

// benchBatches are a million changes of five columns, a tenth of them inserts, a twentieth deletes.
func benchBatches(b *testing.B, keys int, texts bool) (*arrow.Schema, []arrow.RecordBatch) {
	b.Helper()
	id := arrow.Field{Name: "id", Type: arrow.PrimitiveTypes.Int64}
	if texts {
		id.Type = arrow.BinaryTypes.String
	}
	table := arrow.NewSchema([]arrow.Field{
		id,
		{Name: "customer", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "amount", Type: &arrow.Decimal128Type{Precision: 12, Scale: 2}, Nullable: true},
		{Name: "at", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
		{Name: "note", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
	builder := change.NewBuilder(memory.DefaultAllocator, table, []string{"id"})
	defer builder.Release()
	random := rand.New(rand.NewPCG(1, 2))
	var batches []arrow.RecordBatch
	var pos [8]byte
	for n := range benchRows {
		key := random.Int64N(int64(keys))
		if texts {
			builder.Column(0).(*array.StringBuilder).Append(fmt.Sprintf("customer/%012d", key))
		} else {
			builder.Column(0).(*array.Int64Builder).Append(key)
		}
		c := change.Change{Op: change.Update, TxSeq: int64(n), Ts: time.UnixMicro(int64(n))}
		switch kind := n % 20; {
		case kind < 2:
			c.Op = change.Insert
		case kind == 2:
			c.Op = change.Delete
		}
		if c.Op == change.Delete {
			for i := 1; i < 5; i++ {
				builder.Column(i).AppendNull()
			}
		} else {
			builder.Column(1).(*array.Int64Builder).Append(int64(n))
			builder.Column(2).(*array.Decimal128Builder).AppendNull()
			builder.Column(3).(*array.TimestampBuilder).Append(arrow.Timestamp(n))
			builder.Column(4).(*array.StringBuilder).Append("a note of about twenty")
		}
		binary.BigEndian.PutUint64(pos[:], uint64(n))
		c.Pos = pos[:]
		builder.Append(c)
		if builder.Len() == 8192 {
			batch, err := builder.Batch()
			if err != nil {
				b.Fatal(err)
			}
			batches = append(batches, batch)
		}
	}
	return table, batches
}

func benchmark(b *testing.B, s Settings, batches []arrow.RecordBatch) {
	b.Helper()
	b.ReportAllocs()
	s.Key = []string{"id"}
	var rows int64
	for b.Loop() {
		m, err := New(s)
		if err != nil {
			b.Fatal(err)
		}
		for _, batch := range batches {
			if _, err := m.Add(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			rows += batch.NumRows()
		}
		for _, err := range m.Parts(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
		}
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds()/1e6, "Mchanges/s")
}

func BenchmarkMerge(b *testing.B) {
	for _, c := range []struct {
		name   string
		keys   int
		texts  bool
		mode   Mode
		budget int64
	}{
		{name: "int64/many-keys", keys: 1 << 20},
		{name: "int64/hot-keys", keys: 1 << 10},
		{name: "text/many-keys", keys: 1 << 20, texts: true},
		{name: "int64/many-keys/spilled", keys: 1 << 20, budget: 16 << 20},
		{name: "int64/hot-keys/compacted", keys: 1 << 10, budget: 16 << 20},
		{name: "int64/many-keys/history", keys: 1 << 20, mode: History},
		{name: "int64/many-keys/history/spilled", keys: 1 << 20, mode: History, budget: 16 << 20},
	} {
		b.Run(c.name, func(b *testing.B) {
			table, batches := benchBatches(b, c.keys, c.texts)
			budget := int64(1 << 30)
			if c.budget > 0 {
				budget = c.budget
			}
			benchmark(b, Settings{Table: table, Mode: c.mode, Budget: budget, Folder: b.TempDir(), At: time.UnixMicro(1)}, batches)
		})
	}
}
