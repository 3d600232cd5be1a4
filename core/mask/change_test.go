package mask

import (
	"errors"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk/change"
)

func people() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{
		field("id", arrow.PrimitiveTypes.Int64), field("mail", utf8Type), field("pin", utf8Type), field("age", arrow.PrimitiveTypes.Int32),
	}, nil)
}

// changesOf makes an insert, an update whose pin and age were not sent, a delete and a truncate.
func changesOf(t *testing.T, alloc memory.Allocator) arrow.RecordBatch {
	t.Helper()
	b := change.NewBuilder(alloc, people(), []string{"id"})
	defer b.Release()
	row := func(id int64, mail string, column func(int) array.Builder) {
		column(0).(*array.Int64Builder).Append(id)
		column(1).(*array.StringBuilder).Append(mail)
		column(2).AppendNull()
		column(3).AppendNull()
	}
	at := time.Unix(1, 0)
	row(1, "new@example.com", b.Column)
	b.Append(change.Change{Op: change.Insert, Ts: at})
	row(1, "changed@example.com", b.Column)
	b.Before().Append(true)
	row(1, "new@example.com", b.Before().FieldBuilder)
	b.Append(change.Change{Op: change.Update, Ts: at, Unchanged: []string{"pin", "age"}})
	row(1, "changed@example.com", b.Column)
	b.Append(change.Change{Op: change.Delete, Ts: at, Unchanged: []string{"pin"}})
	b.AppendTruncate(change.Change{Ts: at})
	batch, err := b.Batch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(batch.Release)
	return batch
}

func TestOldRowsAreMaskedAsNewOnes(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	in := changesOf(t, alloc)
	m, err := New(Settings{
		Schema: in.Schema(), Keys: testKeys, Alloc: alloc, Key: change.Key(in.Schema()), Drop: []string{"pin"},
		Masks: map[string]Rule{"mail": {Method: "hash", Args: args{"key": "one"}}, "id": tokenRule},
	})
	if err != nil {
		t.Fatal(err)
	}
	table := arrow.NewSchema([]arrow.Field{field("id", arrow.PrimitiveTypes.Int64), field("mail", utf8Type), field("age", arrow.PrimitiveTypes.Int32)}, nil)
	if want := change.Schema(table, []string{"id"}); !want.Equal(m.Schema()) || !change.Is(m.Schema()) || change.Key(m.Schema()) == nil {
		t.Errorf("got %s, expected %s", m.Schema(), want)
	}
	for _, from := range []int64{0, 1} {
		part := in.NewSlice(from, in.NumRows())
		defer part.Release()
		out := apply(t, m, part)
		update := int(1 - from)
		at, err := change.Columns(out.Schema())
		if err != nil {
			t.Fatal(err)
		}
		before := out.Column(at.Before).(*array.Struct)
		if before.IsNull(update) || before.NullN() != before.Len()-1 {
			t.Errorf("old rows: %s", before)
		}
		if got, want := before.Field(0).ValueStr(update), out.Column(0).ValueStr(update); got != want || got == "1" {
			t.Errorf("id was %q in the old row and is %q", got, want)
		}
		whole := apply(t, m, in)
		if got, want := before.Field(1).ValueStr(update), whole.Column(1).ValueStr(0); got != want {
			t.Errorf("mail was %q in the old row and %q when it was inserted", got, want)
		}
		want := []string{"(null)", `["age"]`, `[]`, "(null)"}[from:]
		if diff := cmp.Diff(want, shownValues(out.Column(at.Unchanged))); diff != "" {
			t.Errorf("unchanged: (-want +got)\n%s", diff)
		}
		for _, secret := range []string{"new@example.com", "changed@example.com"} {
			for i := range int(out.NumCols()) {
				if holds(out.Column(i).Data(), []byte(secret)) {
					t.Errorf("%q is still in %q", secret, out.ColumnName(i))
				}
			}
		}
	}
}

func TestChangesWithoutAMaskForThemShareTheirMemory(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	in := changesOf(t, alloc)
	m := newMasker(t, alloc, in.Schema(), nil)
	out := apply(t, m, in)
	for i := range int(in.NumCols()) {
		if in.Column(i).Data() != out.Column(i).Data() {
			t.Errorf("column %q is copied", in.ColumnName(i))
		}
	}
	m, err := New(Settings{Schema: in.Schema(), Drop: []string{"mail"}, Alloc: alloc})
	if err != nil {
		t.Fatal(err)
	}
	out = apply(t, m, in)
	at, err := change.Columns(out.Schema())
	if err != nil || out.Column(at.Unchanged).Data() != in.Column(at.Unchanged+1).Data() {
		t.Errorf("names that stay are copied: %v", err)
	}
	if diff := cmp.Diff([]string{"mail: drop"}, m.Columns()); diff != "" {
		t.Errorf("columns: (-want +got)\n%s", diff)
	}
}

