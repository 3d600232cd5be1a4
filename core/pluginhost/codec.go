package pluginhost

import (
	"context"
	"fmt"
	"math"
	"strings"
	"unicode"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// sender encodes the batches that go to a plugin. Its user holds the session's sendMu.
type sender struct {
	encoders map[string]*encoder
	keys     map[string][]string // of streams whose schema the plugin was told in a plan
}

type encoder struct {
	*wire.Encoder
	version int
}

func newSender() sender {
	return sender{encoders: map[string]*encoder{}, keys: map[string][]string{}}
}

func (s *sender) close() {
	for _, e := range s.encoders {
		e.Close()
	}
	clear(s.encoders)
}

// know remembers the keys for the schema frames to come.
func (s *session) know(changes ...sdk.SchemaChange) {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	for _, c := range changes {
		s.out.keys[c.Stream] = c.Key
	}
}

// encoder returns the one for the batch, announcing the schema if its version is new.
func (s *session) encoder(ctx context.Context, b sdk.Batch) (*encoder, error) {
	last, known := s.out.encoders[b.Stream]
	if known && last.version == b.Version {
		return last, nil
	}
	if known && last.version > b.Version || b.Version < 1 || b.Version > math.MaxInt32 {
		return nil, fmt.Errorf("stream %q: a batch of schema version %d, expected version 1 or more, and none before the last one", b.Stream, b.Version)
	}
	message, err := wire.EncodeSchema(b.Record.Schema())
	if err != nil {
		return nil, err
	}
	err = s.transmit(ctx, &wire.Frame{
		Head: &pluginv1.Head{Kind: &pluginv1.Head_Schema{Schema: &pluginv1.Schema{
			Stream: b.Stream, Version: uint32(b.Version), Key: s.out.keys[b.Stream],
		}}},
		Body: wire.Bytes(message),
	})
	if err != nil {
		return nil, err
	}
	if known {
		last.Close()
	}
	e := &encoder{Encoder: wire.NewEncoder(b.Record.Schema()), version: b.Version}
	s.out.encoders[b.Stream] = e
	return e, nil
}

// maxPart is the size of a slice, as far as it can be told before encoding, that surely fits into a message.
const maxPart = wire.MaxMessage * 3 / 4

// parts cuts a batch for the wire. A cut by the average row may leave several large rows together, so parts are halved until
// they fit. The caller releases them.
func parts(record arrow.RecordBatch) []arrow.RecordBatch {
	var out []arrow.RecordBatch
	_ = wire.Cut(record, func(part arrow.RecordBatch) error {
		out = halve(out, part)
		return nil
	})
	return out
}

// halve adds a part, or its halves if it is too large.
func halve(out []arrow.RecordBatch, part arrow.RecordBatch) []arrow.RecordBatch {
	rows := part.NumRows()
	if rows < 2 || wire.Size(part) <= maxPart {
		part.Retain()
		return append(out, part)
	}
	for _, half := range []arrow.RecordBatch{part.NewSlice(0, rows/2), part.NewSlice(rows/2, rows)} {
		out = halve(out, half)
		half.Release()
	}
	return out
}

// receiver decodes the batches that come from a plugin and checks what it says about them.
type receiver struct {
	inst     Instance
	alloc    memory.Allocator
	decoders map[string]*decoder
}

type decoder struct {
	*wire.Decoder
	version int
}

func newReceiver(inst Instance, alloc memory.Allocator) receiver {
	return receiver{inst: inst, alloc: alloc, decoders: map[string]*decoder{}}
}

func (r *receiver) close() {
	for _, d := range r.decoders {
		d.Close()
	}
	clear(r.decoders)
}

// schema begins a version of a stream.
func (r *receiver) schema(head *pluginv1.Schema, body wire.Body) (sdk.SchemaChange, error) {
	name, version := head.GetStream(), int64(head.GetVersion())
	if err := checkName(name); err != nil {
		return sdk.SchemaChange{}, r.inst.violation("%v", err)
	}
	last, known := r.decoders[name]
	if !known && len(r.decoders) >= maxStreams {
		return sdk.SchemaChange{}, r.inst.violation("stream %q is one more than the %d that are allowed", name, maxStreams)
	}
	if version < 1 || version > math.MaxInt32 || known && version <= int64(last.version) {
		return sdk.SchemaChange{}, r.inst.violation("stream %q: schema version %d, expected one after the last", name, version)
	}
	d, err := wire.NewDecoder(body.Join(), r.alloc)
	if err != nil {
		return sdk.SchemaChange{}, r.inst.violation("stream %q: %v", name, err)
	}
	if err := checkColumns(d.Schema(), head.GetKey()); err != nil {
		d.Close()
		return sdk.SchemaChange{}, r.inst.violation("stream %q: %v", name, err)
	}
	if known {
		last.Close()
	}
	r.decoders[name] = &decoder{Decoder: d, version: int(version)}
	return sdk.SchemaChange{Stream: name, Version: int(version), Schema: d.Schema(), Key: head.GetKey()}, nil
}

// batch decodes rows of a version that has begun. The caller owns the record.
func (r *receiver) batch(head *pluginv1.Batch, body wire.Body) (sdk.Batch, error) {
	d, known := r.decoders[head.GetStream()]
	if !known || int64(d.version) != int64(head.GetVersion()) {
		return sdk.Batch{}, r.inst.violation("stream %.60q: a batch of schema version %d, whose schema did not come before it",
			head.GetStream(), head.GetVersion())
	}
	record, err := d.Decode(body.Join())
	if err != nil {
		return sdk.Batch{}, r.inst.violation("stream %q: %v", head.GetStream(), err)
	}
	if rows := record.NumRows(); uint64(rows) != head.GetRows() { //nolint:gosec // rows are never negative
		record.Release()
		return sdk.Batch{}, r.inst.violation("stream %q: a batch of %d rows was announced with %d", head.GetStream(), rows, head.GetRows())
	}
	return sdk.Batch{Stream: head.GetStream(), Version: d.version, Origin: cut(head.GetOrigin()), Record: record}, nil
}

// What a plugin may name: text for people and files, and not a way to fill the host's memory.
const (
	maxName    = 512 // bytes of a stream's or a column's name
	maxStreams = 10_000
)

// checkName refuses names of streams that nobody could write in a file or read in a log.
func checkName(name string) error {
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("stream name %.60q: expected 1 to %d bytes of printable text", name, maxName)
	}
	return nil
}

// checkColumns refuses schemas in which a column can't be found by its name.
func checkColumns(schema *arrow.Schema, key []string) error {
	seen := make(map[string]bool, schema.NumFields())
	for _, field := range schema.Fields() {
		if field.Name == "" || len(field.Name) > maxName || seen[field.Name] {
			return fmt.Errorf("column name %.60q is empty, longer than %d bytes or there twice", field.Name, maxName)
		}
		seen[field.Name] = true
	}
	for _, column := range key {
		if !seen[column] {
			return fmt.Errorf("key column %.60q is not a column, or there twice", column)
		}
		seen[column] = false
	}
	return nil
}

// schemaOf decodes a schema that travels in a plan or a listing.
func schemaOf(message []byte, key []string) (*arrow.Schema, error) {
	schema, err := wire.DecodeSchema(message)
	if err != nil {
		return nil, err
	}
	return schema, checkColumns(schema, key)
}
