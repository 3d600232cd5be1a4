package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

const (
	benchRows  = 500_000
	benchBatch = 32_768
)

var sales = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "name", Type: arrow.BinaryTypes.String},
	{Name: "amount", Type: &arrow.Decimal128Type{Precision: 12, Scale: 2}}, {Name: "ratio", Type: arrow.PrimitiveTypes.Float64},
	{Name: "at", Type: arrow.FixedWidthTypes.Timestamp_us},
}, nil)

// salesRows are batches of rows, and the same as text for psql.
func salesRows(tb testing.TB) ([]arrow.RecordBatch, string) {
	tb.Helper()
	var text strings.Builder
	var out []arrow.RecordBatch
	b := array.NewRecordBuilder(memory.DefaultAllocator, sales)
	defer b.Release()
	from := time.Unix(1.7e9, 0)
	for i := range int64(benchRows) {
		b.Field(0).(*array.Int64Builder).Append(i)
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("name of row %d", i))
		b.Field(2).(*array.Decimal128Builder).Append(decimal128.FromI64(i * 150))
		b.Field(3).(*array.Float64Builder).Append(float64(i) / 2)
		b.Field(4).(*array.TimestampBuilder).Append(arrow.Timestamp(from.UnixMicro() + i*1e6))
		fmt.Fprintf(&text, "%d\tname of row %d\t%d.%02d\t%v\t%s\n", i, i, i*150/100, i*150%100, float64(i)/2, from.Add(time.Duration(i)*time.Second).UTC().Format("2006-01-02 15:04:05+00"))
		if i%benchBatch == benchBatch-1 || i == benchRows-1 {
			out = append(out, b.NewRecordBatch())
		}
	}
	path := filepath.Join(tb.TempDir(), "sales.tsv")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	return out, path
}

// best is how many rows went through in a second in the best of several runs: others' work on the machine makes runs slower only.
type best map[string]float64

func (m best) timed(what string, do func()) {
	from := time.Now()
	do()
	m[what] = max(m[what], benchRows/time.Since(from).Seconds())
}

// BenchmarkWrites writes the same rows in each way, beside psql.
func BenchmarkWrites(b *testing.B) {
	s := newSite(b)
	rows, path := salesRows(b)
	unit := func(sink *Sink, seq uint64) {
		for _, record := range rows {
			record.Retain()
			if rejected, err := sink.Write(b.Context(), sdk.Batch{Stream: "sales", Version: 1, Record: record}); err != nil || len(rejected) > 0 {
				b.Fatal(rejected, err)
			}
		}
		commit(b, sink, mark(1, seq))
	}
	psql := func(table string) {
		pgtest.Shared(b).Must(b, "psql", "postgres", "-X", "-q", "-d", s.dsn, "-c", fmt.Sprintf(`\copy %s from '%s'`, table, path))
	}
	stream := sdk.SchemaChange{Stream: "sales", Version: 1, Schema: sales, Key: []string{"id"}}
	const columns = "(id int8, name text, amount numeric(12,2), ratio float8, at timestamptz"
	runs := best{}
	for b.Loop() {
		s.exec(b, "drop table if exists plain, keyed, a_sales, u_sales, _qanat_ledger", "create table plain "+columns+")", "create table keyed "+columns+", primary key (id))", "checkpoint")
		runs.timed("psql", func() { psql("plain") })
		s.flow = "a"
		sink, _ := s.begin(b, Config{Table: "a_{stream}"}, sdk.Append, 1, stream)
		runs.timed("append", func() { unit(sink, 1) })
		s.exec(b, "checkpoint")
		runs.timed("psql-keyed", func() { psql("keyed") })
		s.flow = "u"
		sink, _ = s.begin(b, Config{Table: "u_{stream}"}, sdk.Upsert, 1, stream)
		s.exec(b, "checkpoint")
		runs.timed("upsert-new", func() { unit(sink, 1) })
		s.exec(b, "vacuum analyze u_sales", "checkpoint")
		runs.timed("upsert-old", func() { unit(sink, 2) })
	}
	for what, speed := range runs {
		b.ReportMetric(speed, what+"-rows/s")
	}
}

// BenchmarkChanges applies units of 10,000 changes to a table of half a million rows: updates, and some of everything else.
func BenchmarkChanges(b *testing.B) {
	s := newSite(b, "create table sales (id int8 primary key, name text, amount numeric(12,2), ratio float8, at timestamptz)",
		"insert into sales select i, 'name', i, i, now() from generate_series(1, 500000) i", "vacuum analyze sales")
	stream := sdk.SchemaChange{Stream: "sales", Version: 1, Schema: change.Schema(sales, []string{"id"}), Key: []string{"id"}}
	sink, _ := s.begin(b, Config{}, sdk.Upsert, 1, stream)
	builder := change.NewBuilder(memory.DefaultAllocator, sales, []string{"id"})
	defer builder.Release()
	seq := uint64(0)
	for b.Loop() {
		for i := range int64(10_000) {
			id, op := 1+(i*7919+int64(seq)*104729)%500_000, change.Update
			if i%20 == 0 {
				id, op = 500_000+int64(seq)*10_000+i, change.Insert
			}
			builder.Column(0).(*array.Int64Builder).Append(id)
			builder.Column(1).(*array.StringBuilder).Append("another name")
			builder.Column(2).AppendNull()
			builder.Column(3).(*array.Float64Builder).Append(1)
			builder.Column(4).AppendNull()
			builder.Append(change.Change{Op: op, TxSeq: i + 1})
		}
		record, err := builder.Batch()
		if err != nil {
			b.Fatal(err)
		}
		seq++
		if rejected := write(b, sink, "sales", 1, record); len(rejected) > 0 {
			b.Fatal(rejected)
		}
		commit(b, sink, mark(1, seq))
	}
	b.ReportMetric(float64(seq)*10_000/b.Elapsed().Seconds(), "changes/s")
}
