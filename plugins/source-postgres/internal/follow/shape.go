package follow

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/change"
)

// Rows adds the change columns to rows, which it takes.
func (s *Shape) Rows(alloc memory.Allocator, rows arrow.RecordBatch) arrow.RecordBatch {
	defer rows.Release()
	n := int(rows.NumRows())
	own := rows.Columns()
	columns := make([]arrow.Array, 0, s.schema.NumFields())
	columns = append(columns, own...)
	for i := len(own); i < s.schema.NumFields(); i++ {
		columns = append(columns, s.column(alloc, s.schema.Field(i), n))
	}
	out := array.NewRecordBatch(s.schema, columns, int64(n))
	for _, c := range columns[len(own):] {
		c.Release()
	}
	return out
}

func (s *Shape) column(alloc memory.Allocator, f arrow.Field, n int) arrow.Array {
	b := array.NewBuilder(alloc, f.Type)
	defer b.Release()
	b.Reserve(n)
	switch f.Name {
	case change.ColumnOp:
		for range n {
			b.(*array.Uint8Builder).Append(uint8(change.Snapshot))
		}
	case change.ColumnTxSeq:
		for range n {
			b.(*array.Int64Builder).Append(0)
		}
	case change.ColumnPos:
		for range n {
			b.(*array.BinaryBuilder).Append(s.pos)
		}
	default:
		b.AppendNulls(n)
	}
	return b.NewArray()
}
