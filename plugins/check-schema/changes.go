package main

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// changeColumns are the columns by which change data says what happened to a row.
var changeColumns = []string{"_op", "_pos", "_tx_seq", "_ts", "_before", "_unchanged"}

// opDelete is the first operation of _op (snapshot, insert, update, delete, truncate) whose row holds no values but the key.
const opDelete = 3

// changes knows which values of change data aren't there because nobody sent them.
type changes struct {
	op        int
	unchanged int // -1 if there is no such column
}

// newChanges gives nil for a schema that isn't one of change data.
func newChanges(schema *arrow.Schema) *changes {
	op := schema.FieldIndices("_op")
	if len(op) == 0 || schema.Field(op[0]).Type.ID() != arrow.UINT8 {
		return nil
	}
	c := &changes{op: op[0], unchanged: -1}
	if i := schema.FieldIndices("_unchanged"); len(i) > 0 {
		c.unchanged = i[0]
	}
	return c
}

// removed says whether a row only tells that rows are gone.
func (c *changes) removed(record arrow.RecordBatch, row int) bool {
	if c == nil {
		return false
	}
	ops, ok := record.Column(c.op).(*array.Uint8)
	return ok && ops.IsValid(row) && ops.Value(row) >= opDelete
}

// kept says whether a column has the value that it had before, which wasn't sent again.
func (c *changes) kept(record arrow.RecordBatch, row int, column string) bool {
	if c == nil || c.unchanged < 0 {
		return false
	}
	lists, ok := record.Column(c.unchanged).(array.ListLike)
	if !ok || lists.IsNull(row) {
		return false
	}
	names, ok := lists.ListValues().(*array.String)
	if !ok {
		return false
	}
	from, to := lists.ValueOffsets(row)
	return slices.ContainsFunc(slices.Collect(seq(from, to)), func(i int64) bool { return names.Value(int(i)) == column })
}

func seq(from, to int64) func(yield func(int64) bool) {
	return func(yield func(int64) bool) {
		for i := from; i < to; i++ {
			if !yield(i) {
				return
			}
		}
	}
}
