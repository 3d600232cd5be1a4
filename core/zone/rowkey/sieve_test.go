package rowkey

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Every key goes through, and few others, however keys are spaced.
func TestTheSieveLetsKeysThroughAndFewOthers(t *testing.T) {
	t.Parallel()
	for _, step := range []int64{1, 2, 7, 1000, 1 << 20, 1 << 33} {
		x := New([]arrow.DataType{arrow.PrimitiveTypes.Int64})
		b := array.NewInt64Builder(memory.DefaultAllocator)
		const keys = 20_000
		for i := range int64(keys) {
			b.Append((i - keys/2) * step)
		}
		column := b.NewArray()
		if err := x.Put([]arrow.Array{column}, 1); err != nil {
			t.Fatal(err)
		}
		found := 0
		if err := x.Match([]arrow.Array{column}, func(int, int64) { found++ }); err != nil || found != keys {
			t.Errorf("step %d: %d of %d keys are found, %v", step, found, keys, err)
		}
		through := 0
		for i := range int64(keys) {
			if x.sieve.mayHave(ofNumber((i+keys)*step + 1)) {
				through++
			}
		}
		if through > keys/10 {
			t.Errorf("step %d: %d of %d other keys go through", step, through, keys)
		}
	}
}
