package flow

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
)

// The kinds of frames in a flow's log. Schema and batch frames are the same Arrow IPC messages as between plugins; every unit
// begins its streams anew, so that it can be read without what lies before it.
const (
	frameTakeover   = "takeover"   // control: a runner began; units that are not closed before it are void
	frameEnd        = "end"        // control: the runner's producing half ended; frames behind the last closed unit are void
	frameClose      = "close"      // control: the unit ends, the body is a closeFrame
	frameSchema     = "schema"     // a version of a stream
	frameBatch      = "batch"      // rows of a stream and version
	frameQuarantine = "quarantine" // rejected rows: a JSON array
)

const (
	keyKind    = "kind"
	keyStream  = "stream"
	keyVersion = "version"
	keyOrigin  = "origin"
	keyKeys    = "keys"
)

// closeFrame is the body of the frame that closes a unit.
type closeFrame struct {
	Seq   int64  `json:"seq"`
	First uint64 `json:"first"` // log sequence of the unit's first frame; the close frame's own if there is none before it
	// Rows are the rows of each stream; streams without rows are not in it.
	Rows     map[string]int64 `json:"rows"`
	Rejected int64            `json:"rejected"`
	// Fingerprint names what made the unit, see Settings.made.
	Fingerprint string `json:"fingerprint,omitempty"`
	closing
}

func controlFrame(kind string, body any) (broker.Frame, error) {
	doc, err := json.Marshal(body)
	if err != nil {
		return broker.Frame{}, err
	}
	return broker.Frame{Control: true, Header: map[string]string{keyKind: kind}, Body: [][]byte{doc}}, nil
}

func parseClose(m broker.Message) (closeFrame, error) {
	var frame closeFrame
	if err := json.Unmarshal(m.Body, &frame); err != nil {
		return closeFrame{}, fmt.Errorf("the close frame at log sequence %d is damaged: %w", m.First, err)
	}
	return frame, nil
}

func schemaFrame(c sdk.SchemaChange) (broker.Frame, error) {
	message, err := wire.EncodeSchema(c.Schema)
	if err != nil {
		return broker.Frame{}, err
	}
	keys, err := json.Marshal(c.Key)
	if err != nil {
		return broker.Frame{}, err
	}
	return broker.Frame{Body: [][]byte{message}, Header: map[string]string{
		keyKind: frameSchema, keyStream: c.Stream, keyVersion: strconv.Itoa(c.Version), keyKeys: string(keys),
	}}, nil
}

func batchFrame(b sdk.Batch, body wire.Body) broker.Frame {
	return broker.Frame{Body: body.Pieces, Header: map[string]string{
		keyKind: frameBatch, keyStream: b.Stream, keyVersion: strconv.Itoa(b.Version), keyOrigin: b.Origin,
	}}
}

func quarantineFrame(rows []quarantine.Rejected) (broker.Frame, error) {
	doc, err := json.Marshal(rows)
	if err != nil {
		return broker.Frame{}, err
	}
	return broker.Frame{Body: [][]byte{doc}, Header: map[string]string{keyKind: frameQuarantine}}, nil
}

// frames decodes the schema and batch frames of one unit.
type frames struct {
	streams map[string]*stream
	runtime *Runtime
}

type stream struct {
	change  sdk.SchemaChange
	decoder *wire.Decoder
}

func newFrames(r *Runtime) *frames { return &frames{streams: map[string]*stream{}, runtime: r} }

// schema takes a schema frame.
func (f *frames) schema(m broker.Message) (sdk.SchemaChange, error) {
	name := m.Header[keyStream]
	version, err := strconv.Atoi(m.Header[keyVersion])
	if err != nil {
		return sdk.SchemaChange{}, fmt.Errorf("log sequence %d: schema version: %w", m.First, err)
	}
	decoder, err := wire.NewDecoder(m.Body, f.runtime.Alloc)
	if err != nil {
		return sdk.SchemaChange{}, fmt.Errorf("log sequence %d: %w", m.First, err)
	}
	change := sdk.SchemaChange{Stream: name, Version: version, Schema: decoder.Schema()}
	if err := json.Unmarshal([]byte(m.Header[keyKeys]), &change.Key); err != nil {
		decoder.Close()
		return sdk.SchemaChange{}, fmt.Errorf("log sequence %d: key: %w", m.First, err)
	}
	if last := f.streams[name]; last != nil {
		last.decoder.Close()
	}
	f.streams[name] = &stream{change: change, decoder: decoder}
	return change, nil
}

// batch decodes a batch frame; the caller owns the record.
func (f *frames) batch(m broker.Message) (sdk.Batch, error) {
	s := f.streams[m.Header[keyStream]]
	if s == nil || strconv.Itoa(s.change.Version) != m.Header[keyVersion] {
		return sdk.Batch{}, fmt.Errorf("log sequence %d: a batch of %q version %s without its schema",
			m.First, m.Header[keyStream], m.Header[keyVersion])
	}
	record, err := s.decoder.Decode(m.Body)
	if err != nil {
		return sdk.Batch{}, fmt.Errorf("log sequence %d: %w", m.First, err)
	}
	return sdk.Batch{Stream: s.change.Stream, Version: s.change.Version, Origin: m.Header[keyOrigin], Record: record}, nil
}

func (f *frames) close() {
	for _, s := range f.streams {
		s.decoder.Close()
	}
	clear(f.streams)
}
