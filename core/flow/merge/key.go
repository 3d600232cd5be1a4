package merge

import (
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// keyColumn is how the values of one key column are encoded. Equal values give equal bytes. Integers take eight bytes whatever their
// width, so that a column may become wider within a unit.
type keyColumn struct {
	at      int // among the columns of the merge
	field   arrow.Field
	width   int // bytes of the encoding; 0: any number, behind their length
	stored  int // bytes of a stored value
	integer bool
	signed  bool
	boolean bool
}

func newKeyColumn(at int, f arrow.Field) (keyColumn, error) {
	k := keyColumn{at: at, field: f}
	dt := storageType(f.Type)
	switch dt.ID() {
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64:
		k.width, k.integer, k.signed = 8, true, true
	case arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64:
		k.width, k.integer = 8, true
	case arrow.BOOL:
		k.width, k.boolean = 1, true
		return k, nil
	case arrow.STRING, arrow.BINARY:
		return k, nil
	case arrow.DECIMAL32, arrow.DECIMAL64, arrow.DECIMAL128, arrow.DECIMAL256, arrow.DATE32, arrow.DATE64,
		arrow.TIME32, arrow.TIME64, arrow.TIMESTAMP, arrow.FIXED_SIZE_BINARY:
		k.width = dt.(arrow.FixedWidthDataType).Bytes()
	default:
		return k, fmt.Errorf("key column %q is %s: expected an integer, decimal, text, binary, uuid, date, time, timestamp or boolean",
			f.Name, f.Type)
	}
	k.stored = dt.(arrow.FixedWidthDataType).Bytes()
	return k, nil
}

func storageType(dt arrow.DataType) arrow.DataType {
	if e, ok := dt.(arrow.ExtensionType); ok {
		return e.StorageType()
	}
	return dt
}

// keyCodec encodes keys to bytes and back.
type keyCodec struct {
	columns []keyColumn
	width   int // of all columns; 0 if one of them has no fixed width
}

func newKeyCodec(columns []keyColumn) keyCodec {
	c := keyCodec{columns: columns}
	for _, k := range columns {
		if k.width == 0 {
			c.width = 0
			return c
		}
		c.width += k.width
	}
	return c
}

// keys are the encoded keys of a batch's rows.
type keys struct {
	data    []byte
	width   int     // if fixed
	offsets []int   // else
	null    []int32 // by row: 1 + place of the first key column that is null; nil if there is none
}

func (k *keys) at(row int) []byte {
	if k.width > 0 {
		return k.data[row*k.width : (row+1)*k.width]
	}
	return k.data[k.offsets[row]:k.offsets[row+1]]
}

func (k *keys) isNull(row int) bool { return k.null != nil && k.null[row] != 0 }

// encode encodes the keys of rows whose key columns lie in views, in the order of the key. The bytes may be those of the views.
func (c *keyCodec) encode(views []view, rows int) keys {
	k := keys{width: c.width}
	k.null = nullKeys(views, rows)
	if only := c.columns[0]; len(c.columns) == 1 && only.stored == only.width && only.width > 0 {
		k.data = views[0].raw
		return k
	}
	if c.width > 0 {
		k.data = make([]byte, rows*c.width)
		at := 0
		for i, column := range c.columns {
			column.put(k.data[min(at, len(k.data)):], c.width, &views[i], rows)
			at += column.width
		}
		return k
	}
	c.encodeRows(&k, views, rows)
	return k
}

// encodeRows encodes keys of which a column has no fixed width: its length stands before it.
func (c *keyCodec) encodeRows(k *keys, views []view, rows int) {
	size := rows * 4
	for i, column := range c.columns {
		if column.width > 0 {
			size += rows * column.width
			continue
		}
		size += 4*rows + views[i].textBytes()
	}
	k.data = make([]byte, 0, size)
	k.offsets = make([]int, rows+1)
	var value [8]byte
	for row := range rows {
		for i := range c.columns {
			column := &c.columns[i]
			switch v := &views[i]; {
			case column.width > 0:
				n := len(k.data)
				k.data = k.data[:n+column.width]
				copy(k.data[n:], column.one(v, row, &value))
			case v.isNull(row):
				k.data = append(k.data, 0, 0, 0, 0)
			default:
				text := v.text(row)
				k.data = binary.BigEndian.AppendUint32(k.data, uint32(len(text))) //nolint:gosec // a value has less than 2 GiB
				k.data = append(k.data, text...)
			}
		}
		k.offsets[row+1] = len(k.data)
	}
}

// put writes a column's values of fixed width, each stride bytes behind the one before.
func (k *keyColumn) put(to []byte, stride int, v *view, rows int) {
	var value [8]byte
	for row := range rows {
		copy(to[row*stride:], k.one(v, row, &value))
	}
}

func (k *keyColumn) one(v *view, row int, scratch *[8]byte) []byte {
	if k.boolean {
		scratch[0] = 0
		if v.bit(row) {
			scratch[0] = 1
		}
		return scratch[:1]
	}
	stored := v.raw[row*k.stored : (row+1)*k.stored]
	if !k.integer || k.stored == 8 {
		return stored
	}
	var n uint64
	switch k.stored {
	case 1:
		n = uint64(stored[0])
	case 2:
		n = uint64(binary.LittleEndian.Uint16(stored))
	default:
		n = uint64(binary.LittleEndian.Uint32(stored))
	}
	if shift := 64 - 8*k.stored; k.signed {
		n = uint64(int64(n<<shift) >> shift) //nolint:gosec // extends the sign
	}
	binary.LittleEndian.PutUint64(scratch[:], n)
	return scratch[:]
}

func nullKeys(views []view, rows int) []int32 {
	var null []int32
	for i := range views {
		if !views[i].nulls {
			continue
		}
		if null == nil {
			null = make([]int32, rows)
		}
		for row := range rows {
			if null[row] == 0 && views[i].isNull(row) {
				null[row] = int32(i) + 1
			}
		}
	}
	return null
}

// decode makes the key columns of keys, which the caller releases.
func (c *keyCodec) decode(alloc memory.Allocator, count int, key func(i int) []byte) []arrow.Array {
	out := make([]arrow.Array, len(c.columns))
	rest := make([][]byte, count)
	for i := range rest {
		rest[i] = key(i)
	}
	for i := range c.columns {
		out[i] = c.columns[i].decode(alloc, rest)
	}
	return out
}

// decode takes the column's values from the front of each key.
func (k *keyColumn) decode(alloc memory.Allocator, rest [][]byte) arrow.Array {
	dt := storageType(k.field.Type)
	var data arrow.ArrayData
	switch {
	case k.boolean:
		b := array.NewBooleanBuilder(alloc)
		defer b.Release()
		b.Reserve(len(rest))
		for i, key := range rest {
			b.UnsafeAppend(key[0] != 0)
			rest[i] = key[1:]
		}
		return b.NewArray()
	case k.width == 0:
		b := array.NewBinaryBuilder(alloc, arrow.BinaryTypes.Binary)
		defer b.Release()
		for i, key := range rest {
			n := binary.BigEndian.Uint32(key)
			b.Append(key[4 : 4+n])
			rest[i] = key[4+n:]
		}
		a := b.NewArray()
		defer a.Release()
		data = array.NewData(k.field.Type, len(rest), a.Data().Buffers(), nil, 0, 0)
	default:
		values := newBuffer(alloc, len(rest)*k.stored)
		defer values.Release()
		to := values.Bytes()
		for i, key := range rest {
			copy(to[i*k.stored:], key[:k.stored]) // of an integer its low bytes
			rest[i] = key[k.width:]
		}
		data = array.NewData(dt, len(rest), []*memory.Buffer{nil, values}, nil, 0, 0)
		if dt != k.field.Type {
			storage := data
			data = array.NewData(k.field.Type, len(rest), []*memory.Buffer{nil, values}, nil, 0, 0)
			storage.Release()
		}
	}
	defer data.Release()
	return array.MakeFromData(data)
}

func newBuffer(alloc memory.Allocator, size int) *memory.Buffer {
	b := memory.NewResizableBuffer(alloc)
	b.Resize(size)
	return b
}
