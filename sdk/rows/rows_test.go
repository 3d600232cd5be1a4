package rows_test

import (
	"database/sql"
	"encoding/json"
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
	"github.com/google/go-cmp/cmp/cmpopts"

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
		return cmp.Diff(all, read[row](t, build(t, all...)), cmpopts.EquateEmpty()) == ""
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 50}); err != nil {
		t.Error(err)
	}
}
