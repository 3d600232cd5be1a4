package wire

import (
	"errors"
	"fmt"

	flatbuffers "github.com/google/flatbuffers/go"
)

// layout is what the batches of a schema consist of.
type layout struct {
	rows         shape
	dictionaries map[int64]*shape
}

// shape is the number of arrays at all depths, of their buffers, and of those that are views. The buffers that views refer to
// are a batch's own affair.
type shape struct{ nodes, buffers, views int }

// The types of Schema.fbs that need more than their number of buffers.
const (
	typeTimestamp  = 10
	typeUnion      = 14
	typeBinaryView = 23
	typeUtf8View   = 24
)

// buffersOf is the number of buffers of each type in the order of Schema.fbs, validity included; a dense union has one more.
var buffersOf = [...]int{
	0,    // none
	0,    // null
	2, 2, // int, floating point
	3, 3, // binary, utf8
	2,       // bool
	2,       // decimal
	2, 2, 2, // date, time, timestamp
	2,    // interval
	2,    // list
	1,    // struct
	1,    // union
	2,    // fixed size binary
	1,    // fixed size list
	2,    // map
	2,    // duration
	3, 3, // large binary, large utf8
	2,    // large list
	0,    // run-end encoded
	2, 2, // binary view, utf8 view
	3, 3, // list view, large list view
}

// layoutOf reads a Schema.
func (r rules) layoutOf(schema table) (*layout, error) {
	if schema.GetInt16Slot(4, 0) != 0 && !r.bigEndian {
		return nil, errors.New("big-endian values, only little-endian ones are allowed")
	}
	l := &layout{dictionaries: map[int64]*shape{}}
	w := &walk{layout: l, texts: budget{left: 4 * len(schema.Bytes)}}
	if err := w.texts.keyValues(schema, 8); err != nil {
		return nil, err
	}
	return l, w.children(schema, 6, &l.rows, 1)
}

// walk goes through the fields of a schema.
type walk struct {
	*layout
	fields int
	texts  budget
}

func (w *walk) children(t table, slot flatbuffers.VOffsetT, in *shape, depth int) error {
	start, n, err := t.vector(slot, flatbuffers.SizeUOffsetT)
	if err != nil {
		return err
	}
	if w.fields += n; w.fields > maxFields || n > 0 && depth > maxDepth {
		return fmt.Errorf("a schema of more than %d fields or %d levels", maxFields, maxDepth)
	}
	for i := range n {
		if err := w.field(t.element(start, i), in, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) field(t table, in *shape, depth int) error {
	if err := w.texts.take(t, 4, 1); err != nil {
		return err
	}
	if err := w.texts.keyValues(t, 16); err != nil {
		return err
	}
	if encoding, ok := t.child(12); ok {
		in.nodes, in.buffers = in.nodes+1, in.buffers+2 // the indices; the type is the dictionary's
		in = &shape{}
		w.dictionaries[encoding.GetInt64Slot(4, 0)] = in
	}
	if err := w.array(t, in); err != nil {
		return err
	}
	return w.children(t, 14, in, depth+1)
}

// array counts the field's own array.
func (w *walk) array(field table, in *shape) error {
	kind := int(field.GetByteSlot(8, 0))
	parameters, ok := field.child(10)
	if !ok || kind == 0 || kind >= len(buffersOf) {
		return fmt.Errorf("a field of type %d, 1 to %d are known", kind, len(buffersOf)-1)
	}
	in.nodes++
	in.buffers += buffersOf[kind]
	switch kind {
	case typeTimestamp:
		return w.texts.take(parameters, 6, 1)
	case typeUnion:
		in.buffers += int(parameters.GetInt16Slot(4, 0) & 1)
		return w.texts.take(parameters, 6, flatbuffers.SizeInt32)
	case typeBinaryView, typeUtf8View:
		in.views++
	}
	return nil
}

// budget is how many bytes Arrow may copy out of a schema. Many fields may point to one text, so that the sum can be far more
// than the message; honest writers repeat a few short ones at most.
type budget struct{ left int }

// take counts a text or another vector.
func (b *budget) take(t table, slot flatbuffers.VOffsetT, width int) error {
	_, n, err := t.vector(slot, width)
	if err != nil {
		return err
	}
	if b.left -= n*width + 1; b.left < 0 {
		return errors.New("texts that are longer than the metadata they are in")
	}
	return nil
}

// keyValues counts a vector of pairs of texts.
func (b *budget) keyValues(t table, slot flatbuffers.VOffsetT) error {
	start, n, err := t.vector(slot, flatbuffers.SizeUOffsetT)
	if err != nil {
		return err
	}
	for i := range n {
		pair := t.element(start, i)
		if err := b.take(pair, 4, 1); err != nil {
			return err
		}
		if err := b.take(pair, 6, 1); err != nil {
			return err
		}
	}
	return nil
}
