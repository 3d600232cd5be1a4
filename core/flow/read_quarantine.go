package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
)

// RedriveSettings make a flow read rows of its own quarantine instead of its source or its datasets.
type RedriveSettings struct {
	Select quarantine.Selection
	// From has corrected rows; nil if there are none. Without another selection it also says which rows are meant.
	From       *quarantine.Corrections
	By, Reason string
	// Result is what the last session found; it belongs to the flow until Run has returned.
	Result Redrive
}

// Redrive is what became of a selection of quarantined rows.
type Redrive struct {
	Sent    int64            `json:"sent"`              // rows that went into the flow again
	Settled int64            `json:"settled"`           // rows that were released or dropped before
	Stuck   map[string]int64 `json:"stuck,omitempty"`   // rows that stay open, by the reason
	Unknown []string         `json:"unknown,omitempty"` // ids that are in no committed unit's quarantine
}

// ErrOverwritten says that quarantined rows can't be released into a flow.
var ErrOverwritten = errors.New("the flow overwrites its dataset in each run, so rows can't be added to it: " +
	"correct the input or the pipeline and run it again")

// ErrReplacing says that quarantined rows can't be released into a flow that replaces rows.
var ErrReplacing = errors.New("the flow replaces rows by key, and a released row may be older than the one whose place it would take: " +
	"correct the pipeline and replay the flow")

// quarantineReader reads open rows of the flow's quarantine. The flow's position stays where it is.
type quarantineReader struct {
	settings  *Settings
	runtime   *Runtime
	request   *RedriveSettings
	steps     map[string]bool // that rows may come in at
	announced map[string]bool // streams of a source's flow whose schema is known to the stages
	pending   *redrive
	bytes     int64
	stopped   chan struct{}
}

// A redrive has at most so many rows and about so many bytes.
const redriveRows, redriveBytes = 1024, 4 << 20

func newQuarantineReader(s *Settings, r *Runtime) (*quarantineReader, error) {
	if s.Target.Mode == zone.Overwrite || (s.Datasets != nil && s.Datasets.Pinned) {
		return nil, sdk.Fatal(ErrOverwritten)
	}
	if s.Target.Mode == zone.Upsert {
		return nil, sdk.Fatal(ErrReplacing)
	}
	q := &quarantineReader{
		settings: s, runtime: r, request: s.Redrive, steps: map[string]bool{}, announced: map[string]bool{}, stopped: make(chan struct{}),
	}
	for _, step := range s.transformSteps() {
		q.steps[step] = true
	}
	q.steps[checksStage] = len(s.Checks) > 0
	q.steps[q.last()] = true
	return q, nil
}

// last is the stage that rows come to in the end.
func (q *quarantineReader) last() string {
	if q.settings.Target.Sink != nil {
		return sinkStage
	}
	return targetStage
}

func (q *quarantineReader) ack(sdk.Position) error { return nil }
func (q *quarantineReader) stop()                  { close(q.stopped) }
func (q *quarantineReader) close() error           { return nil }

func (q *quarantineReader) read(ctx context.Context, emit func(event) error) error {
	q.request.Result = Redrive{Stuck: map[string]int64{}}
	if err := q.announceInputs(ctx, emit); err != nil {
		return err
	}
	chosen := quarantine.Choose(q.request.Select, q.request.From)
	book := &quarantine.Quarantine{Zones: q.runtime.Zones, Ledger: q.runtime.Ledger, Flow: q.settings.Name, Dataset: q.settings.Quarantine}
	for row, err := range book.Rows(ctx, chosen) {
		if err != nil {
			return err
		}
		select {
		case <-q.stopped:
			return q.flush(emit)
		default:
		}
		if row.Outcome != "" {
			q.request.Result.Settled++
			continue
		}
		if err := q.row(ctx, row, emit); err != nil {
			return err
		}
	}
	q.request.Result.Unknown = chosen.Unknown()
	return q.flush(emit)
}

