package wire_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/wire"
)

// texts is a batch of one column with texts of these lengths.
func texts(t testing.TB, lengths ...int) arrow.RecordBatch {
	t.Helper()
	b := array.NewStringBuilder(checked(t))
	defer b.Release()
	for _, n := range lengths {
		b.Append(strings.Repeat("x", n))
	}
	column := b.NewStringArray()
	defer column.Release()
	schema := arrow.NewSchema([]arrow.Field{{Name: "c", Type: arrow.BinaryTypes.String}}, nil)
	batch := array.NewRecordBatch(schema, []arrow.Array{column}, int64(len(lengths)))
	t.Cleanup(batch.Release)
	return batch
}

// cut returns the parts' numbers of rows, having compared them with the rows of the batch.
func cut(t *testing.T, batch arrow.RecordBatch) []int64 {
	t.Helper()
	var rows []int64
	at := int64(0)
	err := wire.Cut(batch, func(part arrow.RecordBatch) error {
		want := batch.NewSlice(at, at+part.NumRows())
		defer want.Release()
		if !array.RecordEqual(want, part) {
			t.Errorf("the part of %d rows at %d differs", part.NumRows(), at)
		}
		rows = append(rows, part.NumRows())
		at += part.NumRows()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if at != batch.NumRows() {
		t.Errorf("cut %d of %d rows", at, batch.NumRows())
	}
	return rows
}

func repeat(n, length int) []int {
	lengths := make([]int, n)
	for i := range lengths {
		lengths[i] = length
	}
	return lengths
}

func TestCutKeepsRowsAndOrder(t *testing.T) {
	t.Parallel()
	batch := largeBatch(checked(t), 1_000_000)
	defer batch.Release()
	parts := cut(t, batch)
	if want := 4; len(parts) != want {
		t.Errorf("8 MB were cut into %d parts of 2 MiB, want %d", len(parts), want)
	}
	small := batch.NewSlice(10, 20)
	defer small.Release()
	if parts := cut(t, small); len(parts) != 1 {
		t.Errorf("ten rows were cut into %v", parts)
	}
	none := batch.NewSlice(0, 0)
	defer none.Release()
	if parts := cut(t, none); len(parts) != 1 {
		t.Errorf("an empty batch was cut into %v", parts)
	}
}

func TestCutHoldsTheBoundWhereRowsDifferMuch(t *testing.T) {
	t.Parallel()
	batch := texts(t, append(repeat(8, 3<<20), repeat(50_000, 1)...)...)
	err := wire.Cut(batch, func(part arrow.RecordBatch) error {
		if size := wire.Size(part); part.NumRows() > 1 && size > 2*wire.TargetBody {
			t.Errorf("a part of %d rows has %d bytes", part.NumRows(), size)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	cut(t, batch)
}

func TestCutBoundsRowsThatTakeNoSpace(t *testing.T) {
	t.Parallel()
	batch := array.NewRecordBatch(arrow.NewSchema(nil, nil), nil, 2*wire.MaxRows+5)
	defer batch.Release()
	if parts := cut(t, batch); len(parts) != 3 {
		t.Errorf("%d rows of no columns were cut into %v", batch.NumRows(), parts)
	}
}

func TestCutEndsAtTheFirstError(t *testing.T) {
	t.Parallel()
	batch := largeBatch(checked(t), 1_000_000)
	defer batch.Release()
	calls, stop := 0, errors.New("stop")
	err := wire.Cut(batch, func(arrow.RecordBatch) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("%d calls, error %v", calls, err)
	}
}

func TestOversizedFindsTheFirstRowOverTheLimit(t *testing.T) {
	t.Parallel()
	batch := texts(t, 10, 2000, 10, 10, 1500, 10)
	for from, want := range []int{1, 1, 4, 4, 4, -1, -1, -1} {
		if got := wire.Oversized(batch, from, 1000); got != want {
			t.Errorf("from %d: row %d, want %d", from, got, want)
		}
	}
	if got := wire.Oversized(batch, 0, 1<<20); got != -1 {
		t.Errorf("row %d of small rows is said to be oversized", got)
	}
}

func TestSizeIsOfTheRowsThatTravel(t *testing.T) {
	t.Parallel()
	for _, c := range columns() {
		t.Run(c.kind.String(), func(t *testing.T) {
			t.Parallel()
			batch := recordOf(t, checked(t), c.kind, c.values)
			defer batch.Release()
			whole := wire.Size(batch)
			if whole <= 0 && c.kind != arrow.Null {
				t.Errorf("size %d", whole)
			}
			for row := range batch.NumRows() {
				one := batch.NewSlice(row, row+1)
				if size := wire.Size(one); size < 0 || size > whole {
					t.Errorf("row %d has %d bytes, all rows have %d", row, size, whole)
				}
				one.Release()
			}
			none := batch.NewSlice(3, 3)
			defer none.Release()
			if size := wire.Size(none); size != 0 {
				t.Errorf("no rows have %d bytes", size)
			}
		})
	}
}

// TestSizeIsCloseToTheBytesOfTheBody compares with what the encoder makes, framing aside.
func TestSizeIsCloseToTheBytesOfTheBody(t *testing.T) {
	t.Parallel()
	const rows = 5000
	for _, kind := range []arrow.DataType{
		arrow.FixedWidthTypes.Boolean, arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String,
		arrow.BinaryTypes.LargeString, arrow.ListOf(arrow.PrimitiveTypes.Int32), arrow.ListViewOf(arrow.PrimitiveTypes.Int32),
		arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Int64), arrow.StructOf(arrow.Field{Name: "s", Type: arrow.BinaryTypes.String}),
		arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, arrow.BinaryTypes.String), arrow.Null,
	} {
		batch := many(t, checked(t), kind, rows)
		part := batch.NewSlice(rows/2, rows)
		p := newPipe(t, part.Schema())
		if got, want := wire.Size(part), int64(p.send(part)); got > want || got < want*8/10-1024 {
			t.Errorf("%s: size %d, the body has %d bytes", kind, got, want)
		}
		part.Release()
		batch.Release()
	}
}

// many repeats the values of a type.
func many(t testing.TB, alloc memory.Allocator, kind arrow.DataType, rows int) arrow.RecordBatch {
	t.Helper()
	values := map[arrow.Type]string{
		arrow.BOOL: `true`, arrow.INT64: `7`, arrow.LIST: `[1, 2, 3]`, arrow.LIST_VIEW: `[1, 2, 3]`, arrow.FIXED_SIZE_LIST: `[1, 2]`,
		arrow.STRUCT: `{"s": "some text of the struct"}`, arrow.NULL: `null`,
	}
	value, ok := values[kind.ID()]
	if !ok {
		value = `"c29tZSB0ZXh0IHRoYXQgaXMgdG9vIGxvbmcgdG8gYmUga2VwdCBpbmxpbmU="`
	}
	return recordOf(t, alloc, kind, "["+strings.Repeat(value+",", rows-1)+value+"]")
}

func TestSlicesOfViewsLeaveTheRestBehind(t *testing.T) {
	t.Parallel()
	for _, kind := range []arrow.DataType{
		arrow.BinaryTypes.StringView, arrow.BinaryTypes.BinaryView, arrow.ListViewOf(arrow.PrimitiveTypes.Int32),
	} {
		batch := many(t, checked(t), kind, 20_000)
		part := batch.NewSlice(0, 10)
		if n := newPipe(t, part.Schema()).send(part); n > 4096 {
			t.Errorf("%s: ten rows travel with %d bytes", kind, n)
		}
		part.Release()
		batch.Release()
	}
}

func BenchmarkOversized(b *testing.B) {
	batch := largeBatch(memory.DefaultAllocator, 8<<20)
	defer batch.Release()
	for b.Loop() {
		if row := wire.Oversized(batch, 0, wire.MaxRow); row >= 0 {
			b.Fatal(row)
		}
	}
}
