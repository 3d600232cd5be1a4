package main

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// describe settles the schema of what comes out: the query's columns, and behind them the change columns.
func (q *changeQuery) describe(result *arrow.Schema) {
	fields := result.Fields()[len(result.Fields())-len(q.columns):]
	table := arrow.NewSchema(fields, nil)
	q.before = arrow.StructOf(fields...)
	for _, at := range q.passing() {
		field := q.input.Field(at)
		if at == q.at.Before {
			field.Type = q.before
		}
		fields = append(fields, field)
	}
	metadata := change.Schema(table, q.outKey).Metadata()
	q.schema = arrow.NewSchema(fields, &metadata)
}

// passing are the places of the input's change columns, in their order.
func (q *changeQuery) passing() []int {
	all := []int{q.at.Op, q.at.Pos, q.at.TxSeq, q.at.Ts, q.at.Before, q.at.Unchanged}
	return slices.DeleteFunc(all, func(at int) bool { return at < 0 })
}

// cardinality follows from the key: with one, a row that is left out becomes a deletion.
func (q *changeQuery) cardinality() sdk.Cardinality {
	if q.where != nil && len(q.key) == 0 {
		return sdk.Filters
	}
	return sdk.OneToOne
}

// lineage names, beside what a column is made from, what decides whether its value is there: conditions do, and _op and _unchanged,
// because of which columns are null.
func (q *changeQuery) lineage(output string) []sdk.ColumnLineage {
	var lineage []sdk.ColumnLineage
	add := func(column string, kind sdk.LineageKind, inputs ...string) {
		l := sdk.ColumnLineage{Output: output, Column: column, Kind: kind}
		for _, name := range inputs {
			if ref := (sdk.ColumnRef{Input: q.stream, Column: name}); !slices.Contains(l.Inputs, ref) {
				l.Inputs = append(l.Inputs, ref)
			}
		}
		lineage = append(lineage, l)
	}
	decides := q.deciding()
	all := true // columns of the table, as they are
	for i, p := range q.columns {
		all = all && p.same == i
		kind := sdk.Derived
		if p.same >= 0 {
			kind = sdk.Identity
		}
		add(p.name, kind, slices.Concat(q.namesOf(p.reads), q.decidingOf(p))...)
	}
	all = all && len(q.columns) == len(q.table)
	for _, at := range q.passing() {
		name := q.input.Field(at).Name
		switch {
		case at == q.at.Before && (!all || q.where != nil || !arrow.TypeEqual(q.input.Field(at).Type, q.before)):
			add(name, sdk.Derived, slices.Concat([]string{name}, decides)...)
		case at == q.at.Unchanged:
			add(name, sdk.Identity, slices.Concat([]string{name, change.ColumnOp}, decides)...)
		case at == q.at.Op || at == q.at.Before || q.cardinality() == sdk.Filters:
			add(name, sdk.Identity, slices.Concat([]string{name}, decides)...)
		default:
			add(name, sdk.Identity, name)
		}
	}
	return lineage
}

func (q *changeQuery) namesOf(columns []int) []string {
	names := make([]string, len(columns))
	for i, column := range columns {
		names[i] = q.columnName(column)
	}
	return names
}

// deciding are the columns by which rows are left out.
func (q *changeQuery) deciding() []string {
	if q.where == nil {
		return nil
	}
	return append(q.namesOf(q.where.reads), change.ColumnOp)
}

// decidingOf are the columns by which a value is there or not.
func (q *changeQuery) decidingOf(p projected) []string {
	decides := q.deciding()
	switch {
	case p.ofKey && q.where != nil && q.at.Before >= 0 && len(q.key) > 0: // of the row that was there before, if the key has changed
		return append(decides, change.ColumnBefore)
	case p.ofKey && p.same >= 0:
		return decides
	}
	decides = append(decides, change.ColumnOp)
	if q.at.Unchanged >= 0 && p.same < 0 {
		decides = append(decides, change.ColumnUnchanged)
	}
	return decides
}
