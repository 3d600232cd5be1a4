package rows_test

import (
	"database/sql"
	"encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/rows"
)

func checked(t testing.TB) *memory.CheckedAllocator {
	t.Helper()
	alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
	t.Cleanup(func() { alloc.AssertSize(t, 0) })
	return alloc
}

func builder[T any](t testing.TB) *rows.Builder[T] {
	t.Helper()
	b, err := rows.Of[T](checked(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Release)
	return b
}

// build makes a batch of rows that all are good.
func build[T any](t testing.TB, all ...T) arrow.RecordBatch {
	t.Helper()
	b := builder[T](t)
	for _, row := range all {
		if err := b.Append(row); err != nil {
			t.Fatal(err)
		}
	}
	if b.Len() != len(all) {
		t.Fatalf("%d rows were appended, Len is %d", len(all), b.Len())
	}
	batch := b.Batch()
	t.Cleanup(batch.Release)
	return batch
}

func read[T any](t testing.TB, batch arrow.RecordBatch) []T {
	t.Helper()
	out := []T{}
	for row, err := range rows.Each[T](batch) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, row)
	}
	return out
}

type Base struct {
	ID int64 `arrow:"id"`
}

type point struct {
	X, Y float64
	Name *string
}

// every has a field of each kind.
type every struct {
	Base
	Bool     bool
	I        int
	I8       int8
	I16      int16
	I32      int32
	U        uint
	U8       uint8
	U16      uint16
	U32      uint32
	U64      uint64
	F32      float32
	F64      float64
	Text     string
	Bytes    []byte
	UUID     [16]byte
	At       time.Time
	Took     time.Duration
	Day      rows.Date
	Amount   rows.Decimal   `arrow:"amount,decimal(20,4)"`
	Big      decimal128.Num `arrow:"big,decimal(38,0)"`
	JSON     json.RawMessage
	Ptr      *int32
	PtrTime  *time.Time
	PtrMoney *rows.Decimal `arrow:"money,decimal(5,2)"`
	Null     sql.NullString
	NullTime sql.NullTime
	Opt      rows.Optional[float32]
	Point    point
	Where    *point
	List     []int16
	Texts    []*string
	Points   []point
	Lists    [][]string
	Pair     [2]int32
	Counts   map[string]int64
	ByNumber map[int8]*point
	Skipped  chan int `arrow:"-"`
}

func maybe[T any](r *rand.Rand, v T) *T {
	if r.IntN(3) == 0 {
		return nil
	}
	return &v
}

func word(r *rand.Rand) string { return strings.Repeat("ü", r.IntN(5)) + string(rune('a'+r.IntN(26))) }

func moment(r *rand.Rand) time.Time { return time.UnixMicro(r.Int64N(1<<52) - 1<<51).UTC() }

func place(r *rand.Rand) point {
	return point{X: r.NormFloat64(), Y: r.NormFloat64(), Name: maybe(r, word(r))}
}

func money(r *rand.Rand) rows.Decimal {
	return rows.Decimal(big.NewRat(r.Int64N(99_999)-50_000, 100).FloatString(2))
}

func list[T any](r *rand.Rand, item func(*rand.Rand) T) []T {
	if r.IntN(4) == 0 {
		return nil
	}
	out := []T{}
	for range r.IntN(4) {
		out = append(out, item(r))
	}
	return out
}

