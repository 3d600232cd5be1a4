package filter_test

import (
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/mask/filter"
)

func BenchmarkKeep(b *testing.B) {
	const rows = 64 << 10
	batch := batch(rand.New(rand.NewPCG(1, 1)), memory.DefaultAllocator, every, rows)
	defer batch.Release()
	number := filter.Compare{Column: "i64", Op: filter.Less, Value: filter.Int(2)}
	text := filter.Compare{Column: "t", Op: filter.Equal, Value: filter.String("eu")}
	for name, p := range map[string]filter.Predicate{
		"int64":      number,
		"float64":    filter.Compare{Column: "f64", Op: filter.Greater, Value: filter.Int(2)},
		"decimal":    filter.Compare{Column: "d", Op: filter.Less, Value: filter.Int(2)},
		"text":       text,
		"dictionary": filter.Compare{Column: "dict", Op: filter.Equal, Value: filter.String("eu")},
		"starts":     filter.Text{Column: "t", Op: filter.Starts, Value: "a"},
		"in":         filter.In{Column: "t", Values: []filter.Value{filter.String("eu"), filter.String("uk")}},
		"columns":    filter.CompareColumns{Left: "i64", Op: filter.Less, Right: "u64"},
		"tree":       filter.And{number, filter.NotTrue{Of: filter.Column{Name: "b"}}, filter.Or{text, number}},
	} {
		b.Run(name, func(b *testing.B) {
			f, err := filter.Bind(p, every)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, _, err := f.Keep(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}
