package main

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk/change"
)

func TestTypesKeepTheirValuesInChanges(t *testing.T) {
	t.Parallel()
	cases := typeCases()
	cases["fixed list"] = typeCase{in: arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Int64), values: `[[1,2],null,[3,4]]`}
	cases["null"] = typeCase{in: arrow.Null, out: arrow.PrimitiveTypes.Int32, values: `[null,null]`}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			passChanges(t, c)
		})
	}
}

// passChanges sends each value as a row's, with itself as the old one, and then a deletion.
func passChanges(t *testing.T, c typeCase) {
	if c.out == nil {
		c.out = c.in
	}
	if c.want == "" {
		c.want = c.values
	}
	b := start(t, Config{Query: "select v, id from input where id < 100"})
	table := columns(field("v", c.in), field("id", arrow.PrimitiveTypes.Int64))
	in := input("orders", change.Schema(table, []string{"id"}))
	in.Key = []string{"id"}
	plan := b.plan(t, in)
	if want := change.Schema(columns(field("v", c.out), field("id", arrow.PrimitiveTypes.Int64)), nil); !sameTypes(plan.Outputs[0].Schema, want) {
		t.Fatalf("planned %v", plan.Outputs[0].Schema)
	}
	values, _, err := array.FromJSON(b.alloc, c.in, strings.NewReader(c.values))
	if err != nil {
		t.Fatal(err)
	}
	defer values.Release()
	b.give(t, "orders", updates(t, b, table, values))
	wanted, _, err := array.FromJSON(b.alloc, c.out, strings.NewReader(c.want))
	if err != nil {
		t.Fatal(err)
	}
	defer wanted.Release()
	if len(b.recorder.Batches) != 1 || len(b.recorder.Rejections) > 0 {
		t.Fatalf("%d batches, rejected %v", len(b.recorder.Batches), b.recorder.Rejections)
	}
	record := b.recorder.Batches[0].Record
	before, _ := record.Column(6).(*array.Struct)
	for place, got := range map[string]arrow.Array{"row": record.Column(0), change.ColumnBefore: before.Field(0)} {
		if got.String() != wanted.String() {
			t.Errorf("%s: got %v, expected %v", place, got, wanted)
		}
	}
}

func updates(t *testing.T, b *bench, table *arrow.Schema, values arrow.Array) arrow.RecordBatch {
	t.Helper()
	builder := change.NewBuilder(b.alloc, table, []string{"id"})
	defer builder.Release()
	for row := range values.Len() {
		builder.Column(0).AppendNull()
		builder.Column(1).(*array.Int64Builder).Append(int64(row))
		builder.Append(change.Change{Op: change.Update, TxSeq: 1})
	}
	record, err := builder.Batch()
	if err != nil {
		t.Fatal(err)
	}
	defer record.Release()
	fields := record.Columns()
	old, err := array.NewStructArrayWithFields([]arrow.Array{values, fields[1]}, table.Fields())
	if err != nil {
		t.Fatal(err)
	}
	defer old.Release()
	out := append([]arrow.Array{values}, fields[1:]...)
	out[6] = old
	return array.NewRecordBatch(record.Schema(), out, record.NumRows())
}
