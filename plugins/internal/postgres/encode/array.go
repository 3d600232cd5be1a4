package encode

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

const textOID = 25

var errLarge = &flaw{CodeTooLarge, "the value is larger than PostgreSQL takes"}

// asArray encodes lists as arrays of one dimension.
func asArray(dt arrow.DataType, t Type) (binder, bool) {
	list, ok := dt.(arrow.ListLikeType)
	if !ok || t.Element.Element != nil {
		return nil, false
	}
	if _, isMap := dt.(*arrow.MapType); isMap {
		return nil, false
	}
	inner, ok := direct(list.Elem(), *t.Element)
	if !ok {
		return nil, false
	}
	oid := t.Element.Declared
	return func(a arrow.Array) Cells {
		held := a.(array.ListLike)
		cells := inner(held.ListValues())
		return plain(a, func(to []byte, row int) ([]byte, error) {
			from, end := held.ValueOffsets(row)
			return appendArray(to, cells, oid, int(from), int(end))
		})
	}, true
}

// appendArray writes dimensions, whether there are nulls, the type, and then the elements from 1 on.
func appendArray(to []byte, cells Cells, oid uint32, from, end int) ([]byte, error) {
	count := end - from
	if count > math.MaxInt32/8 {
		return to, errLarge
	}
	nulls := uint32(0)
	for k := from; cells.Null != nil && k < end && nulls == 0; k++ {
		if cells.Null(k) {
			nulls = 1
		}
	}
	if count <= 0 {
		return appendLongs(to, 0, 0, oid), nil
	}
	to = appendLongs(to, 1, nulls, oid, uint32(count), 1)
	var err error
	for k := from; k < end && err == nil; k++ {
		to, err = appendField(to, cells, k)
	}
	return to, err
}

func appendLongs(to []byte, values ...uint32) []byte {
	for _, v := range values {
		to = binary.BigEndian.AppendUint32(to, v)
	}
	return to
}

// appendField writes a value behind its length; -1 is a null.
func appendField(to []byte, cells Cells, row int) ([]byte, error) {
	if cells.Null != nil && cells.Null(row) {
		return append(to, 0xff, 0xff, 0xff, 0xff), nil
	}
	at := len(to)
	to, err := cells.Put(append(to, 0, 0, 0, 0), row)
	if err != nil {
		return to, err
	}
	size := len(to) - at - 4
	if size > maxField {
		return to, errLarge
	}
	binary.BigEndian.PutUint32(to[at:], uint32(size)) //nolint:gosec // bounded
	return to, nil
}

// maxField is about what PostgreSQL takes for a value.
const maxField = 1<<30 - 1
