package conformance

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/sdk"
)

// kept is an output column that says it is an input column.
type kept struct{ output, column, input, from string }

// identities are the columns whose lineage says identity and nothing else.
func identities(plan sdk.Plan) []kept {
	var found []kept
	times := map[[2]string]int{}
	for _, l := range plan.Lineage {
		times[[2]string{l.Output, l.Column}]++
	}
	for _, l := range plan.Lineage {
		if l.Kind == sdk.Identity && len(l.Inputs) == 1 && times[[2]string{l.Output, l.Column}] == 1 {
			found = append(found, kept{l.Output, l.Column, l.Inputs[0].Input, l.Inputs[0].Column})
		}
	}
	return found
}

// passing adds the columns of which the operator says that they pass as they are.
func (s *suite) passing(plan sdk.Plan) []kept {
	found := identities(plan)
	if !s.PassThrough {
		return found
	}
	for _, out := range plan.Outputs {
		for _, f := range out.Schema.Fields() {
			for _, in := range s.Inputs {
				one := kept{out.Name, f.Name, in.Name, f.Name}
				known := slices.ContainsFunc(found, func(k kept) bool { return k.output == out.Name && k.column == f.Name })
				if !known && (in.Name == out.Name || len(s.Inputs) == 1) {
					found = append(found, one)
				}
			}
		}
	}
	return found
}

// keeps compares columns that should have kept their values. Rows are compared without order, and those that are missing must have
// been rejected or, unless each row gives one, filtered out.
func (s *suite) keeps(plan sdk.Plan, y *yield, given map[string]arrow.RecordBatch) error {
	for _, k := range s.passing(plan) {
		in := given[k.input]
		at := in.Schema().FieldIndices(k.from)
		if len(at) != 1 || y.outputs[k.output] == nil {
			continue
		}
		outType := fieldType(y.types[k.output], k.column)
		if outType == nil || !arrow.TypeEqual(outType, in.Column(at[0]).DataType()) {
			if slices.Contains(identities(plan), k) {
				return seen(fmt.Sprintf("column %q of output %q is column %q of input %q, as its lineage says (identity)", k.column, k.output, k.from, k.input),
					"type %v instead of %v", outType, in.Column(at[0]).DataType())
			}
			continue
		}
		var want []uint64
		for row, v := range hashes(in.Column(at[0])) {
			if !y.rejected[k.input][row] {
				want = append(want, v)
			}
		}
		missing, extra := difference(want, y.outputs[k.output].column(k.column))
		if extra > 0 || missing > 0 && plan.Cardinality == sdk.OneToOne {
			return seen(fmt.Sprintf("column %q of output %q has the values of column %q of input %q", k.column, k.output, k.from, k.input),
				"%d of %d values are missing, %d are others", missing, len(want), extra)
		}
	}
	return nil
}

func fieldType(schema *arrow.Schema, name string) arrow.DataType {
	if at := schema.FieldIndices(name); len(at) == 1 {
		return schema.Field(at[0]).Type
	}
	return nil
}

// given makes the rows of a unit at once, to be compared with what came of them.
func (s *suite) given(u unit) (map[string]arrow.RecordBatch, func(), error) {
	rows := map[string]arrow.RecordBatch{}
	free := func() {
		for _, r := range rows {
			r.Release()
		}
	}
	for _, in := range u.inputs {
		record, err := in.Rows(s.Seed, u.from, u.rows)
		if err != nil {
			free()
			return nil, nil, err
		}
		rows[in.Name] = record
	}
	return rows, free, nil
}

func (s *suite) transformIdentity(ctx context.Context, t *trial) error {
	plan := s.transformState.plan
	columns := s.passing(plan)
	if len(columns) == 0 || plan.Cardinality == sdk.AnyRows {
		return skip("", "no column says that it passes as it is in a transform of one row or none for each")
	}
	u := s.unit()
	rows, free, err := s.given(u)
	if err != nil {
		return err
	}
	defer free()
	y, err := s.once(ctx, u)
	if err != nil {
		return err
	}
	t.note("compared %d columns", len(columns))
	return s.keeps(plan, y, rows)
}
