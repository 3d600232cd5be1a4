package rows_test

import (
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/rows"
)

type order struct {
	ID     int64     `arrow:"id"`
	Email  string    `arrow:"email"`
	Amount float64   `arrow:"amount"`
	At     time.Time `arrow:"at"`
	Note   *string   `arrow:"note"`
}

func BenchmarkAppend(b *testing.B) {
	builder, err := rows.Of[order](memory.DefaultAllocator)
	if err != nil {
		b.Fatal(err)
	}
	defer builder.Release()
	note := "left at the door"
	row := order{Email: "someone@example.com", Amount: 12.5, At: time.Unix(1_700_000_000, 0), Note: &note}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		row.ID++
		if err := builder.Append(row); err != nil {
			b.Fatal(err)
		}
		if n++; builder.Len() == 8192 {
			builder.Batch().Release()
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkEach(b *testing.B) {
	note := "left at the door"
	all := make([]order, 8192)
	for i := range all {
		all[i] = order{ID: int64(i), Email: "someone@example.com", Amount: 12.5, At: time.Unix(1_700_000_000, 0), Note: &note}
	}
	batch := build(b, all...)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range rows.Each[order](batch) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}
