package merge

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// ref says where a row lies: in which source, and where in it. A source below 0 means null.
type ref struct{ source, row int32 }

var nullRef = ref{source: -1}

// gather makes an array of the rows that refs point at; views are by source and all of type dt. The caller releases it.
func gather(alloc memory.Allocator, dt arrow.DataType, views []view, refs []ref) (arrow.Array, error) {
	valid, nulls := gatherValidity(alloc, views, refs)
	if valid != nil {
		defer valid.Release()
	}
	g := gathering{alloc: alloc, views: views, refs: refs, valid: valid, nulls: nulls}
	return g.array(dt)
}

type gathering struct {
	alloc memory.Allocator
	views []view
	refs  []ref
	valid *memory.Buffer
	nulls int
}

func (g *gathering) array(dt arrow.DataType) (arrow.Array, error) {
	storage := storageType(dt)
	switch t := storage.(type) {
	case *arrow.BooleanType:
		return g.make(dt, nil, g.bits()), nil
	case *arrow.StringType, *arrow.BinaryType:
		return g.texts(dt)
	case *arrow.StructType:
		return g.structs(dt, t)
	case *arrow.ListType:
		return g.lists(dt, t.Elem())
	case *arrow.MapType:
		return g.lists(dt, t.Elem())
	}
	if fixed, ok := storage.(arrow.FixedWidthDataType); ok && isPlainFixed(storage) {
		return g.make(dt, nil, g.fixed(fixed.Bytes())), nil
	}
	return g.slices(dt)
}

// make takes the buffers over.
func (g *gathering) make(dt arrow.DataType, children []arrow.ArrayData, buffers ...*memory.Buffer) arrow.Array {
	data := array.NewData(dt, len(g.refs), append([]*memory.Buffer{g.valid}, buffers...), children, g.nulls, 0)
	defer data.Release()
	for _, b := range buffers {
		b.Release()
	}
	return array.MakeFromData(data)
}

func gatherValidity(alloc memory.Allocator, views []view, refs []ref) (*memory.Buffer, int) {
	nulls := 0
	for _, r := range refs {
		if r.source < 0 || views[r.source].isNull(int(r.row)) {
			nulls++
		}
	}
	if nulls == 0 {
		return nil, 0
	}
	buffer := newBuffer(alloc, int(bitutil.BytesForBits(int64(len(refs)))))
	bits := buffer.Bytes()
	clear(bits)
	for i, r := range refs {
		if r.source >= 0 && !views[r.source].isNull(int(r.row)) {
			bitutil.SetBit(bits, i)
		}
	}
	return buffer, nulls
}

func (g *gathering) isNull(i int) bool {
	return g.valid != nil && !bitutil.BitIsSet(g.valid.Bytes(), i)
}

func (g *gathering) bits() *memory.Buffer {
	buffer := newBuffer(g.alloc, int(bitutil.BytesForBits(int64(len(g.refs)))))
	out := buffer.Bytes()
	clear(out)
	for i, r := range g.refs {
		if !g.isNull(i) && g.views[r.source].bit(int(r.row)) {
			bitutil.SetBit(out, i)
		}
	}
	return buffer
}

func (g *gathering) fixed(width int) *memory.Buffer {
	buffer := newBuffer(g.alloc, len(g.refs)*width)
	out := buffer.Bytes()
	if g.valid != nil {
		clear(out)
	}
	if width == 8 { // the commonest width
		for i, r := range g.refs {
			if g.valid == nil || !g.isNull(i) {
				binary.LittleEndian.PutUint64(out[i*8:], binary.LittleEndian.Uint64(g.views[r.source].raw[int(r.row)*8:]))
			}
		}
		return buffer
	}
	for i, r := range g.refs {
		if !g.isNull(i) {
			copy(out[i*width:(i+1)*width], g.views[r.source].raw[int(r.row)*width:])
		}
	}
	return buffer
}

var errTooLong = fmt.Errorf("a batch can't hold more than %d bytes of a column", math.MaxInt32)

