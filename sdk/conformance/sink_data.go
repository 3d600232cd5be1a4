package conformance

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance/sample"
	"github.com/qanat-data/qanat/sdk/conformance/strict"
)

// sinkSchemaChange announces a version in the middle of a unit, and goes on with it in the next.
func (s *suite) sinkSchemaChange(ctx context.Context, _ *trial) error {
	w, _, err := s.sharedBegun(ctx, s.flow("schema-change"), 1)
	if err != nil {
		return err
	}
	defer w.Cancel()
	if _, err := w.write(0, unitRows); err != nil {
		return err
	}
	wider := s.withType(sample.Column{Type: arrow.BinaryTypes.String})[0]
	if err := w.prepare(changes([]sample.Input{wider}, 2, s.Key)[0]); err != nil {
		return fmt.Errorf("a column that may be null is added: %w", err)
	}
	for seq := range uint64(2) {
		record, err := wider.Rows(s.Seed, int(seq+1)*unitRows, unitRows) //nolint:gosec // two units
		if err != nil {
			return err
		}
		_, err = w.Write(sdk.Batch{Stream: wider.Name, Version: 2, Record: record})
		record.Release()
		if err != nil {
			return fmt.Errorf("schema version 2 in unit %d: %w", seq+1, err)
		}
		if _, err := w.Commit(w.mark(seq + 1)); err != nil {
			return fmt.Errorf("unit %d: %w", seq+1, err)
		}
	}
	return w.Close()
}

func (s *suite) sinkShapes(ctx context.Context, _ *trial) error {
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	in := s.Inputs[0]
	for _, shape := range shapes(s.Inputs) {
		record, err := shape.make(s.Seed, in)
		if err != nil {
			return err
		}
		err = s.wrote(ctx, p, in, sdk.Batch{Stream: in.Name, Version: 1, Record: record})
		record.Release()
		if err != nil {
			return fmt.Errorf("%s: %w", shape.name, err)
		}
	}
	return alive(p, "these batches")
}

func (s *suite) sinkLargeRow(ctx context.Context, t *trial) error {
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	in := s.Inputs[0]
	for _, size := range sizes() {
		record, err := largeRow(s.Seed, in, size)
		if err != nil {
			return err
		}
		if record == nil {
			return skip("", noText)
		}
		err = s.wrote(ctx, p, in, sdk.Batch{Stream: in.Name, Version: 1, Record: record})
		record.Release()
		if err != nil {
			return fmt.Errorf("a row of %s: %w", mib(int64(size)), err)
		}
	}
	t.note("tried rows of %s, %s and %s", mib(int64(sizes()[0])), mib(int64(sizes()[1])), mib(int64(sizes()[2])))
	return alive(p, "a large row")
}

func (s *suite) sinkCancel(ctx context.Context, t *trial) error {
	record, err := s.Inputs[0].Rows(s.Seed, 0, manyRows/4)
	if err != nil {
		return err
	}
	defer record.Release()
	return s.cancelled(ctx, t, "Write", func(p *strict.Process) (func(), error) {
		w, _, err := s.begun(ctx, p, s.flow("cancel"), 1)
		if err != nil {
			return nil, err
		}
		_ = w.Stage(sdk.Batch{Stream: s.Inputs[0].Name, Version: 1, Record: record}) // its answer is not waited for
		return w.Cancel, nil
	})
}
