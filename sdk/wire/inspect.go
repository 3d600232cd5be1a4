package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	flatbuffers "github.com/google/flatbuffers/go"
)

// Inspector looks at the metadata of Arrow IPC messages that do not come over the protocol, such as those in a file, before Arrow's
// reader believes them: that reader allocates and recurses by the numbers in them. It allows what the protocol does not: compressed
// bodies, dictionary deltas, big-endian values and the metadata of version 4. Not safe for concurrent use.
type Inspector struct{ layout *layout }

// Block is where a message lies in a file: the metadata with its prefix, then the body.
type Block struct {
	Offset   int64
	Metadata int32
	Body     int64
}

var fileRules = rules{oldest: metadataV4, rows: maxLength, compressed: true, deltas: true, bigEndian: true}

// Message checks the metadata of the next message, without its prefix, and returns the size of its body. The first is the schema.
func (i *Inspector) Message(metadata []byte) (body int64, err error) {
	err = readable(func() (err error) {
		body, i.layout, err = fileRules.inspect(metadata, i.layout)
		return err
	})
	if err == nil && body < 0 {
		err = fmt.Errorf("%w: a body of %d bytes", ErrMalformed, body)
	}
	return body, err
}

// Block checks the metadata of a message in a file, with its prefix.
func (i *Inspector) Block(data []byte) error {
	prefix := 4
	if len(data) >= 8 && binary.LittleEndian.Uint32(data) == continuation {
		prefix = 8
	}
	if len(data) < prefix {
		return fmt.Errorf("%w: metadata of %d bytes", ErrMalformed, len(data))
	}
	_, err := i.Message(data[prefix:])
	return err
}

// Footer takes the schema from the footer of a file, and says where its messages are.
func (i *Inspector) Footer(footer []byte) (dictionaries, batches []Block, err error) {
	err = readable(func() (err error) {
		root := table{flatbuffers.Table{Bytes: footer, Pos: flatbuffers.GetUOffsetT(footer)}}
		schema, ok := root.child(6)
		if !ok {
			return errors.New("a footer without a schema")
		}
		if i.layout, err = fileRules.layoutOf(schema); err != nil {
			return err
		}
		if dictionaries, err = root.blocks(8); err != nil {
			return err
		}
		batches, err = root.blocks(10)
		return err
	})
	return dictionaries, batches, err
}

// blocks reads a vector of the structs of https://github.com/apache/arrow/blob/main/format/File.fbs.
func (t table) blocks(slot flatbuffers.VOffsetT) ([]Block, error) {
	const width = 24
	start, n, err := t.vector(slot, width)
	if err != nil {
		return nil, err
	}
	out := make([]Block, n)
	for i := range out {
		at := int(start) + i*width
		out[i] = Block{
			Offset: flatbuffers.GetInt64(t.Bytes[at:]), Metadata: flatbuffers.GetInt32(t.Bytes[at+8:]),
			Body: flatbuffers.GetInt64(t.Bytes[at+16:]),
		}
	}
	return out, nil
}

// readable makes an error of the panic with which flatbuffers meet an offset that points outside.
func readable(read func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: %v", ErrMalformed, cause)
		}
	}()
	if err := read(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}
