package block

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Bad collects the rows of a batch that must not go on, with the first reason for each.
type Bad map[int]Reject

// Add keeps the first rejection of a row.
func (b Bad) Add(row int, r Reject) {
	if _, there := b[row]; !there {
		b[row] = r
	}
}

// Finish makes rows of a batch without its bad ones. It takes the record over.
func (b Bad) Finish(ctx context.Context, alloc memory.Allocator, record arrow.RecordBatch, others []Reject) (Rows, error) {
	rows := Rows{Rejects: others}
	if len(b) > 0 {
		rows.Rejects = slices.Clone(others)
		for _, row := range slices.Sorted(maps.Keys(b)) {
			rows.Rejects = append(rows.Rejects, b[row])
		}
		slices.SortStableFunc(rows.Rejects, func(x, y Reject) int { return int(x.Line - y.Line) })
	}
	kept, err := b.without(ctx, alloc, record)
	if err != nil {
		return Rows{}, err
	}
	if kept.NumRows() == 0 {
		kept.Release()
		return rows, nil
	}
	rows.Record = kept
	return rows, nil
}

func (b Bad) without(ctx context.Context, alloc memory.Allocator, record arrow.RecordBatch) (arrow.RecordBatch, error) {
	if len(b) == 0 {
		return record, nil
	}
	defer record.Release()
	if len(b) == int(record.NumRows()) {
		return record.NewSlice(0, 0), nil
	}
	mask := array.NewBooleanBuilder(alloc)
	defer mask.Release()
	mask.Reserve(int(record.NumRows()))
	for row := range int(record.NumRows()) {
		_, bad := b[row]
		mask.Append(!bad)
	}
	filter := mask.NewBooleanArray()
	defer filter.Release()
	kept, err := compute.FilterRecordBatch(compute.WithAllocator(ctx, Unlimited(alloc)), record, filter, compute.DefaultFilterOptions())
	if err != nil {
		return nil, fmt.Errorf("take %d bad rows out of a batch: %w", len(b), err)
	}
	return kept, nil
}
