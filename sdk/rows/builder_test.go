package rows_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/rows"
)

func TestTheSchemaSaysWhatTheTypeSays(t *testing.T) {
	t.Parallel()
	type order struct {
		ID      int64                 `arrow:"id" doc:"number of the order" json:"ignored"`
		Email   *string               `json:"email,omitempty" tags:"pii,contact"`
		Amount  rows.Decimal          `arrow:"amount,decimal(12, 2)"`
		Coupon  rows.Optional[uint16] `arrow:"coupon"`
		Lines   []struct{ SKU string }
		Labels  map[string]*string
		Point   [2]float32
		Hidden  string `json:"-"`
		private int
	}
	got, err := rows.SchemaOf[order]()
	if err != nil {
		t.Fatal(err)
	}
	labels := arrow.MapOf(arrow.BinaryTypes.String, arrow.BinaryTypes.String)
	want := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64, Metadata: arrow.MetadataFrom(map[string]string{sdk.MetaDoc: "number of the order"})},
		{
			Name: "email", Type: arrow.BinaryTypes.String, Nullable: true,
			Metadata: arrow.MetadataFrom(map[string]string{sdk.MetaTags: "pii,contact"}),
		},
		{Name: "amount", Type: &arrow.Decimal128Type{Precision: 12, Scale: 2}},
		{Name: "coupon", Type: arrow.PrimitiveTypes.Uint16, Nullable: true},
		{
			Name: "Lines", Nullable: true,
			Type: arrow.ListOfNonNullable(arrow.StructOf(arrow.Field{Name: "SKU", Type: arrow.BinaryTypes.String})),
		},
		{Name: "Labels", Type: labels, Nullable: true},
		{Name: "Point", Type: arrow.FixedSizeListOfNonNullable(2, arrow.PrimitiveTypes.Float32)},
	}, nil)
	if !got.Equal(want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if b := builder[order](t); !b.Schema().Equal(want) {
		t.Errorf("the builder has the schema %v", b.Schema())
	}
	_ = order{private: 1}
}

func TestTypesWithoutAColumnAreNamed(t *testing.T) {
	t.Parallel()
	type node struct{ Next *node }
	for name, test := range map[string]struct {
		err  error
		want []string
	}{
		"a channel":      {schemaError[struct{ C chan int }](), []string{`"C"`, "chan int"}},
		"any":            {schemaError[struct{ A any }](), []string{`"A"`, "interface"}},
		"in a list":      {schemaError[struct{ L []func() }](), []string{`"L"`, "func()"}},
		"in a struct":    {schemaError[struct{ S struct{ C complex64 } }](), []string{`"S"`, `"C"`, "complex64"}},
		"two at once":    {schemaError[struct{ A, B chan int }](), []string{`"A"`, `"B"`}},
		"itself":         {schemaError[node](), []string{"node", "itself"}},
		"a map's keys":   {schemaError[struct{ M map[bool]int }](), []string{`"M"`, "keys"}},
		"a bare decimal": {schemaError[struct{ D rows.Decimal }](), []string{`"D"`, "decimal(precision,scale)"}},
		"too many digits": {schemaError[struct {
			D rows.Decimal `arrow:"d,decimal(39,0)"`
		}](), []string{`"d"`, "38"}},
		"an unknown option": {schemaError[struct {
			I int `arrow:"i,decimal(3,0)"`
		}](), []string{`"i"`, "decimal(3,0)"}},
		"one name twice": {schemaError[struct {
			A int `arrow:"x"`
			B int `arrow:"x"`
		}](), []string{`"x"`, "two columns"}},
		"no fields": {schemaError[struct{ a int }](), []string{"no exported fields"}},
		"no struct": {schemaError[int](), []string{"int", "struct"}},
		"a map":     {schemaError[map[string]any](), []string{"OfMaps"}},
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); contains(t, test.err, test.want...) })
	}
}

func schemaError[T any]() error {
	_, err := rows.SchemaOf[T]()
	return err
}

func contains(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func TestBadRowsAreNamedAndLeftOutAndOthersStand(t *testing.T) {
	t.Parallel()
	type inner struct {
		Amount rows.Decimal `arrow:"amount,decimal(5,2)"`
		Note   string       `arrow:"note"`
	}
	type row struct {
		ID    int
		Day   rows.Date
		At    time.Time
		Inner inner
		Items []inner
		Fixed [2]inner
		By    map[string]inner
		Tail  string
	}
	ok := inner{Amount: "1.50", Note: "n"}
	bad := inner{Amount: "1.505"}
	good := row{
		Day: rows.Date{Year: 2024, Month: 2, Day: 29}, Inner: ok, Items: []inner{ok}, Fixed: [2]inner{ok, ok}, By: map[string]inner{"k": ok},
	}
	b := builder[row](t)
	var want []row
	for i, change := range []func(*row) []string{
		func(r *row) []string { r.Day.Day = 30; return []string{`"Day"`, "2024-02-30", "calendar"} },
		func(r *row) []string { r.Day = rows.Date{}; return []string{`"Day"`} },
		func(r *row) []string {
			r.At = time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC)
			return []string{`"At"`, "300000", "year"}
		},
		func(r *row) []string { r.Inner = bad; return []string{`"Inner"`, `"amount"`, `"1.505"`, "2 digits"} },
		func(r *row) []string {
			r.Items = []inner{ok, bad, ok}
			return []string{`"Items"`, "element 1", `"1.505"`}
		},
		func(r *row) []string { r.Fixed[1] = bad; return []string{`"Fixed"`, "element 1"} },
		func(r *row) []string {
			r.By = map[string]inner{"a": ok, "b": bad}
			return []string{`"By"`, "key b", `"1.505"`}
		},
		func(r *row) []string { r.By = map[string]inner{"\xff": ok}; return []string{`"By"`, "key", "UTF-8"} },
		func(r *row) []string { r.Tail = "a\xffb"; return []string{`"Tail"`, `"a\xffb"`, "UTF-8"} },
		func(r *row) []string { r.Inner.Amount = "1000"; return []string{`"1000"`, "3 digits before"} },
		func(r *row) []string { r.Inner.Amount = "1e3"; return []string{`"1e3"`, "number such as"} },
		func(r *row) []string { r.Inner.Amount = ""; return []string{`""`, "number such as"} },
	} {
		good.ID = i
		if err := b.Append(good); err != nil {
			t.Fatal(err)
		}
		want = append(want, good)
		changed := good
		says := change(&changed)
		contains(t, b.Append(changed), says...)
	}
	if b.Len() != len(want) {
		t.Errorf("Len is %d, want %d", b.Len(), len(want))
	}
	batch := b.Batch()
	defer batch.Release()
	for i := range want {
		want[i].At = time.Time{}.UTC()
	}
	if diff := cmp.Diff(want, read[row](t, batch)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if b.Len() != 0 {
		t.Errorf("after Batch, Len is %d", b.Len())
	}
	if err := b.Append(good); err != nil {
		t.Error(err)
	}
	again := b.Batch()
	defer again.Release()
	if again.NumRows() != 1 {
		t.Errorf("the next batch has %d rows", again.NumRows())
	}
}

func TestReleaseFreesRowsThatAreNoBatchYet(t *testing.T) {
	t.Parallel()
	b, err := rows.Of[every](checked(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Append(anything(rand.New(rand.NewPCG(3, 4)))); err != nil {
		t.Fatal(err)
	}
	b.Release()
	b.Release()
}
