package encode

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
)

var (
	errZero     = &flaw{CodeZero, "PostgreSQL can't hold text with a zero byte"}
	errEncoding = &flaw{CodeEncoding, "the text is not UTF-8"}
)

func isString(dt arrow.DataType) bool {
	switch dt.ID() {
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW:
		return true
	}
	return false
}

// stringsOf reads text, or bytes.
func stringsOf(a arrow.Array) func(row int) []byte {
	switch a := a.(type) {
	case *array.String:
		held, offsets := a.ValueBytes(), a.ValueOffsets()
		return sliced(held, offsets)
	case *array.Binary:
		return a.Value
	case *array.LargeBinary:
		return a.Value
	case *array.FixedSizeBinary:
		return a.Value
	case *array.BinaryView:
		return a.Value
	case interface{ Value(int) string }:
		return func(row int) []byte { return []byte(a.Value(row)) }
	}
	return nil
}

// sliced reads text without making strings of it; offsets count from the first value's.
func sliced(held []byte, offsets []int32) func(row int) []byte {
	return func(row int) []byte {
		from, to := offsets[row]-offsets[0], offsets[row+1]-offsets[0]
		return held[from:to]
	}
}

// fromString sends text as it is, behind a prefix.
func fromString(dt arrow.DataType, prefix []byte) (binder, bool) {
	return func(a arrow.Array) Cells {
		value := stringsOf(a)
		return plain(a, func(to []byte, row int) ([]byte, error) {
			text := value(row)
			if err := checkText(text); err != nil {
				return to, err
			}
			return append(append(to, prefix...), text...), nil
		})
	}, isString(dt)
}

func checkText(text []byte) error {
	switch {
	case bytes.IndexByte(text, 0) >= 0:
		return errZero
	case !utf8.Valid(text):
		return errEncoding
	}
	return nil
}

func fromBinary(dt arrow.DataType) (binder, bool) {
	switch dt.ID() {
	case arrow.BINARY, arrow.LARGE_BINARY, arrow.BINARY_VIEW, arrow.FIXED_SIZE_BINARY:
	default:
		return nil, false
	}
	return func(a arrow.Array) Cells {
		value := stringsOf(a)
		return plain(a, func(to []byte, row int) ([]byte, error) { return append(to, value(row)...), nil })
	}, true
}

func asUUID(dt arrow.DataType) (binder, bool) {
	_, ok := dt.(*extensions.UUIDType)
	return func(a arrow.Array) Cells {
		held := a.(*extensions.UUIDArray)
		return plain(a, func(to []byte, row int) ([]byte, error) {
			v := held.Value(row)
			return append(to, v[:]...), nil
		})
	}, ok
}

// asText prints single values as PostgreSQL does, and others as JSON.
func asText(dt arrow.DataType) (binder, bool) {
	inner, ok := asJSON(dt, Type{Name: "json", Builtin: true})
	if !ok || isBytes(dt) {
		return nil, false
	}
	return func(a arrow.Array) Cells {
		cells := inner(a)
		put := cells.Put
		cells.Put = func(to []byte, row int) ([]byte, error) {
			from := len(to)
			to, err := put(to, row)
			if err == nil && len(to) > from && to[from] == '"' { // the quotes of a single value without escapes
				to = append(to[:from], to[from+1:len(to)-1]...)
			}
			return to, err
		}
		return cells
	}, true
}

func isBytes(dt arrow.DataType) bool {
	_, ok := fromBinary(dt)
	return ok
}

// asHstore encodes maps of text.
func asHstore(dt arrow.DataType) (binder, bool) {
	m, ok := dt.(*arrow.MapType)
	if !ok || !isString(values(m.KeyType())) || !isString(values(m.ItemType())) {
		return nil, false
	}
	text := Type{Name: "text", Builtin: true, Mod: -1}
	keys, ok := direct(m.KeyType(), text)
	items, ok2 := direct(m.ItemType(), text)
	return func(a arrow.Array) Cells {
		held := a.(*array.Map)
		key, item := keys(held.Keys()), items(held.Items())
		return plain(a, func(to []byte, row int) ([]byte, error) {
			from, end := held.ValueOffsets(row)
			to = binary.BigEndian.AppendUint32(to, uint32(end-from)) //nolint:gosec // Arrow's offsets are int32
			var err error
			for k := int(from); k < int(end) && err == nil; k++ {
				if to, err = appendField(to, key, k); err == nil {
					to, err = appendField(to, item, k)
				}
			}
			return to, err
		})
	}, ok && ok2
}
