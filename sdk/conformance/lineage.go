package conformance

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance/sample"
	"github.com/qanat-data/qanat/sdk/conformance/strict"
)

// outputColumn and inputColumn are the ends of an influence.
type outputColumn struct{ output, column string }
type inputColumn struct{ input, column string }

// influences are the input columns that were seen to change an output column, each with the way in which it did.
type influences map[outputColumn]map[inputColumn]string

func (f influences) add(out outputColumn, in inputColumn, how string) {
	if f[out] == nil {
		f[out] = map[inputColumn]string{}
	}
	if f[out][in] == "" {
		f[out][in] = how
	}
}

// declared are the ancestors that a plan names.
func declared(plan sdk.Plan) map[outputColumn]map[inputColumn]bool {
	out := map[outputColumn]map[inputColumn]bool{}
	for _, l := range plan.Lineage {
		key := outputColumn{l.Output, l.Column}
		if out[key] == nil {
			out[key] = map[inputColumn]bool{}
		}
		for _, ref := range l.Inputs {
			out[key][inputColumn{ref.Input, ref.Column}] = true
		}
	}
	return out
}

// The rows that are perturbed, and the ways in which each is.
const (
	fewPerturbed  = 24
	manyPerturbed = 120
	fewVariants   = 3
	manyVariants  = 8
)

func variants(slow bool) []uint64 {
	n := fewVariants
	if slow {
		n = manyVariants
	}
	out := []uint64{sample.Null}
	for i := range n - 1 {
		out = append(out, uint64(i+1))
	}
	return out
}

// transformLineage changes one value of one column at a time and looks at what changes in the output. Rows that are rejected before
// or after are no influence: quarantine keeps them. An output that has other rows than before is changed in all of its columns.
func (s *suite) transformLineage(ctx context.Context, t *trial) error {
	if err := s.determined(); err != nil {
		return err
	}
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	found := influences{}
	if s.transformState.plan.Collects {
		err = s.perturbUnits(ctx, p, found)
	} else {
		err = s.perturbRows(ctx, p, found)
	}
	if err != nil {
		return err
	}
	names := declared(s.transformState.plan)
	var undeclared []string
	seenCount, shownCount := 0, 0
	for _, out := range slices.SortedFunc(maps.Keys(found), func(a, b outputColumn) int {
		return strings.Compare(a.output+"\x00"+a.column, b.output+"\x00"+b.column)
	}) {
		for in, how := range found[out] {
			seenCount++
			if !names[out][in] {
				undeclared = append(undeclared, fmt.Sprintf("column %q of output %q changes with column %q of input %q (%s), which its lineage does not name",
					out.column, out.output, in.column, in.input, how))
			}
		}
	}
	for out := range names {
		for in := range names[out] {
			if found[out][in] == "" {
				shownCount++
			}
		}
	}
	t.note("saw %d influences of input columns on output columns; %d that are declared did not show with this data", seenCount, shownCount)
	if len(undeclared) > 0 {
		slices.Sort(undeclared)
		return seen("each influence is declared", "%s", strings.Join(undeclared, "\n"))
	}
	return nil
}

// perturbRows sends single rows, so that it is plain what comes of each.
func (s *suite) perturbRows(ctx context.Context, p *strict.Process, found influences) error {
	tr, err := p.Transform(ctx, s.Config)
	if err != nil {
		return err
	}
	defer tr.Cancel()
	plan, err := tr.Plan(changes(s.Inputs, 1, s.Key))
	if err != nil {
		return err
	}
	rows := fewPerturbed
	if s.Slow {
		rows = manyPerturbed
	}
	for i, in := range s.Inputs {
		u := unit{inputs: []sample.Input{in}, version: 1, rows: 1}
		for row := range rows {
			u.from, u.change = row, sample.Change{}
			base, err := s.apply(tr, plan, u, nil)
			if err != nil {
				return err
			}
			if err := s.perturbRow(tr, plan, u, base, found, s.Inputs[i]); err != nil {
				return err
			}
		}
	}
	return tr.Close()
}

func (s *suite) perturbRow(tr *strict.Transform, plan sdk.Plan, u unit, base *yield, found influences, in sample.Input) error {
	if base.rejections() > 0 {
		return nil
	}
	for column, c := range in.Columns {
		for _, variant := range variants(s.Slow) {
			u.change = sample.Change{Column: column, Variant: variant}
			y, err := s.apply(tr, plan, u, nil)
			if err != nil {
				return err
			}
			if y.rejections() == 0 {
				compareYields(plan, base, y, inputColumn{in.Name, c.Name}, found)
			}
		}
	}
	return nil
}

// compareYields finds the output columns whose values differ.
func compareYields(plan sdk.Plan, a, b *yield, from inputColumn, found influences) {
	for _, out := range plan.Outputs {
		x, y := a.outputs[out.Name], b.outputs[out.Name]
		if rowCount(x) != rowCount(y) {
			for _, f := range out.Schema.Fields() {
				found.add(outputColumn{out.Name, f.Name}, from, fmt.Sprintf("%d rows instead of %d", rowCount(y), rowCount(x)))
			}
			continue
		}
		if x == nil {
			continue
		}
		for _, f := range out.Schema.Fields() {
			if !sameBag(x.column(f.Name), y.column(f.Name)) {
				found.add(outputColumn{out.Name, f.Name}, from, "its values")
			}
		}
	}
}

func rowCount(g *grid) int {
	if g == nil {
		return 0
	}
	return len(g.rows)
}

// perturbUnits sends whole units to a transform that collects, with one column changed in all rows, or in one.
func (s *suite) perturbUnits(ctx context.Context, p *strict.Process, found influences) error {
	plan := s.transformState.plan
	for i, in := range s.Inputs {
		for column, c := range in.Columns {
			for _, variant := range variants(s.Slow) {
				u := s.unit()
				u.changed, u.change = i, sample.Change{Column: column, Variant: variant}
				_, yields, err := s.transformed(ctx, p, u)
				if err != nil && strict.Reported(err) {
					continue // values that the query can't take fail the unit
				}
				if err != nil {
					return err
				}
				compareYields(plan, s.transformState.base, yields[0], inputColumn{in.Name, c.Name}, found)
			}
		}
	}
	return nil
}