func anything(r *rand.Rand) every {
	return every{
		Base: Base{ID: r.Int64()}, Bool: r.IntN(2) == 0,
		I: int(r.Int64()), I8: int8(r.Int()), I16: int16(r.Int()), I32: int32(r.Int()),
		U: uint(r.Uint64()), U8: uint8(r.Uint32()), U16: uint16(r.Uint32()), U32: r.Uint32(), U64: r.Uint64(),
		F32: r.Float32(), F64: r.NormFloat64(), Text: word(r), Bytes: list(r, func(r *rand.Rand) byte { return byte(r.Uint32()) }),
		UUID: [16]byte{1, byte(r.Uint32()), 15: 9}, At: moment(r), Took: time.Duration(r.Int64N(1<<40)) * time.Microsecond,
		Day: rows.DateOf(moment(r)), Amount: money(r) + "00", Big: decimal128.New(r.Int64N(1<<50), r.Uint64()),
		JSON: json.RawMessage(`{"a":[1,null]}`), Ptr: maybe(r, int32(r.Int())), PtrTime: maybe(r, moment(r)), PtrMoney: maybe(r, money(r)),
		Null: sql.NullString{String: "s", Valid: true}, NullTime: sql.NullTime{}, Opt: rows.Some(r.Float32()),
		Point: place(r), Where: maybe(r, place(r)), List: list(r, func(r *rand.Rand) int16 { return int16(r.Int()) }),
		Texts: list(r, func(r *rand.Rand) *string { return maybe(r, word(r)) }), Points: list(r, place),
		Lists: list(r, func(r *rand.Rand) []string { return list(r, word) }), Pair: [2]int32{int32(r.Int()), 7},
		Counts:   map[string]int64{word(r): r.Int64(), "b": 2},
		ByNumber: map[int8]*point{3: nil, -1: maybe(r, place(r))},
	}
}

var compare = cmp.AllowUnexported(every{}, point{}, decimal128.Num{})

func TestRowsOfEveryTypeComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var want []every
	for range 300 {
		want = append(want, anything(random))
	}
	zero := every{Day: rows.Date{Year: 1970, Month: 1, Day: 1}, Amount: "0.0000"}
	want = append(want, zero)
	batch := build(t, want...)
	if diff := cmp.Diff(want, read[every](t, batch), compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	part := batch.NewSlice(7, 100)
	defer part.Release()
	if diff := cmp.Diff(want[7:100], read[every](t, part), compare); diff != "" {
		t.Errorf("a slice (-want +got):\n%s", diff)
	}
}

func TestSimpleRowsRoundTripForAnyValues(t *testing.T) {
	t.Parallel()
	type row struct {
		A int64
		B *uint32
		C []string
		D map[string][]float64
		E struct{ F, G *bool }
		H [3]*int8
	}
	property := func(all []row) bool {
		return cmp.Diff(valid(all, func(r row) []string { return r.C }), read[row](t, build(t, valid(all, func(r row) []string { return r.C })...))) == ""
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 50}); err != nil {
		t.Error(err)
	}
}

// valid keeps the order; quick makes texts of any runes, which are UTF-8 once encoded, so nothing is left out in practice.
func valid[T any](all []T, texts func(T) []string) []T {
	out := []T{}
	for _, row := range all {
		if strings.ToValidUTF8(strings.Join(texts(row), ""), "") == strings.Join(texts(row), "") {
			out = append(out, row)
		}
	}
	return out
}

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

func TestDecimalsAreExact(t *testing.T) {
	t.Parallel()
	type row struct {
		D rows.Decimal `arrow:"d,decimal(38,10)"`
	}
	for in, want := range map[rows.Decimal]rows.Decimal{
		"0": "0.0000000000", "-0.5": "-0.5000000000", "+7": "7.0000000000", ".25": "0.2500000000", "1.": "1.0000000000",
		"0001.50000000000000": "1.5000000000", "-9999999999999999999999999999.9999999999": "-9999999999999999999999999999.9999999999",
	} {
		if got := read[row](t, build(t, row{D: in})); got[0].D != want {
			t.Errorf("%q became %q, want %q", in, got[0].D, want)
		}
	}
	b := builder[row](t)
	for _, in := range []rows.Decimal{"", ".", "-", "1-2", "1.-2", "--1", "0x10", "1_000", " 1", "NaN", "1.00000000001", "10000000000000000000000000000"} {
		if err := b.Append(row{D: in}); err == nil {
			t.Errorf("%q was taken for a number", in)
		}
	}
}

