package wire

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// smallPiece is the size below which a piece of an IPC message is copied instead of lent.
const smallPiece = 4 << 10

// Encoder turns the batches of one stream and version into IPC messages. Not safe for concurrent use.
type Encoder struct {
	schema *arrow.Schema
	out    *pieces
	ipc    *ipc.Writer
}

// NewEncoder makes an encoder for batches of the schema. What it allocates itself (offsets of a slice, for instance) comes from
// Go's heap, because an encoded body may outlive the message that the Arrow writer frees.
func NewEncoder(schema *arrow.Schema) *Encoder {
	out := &pieces{}
	return &Encoder{
		schema: schema,
		out:    out,
		ipc:    ipc.NewWriterWithPayloadWriter(out, ipc.WithSchema(schema), ipc.WithAllocator(memory.NewGoAllocator())),
	}
}

// Schema is the schema that every batch must have.
func (e *Encoder) Schema() *arrow.Schema { return e.schema }

// Encode returns the messages of one batch (dictionaries that changed, then the rows). The body refers to the batch's buffers
// and keeps them until it is released; the batch stays the caller's.
func (e *Encoder) Encode(batch arrow.RecordBatch) (Body, error) {
	batch, err := rebased(batch)
	if err != nil {
		return Body{}, fmt.Errorf("encode a batch: %w", err)
	}
	if err := e.ipc.Write(batch); err != nil {
		e.out.take()
		batch.Release()
		return Body{}, fmt.Errorf("encode a batch: %w", err)
	}
	body := e.out.take()
	body.release = batch.Release
	return body, nil
}

// Close frees the dictionaries that the encoder remembers.
func (e *Encoder) Close() {
	_ = e.ipc.Close()
	e.out.take()
}

// pieces is an ipc.PayloadWriter that keeps messages as slices: small ones copied, large ones borrowed from the Arrow buffers.
// The schema message is dropped: it travels in its own frame.
type pieces struct {
	slices [][]byte
	begun  bool
}

func (p *pieces) Start() error { return nil }
func (p *pieces) Close() error { return nil }

func (p *pieces) WritePayload(payload ipc.Payload) error {
	if !p.begun {
		p.begun = true
		return nil
	}
	_, err := payload.WritePayload(p)
	return err
}

func (p *pieces) Write(b []byte) (int, error) {
	if len(b) >= smallPiece {
		p.slices = append(p.slices, slices.Clip(b))
		return len(b), nil
	}
	if last := len(p.slices) - 1; last >= 0 && cap(p.slices[last])-len(p.slices[last]) >= len(b) {
		p.slices[last] = append(p.slices[last], b...)
		return len(b), nil
	}
	p.slices = append(p.slices, append(make([]byte, 0, smallPiece), b...))
	return len(b), nil
}

func (p *pieces) take() Body {
	body := Body{Pieces: p.slices}
	p.slices = nil
	return body
}

// EncodeSchema returns the schema as one encapsulated IPC message.
func EncodeSchema(schema *arrow.Schema) ([]byte, error) {
	payload := ipc.GetSchemaPayload(schema, memory.DefaultAllocator)
	defer payload.Release()
	var out bytes.Buffer
	if _, err := payload.WritePayload(&out); err != nil {
		return nil, fmt.Errorf("encode a schema: %w", err)
	}
	return out.Bytes(), nil
}
