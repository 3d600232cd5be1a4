package zone_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
)

func schemaOf(fields ...arrow.Field) *arrow.Schema { return arrow.NewSchema(fields, nil) }

func required(name string, t arrow.DataType) arrow.Field { return arrow.Field{Name: name, Type: t} }
func optional(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

func fromJSON(t *testing.T, s *arrow.Schema, rows string) arrow.RecordBatch {
	t.Helper()
	b, _, err := array.RecordFromJSON(memory.DefaultAllocator, s, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Release)
	return b
}

func TestEvolutionSaysWhatChanges(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", schemaOf(
		required("id", i32), optional("price", arrow.PrimitiveTypes.Float32), optional("amount", decimalOf(10, 2)),
		required("name", text), required("gone", i64)))
	changes, err := d.Evolution(schemaOf(
		required("id", i64), optional("price", arrow.PrimitiveTypes.Float64), optional("amount", decimalOf(12, 2)),
		optional("name", text), optional("extra", i64)))
	if err != nil {
		t.Fatal(err)
	}
	want := []zone.Change{
		{Column: "id", Kind: zone.ColumnWidened, From: "int32", To: "int64"},
		{Column: "price", Kind: zone.ColumnWidened, From: "float32", To: "float64"},
		{Column: "amount", Kind: zone.ColumnWidened, From: "decimal(10, 2)", To: "decimal(12, 2)"},
		{Column: "name", Kind: zone.ColumnOptional, From: "utf8", To: "utf8"},
		{Column: "extra", Kind: zone.ColumnAdded, To: "int64"},
		{Column: "gone", Kind: zone.ColumnOptional, From: "int64", To: "int64"},
	}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Error(diff)
	}
	if none, err := d.Evolution(d.Schema()); err != nil || len(none) != 0 {
		t.Errorf("own schema: %v, %v", none, err)
	}
	narrower := schemaOf(required("id", arrow.PrimitiveTypes.Int32), required("name", text), required("gone", i32))
	if none, err := d.Evolution(narrower); err != nil || len(none) != 0 {
		t.Errorf("narrower schema: %v, %v", none, err)
	}
}

func TestEvolutionRefusesEveryLossyChangeAtOnce(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", schemaOf(
		optional("a", text), optional("b", decimalOf(10, 2)), optional("c", i64), optional("d", listOf(i64)), optional("e", micros)))
	_, err := d.Evolution(schemaOf(
		optional("a", i64), optional("b", decimalOf(12, 3)), optional("c", text), optional("d", listOf(text)), optional("e", utc),
		optional("_qanat_x", i64)))
	var incompatible *zone.IncompatibleError
	if !errors.As(err, &incompatible) || len(incompatible.Faults) != 6 {
		t.Fatalf("error is %v", err)
	}
	if f := incompatible.Faults[0]; f != (zone.Incompatibility{Column: "a", From: "utf8", To: "int64"}) {
		t.Errorf("first fault is %+v", f)
	}
}

