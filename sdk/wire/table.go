package wire

import (
	"fmt"

	flatbuffers "github.com/google/flatbuffers/go"
)

// table reads a flatbuffers table. Positions wrap around at 32 bits, so that a table may even contain itself.
type table struct{ flatbuffers.Table }

func (t table) child(slot flatbuffers.VOffsetT) (table, bool) {
	offset := t.Offset(slot)
	if offset == 0 {
		return table{}, false
	}
	return table{flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(t.Pos + flatbuffers.UOffsetT(offset))}}, true
}

// vector returns the place and length of a vector whose elements lie within the message.
func (t table) vector(slot flatbuffers.VOffsetT, width int) (start flatbuffers.UOffsetT, n int, err error) {
	offset := flatbuffers.UOffsetT(t.Offset(slot))
	if offset == 0 {
		return 0, 0, nil
	}
	start, n = t.Vector(offset), t.VectorLen(offset)
	if int64(start)+int64(n)*int64(width) > int64(len(t.Bytes)) {
		return 0, 0, fmt.Errorf("a vector of %d elements ends past the metadata of %d bytes", n, len(t.Bytes))
	}
	return start, n, nil
}

// element is the table that the i-th element of a vector points to.
func (t table) element(start flatbuffers.UOffsetT, i int) table {
	at := start + flatbuffers.UOffsetT(i)*flatbuffers.SizeUOffsetT //nolint:gosec // vector has checked the length
	return table{flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(at)}}
}

// pairs visits a vector of structs of two numbers.
func (t table) pairs(slot flatbuffers.VOffsetT, visit func(a, b int64) error) (n int, err error) {
	const width = 2 * flatbuffers.SizeInt64
	start, n, err := t.vector(slot, width)
	if err != nil {
		return 0, err
	}
	for i := range n {
		at := int(start) + i*width
		a, b := flatbuffers.GetInt64(t.Bytes[at:]), flatbuffers.GetInt64(t.Bytes[at+flatbuffers.SizeInt64:])
		if err := visit(a, b); err != nil {
			return 0, err
		}
	}
	return n, nil
}
