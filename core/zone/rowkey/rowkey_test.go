package rowkey_test

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone/rowkey"
)

func texts(values ...string) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(values, nil)
	return b.NewArray()
}

func numbers(valid []bool, values ...int64) arrow.Array {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(values, valid)
	return b.NewArray()
}

func hits(t *testing.T, x *rowkey.Index, columns ...arrow.Array) map[int]int64 {
	t.Helper()
	out := map[int]int64{}
	if err := x.Match(columns, func(row int, value int64) { out[row] = value }); err != nil {
		t.Fatal(err)
	}
	return out
}

func put(t *testing.T, x *rowkey.Index, value int64, columns ...arrow.Array) {
	t.Helper()
	if err := x.Put(columns, value); err != nil {
		t.Fatal(err)
	}
}

func TestTheHighestNumberOfAKeyIsKept(t *testing.T) {
	t.Parallel()
	x := rowkey.New([]arrow.DataType{arrow.PrimitiveTypes.Int64})
	put(t, x, 3, numbers(nil, 1, 2))
	put(t, x, 5, numbers(nil, 2, -7))
	put(t, x, 4, numbers([]bool{true, false}, -7, 9)) // nulls are no keys
	if diff := cmp.Diff(map[int]int64{0: 3, 2: 5, 3: 5}, hits(t, x, numbers([]bool{true, true, true, true, false}, 1, 9, 2, -7, 1))); diff != "" {
		t.Error(diff)
	}
	if x.Len() != 3 {
		t.Errorf("%d keys", x.Len())
	}
}

// The parts of a key do not run into each other.
func TestKeysOfSeveralColumnsAreKeptApart(t *testing.T) {
	t.Parallel()
	x := rowkey.New([]arrow.DataType{arrow.BinaryTypes.String, arrow.BinaryTypes.String})
	put(t, x, 1, texts("ab", "", "x"), texts("c", "abc", ""))
	got := hits(t, x, texts("a", "ab", "abc", "", "x", ""), texts("bc", "c", "", "abc", "", "x"))
	if diff := cmp.Diff(map[int]int64{1: 1, 3: 1, 4: 1}, got); diff != "" {
		t.Error(diff)
	}
}

func TestBoundsThatNoKeyLiesBetweenAreTold(t *testing.T) {
	t.Parallel()
	x := rowkey.New([]arrow.DataType{arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String})
	put(t, x, 1, numbers(nil, -5, 300), texts("b", "d"))
	minus6, minus4 := []byte{0xfa, 255, 255, 255, 255, 255, 255, 255}, []byte{0xfc, 255, 255, 255, 255, 255, 255, 255}
	zero, many := make([]byte, 8), []byte{0, 2, 0, 0, 0, 0, 0, 0}
	for name, c := range map[string]struct {
		low, high [][]byte
		want      bool
	}{
		"within":          {[][]byte{minus6, []byte("a")}, [][]byte{minus4, []byte("c")}, true},
		"numbers outside": {[][]byte{minus4, []byte("a")}, [][]byte{zero, []byte("c")}, false},
		"texts outside":   {[][]byte{zero, []byte("ba")}, [][]byte{many, []byte("c")}, false},
		"no bounds":       {[][]byte{nil, nil}, [][]byte{many, []byte("a")}, true},
		"odd bounds":      {[][]byte{{1}, []byte("b")}, [][]byte{{2}, []byte("b")}, true},
	} {
		if got := x.Between(c.low, c.high); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	put(t, x, 1, numbers(nil, 0), texts("")) // which bounds may leave out
	if !x.Between([][]byte{zero, []byte("ba")}, [][]byte{many, []byte("c")}) {
		t.Error("a file that may hold an empty text is left out")
	}
}

func TestColumnsOfOtherTypesAreErrors(t *testing.T) {
	t.Parallel()
	x := rowkey.New([]arrow.DataType{arrow.PrimitiveTypes.Int64})
	if err := x.Put([]arrow.Array{texts("a")}, 1); err == nil {
		t.Error("a text was taken for a number")
	}
	if err := x.Put([]arrow.Array{numbers(nil, 1), numbers(nil, 1)}, 1); err == nil {
		t.Error("two columns were taken for one")
	}
}