func TestOldAndNewRowsAreReadInTheEvolvedSchema(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	before := schemaOf(required("id", i32), required("name", text))
	after := schemaOf(required("id", i64), optional("price", arrow.PrimitiveTypes.Float64))
	d := create(t, z, "processing.shop.orders", before)
	s, err := d.Stage(t.Context(), zone.StageOptions{Flow: "f", Seq: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), fromJSON(t, before, `[{"id":1,"name":"a"}]`), ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), fromJSON(t, after, `[{"id":5000000000,"price":1.5}]`), ""); err == nil {
		t.Fatal("a batch of another schema was taken")
	}
	changes, err := s.Evolve(t.Context(), after)
	if err != nil || len(changes) != 3 {
		t.Fatalf("changes %v, error %v", changes, err)
	}
	if err := s.Write(t.Context(), fromJSON(t, after, `[{"id":5000000000,"price":1.5}]`), ""); err != nil {
		t.Fatal(err)
	}
	files, err := s.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Commit(t.Context(), zone.CommitRequest{Files: files, Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: 1}}); err != nil {
		t.Fatal(err)
	}
	now, err := d.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"id", "name", "price", "_qanat_seq", "_qanat_flow"}, fieldNames(now.FullSchema())); diff != "" {
		t.Error(diff)
	}
	want := []string{`{"id":1,"name":"a","price":null}`, `{"id":5000000000,"name":null,"price":1.5}`}
	if diff := cmp.Diff(want, rows(t, now, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	list, err := now.Files(t.Context(), 0)
	if err != nil || len(list) != 2 {
		t.Fatalf("files %v, error %v", list, err)
	}
	for _, f := range list {
		if want := f.Rows == 1 && strings.Contains(f.Path, files.Paths()[1]); f.Exact != want {
			t.Errorf("file %s: exact is %v", f.Path, f.Exact)
		}
	}
}

func TestDecimalsWidenAndStayReadable(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	before, after := schemaOf(optional("v", decimalOf(5, 2))), schemaOf(optional("v", decimalOf(20, 2)))
	d := create(t, z, "landing.shop.amounts", before)
	commit(t, d, 1, fromJSON(t, before, `[{"v":"123.45"}]`))
	d, _, err := d.Evolve(t.Context(), after)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, d, 2, fromJSON(t, after, `[{"v":"123456789012345678.90"}]`))
	commit(t, d, 3, fromJSON(t, before, `[{"v":"1.00"}]`))
	want := []string{`{"v":"123.45"}`, `{"v":"123456789012345678.9"}`, `{"v":"1"}`}
	if diff := cmp.Diff(want, rows(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}

func TestEvolveTwiceIsTheSameAsOnce(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", orders)
	to := schemaOf(append(orders.Fields(), optional("price", i64))...)
	for want := 1; want >= 0; want-- {
		now, changes, err := d.Evolve(t.Context(), to)
		if err != nil || len(changes) != want {
			t.Fatalf("changes %v, error %v", changes, err)
		}
		if len(now.Schema().Fields()) != 3 {
			t.Errorf("schema is %s", now.Schema())
		}
	}
}

func commit(t *testing.T, d *zone.Dataset, seq int64, b arrow.RecordBatch) zone.Snapshot {
	t.Helper()
	s, err := d.Commit(t.Context(), zone.CommitRequest{
		Files: stage(t, d, "f", seq, b), Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: seq},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fieldNames(s *arrow.Schema) []string {
	var out []string
	for _, f := range s.Fields() {
		out = append(out, f.Name)
	}
	return out
}

// rows reads a dataset as one JSON text for each row.
func rows(t *testing.T, d *zone.Dataset, r zone.ScanRequest) []string {
	t.Helper()
	_, batches, err := d.Scan(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for b, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		s := array.RecordToStructArray(b)
		for i := range s.Len() {
			out = append(out, s.ValueStr(i))
		}
		s.Release()
		b.Release()
	}
	return out
}

// Rows that were written before a struct grew are read as those after, wherever in a column the struct is.
func TestStructsGrowWhereverTheyAre(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	person := func(more ...arrow.Field) arrow.DataType {
		return arrow.StructOf(append([]arrow.Field{required("id", i32), optional("name", text)}, more...)...)
	}
	all := func(p arrow.DataType) *arrow.Schema {
		return schemaOf(required("n", i64), optional("one", p), optional("many", listOf(p)), optional("by", arrow.MapOf(text, p)))
	}
	before := all(person())
	after := all(arrow.StructOf(optional("id", i64), optional("country", text))) // a field is new, one is gone, one is wider and may be null
	d := create(t, z, "landing.shop.orders", before)
	commit(t, d, 1, fromJSON(t, before, `[
		{"n": 1, "one": {"id": 1, "name": "a"}, "many": [{"id": 1, "name": "b"}, null], "by": [{"key": "k", "value": {"id": 1, "name": "c"}}]},
		{"n": 2}]`))
	planned, changes, err := zone.Follow(d.Name(), d.Schema(), after)
	if err != nil {
		t.Fatal(err)
	}
	var widened []string
	for _, c := range changes {
		if c.Kind == zone.ColumnWidened {
			widened = append(widened, c.Column)
		}
	}
	if diff := cmp.Diff([]string{"one", "many", "by"}, widened); diff != "" || len(changes) != 3 {
		t.Fatalf("changes %v\n%s", changes, diff)
	}
	if d, _, err = d.Evolve(t.Context(), after); err != nil {
		t.Fatal(err)
	}
	if !d.Schema().Equal(planned) {
		t.Errorf("planned was %s, it has become %s", planned, d.Schema())
	}
	commit(t, d, 2, fromJSON(t, after, `[
		{"n": 3, "one": {"id": 5000000000, "country": "NL"}, "many": [{"id": null, "country": "NL"}], "by": [{"key": "k", "value": {"id": 3, "country": "FR"}}]},
		{"n": 4}]`))
	commit(t, d, 3, fromJSON(t, before, `[{"n": 5, "one": {"id": 5, "name": "e"}, "many": [], "by": []}]`)) // of a source that has not heard of it
	want := []string{
		`{"by":[{"key":"k","value":{"country":null,"id":1,"name":"c"}}],"many":[{"country":null,"id":1,"name":"b"},null],"n":1,"one":{"country":null,"id":1,"name":"a"}}`,
		`{"by":null,"many":null,"n":2,"one":null}`,
		`{"by":[{"key":"k","value":{"country":"FR","id":3,"name":null}}],"many":[{"country":"NL","id":null,"name":null}],"n":3,"one":{"country":"NL","id":5000000000,"name":null}}`,
		`{"by":null,"many":null,"n":4,"one":null}`,
		`{"by":[],"many":[],"n":5,"one":{"country":null,"id":5,"name":"e"}}`,
	}
	if diff := cmp.Diff(want, rows(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	compact(t, d)
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(rows(t, reload(t, d), zone.ScanRequest{})))); diff != "" {
		t.Errorf("compacted:\n%s", diff)
	}
}

func TestStructsDontGrowWhereRowsWouldChangeTheirMeaning(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "landing.shop.orders", schemaOf(optional("one", arrow.StructOf(optional("id", i64))), optional("many", listOf(arrow.StructOf(optional("id", text))))))
	_, err := d.Evolution(schemaOf(optional("one", arrow.StructOf(optional("id", text))), optional("many", listOf(arrow.StructOf(optional("id", i64))))))
	var incompatible *zone.IncompatibleError
	if !errors.As(err, &incompatible) || len(incompatible.Faults) != 2 {
		t.Fatalf("error is %v", err)
	}
}
