package zone

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go/table"
)

// Staged reads back the user columns of a finished stage that was not committed. The receiver releases the batches.
func (d *Dataset) Staged(ctx context.Context, f Files) Batches {
	ctx = d.zones.arrowContext(ctx)
	return func(yield func(arrow.RecordBatch, error) bool) {
		batches, err := d.staged(ctx, f)
		if err != nil {
			yield(nil, fmt.Errorf("dataset %q: staged files: %w", d.name, err))
			return
		}
		batches(yield)
	}
}

func (d *Dataset) staged(ctx context.Context, f Files) (Batches, error) {
	tbl, err := d.load(ctx)
	if err != nil {
		return nil, err
	}
	schema, err := scanSchema(tbl, nil, nil)
	if err != nil {
		return nil, err
	}
	p := scanPlan{tbl: tbl, schema: schema, options: []table.ScanOption{
		table.WithMaxConcurrency(1), table.WithArrowBatchSize(scanBatchRows), table.WithSelectedFields(names(schema)...),
	}}
	tasks := make([]table.FileScanTask, len(f.list))
	for i, file := range f.list {
		tasks[i] = table.FileScanTask{File: file, Length: file.FileSizeBytes()}
	}
	return p.concat(func() (Batches, error) { return p.tasks(ctx, p.options, tasks) }), nil
}
