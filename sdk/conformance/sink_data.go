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
		record, err := wider.Rows(s.Seed, int(seq+1)*unitRows, unitRows)
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

func (s *suite) sinkRejects(ctx context.Context, t *trial) error {
	w, _, err := s.sharedBegun(ctx, s.flow("rejects"), 1)
	if err != nil {
		return err
	}
	defer w.Cancel()
	rejections, err := w.write(0, 10*unitRows)
	if err != nil {
		return err
	}
	more, err := w.Commit(w.mark(1))
	if err != nil {
		return err
	}
	if rejections = append(rejections, more...); len(rejections) == 0 {
		return skip("", "nothing was rejected of this data")
	}
	t.note("%d of %d rows were rejected, the first with code %s: %s", len(rejections), 10*unitRows, rejections[0].Code, cut(rejections[0].Reason, 120))
	return w.Close()
}

// wrote sends a batch as a unit of a flow of its own.
func (s *suite) wrote(ctx context.Context, p *strict.Process, in sample.Input, b sdk.Batch) error {
	w, err := s.open(ctx, p, s.flow("data"))
	if err != nil {
		return err
	}
	defer w.Cancel()
	if err := w.prepare(changes([]sample.Input{in}, b.Version, s.Key)[0]); err != nil {
		return err
	}
	w.epoch = 1
	if _, err := w.Begin(1); err != nil {
		return err
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	if _, err := w.Commit(w.mark(1)); err != nil {
		return err
	}
	return w.Close()
}

func (s *suite) sinkTypes(ctx context.Context, t *trial) error {
	t.note("what was written is not read back here")
	return s.eachType(ctx, t, func(p *strict.Process, c sample.Column) error {
		in := s.withType(c)[0]
		record, err := in.Rows(s.Seed, 0, unitRows)
		if err != nil {
			return err
		}
		defer record.Release()
		return s.wrote(ctx, p, in, sdk.Batch{Stream: in.Name, Version: 1, Record: record})
	})
}
