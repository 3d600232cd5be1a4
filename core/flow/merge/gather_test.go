package merge

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// samples are values of every type that tables hold, and of some that they don't.
var samples = []struct {
	dt     arrow.DataType
	values string // JSON, comma separated by " ; "
}{
	{arrow.FixedWidthTypes.Boolean, `true ; false`},
	{arrow.PrimitiveTypes.Int8, `-1 ; 127`},
	{arrow.PrimitiveTypes.Int16, `-300 ; 300`},
	{arrow.PrimitiveTypes.Int32, `-70000 ; 70000 ; 0`},
	{arrow.PrimitiveTypes.Int64, `-1 ; 9007199254740993 ; 0`},
	{arrow.PrimitiveTypes.Uint8, `0 ; 200`},
	{arrow.PrimitiveTypes.Uint16, `0 ; 60000`},
	{arrow.PrimitiveTypes.Uint32, `4000000000 ; 7`},
	{arrow.PrimitiveTypes.Uint64, `18446744073709551615 ; 7`},
	{arrow.BinaryTypes.String, `"" ; "ä" ; "abc"`},
	{arrow.BinaryTypes.Binary, `"" ; "AAE=" ; "/w=="`},
	{&arrow.Decimal128Type{Precision: 38, Scale: 2}, `"1.25" ; "-99999999999999999999.99"`},
	{&arrow.Decimal256Type{Precision: 60, Scale: 0}, `"1" ; "-1"`},
	{arrow.FixedWidthTypes.Date32, `"2024-02-29" ; "1969-12-31"`},
	{arrow.FixedWidthTypes.Date64, `"2024-02-29" ; "1969-12-31"`},
	{arrow.FixedWidthTypes.Time32ms, `"01:02:03.004" ; "00:00:00"`},
	{arrow.FixedWidthTypes.Time64us, `"01:02:03.000004" ; "00:00:00"`},
	{arrow.FixedWidthTypes.Timestamp_us, `"2024-02-29 01:02:03.000004Z" ; "1969-12-31 23:59:59Z"`},
	{&arrow.TimestampType{Unit: arrow.Microsecond}, `"2024-02-29 01:02:03.000004" ; "1969-12-31 23:59:59"`},
	{&arrow.FixedSizeBinaryType{ByteWidth: 3}, `"AAEC" ; "////"`},
	{extensions.NewUUIDType(), `"d7a0b8a2-6f31-4e43-a9d1-0f4a6a4d3c11" ; "00000000-0000-0000-0000-000000000000"`},
	// No keys from here on.
	{arrow.PrimitiveTypes.Float32, `1.5 ; -1`},
	{arrow.PrimitiveTypes.Float64, `1.5 ; -1`},
	{arrow.ListOf(arrow.BinaryTypes.String), `[] ; ["a", null, "b"] ; ["c"]`},
	{arrow.ListOf(arrow.StructOf(arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int32, Nullable: true})), `[] ; [{"x": 1}, null] ; [{"x": null}]`},
	{arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64), `[] ; [{"key": "a", "value": 1}] ; [{"key": "b", "value": null}]`},
	{arrow.StructOf(
		arrow.Field{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		arrow.Field{Name: "t", Type: arrow.ListOf(arrow.FixedWidthTypes.Boolean), Nullable: true}), `{"n": 1, "t": [true, false]} ; {"n": null, "t": null}`},
	{arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Int16), `[1, 2] ; [3, null]`},
	{arrow.BinaryTypes.LargeString, `"abc" ; ""`},
	{arrow.BinaryTypes.StringView, `"abc" ; "longer than an inlined view holds"`},
}

const keySamples = 21

func fromJSON(t *testing.T, alloc memory.Allocator, dt arrow.DataType, values []string) arrow.Array {
	t.Helper()
	a, _, err := array.FromJSON(alloc, dt, strings.NewReader("["+strings.Join(values, ",")+"]"))
	if err != nil {
		t.Fatalf("%s: %v", dt, err)
	}
	return a
}

