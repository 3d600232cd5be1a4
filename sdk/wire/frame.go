package wire

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that Codec hands all other messages to
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Frame is one message of a stream: what it is and, for schemas and batches, whole Arrow IPC messages.
// On the wire it equals the protobuf message qanat.plugin.v1.Frame.
type Frame struct {
	Head *pluginv1.Head
	Body Body
}

// Body is a run of bytes in pieces. The pieces may point into Arrow buffers; release, if set, is called once the bytes are not
// needed any more.
type Body struct {
	Pieces  [][]byte
	release func()
}

// Bytes makes a body of one piece.
func Bytes(b []byte) Body { return Body{Pieces: [][]byte{b}} }

// Len is the number of bytes.
func (b Body) Len() int {
	n := 0
	for _, p := range b.Pieces {
		n += len(p)
	}
	return n
}

// Join returns the bytes in one piece, copying only if there are several.
func (b Body) Join() []byte {
	if len(b.Pieces) == 1 {
		return b.Pieces[0]
	}
	joined := make([]byte, 0, b.Len())
	for _, p := range b.Pieces {
		joined = append(joined, p...)
	}
	return joined
}

// Release gives the bytes back. Sending a frame through Codec releases its body; whoever does not send it must call Release.
func (b Body) Release() {
	if b.release != nil {
		b.release()
	}
}

const (
	fieldHead = 1
	fieldBody = 2
)

// Codec is a gRPC codec that moves the body of a *Frame without copying it on the way out and with one copy on the way in.
// Every other message goes through gRPC's own protobuf codec, whose name it shares: the bytes on the wire are the same.
type Codec struct{}

// Name implements encoding.CodecV2.
func (Codec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	frame, ok := v.(*Frame)
	if !ok {
		return encoding.GetCodecV2("proto").Marshal(v)
	}
	var prefix []byte
	if frame.Head != nil {
		head, err := proto.Marshal(frame.Head)
		if err != nil {
			frame.Body.Release()
			return nil, err
		}
		prefix = protowire.AppendTag(prefix, fieldHead, protowire.BytesType)
		prefix = protowire.AppendBytes(prefix, head)
	}
	size := frame.Body.Len()
	if size == 0 {
		frame.Body.Release()
		return mem.BufferSlice{mem.SliceBuffer(prefix)}, nil
	}
	prefix = protowire.AppendTag(prefix, fieldBody, protowire.BytesType)
	prefix = protowire.AppendVarint(prefix, uint64(size)) //nolint:gosec // a length is never negative
	return append(mem.BufferSlice{mem.SliceBuffer(prefix)}, lend(frame.Body)...), nil
}

// lend hands the pieces to gRPC and releases the body when gRPC has freed them all.
func lend(body Body) mem.BufferSlice {
	slices := make(mem.BufferSlice, 0, len(body.Pieces))
	loan := &loan{body: body}
	loan.left.Store(1)
	for _, piece := range body.Pieces {
		if mem.IsBelowBufferPoolingThreshold(len(piece)) {
			slices = append(slices, mem.SliceBuffer(append([]byte(nil), piece...)))
			continue
		}
		loan.left.Add(1)
		slices = append(slices, mem.NewBuffer(&piece, loan))
	}
	loan.Put(nil)
	return slices
}

// loan counts the pieces that gRPC still holds; it stands in for a buffer pool because that is what a freed buffer returns to.
type loan struct {
	left atomic.Int64
	body Body
}

// Get implements mem.BufferPool; it is never called on a loan.
func (*loan) Get(length int) *[]byte {
	b := make([]byte, length)
	return &b
}

// Put implements mem.BufferPool.
func (l *loan) Put(*[]byte) {
	if l.left.Add(-1) == 0 {
		l.body.Release()
	}
}

// Unmarshal implements encoding.CodecV2.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error {
	frame, ok := v.(*Frame)
	if !ok {
		return unmarshalOther(data, v)
	}
	r := data.Reader()
	defer func() { _ = r.Close() }()
	*frame = Frame{Head: &pluginv1.Head{}}
	elements := MaxElements
	for r.Remaining() > 0 {
		if err := frame.field(r, &elements); err != nil {
			return fmt.Errorf("plugin frame: %w", err)
		}
	}
	return nil
}

func unmarshalOther(data mem.BufferSlice, v any) error {
	// A message of few bytes can't hold too many elements.
	if message, ok := v.(proto.Message); ok && data.Len() > 2*MaxElements {
		elements := MaxElements
		if err := checkElements(message, data.Materialize(), &elements); err != nil {
			return fmt.Errorf("plugin message: %w", err)
		}
	}
	return encoding.GetCodecV2("proto").Unmarshal(data, v)
}

func (f *Frame) field(r *mem.Reader, elements *int) error {
	tag, err := uvarint(r)
	if err != nil {
		return err
	}
	number, kind := protowire.DecodeTag(tag)
	if !number.IsValid() {
		return fmt.Errorf("field number %d, it should be from 1 to %d", number, protowire.MaxValidNumber)
	}
	if number != fieldHead && number != fieldBody {
		return skip(r, number, kind)
	}
	if kind != protowire.BytesType {
		return fmt.Errorf("field %d has wire type %d, it should be length-delimited", number, kind)
	}
	size, err := length(r, number)
	if err != nil {
		return err
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return err
	}
	if number == fieldBody {
		f.Body = Bytes(data)
		return nil
	}
	if err := checkElements(f.Head, data, elements); err != nil {
		return err
	}
	return proto.UnmarshalOptions{Merge: true}.Unmarshal(data, f.Head)
}

// skip passes over a field that a later version of the protocol has added. Groups are of proto2 and never come.
func skip(r *mem.Reader, number protowire.Number, kind protowire.Type) error {
	size := 0
	var err error
	switch kind {
	case protowire.VarintType:
		_, err = uvarint(r)
	case protowire.Fixed32Type:
		size = 4
	case protowire.Fixed64Type:
		size = 8
	case protowire.BytesType:
		size, err = length(r, number)
	default:
		err = fmt.Errorf("field %d has wire type %d, which is not allowed", number, kind)
	}
	if err != nil {
		return err
	}
	if skipped, _ := r.Discard(size); skipped < size {
		return io.ErrUnexpectedEOF
	}
	return nil
}

func length(r *mem.Reader, number protowire.Number) (int, error) {
	size, err := uvarint(r)
	if err != nil {
		return 0, err
	}
	if size > uint64(r.Remaining()) { //nolint:gosec // Remaining is never negative
		return 0, fmt.Errorf("field %d of %d bytes ends past the message", number, size)
	}
	return int(size), nil //nolint:gosec // bounded by Remaining
}

func uvarint(r io.ByteReader) (uint64, error) {
	var value uint64
	for shift := uint(0); shift < 64; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, io.ErrUnexpectedEOF
		}
		if shift == 63 && b > 1 {
			break
		}
		value |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return value, nil
		}
	}
	return 0, errors.New("a number longer than 64 bits")
}
