package main

import (
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk/change"
)

// unchanged keeps _unchanged true when columns change: now gives the names that a column has afterwards.
func (t *table) unchanged(now func(name string) []string) {
	if t.changes == nil {
		return
	}
	c := t.changes.column(change.ColumnUnchanged)
	if c == nil {
		return
	}
	t.changes.named = true
	lists := c.values.(*array.List)
	names := lists.ListValues().(*array.String)
	b := array.NewBuilder(t.alloc, lists.DataType()).(*array.ListBuilder)
	defer b.Release()
	items := b.ValueBuilder().(*array.StringBuilder)
	for row := range lists.Len() {
		var left []string
		if lists.IsValid(row) {
			begin, end := lists.ValueOffsets(row)
			for i := begin; i < end; i++ {
				left = append(left, now(names.Value(int(i)))...)
			}
		}
		b.Append(len(left) > 0)
		for _, name := range left {
			items.Append(name)
		}
	}
	lists.Release()
	c.values = b.NewArray()
}