func TestGatherTakesRowsOfEveryType(t *testing.T) {
	t.Parallel()
	for _, sample := range samples {
		t.Run(sample.dt.String(), func(t *testing.T) {
			t.Parallel()
			alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
			defer alloc.AssertSize(t, 0)
			random := rand.New(rand.NewPCG(1, uint64(len(sample.dt.String()))))
			values := append(strings.Split(sample.values, " ; "), "null")
			views := []view{newView(nil)}
			for n := range 4 { // without nulls, with some, cut out of a larger array, empty
				var rows []string
				for range []int{9, 40, 40, 0}[n] {
					rows = append(rows, values[random.IntN(len(values)-1+min(n, 1))])
				}
				a := fromJSON(t, alloc, sample.dt, rows)
				if n == 2 {
					whole := a
					a = array.NewSlice(whole, 5, 31)
					whole.Release()
				}
				defer a.Release()
				views = append(views, newView(a))
			}
			for _, count := range []int{0, 1, 100} {
				var refs []ref
				for range count {
					source := random.IntN(5) - 1
					row := 0
					if source > 0 && source < 4 {
						row = random.IntN(views[source].array.Len())
					} else {
						source = min(source, 0)
					}
					refs = append(refs, ref{int32(source), int32(row)})
				}
				gathered(t, alloc, sample.dt, views, refs)
			}
		})
	}
}

func gathered(t *testing.T, alloc memory.Allocator, dt arrow.DataType, views []view, refs []ref) {
	t.Helper()
	got, err := gather(alloc, dt, views, refs)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Release()
	if got.Len() != len(refs) || !arrow.TypeEqual(got.DataType(), dt) {
		t.Fatalf("%d rows of %s, expected %d of %s", got.Len(), got.DataType(), len(refs), dt)
	}
	for i, r := range refs {
		if r.source <= 0 || views[r.source].array.IsNull(int(r.row)) {
			if got.IsValid(i) {
				t.Fatalf("row %d is %s, expected null", i, got.ValueStr(i))
			}
			continue
		}
		if want := views[r.source].array; !array.SliceEqual(want, int64(r.row), int64(r.row)+1, got, int64(i), int64(i)+1) {
			t.Fatalf("row %d is %s, expected %s", i, got.ValueStr(i), want.ValueStr(int(r.row)))
		}
	}
}

func TestKeysOfEveryTypeAreToldApartAndComeBack(t *testing.T) {
	t.Parallel()
	for n, sample := range samples[:keySamples] {
		t.Run(sample.dt.String(), func(t *testing.T) {
			t.Parallel()
			alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
			defer alloc.AssertSize(t, 0)
			other := samples[(n+5)%keySamples]
			one, two := strings.Split(sample.values, " ; "), strings.Split(other.values, " ; ")
			keyRoundTrip(t, alloc, []arrow.DataType{sample.dt}, [][]string{one})
			var left, right []string // each with each
			for _, a := range one {
				for _, b := range two {
					left, right = append(left, a), append(right, b)
				}
			}
			keyRoundTrip(t, alloc, []arrow.DataType{sample.dt, other.dt}, [][]string{left, right})
			keyRoundTrip(t, alloc, []arrow.DataType{other.dt, sample.dt, arrow.BinaryTypes.String}, [][]string{right, left, quoted(left)})
		})
	}
}

func quoted(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = `"` + strings.Trim(v, `"`) + `"`
	}
	return out
}

func keyRoundTrip(t *testing.T, alloc memory.Allocator, types []arrow.DataType, values [][]string) {
	t.Helper()
	var parts []keyColumn
	var views []view
	for i, dt := range types {
		k, err := newKeyColumn(i, arrow.Field{Name: "k", Type: dt})
		if err != nil {
			t.Fatal(err)
		}
		whole := fromJSON(t, alloc, dt, append([]string{"null"}, values[i]...))
		defer whole.Release()
		a := array.NewSlice(whole, 1, int64(whole.Len()))
		defer a.Release()
		parts, views = append(parts, k), append(views, newView(a))
	}
	codec := newKeyCodec(parts)
	rows := len(values[0])
	k := codec.encode(views, rows)
	table := newKeyTable(codec.width)
	for row := range rows {
		table.put(k.at(row))
	}
	if table.len() != rows {
		t.Fatalf("%d different keys, expected %d", table.len(), rows)
	}
	for i, a := range codec.decode(alloc, rows, func(i int) []byte { return table.key(int32(i)) }) {
		if !array.Equal(a, views[i].array) {
			t.Errorf("got back %s, expected %s", a, views[i].array)
		}
		a.Release()
	}
}

func TestManyKeysAreNumberedAsTheyCome(t *testing.T) {
	t.Parallel()
	table := newKeyTable(0)
	for round := range 2 {
		for i := range 5000 {
			key := []byte(strings.Repeat("k", i%7) + string(rune('a'+i%26)) + strings.Repeat("z", i/26))
			if id := table.put(key); int(id) != i || table.find(key) != id {
				t.Fatalf("round %d: key %d has number %d", round, i, id)
			}
		}
	}
	if table.find([]byte("no such key")) >= 0 {
		t.Error("a key was found that was never put")
	}
}
