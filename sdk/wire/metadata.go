package wire

import (
	"errors"
	"fmt"

	flatbuffers "github.com/google/flatbuffers/go"
)

// What the metadata of a message may announce. Arrow's reader allocates and recurses by these numbers before it looks at the
// bytes behind them, and running out of memory or stack can't be caught as a panic can.
const (
	maxDepth  = 64              // of nested types; Arrow's own writers stop there
	maxFields = 1 << 16         // of a schema, nested ones included
	maxLength = MaxMessage << 3 // of an array at any depth: one bit each
)

// Kinds of messages and the current version of https://github.com/apache/arrow/blob/main/format/Message.fbs. The slots are that
// file's and Schema.fbs's.
const (
	messageSchema     = 1
	messageDictionary = 2
	messageBatch      = 3

	metadataV4 = 3
	metadataV5 = 4
)

// rules are what may be in a message, and differ between the protocol and files.
type rules struct {
	oldest     int16 // version of the metadata
	rows       int64 // of a batch
	compressed bool
	deltas     bool // of dictionaries
	bigEndian  bool
}

var protocolRules = rules{oldest: metadataV5, rows: MaxRows}

// inspect checks the metadata of a message against the layout that the schema gave, which is nil before the schema. It returns
// the size of the body, and the layout if the message is the schema. It panics, as flatbuffers do, where offsets point outside.
func (r rules) inspect(metadata []byte, known *layout) (body int64, given *layout, err error) {
	root := table{flatbuffers.Table{Bytes: metadata, Pos: flatbuffers.GetUOffsetT(metadata)}}
	kind, body := root.GetByteSlot(6, 0), root.GetInt64Slot(10, 0)
	header, ok := root.child(8)
	if version := root.GetInt16Slot(4, 0); !ok || version < r.oldest || version > metadataV5 {
		return 0, nil, fmt.Errorf("a message of type %d without a header of version 5", kind)
	}
	given = known
	switch {
	case kind == messageSchema && known == nil:
		given, err = r.layoutOf(header)
	case kind == messageBatch && known != nil:
		err = r.check(&known.rows, header, body, r.rows)
	case kind == messageDictionary && known != nil:
		err = r.checkDictionary(known, header, body)
	default:
		err = fmt.Errorf("a message of type %d, expected a schema first, then dictionaries and batches", kind)
	}
	if err != nil {
		return 0, nil, err
	}
	texts := budget{left: 4 * len(metadata)}
	return body, given, texts.keyValues(root, 12)
}

func (r rules) checkDictionary(l *layout, t table, body int64) error {
	if t.GetBoolSlot(8, false) && !r.deltas {
		return errors.New("a dictionary delta, only whole dictionaries are allowed")
	}
	id := t.GetInt64Slot(4, 0)
	values, ok := l.dictionaries[id]
	if !ok {
		return fmt.Errorf("a dictionary %d, which no field has", id)
	}
	data, ok := t.child(6)
	if !ok {
		return errors.New("a dictionary without values")
	}
	return r.check(values, data, body, maxLength)
}

// check looks at a RecordBatch: Arrow's reader takes as many nodes and buffers as the schema asks for, even past the vectors.
func (r rules) check(s *shape, t table, body, maxRows int64) error {
	if rows := t.GetInt64Slot(4, 0); rows < 0 || rows > maxRows {
		return fmt.Errorf("a batch of %d rows, at most %d are allowed", rows, maxRows)
	}
	if _, compressed := t.child(10); compressed && !r.compressed {
		return errors.New("a compressed batch, only plain ones are allowed")
	}
	nodes, err := t.pairs(6, func(length, nulls int64) error {
		if length < 0 || length > maxLength || nulls < 0 || nulls > length {
			return fmt.Errorf("an array of %d values and %d nulls", length, nulls)
		}
		return nil
	})
	if err != nil {
		return err
	}
	buffers, err := t.pairs(8, func(offset, size int64) error {
		if offset < 0 || size < 0 || offset > body || size > body-offset {
			return fmt.Errorf("a buffer of %d bytes at %d in a body of %d", size, offset, body)
		}
		return nil
	})
	if err != nil {
		return err
	}
	views, extra, err := viewBuffers(t, int64(buffers))
	if err != nil {
		return err
	}
	if got := (shape{nodes: nodes, buffers: buffers - extra, views: views}); got != *s {
		return fmt.Errorf("%d arrays with %d buffers, %d of them of views, the schema asks for %d, %d and %d",
			got.nodes, got.buffers, got.views, s.nodes, s.buffers, s.views)
	}
	return nil
}

// viewBuffers is the number of arrays of views, and of the buffers that they refer to.
func viewBuffers(t table, buffers int64) (views, extra int, err error) {
	start, views, err := t.vector(12, flatbuffers.SizeInt64)
	if err != nil {
		return 0, 0, err
	}
	for i := range views {
		count := flatbuffers.GetInt64(t.Bytes[int(start)+i*flatbuffers.SizeInt64:])
		if count < 0 || count > buffers {
			return 0, 0, fmt.Errorf("views into %d buffers, the batch has %d", count, buffers)
		}
		extra += int(count)
	}
	return views, extra, nil
}
