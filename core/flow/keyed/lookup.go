package keyed

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// lookUp fetches rows as they were before the unit, for merge: of those that have versions, the ones that held.
func (s *Stream) lookUp(ctx context.Context, keys arrow.RecordBatch, _ []string) (arrow.RecordBatch, error) {
	if s.settings.Form.History {
		keys = current(s.settings.Alloc, keys, s.settings.Form.Key)
		defer keys.Release()
	}
	batches, err := s.dataset.Lookup(ctx, keys, 0)
	if err != nil {
		return nil, err
	}
	var found []arrow.RecordBatch
	defer func() {
		for _, b := range found {
			b.Release()
		}
	}()
	for b, err := range batches {
		if err != nil {
			return nil, err
		}
		found = append(found, b)
	}
	return together(s.dataset.Schema(), found, s.settings.Alloc)
}

// together puts batches of one schema into one.
func together(schema *arrow.Schema, batches []arrow.RecordBatch, alloc memory.Allocator) (arrow.RecordBatch, error) {
	if len(batches) == 0 {
		b := array.NewRecordBuilder(alloc, schema)
		defer b.Release()
		return b.NewRecordBatch(), nil
	}
	if len(batches) == 1 {
		batches[0].Retain()
		return batches[0], nil
	}
	columns := make([]arrow.Array, batches[0].NumCols())
	var rows int64
	for _, b := range batches {
		rows += b.NumRows()
	}
	for i := range columns {
		parts := make([]arrow.Array, len(batches))
		for j, b := range batches {
			parts[j] = b.Column(i)
		}
		var err error
		if columns[i], err = array.Concatenate(parts, alloc); err != nil {
			return nil, err
		}
		defer columns[i].Release()
	}
	return array.NewRecordBatch(batches[0].Schema(), columns, rows), nil
}
