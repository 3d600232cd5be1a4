package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/specs/contract"
)

// errAbsent marks a column that the data doesn't have.
var errAbsent = errors.New("there is no such column")

// locator finds a column in the batches of a schema, also below structs and in arrays.
type locator struct {
	top   int
	steps []int // index of a struct's field, or intoItems
	kind  arrow.DataType
}

const intoItems = -1

// locate follows the path of a column, or failing that its path in the contract's own names.
func locate(schema *arrow.Schema, column contract.Column) (*locator, error) {
	l, err := follow(schema, column.Path)
	if errors.Is(err, errAbsent) && !slices.Equal(column.Path, column.Names) {
		if other, otherErr := follow(schema, column.Names); otherErr == nil {
			return other, nil
		}
	}
	return l, err
}

func follow(schema *arrow.Schema, path []string) (*locator, error) {
	found := schema.FieldIndices(path[0])
	if len(found) == 0 {
		return nil, errAbsent
	}
	l := &locator{top: found[0], kind: schema.Field(found[0]).Type}
	for _, step := range path[1:] {
		if err := l.step(step); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *locator) step(name string) error {
	if name == contract.ItemStep {
		list, ok := l.kind.(arrow.ListLikeType)
		if !ok {
			return fmt.Errorf("expected an array, found %s", l.kind)
		}
		l.steps, l.kind = append(l.steps, intoItems), list.Elem()
		return nil
	}
	fields, ok := l.kind.(*arrow.StructType)
	if !ok {
		return fmt.Errorf("expected a struct with a field %q, found %s", name, l.kind)
	}
	index, ok := fields.FieldIdx(name)
	if !ok {
		return errAbsent
	}
	l.steps, l.kind = append(l.steps, index), fields.Field(index).Type
	return nil
}

// leaf is the values of a column in a batch.
type leaf struct {
	values arrow.Array
	rows   []int32 // the row of each value, noRow for values below a null; nil where value i is row i
}

const noRow = -1

func (f leaf) row(i int) int {
	if f.rows == nil {
		return i
	}
	return int(f.rows[i])
}

func (l *locator) leaf(record arrow.RecordBatch) leaf {
	f := leaf{values: record.Column(l.top)}
	for _, step := range l.steps {
		if step == intoItems {
			f = items(f)
		} else {
			f = field(f, step)
		}
	}
	return f
}

func field(f leaf, index int) leaf {
	parent, ok := f.values.(*array.Struct)
	if !ok {
		return f
	}
	below := leaf{values: parent.Field(index), rows: f.rows}
	if parent.NullN() == 0 {
		return below
	}
	below.rows = make([]int32, parent.Len())
	for i := range below.rows {
		below.rows[i] = noRow
		if parent.IsValid(i) {
			below.rows[i] = int32(f.row(i)) //nolint:gosec // batches have far fewer rows than 2³¹
		}
	}
	return below
}

func items(f leaf) leaf {
	parent, ok := f.values.(array.ListLike)
	if !ok {
		return f
	}
	below := leaf{values: parent.ListValues()}
	below.rows = slices.Repeat([]int32{noRow}, below.values.Len())
	for i := range parent.Len() {
		row := f.row(i)
		if row == noRow || parent.IsNull(i) {
			continue
		}
		from, to := parent.ValueOffsets(i)
		for k := from; k < to; k++ {
			below.rows[k] = int32(row) //nolint:gosec // batches have far fewer rows than 2³¹
		}
	}
	return below
}
