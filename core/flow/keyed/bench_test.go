package keyed

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/flow/merge"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/zonetest"
	"github.com/qanat-data/qanat/sdk/change"
)

const benchRows, benchChanges = 1_000_000, 10_000

// BenchmarkUnit folds, stages and commits units of ten thousand changes, uniformly random, of a table of a million rows: as rows that
// replace others, and as versions.
func BenchmarkUnit(b *testing.B) {
	for _, history := range []bool{false, true} {
		b.Run(fmt.Sprintf("history=%v", history), func(b *testing.B) {
			s := benchStream(b, zonetest.New(b), Form{Key: []string{"id"}, History: history})
			random := rand.New(rand.NewPCG(1, 2))
			seq := int64(1)
			unit := func(op change.Op, ids func(i int) int64, rows int) {
				batch := benchBatch(b, op, seq, rows, ids)
				defer batch.Release()
				b.StartTimer()
				defer b.StopTimer()
				benchUnit(b, s, seq, batch)
				seq++
			}
			b.StopTimer()
			unit(change.Insert, func(i int) int64 { return int64(i) }, benchRows)
			b.ResetTimer()
			for range b.N {
				unit(change.Update, func(int) int64 { return random.Int64N(benchRows) }, benchChanges)
			}
		})
	}
}

func benchStream(b *testing.B, z *zone.Zones, form Form) *Stream {
	b.Helper()
	name := zone.Name{Zone: zone.Processing, Namespace: "shop", Dataset: "accounts"}
	table, key, err := form.Table(accounts)
	if err != nil {
		b.Fatal(err)
	}
	noted, err := ChangesSchema(table)
	if err != nil {
		b.Fatal(err)
	}
	rows, err := z.Create(b.Context(), name, table, zone.CreateOptions{Key: key})
	if err != nil {
		b.Fatal(err)
	}
	name.Dataset += zone.ChangesSuffix
	changes, err := z.Create(b.Context(), name, noted, zone.CreateOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return New(Settings{Flow: flowName, Form: form, Dataset: rows, Changes: changes, Folder: b.TempDir(), Alloc: memory.DefaultAllocator})
}

func benchBatch(b *testing.B, op change.Op, seq int64, rows int, ids func(i int) int64) arrow.RecordBatch {
	b.Helper()
	build := change.NewBuilder(memory.DefaultAllocator, accounts, []string{"id"})
	defer build.Release()
	for i := range rows {
		build.Column(0).(*array.Int64Builder).Append(ids(i))
		build.Column(1).(*array.Int64Builder).Append(int64(i))
		build.Column(2).(*array.StringBuilder).Append("some text of a row")
		build.Append(change.Change{Op: op, TxSeq: int64(i), Ts: time.UnixMicro(1e15 + seq)})
	}
	batch, err := build.Batch()
	if err != nil {
		b.Fatal(err)
	}
	return batch
}

func benchUnit(b *testing.B, s *Stream, seq int64, batch arrow.RecordBatch) {
	b.Helper()
	if err := s.Begin(b.Context(), seq, false, batch.Schema()); err != nil {
		b.Fatal(err)
	}
	if _, err := s.Write(b.Context(), batch); err != nil {
		b.Fatal(err)
	}
	if err := s.Seal(b.Context(), func(arrow.RecordBatch, []merge.Rejection) error { return nil }); err != nil {
		b.Fatal(err)
	}
	if _, err := s.Commit(b.Context(), zone.CommitRequest{Mark: zone.Mark{Flow: flowName, Epoch: 1, Seq: seq}}); err != nil {
		b.Fatal(err)
	}
}
