package upkeep

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/qanat-data/qanat/core/zone/objects"
)

// bufferedBatches are read ahead of the writer.
const bufferedBatches = 2

// write writes the rows of each group into new files, in the order of the group's files. After an error nothing of it stays.
func (k *keeper) write(ctx context.Context, p plan, some [][]file) ([]iceberg.DataFile, error) {
	ctx, created := objects.WithCreated(ctx)
	var out []iceberg.DataFile
	for _, g := range some {
		files, err := k.writeGroup(ctx, p, g)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("dataset %q: put files together: %w", k.Name, err),
				k.remove(context.WithoutCancel(ctx), created.Names()))
		}
		out = append(out, files...)
	}
	return out, nil
}

func (k *keeper) writeGroup(ctx context.Context, p plan, g []file) ([]iceberg.DataFile, error) {
	tbl := p.tbl
	schema, err := table.SchemaToArrowSchema(tbl.Schema(), nil, true, false)
	if err != nil {
		return nil, err
	}
	var want, got int64
	exact := true
	tasks := make([]table.FileScanTask, len(g))
	for i, f := range g {
		tasks[i] = p.survey.task(f.entry)
		want += f.entry.file.Count() - f.deleted
		exact = exact && len(tasks[i].EqualityDeleteFiles) == 0
	}
	rows, err := read(ctx, tbl, schema, tasks)
	if err != nil {
		return nil, err
	}
	var out []iceberg.DataFile
	written := table.WriteRecords(ctx, tbl, schema, rows, table.WithTargetFileSize(k.Policy.Compact.Target),
		table.WithRecordBatchBufferSize(bufferedBatches), table.WithWriteUUID(k.FileID(tbl.Schema().ID)))
	for f, err := range written {
		if err != nil {
			return nil, err
		}
		out, got = append(out, f), got+f.Count()
	}
	if got > want || (exact && got < want) {
		return nil, fmt.Errorf("%d rows were read, %d written", want, got)
	}
	return out, nil
}

// read gives the rows of files one file after the other, in the table's newest schema and without those that are deleted.
func read(
	ctx context.Context, tbl *table.Table, schema *arrow.Schema, tasks []table.FileScanTask,
) (iter.Seq2[arrow.RecordBatch, error], error) {
	columns := make([]string, schema.NumFields())
	for i, f := range schema.Fields() {
		columns[i] = f.Name
	}
	_, batches, err := tbl.Scan(table.WithMaxConcurrency(1), table.WithSelectedFields(columns...)).ReadTasks(ctx, tasks)
	if err != nil {
		return nil, err
	}
	return func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range batches {
			if err != nil {
				yield(nil, err)
				return
			}
			if b.NumRows() == 0 { // all of them are deleted
				b.Release()
				continue
			}
			out, err := project(schema, b)
			b.Release()
			if !yield(out, err) || err != nil {
				return
			}
		}
	}, nil
}

// project picks the columns by name.
func project(schema *arrow.Schema, b arrow.RecordBatch) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, schema.NumFields())
	for i, f := range schema.Fields() {
		at := b.Schema().FieldIndices(f.Name)
		if len(at) != 1 {
			return nil, fmt.Errorf("column %q: the reader gave %d of it", f.Name, len(at))
		}
		columns[i] = b.Column(at[0])
	}
	return array.NewRecordBatch(schema, columns, b.NumRows()), nil
}
