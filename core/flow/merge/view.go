package merge

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
)

// view gives quick access to the values of an array, by row. The zero view is an array of nulls.
type view struct {
	array   arrow.Array
	nulls   bool
	valid   []byte // bitmap, nil when no value is null
	offset  int    // of row 0 in bitmaps
	raw     []byte // values of fixed width, from row 0 on
	width   int
	bits    []byte  // booleans
	offsets []int32 // of texts, binaries, lists and maps, from row 0 on
	data    []byte  // of texts and binaries
}

func newView(a arrow.Array) view {
	if a == nil {
		return view{nulls: true}
	}
	d := a.Data()
	buffers := d.Buffers()
	v := view{array: a, nulls: a.NullN() > 0, offset: d.Offset()}
	if v.nulls && len(buffers) > 0 && buffers[0] != nil {
		v.valid = buffers[0].Bytes()
	}
	dt := storageType(a.DataType())
	switch dt.ID() {
	case arrow.BOOL:
		if buffers[1] != nil {
			v.bits = buffers[1].Bytes()
		}
	case arrow.STRING, arrow.BINARY:
		v.setOffsets(d)
		if buffers[2] != nil {
			v.data = buffers[2].Bytes()
		}
	case arrow.LIST, arrow.MAP:
		v.setOffsets(d)
	default:
		if fixed, ok := dt.(arrow.FixedWidthDataType); ok && isPlainFixed(dt) && buffers[1] != nil {
			v.width = fixed.Bytes()
			v.raw = buffers[1].Bytes()[d.Offset()*v.width : (d.Offset()+d.Len())*v.width]
		}
	}
	return v
}

// isPlainFixed says whether the values of a type lie in one buffer, each in whole bytes.
func isPlainFixed(dt arrow.DataType) bool {
	switch dt.ID() {
	case arrow.BOOL, arrow.DICTIONARY, arrow.FIXED_SIZE_LIST, arrow.STRUCT, arrow.EXTENSION:
		return false
	}
	_, ok := dt.(arrow.FixedWidthDataType)
	return ok
}

func (v *view) setOffsets(d arrow.ArrayData) {
	if buffer := d.Buffers()[1]; buffer != nil && d.Len() > 0 {
		v.offsets = arrow.Int32Traits.CastFromBytes(buffer.Bytes())[d.Offset() : d.Offset()+d.Len()+1]
	}
}

func (v *view) isNull(row int) bool {
	if !v.nulls {
		return false
	}
	if v.valid == nil {
		return v.array == nil || v.array.IsNull(row)
	}
	return !bitutil.BitIsSet(v.valid, v.offset+row)
}

func (v *view) bit(row int) bool { return bitutil.BitIsSet(v.bits, v.offset+row) }

func (v *view) text(row int) []byte { return v.data[v.offsets[row]:v.offsets[row+1]] }

func (v *view) int64(row int) int64 {
	return int64(binary.LittleEndian.Uint64(v.raw[row*8:])) //nolint:gosec // the bits of an int64
}

// textBytes is the length of all texts.
func (v *view) textBytes() int {
	if len(v.offsets) == 0 {
		return 0
	}
	return int(v.offsets[len(v.offsets)-1] - v.offsets[0])
}

// sizeOf is what the rows of an array take, without what lies beside them in shared buffers.
func sizeOf(a arrow.Array) int64 {
	rows := int64(a.Len())
	size := rows / 8
	switch t := a.(type) {
	case array.ExtensionArray:
		return sizeOf(t.Storage())
	case *array.String:
		return size + 4*rows + int64(len(t.ValueBytes()))
	case *array.Binary:
		return size + 4*rows + int64(len(t.ValueBytes()))
	case *array.Struct:
		for i := range t.NumField() {
			size += sizeOf(t.Field(i))
		}
		return size
	case array.ListLike:
		if rows == 0 {
			return 0
		}
		first, _ := t.ValueOffsets(0)
		_, last := t.ValueOffsets(int(rows) - 1)
		values := array.NewSlice(t.ListValues(), first, last)
		defer values.Release()
		return size + 4*rows + sizeOf(values)
	}
	if fixed, ok := a.DataType().(arrow.FixedWidthDataType); ok {
		return size + rows*int64(fixed.BitWidth())/8
	}
	for _, b := range a.Data().Buffers() {
		if b != nil {
			size += int64(b.Len())
		}
	}
	return size
}
