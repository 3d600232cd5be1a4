package arrowfile

import (
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
)

// checkText rejects the rows with text that is not UTF-8, which both formats demand and neither enforces.
func (b *rowsBlock) checkText(schema *arrow.Schema, columns []arrow.Array, bad block.Bad) {
	for i, c := range columns {
		if validText(c) {
			continue
		}
		for row := range c.Len() {
			one := array.NewSlice(c, int64(row), int64(row+1))
			if !validText(one) {
				bad.Add(row, b.rejection(row, block.Encoding, fmt.Sprintf("column %q: its text is not UTF-8", schema.Field(i).Name)))
			}
			one.Release()
		}
	}
}

// validText looks at the values that the array's rows refer to, at all depths.
func validText(a arrow.Array) bool {
	switch a := a.(type) {
	case *array.String:
		return validStrings(a)
	case *array.Struct:
		for i := range a.NumField() {
			if !validText(a.Field(i)) {
				return false
			}
		}
	case *array.FixedSizeList, *array.List, *array.LargeList, *array.Map:
		return validItems(a.(array.ListLike))
	}
	return true
}

// validStrings looks at all of the bytes at once, and at single values only if a rune is cut or missing.
func validStrings(a *array.String) bool {
	if !utf8.Valid(a.ValueBytes()) {
		return false
	}
	for i := 1; i < a.Len(); i++ {
		if text := a.Value(i); len(text) > 0 && !utf8.RuneStart(text[0]) {
			return false
		}
	}
	return true
}

func validItems(a array.ListLike) bool {
	if a.Len() == 0 {
		return true
	}
	from, _ := a.ValueOffsets(0)
	_, to := a.ValueOffsets(a.Len() - 1)
	items := array.NewSlice(a.ListValues(), from, to)
	defer items.Release()
	return validText(items)
}

// expanded is the size of a dictionary's values when each row has its own.
func expanded(a *array.Dictionary) int64 {
	var size int64
	values, text := a.Dictionary().(array.BinaryLike)
	if !text {
		return 0
	}
	for i := range a.Len() {
		if a.IsValid(i) {
			size += int64(values.ValueLen(a.GetValueIndex(i)))
		}
	}
	return size
}
