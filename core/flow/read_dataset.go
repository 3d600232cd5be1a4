package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
)

// datasetReader reads datasets as far as the ledger goes: what is new by unit, or, pinned, everything at once.
type datasetReader struct {
	settings    *DatasetSettings
	runtime     *Runtime
	fingerprint string
	ahead       int64 // rows of small units to read between two checkpoints
	at          datasetPosition
	versions    map[zone.Name]int
	schemas     map[zone.Name]*arrow.Schema
	stopped     chan struct{}
}

// datasetPosition is the position of a dataset reader.
type datasetPosition struct {
	// Datasets are the inputs, each with its writing flows and the last of their units that was read from it.
	Datasets map[string]map[string]int64 `json:"datasets"`
	// Fingerprint of the definition that a pinned read was made for.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// ErrUpstream says that a pinned read can't begin because a flow that it depends on did not end well.
var ErrUpstream = errors.New("a flow before it did not end well")

func newDatasetReader(s *Settings, r *Runtime, at sdk.Position) (*datasetReader, error) {
	d := &datasetReader{
		settings: s.Datasets, runtime: r, fingerprint: s.Fingerprint, ahead: readAhead, at: datasetPosition{Datasets: map[string]map[string]int64{}},
		versions: map[zone.Name]int{}, schemas: map[zone.Name]*arrow.Schema{}, stopped: make(chan struct{}),
	}
	if rows := s.Commit.Rows; rows > 0 {
		d.ahead = min(d.ahead, rows)
	}
	if len(at) > 0 {
		var err error
		if d.at, err = parseDatasetPosition(at); err != nil {
			return nil, sdk.Fatal(fmt.Errorf("the position in the ledger is not a dataset reader's: %w", err))
		}
	}
	return d, nil
}

func parseDatasetPosition(raw sdk.Position) (datasetPosition, error) {
	var at datasetPosition
	if err := json.Unmarshal(raw, &at); err != nil {
		return datasetPosition{}, err
	}
	if at.Datasets == nil {
		return datasetPosition{}, errors.New("it names no datasets")
	}
	for dataset, flows := range at.Datasets {
		if flows == nil {
			return datasetPosition{}, fmt.Errorf("it names no flows of %q", dataset)
		}
		for flow, seq := range flows {
			if seq < 0 {
				return datasetPosition{}, fmt.Errorf("unit %d of flow %q can't have been read from %q", seq, flow, dataset)
			}
		}
	}
	return at, nil
}

func (d *datasetReader) ack(sdk.Position) error { return nil }
func (d *datasetReader) stop()                  { close(d.stopped) }
func (d *datasetReader) close() error           { return nil }

func (d *datasetReader) read(ctx context.Context, emit func(event) error) error {
	for !d.stopping() {
		changed := d.runtime.Progress.Changes() // taken first, so that no commit is missed between looking and waiting
		ended, failed := d.runtime.Progress.Ended(d.settings.Upstream)
		if d.settings.Pinned {
			if ended {
				return d.readPinned(ctx, failed, emit)
			}
		} else {
			found, err := d.readNew(ctx, emit)
			if err != nil || (!found && ended) {
				return err
			}
			if found {
				continue
			}
		}
		if err := d.wait(ctx, changed); err != nil {
			return err
		}
	}
	return nil
}

func (d *datasetReader) stopping() bool {
	select {
	case <-d.stopped:
		return true
	default:
		return false
	}
}

func (d *datasetReader) wait(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-d.stopped:
		return nil
	case <-changed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// views are the visible states of all datasets, at one moment.
func (d *datasetReader) views(ctx context.Context) ([]ledger.View, error) {
	names := make([]string, len(d.settings.Names))
	for i, name := range d.settings.Names {
		names[i] = name.String()
	}
	return d.runtime.Ledger.Views(ctx, names...)
}

// readPinned reads all that is visible now, unless exactly this was read before.
func (d *datasetReader) readPinned(ctx context.Context, failed string, emit func(event) error) error {
	if failed != "" {
		return fmt.Errorf("%w: %s", ErrUpstream, failed)
	}
	views, err := d.views(ctx)
	if err != nil {
		return err
	}
	at := datasetPosition{Datasets: map[string]map[string]int64{}, Fingerprint: d.fingerprint}
	for _, view := range views {
		if !view.Empty() {
			at.Datasets[view.Dataset] = view.Seqs
		}
	}
	same := maps.EqualFunc(at.Datasets, d.at.Datasets, maps.Equal[map[string]int64, map[string]int64])
	if len(at.Datasets) == 0 || (at.Fingerprint == d.at.Fingerprint && same && !d.settings.Again) {
		return nil
	}
	var opened []reading
	for i, view := range views {
		r, err := d.open(ctx, d.settings.Names[i], view, d.pinnedUnits(view))
		if err != nil {
			return err
		}
		opened = append(opened, r...)
	}
	for _, r := range opened { // all schemas first: a transform over several inputs plans them together
		if err := d.announce(r, emit); err != nil {
			return err
		}
	}
	for _, r := range opened {
		if err := d.scan(r, emit); err != nil {
			return err
		}
	}
	d.at = at
	return d.checkpoint(emit)
}

// pinnedUnits are all units of a view, or those of them that the settings choose.
func (d *datasetReader) pinnedUnits(view ledger.View) []zone.UnitRange {
	if d.settings.Only == nil {
		return ranges(view, nil)
	}
	var units []zone.UnitRange
	for _, in := range d.settings.Only {
		if in.Dataset == view.Dataset && in.First <= view.Seqs[in.Flow] {
			units = append(units, zone.UnitRange{Flow: in.Flow, After: in.First - 1, Upto: min(in.Last, view.Seqs[in.Flow])})
		}
	}
	return units
}

func (d *datasetReader) input(name zone.Name) string {
	if as := d.settings.As[name]; as != "" {
		return as
	}
	return name.Dataset
}

// reading is a dataset opened for reading.
type reading struct {
	name    zone.Name
	schema  *arrow.Schema
	key     []string
	batches zone.Batches
}

// open readies the rows of the units. A pinned read of a dataset with one writer is its snapshot, whatever units wrote it. A
// dataset that does not exist yet gives nothing; one without rows gives its schema.
func (d *datasetReader) open(ctx context.Context, name zone.Name, view ledger.View, units []zone.UnitRange) ([]reading, error) {
	dataset, err := d.runtime.Zones.Dataset(ctx, name)
	if errors.Is(err, zone.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if view.Empty() || len(units) == 0 {
		return []reading{{name: name, schema: dataset.Schema(), key: keyOf(dataset), batches: func(func(arrow.RecordBatch, error) bool) {}}}, nil
	}
	request := zone.ScanRequest{Snapshot: view.Snapshot, Snapshots: view.Snapshots, Units: units}
	if d.settings.Pinned && view.Snapshot != 0 && d.settings.Only == nil {
		request.Units = nil
	}
	schema, batches, err := d.scanOf(ctx, dataset, request)
	if err != nil {
		return nil, err
	}
	return []reading{{name: name, schema: schema, key: keyOf(dataset), batches: batches}}, nil
}

// keyOf names the columns that identify a row of a dataset: by what it is made for, or by the word of its source.
func keyOf(d *zone.Dataset) []string {
	if key := d.Key(); len(key) > 0 {
		return key
	}
	return d.SourceKey()
}

// scanOf readies a scan. While another input was read, upkeep may have let go of the snapshot: the units are in the one that readers
// are sent to by now.
func (d *datasetReader) scanOf(ctx context.Context, dataset *zone.Dataset, r zone.ScanRequest) (*arrow.Schema, zone.Batches, error) {
	schema, batches, err := dataset.Scan(ctx, r)
	if !errors.Is(err, zone.ErrNotFound) || len(r.Units) == 0 {
		return schema, batches, err
	}
	view, viewErr := d.runtime.Ledger.View(ctx, dataset.Name().String())
	if viewErr != nil {
		return nil, nil, errors.Join(err, viewErr)
	}
	r.Snapshot, r.Snapshots = view.Snapshot, view.Snapshots
	return dataset.Scan(ctx, r)
}

// announce emits the schema of a dataset if it is new.
func (d *datasetReader) announce(r reading, emit func(event) error) error {
	if known := d.schemas[r.name]; known != nil && known.Equal(r.schema) {
		return nil
	}
	d.versions[r.name]++
	d.schemas[r.name] = r.schema
	return emit(event{schema: &sdk.SchemaChange{Stream: d.input(r.name), Version: d.versions[r.name], Schema: r.schema, Key: r.key}})
}

// scan emits the rows.
func (d *datasetReader) scan(r reading, emit func(event) error) error {
	for record, err := range r.batches {
		if err != nil {
			return err
		}
		if err := emit(event{batch: &sdk.Batch{Stream: d.input(r.name), Version: d.versions[r.name], Record: record}}); err != nil {
			return err
		}
	}
	return nil
}

func (d *datasetReader) checkpoint(emit func(event) error) error {
	pos, err := json.Marshal(d.at)
	if err != nil {
		return err
	}
	return emit(event{checkpoint: pos})
}
