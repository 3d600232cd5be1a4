package change

import (
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
)

func table() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64},
		{Name: "name", Type: arrow.BinaryTypes.String},
	}, nil)
}

func TestASchemaOfChangesHasTheTableAndTheChangeColumns(t *testing.T) {
	t.Parallel()
	s := Schema(table(), []string{"id"})
	var got []string
	for _, f := range s.Fields() {
		got = append(got, f.Name+" "+f.Type.String())
		if f.Nullable == (f.Name == ColumnOp) {
			t.Errorf("column %q: nullable is %v", f.Name, f.Nullable)
		}
	}
	want := []string{
		"id int64", "name utf8", "_op uint8", "_pos binary", "_tx_seq int64", "_ts timestamp[us, tz=UTC]",
		"_before struct<id: int64 nullable, name: utf8 nullable>", "_unchanged list<item: utf8, nullable>",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if !Is(s) || Is(table()) {
		t.Error("a schema of changes is one, that of a table is none")
	}
	if diff := cmp.Diff([]string{"id"}, Key(s)); diff != "" {
		t.Errorf("key: (-want +got)\n%s", diff)
	}
	if Key(Schema(table(), nil)) != nil || Key(table()) != nil {
		t.Error("no key, no metadata")
	}
	if names := Table(s).Fields(); len(names) != 2 || Table(table()).NumFields() != 2 {
		t.Errorf("the table's columns are %v", names)
	}
}

func TestChangeColumnsAreFoundOrFaulted(t *testing.T) {
	t.Parallel()
	at, err := Columns(Schema(table(), nil))
	if want := (Indexes{2, 3, 4, 5, 6, 7}); err != nil || at != want {
		t.Errorf("got %+v, %v", at, err)
	}
	field := func(name string, dt arrow.DataType) arrow.Field {
		return arrow.Field{Name: name, Type: dt, Nullable: true}
	}
	for _, c := range []struct {
		name   string
		fields []arrow.Field
		want   Indexes
		faults []string
	}{
		{"no op, so no changes", []arrow.Field{field("_ts", arrow.BinaryTypes.String)}, none(), nil},
		{"as kept in datasets", []arrow.Field{field("_op", arrow.PrimitiveTypes.Int32)}, Indexes{0, -1, -1, -1, -1, -1}, nil},
		{"other types", []arrow.Field{
			field("_op", arrow.BinaryTypes.String), field("_pos", arrow.PrimitiveTypes.Int64), field("_tx_seq", arrow.PrimitiveTypes.Int32),
			field("_ts", &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}), field("_before", arrow.BinaryTypes.String),
			field("_unchanged", arrow.ListOf(arrow.PrimitiveTypes.Int64)),
		}, none(), []string{`"_op"`, `"_pos"`, `"_tx_seq"`, `"_ts"`, `"_before"`, `"_unchanged"`}},
		{"no time zone", []arrow.Field{
			field("_op", arrow.PrimitiveTypes.Uint8), field("_ts", &arrow.TimestampType{Unit: arrow.Microsecond}),
		}, none(), []string{`"_ts" is timestamp[us], expected timestamp[us, UTC]`}},
		{"doubled", []arrow.Field{
			field("_op", arrow.PrimitiveTypes.Uint8), field("_op", arrow.PrimitiveTypes.Uint8),
		}, none(), []string{"2 times"}},
	} {
		s := arrow.NewSchema(c.fields, nil)
		at, err := Columns(s)
		if at != c.want || (err == nil) != (len(c.faults) == 0) {
			t.Errorf("%s: got %+v, %v", c.name, at, err)
		}
		for _, fault := range c.faults {
			if err == nil || !strings.Contains(err.Error(), fault) {
				t.Errorf("%s: %q is not in %v", c.name, fault, err)
			}
		}
		if Is(s) != (err == nil && at.Op >= 0) {
			t.Errorf("%s: Is says %v", c.name, Is(s))
		}
	}
}

func TestOpsHaveNames(t *testing.T) {
	t.Parallel()
	var got []string
	for op := range Truncate + 2 {
		got = append(got, op.String())
	}
	if diff := cmp.Diff([]string{"snapshot", "insert", "update", "delete", "truncate", "op(5)"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestABuilderFillsTheChangeColumns(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer alloc.AssertSize(t, 0)
	b := NewBuilder(alloc, table(), []string{"id"})
	defer b.Release()
	for range 2 { // the builder is as new after a batch
		b.Column(0).(*array.Int64Builder).Append(2)
		b.Column(1).AppendNull()
		b.Before().Append(true)
		b.Before().FieldBuilder(0).(*array.Int64Builder).Append(1)
		b.Before().FieldBuilder(1).AppendNull()
		b.Append(Change{Op: Update, Pos: []byte{0}, TxSeq: 3, Ts: time.UnixMicro(1), Unchanged: []string{"name"}})
		b.AppendTruncate(Change{Pos: []byte{1}, TxSeq: 4})
		if b.Len() != 2 {
			t.Errorf("%d changes, expected 2", b.Len())
		}
		batch, err := b.Batch()
		if err != nil {
			t.Fatal(err)
		}
		got, err := batch.MarshalJSON()
		batch.Release()
		if err != nil {
			t.Fatal(err)
		}
		want := `[{"_before":{"id":1,"name":null},"_op":2,"_pos":"AA==","_ts":"1970-01-01T00:00:00.000001Z","_tx_seq":3,"_unchanged":["name"],"id":2,"name":null}
,{"_before":null,"_op":4,"_pos":"AQ==","_ts":null,"_tx_seq":4,"_unchanged":null,"id":null,"name":null}
]`
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

func TestAColumnThatWasForgottenIsAnError(t *testing.T) {
	t.Parallel()
	b := NewBuilder(memory.DefaultAllocator, table(), nil)
	defer b.Release()
	b.Column(0).(*array.Int64Builder).Append(2)
	b.Append(Change{Op: Insert})
	if _, err := b.Batch(); err == nil || !strings.Contains(err.Error(), `"name"`) {
		t.Errorf("got %v", err)
	}
}
