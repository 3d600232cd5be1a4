package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
)

// shaper is the stage before the log that brings rows to what the flow's datasets can hold, and turns away the ones they can't.
// It never writes: datasets are made and evolved by the committer, in the order of the log.
type shaper struct {
	settings TargetSettings
	runtime  *Runtime
	streams  map[string]*shape
	datasets map[zone.Name]string // the stream that has it
	counts   ledger.Stage
}

// shape is what becomes of a stream's rows.
type shape struct {
	from       *arrow.Schema // of the rows as they come in
	version    int
	conversion *zone.Conversion
	refused    string // why rows of this version go to quarantine, if they do
	dataset    zone.Name
	expected   *arrow.Schema // what the dataset has once everything before is committed
}

const targetStage = "target"

func newShaper(s TargetSettings, r *Runtime) *shaper {
	return &shaper{
		settings: s, runtime: r, streams: map[string]*shape{}, datasets: map[zone.Name]string{},
		counts: ledger.Stage{Name: targetStage, Maps: true},
	}
}

func (s *shaper) run(ctx context.Context, in <-chan item, out chan<- item) error {
	for {
		i, more := next(ctx, in)
		if !more {
			return context.Cause(ctx)
		}
		if i.redrive != nil {
			if err := s.redrive(ctx, i.redrive, out); err != nil {
				return err
			}
			continue
		}
		shaped, err := s.shape(ctx, i)
		if err != nil {
			return err
		}
		if shaped.empty() {
			continue
		}
		if err := send(ctx, out, shaped); err != nil {
			return err
		}
	}
}

// shape turns one item into what goes on; the ownership of a batch passes through.
func (s *shaper) shape(ctx context.Context, i item) (item, error) {
	switch {
	case i.schema != nil:
		begun, err := s.schema(ctx, *i.schema)
		if err == nil && s.streams[begun.Stream].refused != "" { // its rows go to quarantine: the dataset never sees the schema
			return item{}, nil
		}
		return item{schema: &begun}, err
	case i.batch != nil:
		return s.batch(ctx, *i.batch)
	case i.closing != nil:
		i.closing.Stages = append(i.closing.Stages, s.counts)
		s.counts = ledger.Stage{Name: targetStage, Maps: true}
	}
	return i, nil
}

func (s *shaper) schema(ctx context.Context, c sdk.SchemaChange) (sdk.SchemaChange, error) {
	known := s.streams[c.Stream]
	if known == nil {
		var err error
		if known, err = s.open(ctx, c.Stream); err != nil {
			return c, err
		}
		s.streams[c.Stream] = known
	}
	conversion, err := zone.Storable(c.Schema)
	if err != nil {
		return c, sdk.Fatal(fmt.Errorf("stream %q: %w", c.Stream, err))
	}
	known.from, known.version, known.conversion, known.refused = c.Schema, c.Version, conversion, ""
	c.Schema = conversion.Schema()
	table, key := c.Schema, []string(nil)
	if form, replaces := s.settings.formOf(c); replaces {
		if table, key, err = form.Table(c.Schema); err != nil {
			return s.misfit(c, known, err)
		}
	}
	if known.expected == nil {
		known.expected = table
		return c, nil
	}
	merged, _, err := zone.FollowKeyed(known.dataset, key, known.expected, table)
	if _, incompatible := errors.AsType[*zone.IncompatibleError](err); incompatible {
		return s.misfit(c, known, err)
	}
	if err != nil {
		return c, sdk.Fatal(fmt.Errorf("stream %q: %w", c.Stream, err))
	}
	known.expected = merged
	return c, nil
}

// misfit turns rows away that the dataset can't hold, or stops the flow.
func (s *shaper) misfit(c sdk.SchemaChange, known *shape, why error) (sdk.SchemaChange, error) {
	if !s.settings.QuarantineSchema {
		return c, sdk.Fatal(fmt.Errorf("stream %q: %w", c.Stream, why))
	}
	known.refused = why.Error()
	return c, nil
}

// open looks at the dataset of a stream as it is now.
func (s *shaper) open(ctx context.Context, stream string) (*shape, error) {
	name, err := s.settings.Dataset(stream)
	if err != nil {
		return nil, sdk.Fatal(err)
	}
	if other, taken := s.datasets[name]; taken {
		return nil, sdk.Fatal(fmt.Errorf("streams %q and %q would both be written to dataset %q", other, stream, name))
	}
	s.datasets[name] = stream
	dataset, err := s.runtime.Zones.Dataset(ctx, name)
	if errors.Is(err, zone.ErrNotFound) {
		return &shape{dataset: name}, nil
	}
	if err != nil {
		return nil, err
	}
	return &shape{dataset: name, expected: dataset.Schema()}, nil
}

func (s *shaper) batch(ctx context.Context, b sdk.Batch) (item, error) {
	defer b.Record.Release()
	rows := b.Record.NumRows()
	s.counts.In += rows
	shape := s.streams[b.Stream]
	if shape == nil {
		return item{}, sdk.Fatal(fmt.Errorf("stream %q: a batch without a schema before it", b.Stream))
	}
	if shape.refused != "" {
		s.counts.Rejected += rows
		return item{rejects: wholeBatch(b, stageID{stage: targetStage, step: targetStage}, "incompatible_schema", shape.refused)}, nil
	}
	record, err := shape.conversion.Apply(ctx, s.runtime.Alloc, b.Record)
	if err != nil {
		return item{}, sdk.Fatal(fmt.Errorf("stream %q: %w", b.Stream, err))
	}
	if err := complete(record); err != nil {
		record.Release()
		return item{}, sdk.Fatal(fmt.Errorf("stream %q: %w", b.Stream, err))
	}
	s.counts.Out += rows
	b.Record = record
	return item{batch: &b}, nil
}

// complete holds a batch to its schema: what a table would refuse must not get into the log, where it would stand in the way.
func complete(batch arrow.RecordBatch) error {
	for i, field := range batch.Schema().Fields() {
		if nulls := batch.Column(i).NullN(); !field.Nullable && nulls > 0 {
			return fmt.Errorf("column %q is required, but %d of %d values are null", field.Name, nulls, batch.NumRows())
		}
	}
	return nil
}
