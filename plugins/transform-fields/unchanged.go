package main

import (
	"github.com/apache/arrow-go/v18/arrow/array"
)

// unchangedColumn lists, in change data, the columns whose values the source did not send: a null there means "as before".
const unchangedColumn = "_unchanged"

// unchanged keeps that list true when columns change: now gives the names that a column has afterwards.
func (t *table) unchanged(now func(name string) []string) {
	at := t.find(unchangedColumn)
	if at < 0 {
		return
	}
	lists, ok := t.columns[at].values.(*array.List)
	if !ok {
		return
	}
	names, ok := lists.ListValues().(array.StringLike)
	if !ok {
		return
	}
	b := array.NewBuilder(t.alloc, lists.DataType()).(*array.ListBuilder)
	defer b.Release()
	items, ok := b.ValueBuilder().(interface{ Append(v string) })
	if !ok {
		return
	}
	for row := range lists.Len() {
		if lists.IsNull(row) {
			b.AppendNull()
			continue
		}
		b.Append(true)
		begin, end := lists.ValueOffsets(row)
		for i := begin; i < end; i++ {
			for _, name := range now(names.Value(int(i))) {
				items.Append(name)
			}
		}
	}
	lists.Release()
	t.columns[at].values = b.NewArray()
}
