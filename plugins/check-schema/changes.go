package main

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk/change"
)

// changes knows which values of change data aren't there because nobody sent them.
type changes struct {
	at  change.Indexes
	key []string // of the table
}

// newChanges gives nil for a schema that isn't one of change data.
func newChanges(schema *arrow.Schema, key []string) (*changes, error) {
	at, err := change.Columns(schema)
	if err != nil || at.Op < 0 {
		return nil, err
	}
	return &changes{at: at, key: key}, nil
}

// noOp stands for what is no operation, and is none itself.
const noOp = change.Truncate + 1

// op is what happened to a row.
func (c *changes) op(record arrow.RecordBatch, row int) change.Op {
	ops := record.Column(c.at.Op)
	value := int64(noOp)
	switch ops := ops.(type) {
	case *array.Uint8:
		value = int64(ops.Value(row))
	case *array.Int32:
		value = int64(ops.Value(row))
	}
	if ops.IsNull(row) || value < 0 || value > int64(noOp) {
		return noOp
	}
	return change.Op(value)
}

// removed says whether a row only tells that rows are gone.
func (c *changes) removed(record arrow.RecordBatch, row int) bool {
	if c == nil {
		return false
	}
	op := c.op(record, row)
	return op == change.Delete || op == change.Truncate
}

// removals counts such rows.
func (c *changes) removals(record arrow.RecordBatch) int64 {
	if c == nil {
		return 0
	}
	var n int64
	for row := range int(record.NumRows()) {
		if c.removed(record, row) {
			n++
		}
	}
	return n
}

// kept says whether a column has the value that it had before, which wasn't sent again.
func (c *changes) kept(record arrow.RecordBatch, row, column int) bool {
	if c == nil || c.at.Unchanged < 0 {
		return false
	}
	lists, ok := record.Column(c.at.Unchanged).(*array.List)
	if !ok || lists.IsNull(row) {
		return false
	}
	names, ok := lists.ListValues().(*array.String)
	if !ok {
		return false
	}
	from, to := lists.ValueOffsets(row)
	for i := from; i < to; i++ {
		if names.Value(int(i)) == record.ColumnName(column) {
			return true
		}
	}
	return false
}

// whole says whether more than the key is known of the row that was there before.
func (c *changes) whole(record arrow.RecordBatch, row int) bool {
	if c.at.Before < 0 {
		return false
	}
	old, ok := record.Column(c.at.Before).(*array.Struct)
	if !ok || old.IsNull(row) {
		return false
	}
	for i, field := range old.DataType().(*arrow.StructType).Fields() {
		if old.Field(i).IsValid(row) && !slices.Contains(c.key, field.Name) {
			return true
		}
	}
	return false
}
