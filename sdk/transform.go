package sdk

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
)

// Transform turns batches into batches.
type Transform interface {
	// Plan says what would come out for inputs of these schemas, without side effects. It is called before the first Apply and
	// again at each schema change; an input's Stream is its name.
	Plan(ctx context.Context, in []SchemaChange) (Plan, error)
	// Apply transforms one batch of any number of rows, whose ownership passes. No state may be kept across calls, unless the
	// transform is a Collector, and none across units: what comes out must not depend on where the runtime cuts batches. A schema
	// that Plan has accepted must work; rows that can't be transformed are rejected.
	Apply(ctx context.Context, in Batch, out Output) error
	// Close frees what the constructor took.
	Close(ctx context.Context) error
}

// Collector is a transform that needs all of its input: Apply gathers, Finish emits. Plan.Collects says whether it does with its
// settings.
type Collector interface {
	Finish(ctx context.Context, out Output) error
}

// Output takes what a transform produces for one call. Not safe for concurrent use.
type Output interface {
	// Batch emits rows of one of the planned outputs (b.Stream; the version is the runtime's). The ownership of the record passes.
	// A row of more than 16 MiB is rejected with code row_too_large where it can be told which row of the input it comes from:
	// where that has one row, or the cardinality is one and no row has been rejected before. Otherwise it is an error.
	Batch(ctx context.Context, b Batch) error
	// Reject sends rows of the input batch, by index, to quarantine.
	Reject(ctx context.Context, r ...Rejection) error
}

// Plan is what a transform will do.
type Plan struct {
	Outputs       []PlannedOutput
	Lineage       []ColumnLineage
	Cardinality   Cardinality
	Deterministic bool
	Collects      bool
	Description   string // for people; the SQL text, for instance
}

// PlannedOutput is one output of a transform.
type PlannedOutput struct {
	Name   string // by convention the input's name where one input gives one output
	Schema *arrow.Schema
	Key    []string
}

// KeyOf is the key of an output: what the transform says it is, or else the input's, if every row comes from one row of a single input and
// the columns of its key are passed on, be it under other names. Empty if there is none.
func (p Plan) KeyOf(out PlannedOutput, in []SchemaChange) []string {
	if len(out.Key) > 0 || len(in) != 1 || p.Cardinality == AnyRows {
		return out.Key
	}
	var key []string
	for _, column := range in[0].Key {
		from := ColumnRef{Input: in[0].Stream, Column: column}
		i := slices.IndexFunc(p.Lineage, func(l ColumnLineage) bool {
			if l.Output != out.Name || l.Kind != Identity {
				return false
			}
			return slices.Equal(l.Inputs, []ColumnRef{from}) || l.Column == column && slices.Contains(l.Inputs, from)
		})
		if i < 0 {
			return nil
		}
		key = append(key, p.Lineage[i].Column)
	}
	return key
}

// Cardinality is how rows of the output relate to rows of the input; the runtime's accounting checks it.
type Cardinality string

// The cardinalities.
const (
	OneToOne Cardinality = "one"    // each row gives one row or a rejection
	Filters  Cardinality = "filter" // each row gives one row, a rejection, or is filtered out
	AnyRows  Cardinality = "many"   // aggregations, joins, unnesting
)

// ColumnLineage says which input columns an output column is made from, and which decide whether its rows are there (a filter, a
// join, a group). All of them must be named: policies follow them.
type ColumnLineage struct {
	Output string
	Column string
	Inputs []ColumnRef
	Kind   LineageKind
}

// ColumnRef names a column of an input.
type ColumnRef struct {
	Input  string
	Column string
}

// LineageKind is how an output column comes from its inputs.
type LineageKind string

// The kinds of lineage.
const (
	Identity   LineageKind = "identity"
	Derived    LineageKind = "derived"
	Aggregated LineageKind = "aggregated"
	Masked     LineageKind = "masked"
)

// DerivedFromAll is the lineage of a transform that can't say better: every output column comes from every input column.
func DerivedFromAll(in []SchemaChange, out []PlannedOutput) []ColumnLineage {
	var refs []ColumnRef
	for _, input := range in {
		for _, field := range input.Schema.Fields() {
			refs = append(refs, ColumnRef{Input: input.Stream, Column: field.Name})
		}
	}
	var lineage []ColumnLineage
	for _, output := range out {
		for _, field := range output.Schema.Fields() {
			lineage = append(lineage, ColumnLineage{Output: output.Name, Column: field.Name, Inputs: refs, Kind: Derived})
		}
	}
	return lineage
}

// IdentityOf is the lineage of columns that pass unchanged.
func IdentityOf(input, output string, schema *arrow.Schema) []ColumnLineage {
	lineage := make([]ColumnLineage, 0, schema.NumFields())
	for _, field := range schema.Fields() {
		lineage = append(lineage, ColumnLineage{
			Output: output, Column: field.Name, Kind: Identity,
			Inputs: []ColumnRef{{Input: input, Column: field.Name}},
		})
	}
	return lineage
}