func TestDatesKnowTheCalendar(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1970-01-01", "1969-12-31", "0001-01-01", "2024-02-29", "9999-12-31"} {
		day, err := rows.ParseDate(text)
		if err != nil {
			t.Fatal(err)
		}
		type row struct{ D rows.Date }
		if got := read[row](t, build(t, row{D: day}))[0].D; got != day || got.String() != text {
			t.Errorf("%s became %s", text, got)
		}
		raw, err := json.Marshal(day)
		if err != nil || string(raw) != `"`+text+`"` {
			t.Errorf("%s as JSON is %s, %v", text, raw, err)
		}
		var back rows.Date
		if err := json.Unmarshal(raw, &back); err != nil || back != day {
			t.Errorf("%s came back as %s, %v", raw, back, err)
		}
	}
	if _, err := rows.ParseDate("2023-02-29"); err == nil {
		t.Error("2023-02-29 was taken for a day")
	}
}

func TestTimesAreInUTCToTheMicrosecond(t *testing.T) {
	t.Parallel()
	type row struct{ At time.Time }
	berlin := time.FixedZone("CET", 3600)
	at := time.Date(2024, 5, 6, 7, 8, 9, 123_456_789, berlin)
	got := read[row](t, build(t, row{At: at}))[0].At
	if want := time.Date(2024, 5, 6, 6, 8, 9, 123_456_000, time.UTC); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEachReadsOtherWidthsIfTheValuesFit(t *testing.T) {
	t.Parallel()
	type written struct {
		A int64
		B uint8
		C float32
		D *uint64
	}
	type wanted struct {
		D *int16
		C float64
		B int32
		A uint8
	}
	batch := build(t, written{A: 200, B: 7, C: 1.5}, written{A: -1}, written{A: 300}, written{A: 1, D: new(uint64)}, written{D: new(uint64(math.MaxUint64))})
	var got []wanted
	var errs []string
	for row, err := range rows.Each[wanted](batch) {
		got = append(got, row)
		if err != nil {
			errs = append(errs, err.Error())
		}
	}
	want := []wanted{{A: 200, B: 7, C: 1.5}, {}, {}, {A: 1, D: new(int16(0))}, {}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantErrs := []string{
		`row 1: field "A": number -1, expected uint8`, `row 2: field "A": number 300, expected uint8`,
		`row 4: field "D": number 18446744073709551615, expected int16`,
	}
	if diff := cmp.Diff(wantErrs, errs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEachNamesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	type written struct {
		A *int64
		B string
	}
	batch := build(t, written{B: "x"})
	for row, err := range rows.Each[struct{ A int64 }](batch) {
		contains(t, err, "row 0", `"A"`, "null", "int64", "pointer")
		if row.A != 0 {
			t.Errorf("a row that can't be read is %v", row)
		}
	}
	calls := 0
	for _, err := range rows.Each[struct {
		B int32
		C string
		A []int
	}](batch) {
		contains(t, err, `"B"`, "utf8", "int32", `"C"`, "no such column", `"A"`, "list")
		calls++
	}
	if calls != 1 {
		t.Errorf("%d rows of a record of another shape", calls)
	}
	for range rows.Each[written](batch) {
		break
	}
}

func TestEachGivesCopiesThatOutliveTheRecord(t *testing.T) {
	t.Parallel()
	type row struct {
		S string
		B []byte
		J json.RawMessage
	}
	want := row{S: "some text", B: []byte("some bytes"), J: json.RawMessage(`{}`)}
	b := builder[row](t)
	if err := b.Append(want); err != nil {
		t.Fatal(err)
	}
	batch := b.Batch()
	got := read[row](t, batch)
	for _, column := range batch.Columns() {
		clear(column.Data().Buffers()[2].Bytes())
	}
	batch.Release()
	if diff := cmp.Diff([]row{want}, got); diff != "" {
		t.Error(diff)
	}
}

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
