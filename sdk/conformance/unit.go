package conformance

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance/sample"
	"github.com/qanat-data/qanat/sdk/conformance/strict"
)

// unitRows is the size of the units that are compared.
const unitRows = 96

// changes are the inputs as the runtime announces them.
func changes(inputs []sample.Input, version int, key []string) []sdk.SchemaChange {
	out := make([]sdk.SchemaChange, len(inputs))
	for i, in := range inputs {
		out[i] = sdk.SchemaChange{Stream: in.Name, Version: version, Schema: in.Schema(), Key: key}
	}
	return out
}

// yield is what came of a unit.
type yield struct {
	in       int64
	out      int64
	rejected map[string]map[int]bool // by input: rows, counted over the unit
	reasons  map[string]string       // a reason for each code
	outputs  map[string]*grid
	types    map[string]*arrow.Schema
}

func newYield() *yield {
	return &yield{rejected: map[string]map[int]bool{}, reasons: map[string]string{}, outputs: map[string]*grid{}, types: map[string]*arrow.Schema{}}
}

// take adds what came of a part that begins at a row of an input.
func (y *yield) take(input string, from int64, result strict.Result) {
	defer result.Release()
	y.in += result.In
	for _, b := range result.Batches {
		y.out += b.Record.NumRows()
		g := y.outputs[b.Stream]
		if g == nil {
			g = &grid{}
			y.outputs[b.Stream], y.types[b.Stream] = g, b.Record.Schema()
		}
		g.add(b.Record)
	}
	for _, r := range result.Rejections {
		if y.rejected[input] == nil {
			y.rejected[input] = map[int]bool{}
		}
		y.rejected[input][int(from)+r.Row] = true
		y.reasons[r.Code] = r.Reason
	}
}

func (y *yield) rejections() int64 {
	n := 0
	for _, rows := range y.rejected {
		n += len(rows)
	}
	return int64(n)
}

// differs says how another result differs, without regard to the order of rows; "" if it doesn't.
func (y *yield) differs(other *yield) string {
	names := slices.Sorted(maps.Keys(y.outputs))
	for name := range other.outputs {
		if y.outputs[name] == nil {
			names = append(names, name)
		}
	}
	for _, name := range names {
		a, b := sumsOf(y.outputs[name]), sumsOf(other.outputs[name])
		if missing, extra := difference(a, b); missing+extra > 0 {
			return fmt.Sprintf("output %q has %d rows, expected %d: %d of the expected rows are missing, %d were not expected", name, len(b), len(a), missing, extra)
		}
	}
	if diff := cmp.Diff(y.rejected, other.rejected); diff != "" {
		return "other rows are rejected (-expected +seen):\n" + diff
	}
	return ""
}

func sumsOf(g *grid) []uint64 {
	if g == nil {
		return nil
	}
	return g.sums()
}

// unit is rows for all inputs.
type unit struct {
	inputs  []sample.Input
	version int
	from    int
	rows    int
	cut     int           // rows of a batch; all if 0
	change  sample.Change // in the input of this index
	changed int
}

// batches makes the rows of an input in portions and hands them on.
func (u unit) batches(seed uint64, i int, each func(b sdk.Batch, from int64) error) error {
	step := u.cut
	if step == 0 {
		step = max(u.rows, 1)
	}
	change := sample.Change{}
	if i == u.changed {
		change = u.change
	}
	for from := 0; from < u.rows || from == 0; from += step {
		record, err := u.inputs[i].Changed(seed, u.from+from, min(step, u.rows-from), change)
		if err != nil {
			return err
		}
		err = each(sdk.Batch{Stream: u.inputs[i].Name, Version: u.version, Origin: "conformance", Record: record}, int64(from))
		record.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// apply sends a unit through an instance that has planned.
func (s *suite) apply(tr *strict.Transform, plan sdk.Plan, u unit, each func(in int64, r strict.Result) error) (*yield, error) {
	y := newYield()
	for i := range u.inputs {
		err := u.batches(s.Seed, i, func(b sdk.Batch, from int64) error {
			return tr.Apply(b, func(r strict.Result) error {
				begin, in := from, r.In
				from += in
				err := s.judgePart(plan, r)
				if err == nil && each != nil {
					err = each(in, r)
				}
				if err != nil {
					r.Release()
					return err
				}
				y.take(b.Stream, begin, r)
				return nil
			})
		})
		if err != nil {
			return y, err
		}
	}
	if !plan.Collects {
		return y, nil
	}
	result, err := tr.Finish()
	if err == nil {
		y.take("", 0, result)
	}
	return y, err
}

// judgePart refuses output before a collecting transform is asked for it.
func (s *suite) judgePart(plan sdk.Plan, r strict.Result) error {
	if plan.Collects && len(r.Batches) > 0 {
		return seen("no output of a collecting transform before Finish", "a batch in the answer to a batch")
	}
	return nil
}

// transformed plans and sends units through one instance of a process.
func (s *suite) transformed(ctx context.Context, p *strict.Process, units ...unit) (sdk.Plan, []*yield, error) {
	tr, err := p.Transform(ctx, s.Config)
	if err != nil {
		return sdk.Plan{}, nil, err
	}
	plan, err := tr.Plan(changes(units[0].inputs, 1, s.Key))
	if err != nil {
		tr.Cancel()
		return plan, nil, &planRefused{err}
	}
	var yields []*yield
	for _, u := range units {
		u.version = 1
		y, err := s.apply(tr, plan, u, nil)
		if err != nil {
			tr.Cancel()
			return plan, yields, err
		}
		yields = append(yields, y)
	}
	return plan, yields, tr.Close()
}

// planRefused tells a schema that is refused from one that fails later.
type planRefused struct{ error }

func (e *planRefused) Unwrap() error { return e.error }

// once is transformed for one unit in the shared process.
func (s *suite) once(ctx context.Context, u unit) (*yield, error) {
	p, err := s.process(ctx)
	if err != nil {
		return nil, err
	}
	_, yields, err := s.transformed(ctx, p, u)
	if err != nil {
		return nil, err
	}
	return yields[0], nil
}

func (s *suite) unit() unit { return unit{inputs: s.Inputs, rows: unitRows} }