// announceInputs tells the stages the schemas that the flow's datasets have now, so that each knows what it gets.
func (q *quarantineReader) announceInputs(ctx context.Context, emit func(event) error) error {
	if q.settings.Datasets == nil {
		return nil
	}
	d, err := newDatasetReader(q.settings, q.runtime, nil)
	if err != nil {
		return err
	}
	for _, name := range q.settings.Datasets.Names {
		dataset, err := q.runtime.Zones.Dataset(ctx, name)
		if errors.Is(err, zone.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := d.announce(reading{name: name, schema: dataset.Schema()}, emit); err != nil {
			return err
		}
	}
	return nil
}

// row adds a row to what is sent, or says why it stays where it is.
func (q *quarantineReader) row(ctx context.Context, row quarantine.Row, emit func(event) error) error {
	stuck := func(reason string) error {
		q.request.Result.Stuck[reason]++
		return nil
	}
	stream, raw, corrected, err := q.request.From.Row(row.ID)
	if err != nil {
		return err
	}
	if !corrected {
		raw = row.Raw
	}
	if stream == "" {
		stream = row.Stream
	}
	step, reason := q.entry(row, raw, corrected)
	if reason == "" && stream == "" {
		reason = "it is not known which stream they belong to: say so with a corrected row"
	}
	if reason != "" {
		return stuck(reason)
	}
	known, err := q.announceStream(ctx, stream, emit)
	if err != nil {
		return err
	}
	if !known {
		return stuck(fmt.Sprintf("stream %q has no dataset yet, so it is not known what its rows look like", stream))
	}
	return q.add(row, step, stream, raw, emit)
}

// entry is the stage that a row comes in at, or the reason why it can't.
func (q *quarantineReader) entry(row quarantine.Row, raw []byte, corrected bool) (step, reason string) {
	switch {
	case row.ID == quarantine.RowID{}:
		return "", "an earlier version set them aside, and they have no id"
	case row.Stage == sourceStage && !corrected:
		return "", "the source could not read them: give them as corrected rows"
	case row.Stage == sourceStage:
		return q.last(), ""
	case !corrected && len(raw) >= wire.MaxRaw && !json.Valid(raw):
		return "", fmt.Sprintf("of these only the first %d bytes were kept: give them as corrected rows", wire.MaxRaw)
	case !corrected && !isObject(raw):
		return "", "the plugin that rejected them did not say what they are: give them as corrected rows"
	case q.steps[row.Step]:
		return strings.Clone(row.Step), ""
	case row.Step == checksStage: // without its checks the flow goes on behind them
		return q.last(), ""
	}
	return "", fmt.Sprintf("the flow has no stage %q any more", row.Step)
}

func isObject(raw []byte) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal(raw, &object) == nil && object != nil
}

// announceStream tells the stages the schema of a source's stream, which is that of its dataset; false if there is none.
func (q *quarantineReader) announceStream(ctx context.Context, stream string, emit func(event) error) (bool, error) {
	if q.settings.Source == nil || q.announced[stream] {
		return true, nil
	}
	name, err := q.settings.Target.Dataset(stream)
	if err != nil {
		return false, sdk.Fatal(err)
	}
	dataset, err := q.runtime.Zones.Dataset(ctx, name)
	if errors.Is(err, zone.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := q.flush(emit); err != nil {
		return false, err
	}
	q.announced[stream] = true
	return true, emit(event{schema: &sdk.SchemaChange{Stream: stream, Version: 1, Schema: dataset.Schema()}})
}

func (q *quarantineReader) add(row quarantine.Row, step, stream string, raw []byte, emit func(event) error) error {
	p := q.pending
	full := p != nil && (len(p.rows) >= redriveRows || q.bytes >= redriveBytes)
	if p != nil && (full || p.step != step || p.stream != stream || p.origin != row.Origin) {
		if err := q.flush(emit); err != nil {
			return err
		}
	}
	if q.pending == nil {
		q.pending = &redrive{step: step, stream: strings.Clone(stream), origin: strings.Clone(row.Origin), alloc: q.runtime.Alloc}
		q.bytes = 0
	}
	q.pending.rows = append(q.pending.rows, slices.Clone(raw))
	q.pending.ranges = quarantine.Extend(q.pending.ranges, row.ID)
	q.bytes += int64(len(raw))
	return nil
}

func (q *quarantineReader) flush(emit func(event) error) error {
	p := q.pending
	if p == nil {
		return nil
	}
	q.pending = nil
	q.request.Result.Sent += int64(len(p.rows))
	return emit(event{redrive: p})
}
