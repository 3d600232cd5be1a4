package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/sdk"
)

// BenchmarkRows measures batches of 8,192 clean rows: a few cheap rules, a regular expression, and a unique key.
func BenchmarkRows(b *testing.B) {
	for _, c := range []struct{ name, rules string }{
		{"few", `[{"column": "id", "type": "integer", "required": true, "min": 0}, {"column": "amount", "min": 0, "max": 1e9},
			{"column": "kind", "enum": ["kind 0", "kind 1", "kind 2", "kind 3"], "required": true}, {"column": "email", "max_length": 64}]`},
		{"pattern", `[{"column": "email", "pattern": "^[^@]+@[^@]+$"}]`},
		{"unique", `[{"column": "id", "unique": true}]`},
	} {
		b.Run(c.name, func(b *testing.B) { measure(b, c.rules) })
	}
}

func measure(b *testing.B, rules string) {
	var config Config
	if err := json.Unmarshal([]byte(rules), &config.Rules); err != nil {
		b.Fatal(err)
	}
	k, err := New(b.Context(), config, sdk.Env{Log: hclog.NewNullLogger(), Alloc: memory.DefaultAllocator, Scratch: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer k.Close(b.Context())
	const rows, batches = 8192, 64
	records := make([]arrow.RecordBatch, batches)
	for i := range records {
		records[i] = made(rows, i*rows)
		defer records[i].Release()
	}
	if err := k.Plan(b.Context(), sdk.SchemaChange{Stream: "orders", Schema: records[0].Schema()}); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		record := records[i%batches]
		record.Retain()
		findings, err := k.Rows(b.Context(), sdk.Batch{Stream: "orders", Record: record})
		if err != nil || len(findings) > 0 {
			b.Fatal(err, findings)
		}
		if i%batches == batches-1 {
			if _, err := k.Result(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func made(rows, from int) arrow.RecordBatch {
	builder := array.NewRecordBuilder(memory.DefaultAllocator, columns(
		nullable("id", arrow.PrimitiveTypes.Int64), nullable("amount", arrow.PrimitiveTypes.Float64),
		nullable("kind", arrow.BinaryTypes.String), nullable("email", arrow.BinaryTypes.String),
	))
	defer builder.Release()
	for i := from; i < from+rows; i++ {
		builder.Field(0).(*array.Int64Builder).Append(int64(i))
		builder.Field(1).(*array.Float64Builder).Append(float64(i) / 4)
		builder.Field(2).(*array.StringBuilder).Append(fmt.Sprintf("kind %d", i%4))
		builder.Field(3).(*array.StringBuilder).Append(fmt.Sprintf("user-%d@example.com", i))
	}
	return builder.NewRecordBatch()
}
