package main

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// bench is a transform with what stands around it in a test; every byte of its batches must be freed at the end.
type bench struct {
	*transform
	alloc    *memory.CheckedAllocator
	recorder *plugintest.Recorder
}

func start(t *testing.T, c Config) *bench {
	t.Helper()
	b := &bench{alloc: memory.NewCheckedAllocator(memory.NewGoAllocator()), recorder: &plugintest.Recorder{}}
	made, err := New(t.Context(), c, sdk.Env{Log: hclog.NewNullLogger(), Alloc: b.alloc, Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	b.transform = made
	t.Cleanup(func() {
		b.recorder.Release()
		if err := made.Close(t.Context()); err != nil {
			t.Error(err)
		}
		b.alloc.AssertSize(t, 0)
	})
	return b
}

func (b *bench) plan(t *testing.T, in ...sdk.SchemaChange) sdk.Plan {
	t.Helper()
	plan, err := b.Plan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// feedIn applies a batch of rows written as JSON.
func (b *bench) feedIn(t *testing.T, stream string, schema *arrow.Schema, rows string) {
	t.Helper()
	b.give(t, stream, parse(t, b.alloc, schema, rows))
}

func (b *bench) give(t *testing.T, stream string, record arrow.RecordBatch) {
	t.Helper()
	if err := b.Apply(t.Context(), sdk.Batch{Stream: stream, Version: 1, Record: record}, b.recorder); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) end(t *testing.T) {
	t.Helper()
	if err := b.Finish(t.Context(), b.recorder); err != nil {
		t.Fatal(err)
	}
}

// got is what came out of an output, as JSON, one row a line.
func (b *bench) got(t *testing.T, stream string) string {
	t.Helper()
	var text strings.Builder
	for _, record := range b.recorder.Records(stream) {
		if err := array.RecordToJSON(record, &text); err != nil {
			t.Fatal(err)
		}
	}
	return strings.TrimSpace(text.String())
}

func parse(t testing.TB, alloc memory.Allocator, schema *arrow.Schema, rows string) arrow.RecordBatch {
	t.Helper()
	record, _, err := array.RecordFromJSON(alloc, schema, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func input(stream string, schema *arrow.Schema) sdk.SchemaChange {
	return sdk.SchemaChange{Stream: stream, Version: 1, Schema: schema}
}

func columns(fields ...arrow.Field) *arrow.Schema { return arrow.NewSchema(fields, nil) }

func field(name string, kind arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: kind, Nullable: true}
}

// shop is the schema that most tests use.
func shop() *arrow.Schema {
	return columns(
		field("id", arrow.PrimitiveTypes.Int64), field("email", arrow.BinaryTypes.String),
		field("amount", arrow.BinaryTypes.String), field("tags", arrow.ListOf(arrow.BinaryTypes.String)),
	)
}
