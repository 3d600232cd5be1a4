package rowkey

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// kind says how values of a column compare.
type kind int

const (
	unordered kind = iota
	whole          // as numbers
	bytewise
)

func kindOf(t arrow.DataType) kind {
	if e, ok := t.(arrow.ExtensionType); ok {
		return kindOf(e.StorageType())
	}
	switch t.ID() {
	case arrow.INT64, arrow.INT32, arrow.DATE32, arrow.TIME64, arrow.TIMESTAMP:
		return whole
	case arrow.STRING, arrow.BINARY, arrow.FIXED_SIZE_BINARY:
		return bytewise
	}
	return unordered
}

// spread is where the values of one column of the keys lie.
type spread struct {
	kind    kind
	numbers []int64
	texts   []string
	empty   bool // one of the texts is: files' bounds tell nothing of those
	sort    sync.Once
}

func (s *spread) add(column arrow.Array) error {
	switch s.kind {
	case whole:
		numbers, err := numbersOf(column)
		if err != nil {
			return err
		}
		for row := range column.Len() {
			s.numbers = append(s.numbers, numbers(row))
		}
	case bytewise:
		if e, ok := column.(array.ExtensionArray); ok {
			column = e.Storage()
		}
		for row := range column.Len() {
			s.texts = append(s.texts, textOf(column, row))
		}
		s.empty = s.empty || HasEmpty(column)
	}
	return nil
}

func textOf(column arrow.Array, row int) string {
	switch c := column.(type) {
	case *array.String:
		return strings.Clone(c.Value(row))
	case *array.Binary:
		return string(c.Value(row))
	case *array.FixedSizeBinary:
		return string(c.Value(row))
	}
	return ""
}

// HasEmpty tells whether a column holds a text without characters or bytes. Arrow's Parquet writer leaves those out of bounds.
func HasEmpty(column arrow.Array) bool {
	c, ok := column.(array.BinaryLike)
	for row := 0; ok && row < column.Len(); row++ {
		if c.ValueLen(row) == 0 && !column.IsNull(row) {
			return true
		}
	}
	return false
}

// Between tells whether a key of the index may lie between bounds, given for each column as Iceberg keeps them in a file's
// statistics; nil is no bound. The index must not be filled any more.
func (x *Index) Between(low, high [][]byte) bool {
	for i := range x.spreads {
		if !x.spreads[i].between(low[i], high[i]) {
			return false
		}
	}
	return true
}

func (s *spread) between(low, high []byte) bool {
	if s.kind == unordered || s.empty || low == nil || high == nil {
		return true
	}
	s.sort.Do(func() {
		slices.Sort(s.numbers)
		s.numbers = slices.Compact(s.numbers)
		slices.Sort(s.texts)
		s.texts = slices.Compact(s.texts)
	})
	if s.kind == bytewise {
		return anyBetween(s.texts, string(low), string(high))
	}
	from, ok := number(low)
	to, ok2 := number(high)
	return !ok || !ok2 || anyBetween(s.numbers, from, to)
}

func anyBetween[T int64 | string](sorted []T, low, high T) bool {
	at, _ := slices.BinarySearch(sorted, low)
	return at < len(sorted) && sorted[at] <= high
}

// number reads a bound of a column of whole numbers.
func number(bound []byte) (int64, bool) {
	switch len(bound) {
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(bound))), true //nolint:gosec // two's complement
	case 8:
		return int64(binary.LittleEndian.Uint64(bound)), true //nolint:gosec // two's complement
	}
	return 0, false
}