func TestNoMaskIsNoColumnInThePlan(t *testing.T) {
	t.Parallel()
	m, err := New(Settings{Schema: people()})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Columns()) != 0 {
		t.Errorf("columns: %v", m.Columns())
	}
}

func TestChangeColumnsAreNotMasked(t *testing.T) {
	t.Parallel()
	s := change.Schema(people(), []string{"id"})
	for _, name := range change.Names() {
		for _, settings := range []Settings{
			{Schema: s, Masks: map[string]Rule{name: {Method: "null"}}},
			{Schema: s, Drop: []string{name}},
		} {
			_, err := New(settings)
			var fault *ArgError
			if !errors.As(err, &fault) || fault.Column != name {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := New(Settings{Schema: s, Drop: []string{"id", "mail", "pin", "age"}}); err == nil {
		t.Error("all columns of the table may be dropped")
	}
	if _, err := New(Settings{Schema: s, Drop: []string{"id"}}); err == nil {
		t.Error("the key that the schema names may be dropped")
	}
	wrong := arrow.NewSchema([]arrow.Field{field("_op", utf8Type)}, nil)
	if _, err := New(Settings{Schema: wrong}); err == nil {
		t.Error("wrong change columns are taken")
	}
	plain := arrow.NewSchema([]arrow.Field{field("_ts", utf8Type)}, nil)
	if _, err := New(Settings{Schema: plain, Masks: map[string]Rule{"_ts": {Method: "null"}}}); err != nil {
		t.Errorf("without _op it is no change column: %v", err)
	}
}

// TestWhatLiesInNullStructsIsNotLookedAt has a value that can't be tokenised where there is no old row.
func TestWhatLiesInNullStructsIsNotLookedAt(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	dict := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: utf8Type}
	mail, number := values(t, alloc, utf8Type, `["gone", "x", "gone", "long enough", null]`), values(t, alloc, dict, `["7", "7", "1234567", "1234567", null]`)
	fields := []arrow.Field{field("mail", utf8Type), field("n", dict)}
	valid := memory.NewBufferBytes([]byte{0b11100})
	data := array.NewData(arrow.StructOf(fields...), 5, []*memory.Buffer{valid}, []arrow.ArrayData{mail.Data(), number.Data()}, array.UnknownNullCount, 0)
	defer data.Release()
	before := array.MakeFromData(data)
	defer before.Release()
	op := values(t, alloc, arrow.PrimitiveTypes.Uint8, `[1, 1, 2, 2, 2]`)
	s := arrow.NewSchema(append(fields, field("_op", arrow.PrimitiveTypes.Uint8), field("_before", before.DataType())), nil)
	long := values(t, alloc, utf8Type, `["long enough", "long enough", "long enough", "long enough", "long enough"]`)
	b := array.NewRecordBatch(s, []arrow.Array{long, number, op, before}, 5)
	defer b.Release()
	part := b.NewSlice(1, 5)
	defer part.Release()
	m := newMasker(t, alloc, s, map[string]Rule{"mail": tokenRule, "n": tokenRule})
	out := apply(t, m, part).Column(3).(*array.Struct)
	if !out.IsNull(0) || !out.Field(0).IsNull(0) || !out.Field(1).IsNull(0) || out.Field(0).ValueStr(1) != redacted || out.Field(0).IsNull(2) || !out.Field(1).IsNull(3) {
		t.Errorf("got %s", out)
	}
	if diff := cmp.Diff(map[string]int64{"mail": 1, "n": 1}, m.Refused()); diff != "" {
		t.Errorf("refused: (-want +got)\n%s", diff)
	}
}

// TestAFaultInAnOldRowReleasesWhatWasMade fails in _before only.
func TestAFaultInAnOldRowReleasesWhatWasMade(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	b := change.NewBuilder(alloc, people(), []string{"mail"})
	defer b.Release()
	b.Column(0).AppendNull()
	b.Column(1).(*array.StringBuilder).Append("long enough")
	b.Column(2).AppendNull()
	b.Column(3).AppendNull()
	b.Before().Append(true)
	b.Before().FieldBuilder(0).AppendNull()
	b.Before().FieldBuilder(1).(*array.StringBuilder).Append("x")
	b.Before().FieldBuilder(2).AppendNull()
	b.Before().FieldBuilder(3).AppendNull()
	b.Append(change.Change{Op: change.Update})
	batch, err := b.Batch()
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Release()
	m, err := New(Settings{Schema: batch.Schema(), Keys: testKeys, Alloc: alloc, Key: []string{"mail"}, Masks: map[string]Rule{"mail": tokenRule, "id": tokenRule}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Apply(t.Context(), batch)
	var fault *KeyValueError
	if !errors.As(err, &fault) || fault.Column != "mail" {
		t.Errorf("got %v", err)
	}
}
