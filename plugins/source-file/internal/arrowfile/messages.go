package arrowfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/wire"
)

// What a message may announce. Nothing can be larger than the file either.
const (
	maxMetadata = 16 << 20
	maxBody     = 256 << 20
)

const continuation = 0xffffffff

// messages reads the messages of an Arrow stream and looks at each before Arrow's reader does. It implements ipc.MessageReader.
type messages struct {
	input   *input
	alloc   memory.Allocator
	inspect wire.Inspector
	last    *ipc.Message
}

// Retain implements ipc.MessageReader.
func (*messages) Retain() {}

// Release implements ipc.MessageReader.
func (m *messages) Release() {
	if m.last != nil {
		m.last.Release()
		m.last = nil
	}
}

// Message implements ipc.MessageReader. The message is valid until the next call.
func (m *messages) Message() (*ipc.Message, error) {
	m.Release()
	size, err := m.prefix()
	if err != nil {
		return nil, err
	}
	if size < 4 || size > min(maxMetadata, m.left()) {
		return nil, fmt.Errorf("a message with %d bytes of metadata, at most %d are allowed and %d are left", size, maxMetadata, m.left())
	}
	meta := make([]byte, size)
	if _, err := io.ReadFull(m.input, meta); err != nil {
		return nil, err
	}
	length, err := m.inspect.Message(meta)
	if err != nil {
		return nil, err
	}
	if length > min(maxBody, m.left()) {
		return nil, fmt.Errorf("a record batch of %d bytes, at most %d are allowed and %d are left", length, maxBody, m.left())
	}
	body := memory.NewResizableBuffer(m.alloc)
	defer body.Release()
	body.Resize(int(length))
	if _, err := io.ReadFull(m.input, body.Bytes()); err != nil {
		return nil, err
	}
	m.last = ipc.NewMessage(memory.NewBufferBytes(meta), body)
	return m.last, nil
}

// prefix is the size of the metadata, io.EOF at the end of the stream. Files of before Arrow 0.15 have no continuation marker.
func (m *messages) prefix() (int64, error) {
	size, err := m.number()
	if err == nil && size == continuation {
		size, err = m.number()
	}
	if err == nil && size == 0 {
		err = io.EOF
	}
	return int64(size), err
}

func (m *messages) number() (uint32, error) {
	var raw [4]byte
	_, err := io.ReadFull(m.input, raw[:])
	return binary.LittleEndian.Uint32(raw[:]), err
}

func (m *messages) left() int64 {
	at, err := m.input.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0
	}
	return m.input.Size() - at
}

// numbered reads the batches of an Arrow file from one on, and looks at each first.
type numbered struct {
	*ipc.FileReader
	input   *input
	inspect wire.Inspector
	batches []wire.Block
	next    int
}

// openNumbered inspects the footer and the dictionaries, which Arrow's reader takes in at once.
func openNumbered(in *input, next int, options ...ipc.Option) (*numbered, error) {
	n := &numbered{input: in, next: next}
	footer, err := readFooter(in)
	if err != nil {
		return nil, err
	}
	var dictionaries []wire.Block
	if dictionaries, n.batches, err = n.inspect.Footer(footer); err != nil {
		return nil, err
	}
	for _, b := range dictionaries {
		if err := n.look(b); err != nil {
			return nil, err
		}
	}
	n.FileReader, err = ipc.NewFileReader(in, options...)
	return n, err
}

// readFooter is what stands before its length and the magic at the end.
func readFooter(in *input) ([]byte, error) {
	end := in.Size() - int64(len(fileMagic)) - 4
	var raw [4]byte
	if _, err := in.ReadAt(raw[:], end); err != nil {
		return nil, fmt.Errorf("the file is too short: %w", err)
	}
	size := int64(binary.LittleEndian.Uint32(raw[:]))
	if size < 4 || size > min(maxMetadata, end) {
		return nil, fmt.Errorf("a footer of %d bytes, at most %d are allowed and %d are there", size, maxMetadata, end)
	}
	footer := make([]byte, size)
	_, err := in.ReadAt(footer, end-size)
	return footer, err
}

func (n *numbered) look(b wire.Block) error {
	if b.Offset < 0 || b.Metadata < 4 || b.Metadata > maxMetadata || b.Body < 0 || b.Body > maxBody {
		return fmt.Errorf("a message of %d and %d bytes, at most %d and %d are allowed", b.Metadata, b.Body, maxMetadata, maxBody)
	}
	meta := make([]byte, min(int64(b.Metadata), n.input.Size()))
	if _, err := n.input.ReadAt(meta, b.Offset); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return n.inspect.Block(meta)
}

// Read implements batches.
func (n *numbered) Read() (arrow.RecordBatch, error) {
	if n.next >= len(n.batches) {
		return nil, io.EOF
	}
	if err := n.look(n.batches[n.next]); err != nil {
		return nil, err
	}
	n.next++
	return n.RecordBatch(n.next - 1)
}
