package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// ErrMalformed marks bytes that are not what the protocol allows.
var ErrMalformed = errors.New("malformed Arrow IPC message")

// Decoder turns the IPC messages of one stream and version back into batches. The batches point into the bytes given to
// Decode, which must not be changed afterwards. Not safe for concurrent use.
type Decoder struct {
	in  *messages
	ipc *ipc.Reader
}

// NewDecoder reads the schema message that begins a stream.
func NewDecoder(schema []byte, alloc memory.Allocator) (*Decoder, error) {
	in := &messages{data: schema}
	r, err := ipc.NewReaderFromMessageReader(in, ipc.WithAllocator(alloc), ipc.WithEnsureNativeEndian(false))
	if err != nil {
		return nil, fmt.Errorf("%w: schema: %w", ErrMalformed, err)
	}
	if len(in.data) > 0 {
		return nil, fmt.Errorf("%w: %d bytes behind the schema", ErrMalformed, len(in.data))
	}
	if err := validateTypes(r.Schema().Fields()); err != nil {
		return nil, fmt.Errorf("%w: schema: %w", ErrMalformed, err)
	}
	return &Decoder{in: in, ipc: r}, nil
}

// DecodeSchema reads a schema message alone.
func DecodeSchema(message []byte) (*arrow.Schema, error) {
	d, err := NewDecoder(message, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Schema(), nil
}

// Schema is the schema of every batch.
func (d *Decoder) Schema() *arrow.Schema { return d.ipc.Schema() }

// Decode returns the one batch that the messages hold. The caller releases it.
func (d *Decoder) Decode(body []byte) (batch arrow.RecordBatch, err error) {
	defer func() {
		if p := recover(); p != nil {
			batch, err = nil, fmt.Errorf("%w: %v", ErrMalformed, p)
		}
	}()
	d.in.data = body
	if !d.ipc.Next() {
		err := d.ipc.Err()
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(d.in.data) > 0 {
		return nil, fmt.Errorf("%w: %d bytes behind the batch", ErrMalformed, len(d.in.data))
	}
	batch = d.ipc.RecordBatch()
	if err := validate(batch); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	batch.Retain()
	return batch, nil
}

// Close frees the dictionaries.
func (d *Decoder) Close() { d.ipc.Release() }

// messages is an ipc.MessageReader over bytes at hand: it hands out slices of them instead of copies.
type messages struct {
	data   []byte
	layout *layout // of the schema, once it has been read
}

func (*messages) Retain()  {}
func (*messages) Release() {}

const continuation = 0xFFFFFFFF

// Message implements ipc.MessageReader.
func (m *messages) Message() (*ipc.Message, error) {
	if len(m.data) == 0 {
		return nil, io.EOF
	}
	if len(m.data) < 8 || binary.LittleEndian.Uint32(m.data) != continuation {
		return nil, errors.New("no continuation marker")
	}
	size := int64(binary.LittleEndian.Uint32(m.data[4:]))
	meta, err := m.cut(8, size)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	size, m.layout, err = protocolRules.inspect(meta, m.layout)
	if err != nil {
		return nil, err
	}
	body, err := m.cut(0, size)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return ipc.NewMessage(memory.NewBufferBytes(meta), memory.NewBufferBytes(body)), nil
}

// cut removes skip and then size bytes from the front and returns the latter.
func (m *messages) cut(skip, size int64) ([]byte, error) {
	if size < 0 || size > int64(len(m.data))-skip {
		return nil, fmt.Errorf("%d bytes announced, %d there", size, int64(len(m.data))-skip)
	}
	part := m.data[skip : skip+size : skip+size]
	m.data = m.data[skip+size:]
	return part, nil
}
