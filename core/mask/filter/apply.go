package filter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Keep says which rows of a batch pass: bit i%64 of word i/64 is set if row i does, bits past the last row are clear;
// n is how many pass. The batch must have the columns that the predicate reads at the places and of the types that the
// bound schema has; it isn't kept.
func (f *Filter) Keep(b arrow.RecordBatch) (passing []uint64, n int64, err error) {
	for _, i := range f.reads {
		want := f.schema.Field(i)
		if i >= int(b.NumCols()) || b.ColumnName(i) != want.Name || !arrow.TypeEqual(b.Column(i).DataType(), want.Type) {
			return nil, 0, fmt.Errorf("the batch has no column %q of type %s at place %d, where the filter was bound to one", want.Name, want.Type, i)
		}
	}
	rows := int(b.NumRows())
	passing = make([]uint64, words(rows))
	f.root.eval(&frame{columns: b.Columns(), rows: rows}, passing)
	if past := rows % 64; past > 0 {
		passing[len(passing)-1] &= 1<<past - 1
	}
	for _, word := range passing {
		n += int64(bits.OnesCount64(word))
	}
	return passing, n, nil
}

// Apply gives the rows that pass, in their order, and how many it dropped. The caller keeps b and owns the result, which
// is b itself, retained, if every row passes.
func (f *Filter) Apply(ctx context.Context, alloc memory.Allocator, b arrow.RecordBatch) (kept arrow.RecordBatch, dropped int64, err error) {
	passing, n, err := f.Keep(b)
	if err != nil {
		return nil, 0, err
	}
	dropped = b.NumRows() - n
	switch n {
	case b.NumRows():
		b.Retain()
		return b, 0, nil
	case 0:
		return b.NewSlice(0, 0), dropped, nil
	}
	mask := boolean(passing, int(b.NumRows()))
	defer mask.Release()
	kept, err = compute.FilterRecordBatch(compute.WithAllocator(ctx, alloc), b, mask, compute.DefaultFilterOptions())
	if errors.Is(err, arrow.ErrNotImplemented) { // for text and binary views
		kept, err = byRuns(alloc, b, passing, n)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("filter rows: %w", err)
	}
	return kept, dropped, nil
}

// byRuns joins the slices of rows that pass; it is slower where many short ones do.
func byRuns(alloc memory.Allocator, b arrow.RecordBatch, passing []uint64, n int64) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, 0, b.NumCols())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for _, column := range b.Columns() {
		joined, err := joinRuns(alloc, column, passing)
		if err != nil {
			return nil, err
		}
		columns = append(columns, joined)
	}
	return array.NewRecordBatch(b.Schema(), columns, n), nil
}

func joinRuns(alloc memory.Allocator, column arrow.Array, passing []uint64) (arrow.Array, error) {
	var runs []arrow.Array
	defer func() {
		for _, run := range runs {
			run.Release()
		}
	}()
	rows := column.Len()
	passes := func(i int) bool { return i < rows && passing[i/64]>>(i%64)&1 == 1 }
	for i := 0; i < rows; i++ {
		from := i
		for passes(i) {
			i++
		}
		if i > from {
			runs = append(runs, array.NewSlice(column, int64(from), int64(i)))
		}
	}
	return array.Concatenate(runs, alloc)
}

// boolean is a bitmap as an Arrow array.
func boolean(passing []uint64, rows int) arrow.Array {
	raw := make([]byte, 0, 8*len(passing))
	for _, word := range passing {
		raw = binary.LittleEndian.AppendUint64(raw, word)
	}
	data := array.NewData(arrow.FixedWidthTypes.Boolean, rows, []*memory.Buffer{nil, memory.NewBufferBytes(raw)}, nil, 0, 0)
	defer data.Release()
	return array.MakeFromData(data)
}
