package mask

import (
	"errors"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// nulls tells the rows of an array that are null.
type nulls struct {
	count  int
	bits   []byte // nil: no row is null
	offset int
}

// nullsOf looks at the values of unions, which have no nulls of their own.
func nullsOf(in arrow.Array) nulls {
	switch in.DataType().ID() {
	case arrow.NULL:
		return nulls{count: in.Len(), bits: make([]byte, bitutil.BytesForBits(int64(in.Len())))}
	case arrow.SPARSE_UNION, arrow.DENSE_UNION, arrow.DICTIONARY, arrow.RUN_END_ENCODED, arrow.EXTENSION:
		return logicalNulls(in)
	}
	if in.NullN() == 0 {
		return nulls{}
	}
	return nulls{count: in.NullN(), bits: in.NullBitmapBytes(), offset: in.Data().Offset()}
}

func logicalNulls(in arrow.Array) nulls {
	n := nulls{bits: make([]byte, bitutil.BytesForBits(int64(in.Len())))}
	isNull := nullTest(in)
	for i := range in.Len() {
		if isNull(i) {
			n.count++
			continue
		}
		bitutil.SetBit(n.bits, i)
	}
	if n.count == 0 {
		n.bits = nil
	}
	return n
}

func (n *nulls) at(i int) bool { return n.bits != nil && bitutil.BitIsNotSet(n.bits, n.offset+i) }

// bitmap copies the validity of length rows to an offset of zero; it is nil where no row is null.
func (n *nulls) bitmap(alloc memory.Allocator, length int) *memory.Buffer {
	if n.bits == nil {
		return nil
	}
	b := memory.NewResizableBuffer(alloc)
	b.Resize(int(bitutil.BytesForBits(int64(length))))
	bitutil.CopyBitmap(n.bits, n.offset, length, b.Bytes(), 0)
	return b
}

// texts are the values of an array of texts, or of dictionaries or runs of them, which they share memory with; those of null rows mean nothing.
type texts struct {
	plain  *array.String // or nil
	values []string
	size   int // bytes of all
}

func textsOf(in arrow.Array, nulls *nulls) texts {
	if a, ok := in.(*array.String); ok {
		return texts{plain: a, size: len(a.ValueBytes())}
	}
	t := texts{values: make([]string, in.Len())}
	leaf, row := leafOf(in)
	value := leaf.(interface{ Value(i int) string })
	for i := range t.values {
		if !nulls.at(i) {
			t.values[i] = value.Value(row(i))
			t.size += len(t.values[i])
		}
	}
	return t
}

func (t *texts) at(i int) string {
	if t.plain != nil {
		return t.plain.Value(i)
	}
	return t.values[i]
}

func isText(dt arrow.DataType) bool {
	return dt.ID() == arrow.STRING || dt.ID() == arrow.LARGE_STRING || dt.ID() == arrow.STRING_VIEW
}

// textWriter makes a utf8 array: room for a value, then next with its length, for each row.
type textWriter struct {
	alloc memory.Allocator
	ends  *memory.Buffer
	data  *memory.Buffer
	end   []int32
	bytes []byte // all that data has room for
	at    int
	row   int
}

// newTextWriter is for so many rows, and a first guess of the bytes in them.
func newTextWriter(alloc memory.Allocator, rows, size int) *textWriter {
	w := &textWriter{alloc: alloc, ends: memory.NewResizableBuffer(alloc), data: memory.NewResizableBuffer(alloc)}
	w.ends.Resize(arrow.Int32Traits.BytesRequired(rows + 1))
	w.end = arrow.Int32Traits.CastFromBytes(w.ends.Bytes())
	w.end[0] = 0
	w.grow(size)
	return w
}

func (w *textWriter) grow(size int) {
	w.data.Resize(size)
	w.bytes = w.data.Bytes()
}

// room returns n bytes to write the row's value to.
func (w *textWriter) room(n int) []byte {
	if len(w.bytes)-w.at < n {
		w.grow(max(2*len(w.bytes), w.at+n))
	}
	return w.bytes[w.at : w.at+n : w.at+n]
}

// next ends a row whose value has n bytes.
func (w *textWriter) next(n int) {
	w.at += n
	w.row++
	w.end[w.row] = int32(min(w.at, math.MaxInt32)) //nolint:gosec // bounded; finish refuses what doesn't fit
}

func (w *textWriter) text(s string) {
	copy(w.room(len(s)), s)
	w.next(len(s))
}

var errTooLong = errors.New("the masked values of a batch have more than 2 GiB; use smaller batches")

// finish returns the array and ends the writer.
func (w *textWriter) finish(n nulls) (arrow.Array, error) {
	defer w.release()
	if w.at > math.MaxInt32 {
		return nil, errTooLong
	}
	w.data.Resize(w.at)
	valid := n.bitmap(w.alloc, w.row)
	if valid != nil {
		defer valid.Release()
	}
	data := array.NewData(arrow.BinaryTypes.String, w.row, []*memory.Buffer{valid, w.ends, w.data}, nil, n.count, 0)
	defer data.Release()
	return array.MakeFromData(data), nil
}

func (w *textWriter) release() {
	w.ends.Release()
	w.data.Release()
}
