package conformance

import (
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/conformance/sample"
	"github.com/qanat-data/qanat/sdk/wire"
)

// manyRows is the large batch of transformShapes and its like.
const manyRows = 100_000

// shape is a batch that is out of the ordinary.
type shape struct {
	name string
	make func(seed uint64, in sample.Input) (arrow.RecordBatch, error)
}

func shapes([]sample.Input) []shape {
	return []shape{
		{"a batch of nulls", func(_ uint64, in sample.Input) (arrow.RecordBatch, error) { return in.Nulls(50) }},
		{"a batch without rows", func(seed uint64, in sample.Input) (arrow.RecordBatch, error) { return in.Rows(seed, 0, 0) }},
		{"a batch of one row", func(seed uint64, in sample.Input) (arrow.RecordBatch, error) { return in.Rows(seed, 0, 1) }},
		{"a slice of a batch", func(seed uint64, in sample.Input) (arrow.RecordBatch, error) {
			whole, err := in.Rows(seed, 0, 100)
			if err != nil {
				return nil, err
			}
			defer whole.Release()
			return whole.NewSlice(33, 71), nil
		}},
		{"a batch of 100,000 rows", func(seed uint64, in sample.Input) (arrow.RecordBatch, error) { return in.Rows(seed, 0, manyRows) }},
	}
}

// largeRows are rows with one text of a size, for the inputs that have a text to make large.
func largeRow(seed uint64, in sample.Input, size int) (arrow.RecordBatch, error) {
	at := slices.IndexFunc(in.Columns, func(c sample.Column) bool { return c.Type.ID() == arrow.STRING })
	if at < 0 {
		return nil, nil
	}
	record, err := in.Rows(seed, 0, 1)
	if err != nil {
		return nil, err
	}
	defer record.Release()
	b := array.NewStringBuilder(memory.NewGoAllocator())
	defer b.Release()
	b.Append(strings.Repeat("0123456789abcdef", size/16))
	large := b.NewArray()
	defer large.Release()
	return record.SetColumn(at, large)
}

// sizes are above the frame that batches are cut to, the largest that travels, and more than that.
func sizes() []int {
	const room = 64 << 10 // for the other columns
	return []int{3 * wire.TargetBody, wire.MaxRow - room, wire.MaxRow + wire.TargetBody}
}

const noText = "the inputs have no column of text that could be made large"
