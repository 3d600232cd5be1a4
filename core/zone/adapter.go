package zone

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
)

// adapter brings batches of one schema to the exact schema of the table's files, so
// that the Parquet writer takes the columns as they are.
type adapter struct {
	from, to *arrow.Schema
	source   []int  // by column of to; -1: null or constant
	casts    []cast // by column of to
}

func newAdapter(name Name, from, to *arrow.Schema) (*adapter, error) {
	a := &adapter{from: from, to: to, source: make([]int, to.NumFields()), casts: make([]cast, to.NumFields())}
	var faults []Incompatibility
	for i, f := range to.Fields() {
		a.source[i] = -1
		if isSystem(f.Name) {
			continue
		}
		at := from.FieldIndices(f.Name)
		switch {
		case len(at) > 1:
			faults = append(faults, Incompatibility{f.Name, f.Type.String(), "two columns of that name"})
		case len(at) == 0 && !f.Nullable:
			faults = append(faults, Incompatibility{f.Name, f.Type.String(), "a missing column, as it is required"})
		case len(at) == 0:
		default:
			var ok bool
			if a.casts[i], ok = conforms(from.Field(at[0]).Type, f.Type); !ok {
				faults = append(faults, Incompatibility{f.Name, f.Type.String(), from.Field(at[0]).Type.String()})
				continue
			}
			a.source[i] = at[0]
		}
	}
	for _, f := range from.Fields() {
		if _, ok := field(to, f.Name); !ok || isSystem(f.Name) {
			faults = append(faults, Incompatibility{f.Name, "no column", f.Type.String() + " (evolve the dataset first)"})
		}
	}
	if len(faults) > 0 {
		return nil, &IncompatibleError{Dataset: name, Faults: faults}
	}
	return a, nil
}

func (a *adapter) accepts(s *arrow.Schema) bool { return s == a.from || s.Equal(a.from) }

// adapt returns a batch that the caller releases.
func (a *adapter) adapt(
	ctx context.Context, batch arrow.RecordBatch, system func(string) (arrow.Array, bool),
) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, a.to.NumFields())
	defer releaseAll(columns)
	rows := int(batch.NumRows())
	for i, f := range a.to.Fields() {
		column, err := a.column(ctx, batch, i, f, system)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		columns[i] = column
		if !f.Nullable && column.NullN() > 0 {
			return nil, fmt.Errorf("column %q is required, but %d of %d rows are null", f.Name, column.NullN(), rows)
		}
	}
	return array.NewRecordBatch(a.to, columns, batch.NumRows()), nil
}

func (a *adapter) column(
	ctx context.Context, batch arrow.RecordBatch, i int, f arrow.Field, system func(string) (arrow.Array, bool),
) (arrow.Array, error) {
	if a.source[i] < 0 {
		if column, ok := system(f.Name); ok {
			return column, nil
		}
		return array.MakeArrayOfNull(compute.GetAllocator(ctx), f.Type, int(batch.NumRows())), nil
	}
	return a.casts[i].apply(ctx, compute.GetAllocator(ctx), batch.Column(a.source[i]))
}
