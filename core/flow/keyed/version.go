package keyed

import (
	"context"
	"errors"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/change"
)

// column is one on its way into a batch, which takes it over.
type column struct {
	field  arrow.Field
	values arrow.Array
}

// batchOf makes a batch and takes the columns over.
func batchOf(columns []column, rows int64) arrow.RecordBatch {
	fields, values := make([]arrow.Field, len(columns)), make([]arrow.Array, len(columns))
	for i, c := range columns {
		fields[i], values[i] = c.field, c.values
		defer c.values.Release()
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), values, rows)
}

// part are columns of a batch, which keeps them.
func part(b arrow.RecordBatch, wanted func(name string) bool) []column {
	var columns []column
	for i, f := range b.Schema().Fields() {
		if wanted(f.Name) {
			b.Column(i).Retain()
			columns = append(columns, column{f, b.Column(i)})
		}
	}
	return columns
}

// appended is a batch with more columns, which it takes over.
func appended(b arrow.RecordBatch, more ...column) arrow.RecordBatch {
	return batchOf(append(part(b, func(string) bool { return true }), more...), b.NumRows())
}

func columnsOf(b arrow.RecordBatch, names []string) []arrow.Array {
	columns := make([]arrow.Array, len(names))
	for i, name := range names {
		columns[i] = columnOf(b, name)
	}
	return columns
}

// columnOf is one that is there, by the dataset's form.
func columnOf(b arrow.RecordBatch, name string) arrow.Array {
	return b.Column(b.Schema().FieldIndices(name)[0])
}

func numberColumn(alloc memory.Allocator, name string, values []int64) column {
	b := array.NewInt64Builder(alloc)
	defer b.Release()
	b.AppendValues(values, nil)
	return column{arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Int64}, b.NewArray()}
}

func timeColumn(alloc memory.Allocator, name string, values []int64) column {
	dt := arrow.FixedWidthTypes.Timestamp_us.(*arrow.TimestampType)
	b := array.NewTimestampBuilder(alloc, dt)
	defer b.Release()
	b.Reserve(len(values))
	for _, value := range values {
		b.UnsafeAppend(arrow.Timestamp(value))
	}
	return column{arrow.Field{Name: name, Type: dt, Nullable: true}, b.NewArray()}
}

func opColumn(alloc memory.Allocator, op change.Op, rows int64) column {
	b := array.NewUint8Builder(alloc)
	defer b.Release()
	for range rows {
		b.Append(uint8(op))
	}
	return column{arrow.Field{Name: change.ColumnOp, Type: arrow.PrimitiveTypes.Uint8}, b.NewArray()}
}

// current are the dataset's keys of the versions that hold, for keys of rows.
func current(alloc memory.Allocator, rows arrow.RecordBatch, key []string) arrow.RecordBatch {
	columns := part(rows, func(name string) bool { return slices.Contains(key, name) })
	versions := make([]int64, rows.NumRows())
	for i := range versions {
		versions[i] = change.Current
	}
	return batchOf(append(columns, numberColumn(alloc, change.ColumnVersion, versions)), rows.NumRows())
}

// ended are versions with their ends, in microseconds, and a number each. One that ended before it was taken to begin began when it ended.
func (h *history) ended(rows arrow.RecordBatch, ends []int64) (arrow.RecordBatch, error) {
	begun, ok := columnOf(rows, change.ColumnValidFrom).(*array.Timestamp)
	if !ok {
		return nil, errors.New("column " + change.ColumnValidFrom + " holds no timestamps")
	}
	begins, numbers := make([]int64, len(ends)), make([]int64, len(ends))
	for i := range ends {
		begins[i] = min(int64(begun.Value(i)), ends[i])
		h.number++
		numbers[i] = h.number
	}
	columns := part(rows, func(name string) bool { return !slices.Contains(change.VersionNames(), name) })
	return batchOf(append(columns,
		timeColumn(h.alloc, change.ColumnValidFrom, begins), timeColumn(h.alloc, change.ColumnValidTo, ends),
		numberColumn(h.alloc, change.ColumnVersion, numbers)), rows.NumRows()), nil
}

// versions are the rows and the net changes that new versions make.
func (h *history) versions(b arrow.RecordBatch) (rows, noted arrow.RecordBatch, err error) {
	ends := columnOf(b, change.ColumnValidTo)
	begun, ok := columnOf(b, change.ColumnValidFrom).(*array.Timestamp)
	if !ok {
		return nil, nil, errors.New("column " + change.ColumnValidFrom + " holds no timestamps")
	}
	numbers := make([]int64, b.NumRows())
	for i := range numbers {
		if numbers[i] = change.Current; ends.IsValid(i) {
			h.number++
			numbers[i] = h.number
		}
	}
	metas := change.Names()
	rows = batchOf(append(part(b, func(name string) bool { return !slices.Contains(metas, name) }),
		numberColumn(h.alloc, change.ColumnVersion, numbers)), b.NumRows())
	defer func() {
		if err != nil {
			rows.Release()
		}
	}()
	known, err := h.known(b, begun)
	if err != nil {
		return rows, nil, err
	}
	meta := part(b, func(name string) bool { return name == change.ColumnPos || name == change.ColumnTxSeq })
	return rows, appended(rows, append(meta, opColumn(h.alloc, change.Insert, b.NumRows()), known)...), nil
}

// known are the times at which versions began, as far as sources have said them: a snapshot does not say since when a row has been there.
func (h *history) known(b arrow.RecordBatch, begun *array.Timestamp) (column, error) {
	ops, ok := columnOf(b, change.ColumnOp).(*array.Uint8)
	if !ok {
		return column{}, errors.New("column " + change.ColumnOp + " holds no operations")
	}
	times := array.NewTimestampBuilder(h.alloc, begun.DataType().(*arrow.TimestampType))
	defer times.Release()
	times.Reserve(begun.Len())
	for i := range begun.Len() {
		if ops.IsValid(i) && change.Op(ops.Value(i)) == change.Snapshot {
			times.UnsafeAppendBoolToBitmap(false)
		} else {
			times.UnsafeAppend(begun.Value(i))
		}
	}
	return column{arrow.Field{Name: change.ColumnTs, Type: begun.DataType(), Nullable: true}, times.NewArray()}, nil
}

// onlyOpen leaves out versions that have ended.
func onlyOpen(ctx context.Context, alloc memory.Allocator, rows arrow.RecordBatch) (arrow.RecordBatch, error) {
	numbers, ok := columnOf(rows, change.ColumnVersion).(*array.Int64)
	if !ok {
		return nil, errors.New("column " + change.ColumnVersion + " holds no numbers")
	}
	b := array.NewBooleanBuilder(alloc)
	defer b.Release()
	b.Reserve(numbers.Len())
	for _, number := range numbers.Int64Values() {
		b.UnsafeAppend(number == change.Current)
	}
	keep := b.NewArray()
	defer keep.Release()
	return compute.FilterRecordBatch(compute.WithAllocator(ctx, alloc), rows, keep, compute.DefaultFilterOptions())
}
