package sample

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// arrowAlloc is where made-up batches live.
var arrowAlloc = memory.NewGoAllocator()

// Column is one column of made-up data.
type Column struct {
	Name   string
	Type   arrow.DataType
	Values []string // to choose from, as text (JSON for nested types); anything if empty
	Solid  bool     // never null
}

// Input is one input of a transform, a check or a sink.
type Input struct {
	Name    string
	Columns []Column
}

// Schema of the input's rows.
func (in Input) Schema() *arrow.Schema {
	fields := make([]arrow.Field, len(in.Columns))
	for i, c := range in.Columns {
		fields[i] = arrow.Field{Name: c.Name, Type: c.Type, Nullable: !c.Solid}
	}
	return arrow.NewSchema(fields, nil)
}

// With is the input with one more column, in place of one of that name.
func (in Input) With(c Column) Input {
	columns := slices.DeleteFunc(slices.Clone(in.Columns), func(other Column) bool { return other.Name == c.Name })
	return Input{Name: in.Name, Columns: append(columns, c)}
}

// Change says in which column rows differ from those of the seed.
type Change struct {
	Column  int
	Variant uint64 // from 1; 0 changes nothing
}

// Null is the variant that makes a value null.
const Null = ^uint64(0)

// Rows makes the rows from one number on. The caller releases them.
func (in Input) Rows(seed uint64, from, n int) (arrow.RecordBatch, error) {
	return in.Changed(seed, from, n, Change{})
}

// Changed makes rows that differ in a column.
func (in Input) Changed(seed uint64, from, n int, change Change) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, 0, len(in.Columns))
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i, c := range in.Columns {
		variant := uint64(0)
		if i == change.Column {
			variant = change.Variant
		}
		made, err := c.values(seed, from, n, variant)
		if err != nil {
			return nil, err
		}
		columns = append(columns, made)
	}
	return array.NewRecordBatch(in.Schema(), columns, int64(n)), nil
}

func (c Column) values(seed uint64, from, n int, variant uint64) (arrow.Array, error) {
	b := array.NewBuilder(arrowAlloc, c.Type)
	defer b.Release()
	b.Reserve(n)
	name := fnv.New64a()
	_, _ = name.Write([]byte(c.Name))
	source := rand.NewPCG(0, 0)
	r := rand.New(source) //nolint:gosec // made-up data
	for row := from; row < from+n; row++ {
		// Multiplied by odd constants, so that neighbouring rows and variants have nothing in common.
		source.Seed(seed^name.Sum64()^variant*0x9e3779b97f4a7c15, uint64(row)*0xbf58476d1ce4e5b9+1) //nolint:gosec // wraps as it should
		if err := c.append(b, r, variant == Null); err != nil {
			return nil, err
		}
	}
	return b.NewArray(), nil
}

func (c Column) append(b array.Builder, r *rand.Rand, null bool) error {
	switch {
	case null && !c.Solid:
		b.AppendNull()
		return nil
	case !c.Solid && r.IntN(nullShare) == 0:
		b.AppendNull()
		return nil
	case len(c.Values) > 0:
		return b.AppendValueFromString(c.Values[r.IntN(len(c.Values))])
	}
	return appendValue(b, r)
}

// Nulls makes rows of nothing but nulls, as far as columns may be null.
func (in Input) Nulls(n int) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, 0, len(in.Columns))
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for _, c := range in.Columns {
		made, err := c.values(1, 0, n, Null)
		if err != nil {
			return nil, err
		}
		columns = append(columns, made)
	}
	return array.NewRecordBatch(in.Schema(), columns, int64(n)), nil
}
