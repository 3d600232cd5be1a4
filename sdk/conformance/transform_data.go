package conformance

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance/sample"
	"github.com/qanat-data/qanat/sdk/conformance/strict"
)

func (s *suite) transformShapes(ctx context.Context, _ *trial) error {
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	for _, shape := range shapes(s.Inputs) {
		tr, err := p.Transform(ctx, s.Config)
		if err != nil {
			return err
		}
		plan, err := tr.Plan(changes(s.Inputs, 1, s.Key))
		if err == nil {
			err = s.shaped(tr, plan, shape)
		}
		tr.Cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", shape.name, err)
		}
	}
	return alive(p, "these batches")
}

func (s *suite) shaped(tr *strict.Transform, plan sdk.Plan, sh shape) error {
	y := newYield()
	rows := int64(0)
	for _, in := range s.Inputs {
		record, err := sh.make(s.Seed, in)
		if err != nil {
			return err
		}
		from := int64(0)
		err = tr.Apply(sdk.Batch{Stream: in.Name, Version: 1, Record: record}, func(r strict.Result) error {
			y.take(in.Name, from, r)
			from += r.In
			return nil
		})
		rows += record.NumRows()
		record.Release()
		if err != nil {
			return err
		}
	}
	if plan.Collects {
		result, err := tr.Finish()
		if err != nil {
			return err
		}
		y.take("", 0, result)
		return nil
	}
	if left := rows - y.out - y.rejections(); plan.Cardinality == sdk.OneToOne && left != 0 {
		return seen("each row gives one row or a rejection", "of %d rows came %d, and %d were rejected", rows, y.out, y.rejections())
	}
	return nil
}

func (s *suite) transformLargeRow(ctx context.Context, t *trial) error {
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	tried := 0
	for _, size := range sizes() {
		for i, in := range s.Inputs {
			record, err := largeRow(s.Seed, in, size)
			if err != nil {
				return err
			}
			if record == nil {
				continue
			}
			tried++
			err = s.withLarge(ctx, p, i, record)
			record.Release()
			if err != nil {
				return fmt.Errorf("a row of %s in input %q: %w", mib(int64(size)), in.Name, err)
			}
		}
	}
	if tried == 0 {
		return skip("", noText)
	}
	t.note("tried rows of %s, %s and %s", mib(int64(sizes()[0])), mib(int64(sizes()[1])), mib(int64(sizes()[2])))
	return alive(p, "a large row")
}

func (s *suite) withLarge(ctx context.Context, p *strict.Process, input int, record arrow.RecordBatch) error {
	tr, err := p.Transform(ctx, s.Config)
	if err != nil {
		return err
	}
	defer tr.Cancel()
	plan, err := tr.Plan(changes(s.Inputs, 1, s.Key))
	if err != nil {
		return err
	}
	accounted := int64(0)
	err = tr.Apply(sdk.Batch{Stream: s.Inputs[input].Name, Version: 1, Record: record}, func(r strict.Result) error {
		defer r.Release()
		for _, b := range r.Batches {
			accounted += b.Record.NumRows()
		}
		accounted += int64(len(r.Rejections))
		return nil
	})
	if err != nil {
		return err
	}
	if plan.Cardinality == sdk.OneToOne && !plan.Collects && accounted != 1 {
		return seen("one row, or a rejection", "%d of them", accounted)
	}
	if plan.Collects {
		result, err := tr.Finish()
		result.Release()
		return err
	}
	return nil
}

// extra is the column that is added to try a type.
const extraColumn = "conformance_value"

// withType are the inputs with a column of a type added to each.
func (s *suite) withType(c sample.Column) []sample.Input {
	inputs := make([]sample.Input, len(s.Inputs))
	for i, in := range s.Inputs {
		inputs[i] = in.With(sample.Column{Name: extraColumn, Type: c.Type})
	}
	return inputs
}

func (s *suite) transformTypes(ctx context.Context, t *trial) error {
	came := 0
	err := s.eachType(ctx, t, func(p *strict.Process, c sample.Column) error {
		arrived, err := s.transformType(ctx, p, unit{inputs: s.withType(c), rows: unitRows})
		if arrived && err == nil {
			came++
		}
		return err
	})
	t.note("%d came out in a column of that name", came)
	return err
}

func (s *suite) transformType(ctx context.Context, p *strict.Process, u unit) (arrived bool, err error) {
	plan, yields, err := s.transformed(ctx, p, u)
	if err != nil {
		return false, err
	}
	for _, out := range plan.Outputs {
		arrived = arrived || fieldType(out.Schema, extraColumn) != nil
	}
	if plan.Cardinality == sdk.AnyRows {
		return arrived, nil
	}
	rows, free, err := s.given(u)
	if err != nil {
		return arrived, err
	}
	defer free()
	return arrived, s.keeps(plan, yields[0], rows)
}

// transformSchemaChange plans again in the middle of an instance's life, with a column more.
func (s *suite) transformSchemaChange(ctx context.Context, _ *trial) error {
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	tr, err := p.Transform(ctx, s.Config)
	if err != nil {
		return err
	}
	defer tr.Cancel()
	wider := s.withType(sample.Column{Type: arrow.BinaryTypes.String})
	for i, inputs := range [][]sample.Input{s.Inputs, wider} {
		plan, err := tr.Plan(changes(inputs, i+1, s.Key))
		if err != nil {
			return err
		}
		u := unit{inputs: inputs, rows: unitRows, version: i + 1}
		y, err := s.apply(tr, plan, u, nil)
		if err != nil {
			return fmt.Errorf("schema version %d: %w", i+1, err)
		}
		if !plan.Deterministic {
			continue
		}
		alone, err := s.once(ctx, unit{inputs: inputs, rows: unitRows})
		if err != nil {
			return err
		}
		if text := alone.differs(y); text != "" {
			return seen("the result that the batch has in an instance of its own", "as schema version %d: %s", i+1, text)
		}
	}
	return tr.Close()
}

func (s *suite) transformKill(ctx context.Context, _ *trial) error {
	if err := s.determined(); err != nil {
		return err
	}
	victim, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer victim.Close()
	tr, err := victim.Transform(ctx, s.Config)
	if err != nil {
		return err
	}
	defer tr.Cancel()
	plan, err := tr.Plan(changes(s.Inputs, 1, s.Key))
	if err != nil {
		return err
	}
	u := s.unit()
	u.version = 1
	if _, err := s.apply(tr, plan, u, nil); err != nil {
		return err
	}
	victim.Kill()
	fresh, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer fresh.Close()
	_, yields, err := s.transformed(ctx, fresh, s.unit())
	if err != nil {
		return err
	}
	if text := s.transformState.base.differs(yields[0]); text != "" {
		return seen("the result of the first run", "%s", text)
	}
	return nil
}

func (s *suite) transformCancel(ctx context.Context, t *trial) error {
	record, err := s.Inputs[0].Rows(s.Seed, 0, manyRows/4)
	if err != nil {
		return err
	}
	defer record.Release()
	return s.cancelled(ctx, t, "Transform", func(p *strict.Process) (func(), error) {
		tr, err := p.Transform(ctx, s.Config)
		if err != nil {
			return nil, err
		}
		if _, err := tr.Plan(changes(s.Inputs, 1, s.Key)); err != nil {
			tr.Cancel()
			return nil, err
		}
		_ = tr.Begin(sdk.Batch{Stream: s.Inputs[0].Name, Version: 1, Record: record}) // its answer is not waited for
		return tr.Cancel, nil
	})
}