func (g *gathering) texts(dt arrow.DataType) (arrow.Array, error) {
	offsets := newBuffer(g.alloc, 4*(len(g.refs)+1))
	at := arrow.Int32Traits.CastFromBytes(offsets.Bytes())
	at[0] = 0
	total := int64(0)
	for i, r := range g.refs {
		if !g.isNull(i) {
			o := g.views[r.source].offsets
			total += int64(o[r.row+1] - o[r.row])
		}
		if total > math.MaxInt32 {
			offsets.Release()
			return nil, errTooLong
		}
		at[i+1] = int32(total)
	}
	values := newBuffer(g.alloc, int(total))
	out := values.Bytes()
	for i, r := range g.refs {
		if !g.isNull(i) {
			copy(out[at[i]:at[i+1]], g.views[r.source].text(int(r.row)))
		}
	}
	return g.make(dt, nil, offsets, values), nil
}

// structs gathers field by field; a row that is null is null in all of them.
func (g *gathering) structs(dt arrow.DataType, t *arrow.StructType) (arrow.Array, error) {
	refs := make([]ref, len(g.refs))
	for i, r := range g.refs {
		if refs[i] = r; g.isNull(i) {
			refs[i] = nullRef
		}
	}
	children := make([]arrow.ArrayData, t.NumFields())
	defer releaseData(children)
	for i := range children {
		views := g.childViews(func(a arrow.Array) arrow.Array { return storageOf(a).(*array.Struct).Field(i) })
		child, err := gather(g.alloc, t.Field(i).Type, views, refs)
		if err != nil {
			return nil, err
		}
		children[i] = child.Data()
		children[i].Retain()
		child.Release()
	}
	return g.make(dt, children), nil
}

// lists gathers the elements of all rows; a map is a list of entries.
func (g *gathering) lists(dt, elem arrow.DataType) (arrow.Array, error) {
	var refs []ref
	offsets := newBuffer(g.alloc, 4*(len(g.refs)+1))
	at := arrow.Int32Traits.CastFromBytes(offsets.Bytes())
	at[0] = 0
	for i, r := range g.refs {
		if !g.isNull(i) {
			o := g.views[r.source].offsets
			for row := o[r.row]; row < o[r.row+1]; row++ {
				refs = append(refs, ref{source: r.source, row: row})
			}
		}
		if len(refs) > math.MaxInt32 {
			offsets.Release()
			return nil, errTooLong
		}
		at[i+1] = int32(len(refs)) //nolint:gosec // checked above
	}
	views := g.childViews(func(a arrow.Array) arrow.Array { return storageOf(a).(array.ListLike).ListValues() })
	child, err := gather(g.alloc, elem, views, refs)
	if err != nil {
		offsets.Release()
		return nil, err
	}
	defer child.Release()
	return g.make(dt, []arrow.ArrayData{child.Data()}, offsets), nil
}

func (g *gathering) childViews(child func(arrow.Array) arrow.Array) []view {
	views := make([]view, len(g.views))
	for i := range g.views {
		if a := g.views[i].array; a != nil {
			views[i] = newView(child(a))
			continue
		}
		views[i] = newView(nil)
	}
	return views
}

// slices serves the types that tables don't hold: runs of neighbours are cut out and joined.
func (g *gathering) slices(dt arrow.DataType) (arrow.Array, error) {
	var parts []arrow.Array
	defer func() { releaseArrays(parts) }()
	for i := 0; i < len(g.refs); {
		end := i + 1
		if g.isNull(i) {
			for end < len(g.refs) && g.isNull(end) {
				end++
			}
			parts = append(parts, array.MakeArrayOfNull(g.alloc, dt, end-i))
			i = end
			continue
		}
		first := g.refs[i]
		for end < len(g.refs) && !g.isNull(end) && g.refs[end] == (ref{first.source, first.row + int32(end-i)}) {
			end++
		}
		parts = append(parts, array.NewSlice(g.views[first.source].array, int64(first.row), int64(first.row)+int64(end-i)))
		i = end
	}
	if len(parts) == 0 {
		return array.MakeArrayOfNull(g.alloc, dt, 0), nil
	}
	return array.Concatenate(parts, g.alloc)
}

func storageOf(a arrow.Array) arrow.Array {
	if e, ok := a.(array.ExtensionArray); ok {
		return e.Storage()
	}
	return a
}

func releaseArrays(arrays []arrow.Array) {
	for _, a := range arrays {
		if a != nil {
			a.Release()
		}
	}
}

func releaseData(data []arrow.ArrayData) {
	for _, d := range data {
		if d != nil {
			d.Release()
		}
	}
}
