package merge

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
)

// masks numbers sets of columns. There are few of them, so rows refer to them by number; 0 is the empty set.
type masks struct {
	numbers map[string]int32
	bitmaps []string
	columns [][]int32
	scratch []byte
}

func newMasks() masks {
	return masks{numbers: map[string]int32{"": 0}, bitmaps: []string{""}, columns: [][]int32{nil}}
}

// begin starts a set.
func (m *masks) begin() { m.scratch = m.scratch[:0] }

func (m *masks) add(column int) {
	for column/8 >= len(m.scratch) {
		m.scratch = append(m.scratch, 0)
	}
	bitutil.SetBit(m.scratch, column)
}

// end returns the number of the set begun last.
func (m *masks) end() int32 { return m.number(m.scratch) }

// number returns the number of a set that is given as a bitmap.
func (m *masks) number(bits []byte) int32 {
	if number, ok := m.numbers[string(bits)]; ok {
		return number
	}
	number := int32(len(m.bitmaps)) //nolint:gosec // as many as there are ways to leave out columns in a unit
	var columns []int32
	for i := range 8 * len(bits) {
		if bitutil.BitIsSet(bits, i) {
			columns = append(columns, int32(i))
		}
	}
	text := string(bits)
	m.numbers[text] = number
	m.bitmaps = append(m.bitmaps, text)
	m.columns = append(m.columns, columns)
	return number
}

// ofUnchanged returns the set of each row's _unchanged, nil if no row has any. Columns that the table has not are left out, and those
// of the key, too: a key is what a row is found by, so it is there.
func (m *masks) ofUnchanged(a arrow.Array, column func(name string) (int, bool)) []int32 {
	if a == nil || a.NullN() == a.Len() {
		return nil
	}
	list := a.(*array.List)
	names := list.ListValues().(*array.String)
	out := make([]int32, a.Len())
	for row := range out {
		if list.IsNull(row) {
			continue
		}
		first, last := list.ValueOffsets(row)
		m.begin()
		for i := first; i < last; i++ {
			if at, ok := column(names.Value(int(i))); ok && names.IsValid(int(i)) {
				m.add(at)
			}
		}
		out[row] = m.end()
	}
	return out
}
