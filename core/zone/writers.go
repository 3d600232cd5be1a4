package zone

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/qanat-data/qanat/core/killpoint"
)

// writers share one queue of batches and write a file each. They start when there
// is work: a small unit has one, or none.
type writers struct {
	ctx    context.Context
	stop   context.CancelCauseFunc
	tbl    *table.Table
	schema *arrow.Schema
	queue  chan arrow.RecordBatch
	group  sync.WaitGroup
	active int
	most   int // that write at a time
	part   int // of the unit
	rows   int64

	finished bool

	mutex sync.Mutex
	files []iceberg.DataFile
	err   error
}

func newWriters(ctx context.Context, tbl *table.Table, schema *arrow.Schema, part int, ordered bool) *writers {
	w := &writers{tbl: tbl, schema: schema, part: part, most: stageWriters, queue: make(chan arrow.RecordBatch, queuedBatches)}
	if ordered {
		w.most = 1
	}
	w.ctx, w.stop = context.WithCancelCause(ctx)
	return w
}

// write hands a batch over, with its reference.
func (w *writers) write(ctx context.Context, batch arrow.RecordBatch) error {
	w.rows += batch.NumRows()
	if w.active == 0 {
		w.start()
	}
	select {
	case w.queue <- batch:
		return nil
	default:
	}
	if w.active < w.most && w.rows > secondAt {
		w.start()
	}
	select {
	case w.queue <- batch:
		return nil
	case <-ctx.Done():
		batch.Release()
		return ctx.Err()
	case <-w.ctx.Done():
		batch.Release()
		return context.Cause(w.ctx)
	}
}

func (w *writers) start() {
	w.active++
	w.group.Go(func() {
		files, err := w.run()
		w.mutex.Lock()
		defer w.mutex.Unlock()
		w.files = append(w.files, files...)
		if err != nil && w.err == nil {
			w.err = err
			w.stop(err)
		}
	})
}

func (w *writers) run() ([]iceberg.DataFile, error) {
	var files []iceberg.DataFile
	written := table.WriteRecords(w.ctx, w.tbl, w.schema, w.batches,
		table.WithRecordBatchBufferSize(queuedBatches), table.WithWriteUUID(fileID(w.tbl.Schema().ID, w.part)))
	for f, err := range written {
		if err != nil {
			return files, err
		}
		files = append(files, f)
		killpoint.Here("after-part")
	}
	return files, nil
}

// batches feeds one writer until the queue is closed.
func (w *writers) batches(yield func(arrow.RecordBatch, error) bool) {
	for {
		select {
		case b, ok := <-w.queue:
			if !ok || !yield(b, nil) {
				return
			}
		case <-w.ctx.Done():
			yield(nil, context.Cause(w.ctx))
			return
		}
	}
}

// finish waits for the writers and returns their files; a second call returns none.
func (w *writers) finish() ([]iceberg.DataFile, error) {
	if w.finished {
		return nil, w.err
	}
	w.finished = true
	close(w.queue)
	w.group.Wait()
	for b := range w.queue {
		b.Release() // a writer failed before it came to them
	}
	w.stop(nil)
	return w.files, cmp.Or(w.err, w.check())
}

// check holds the rows of the files against those that were handed over.
func (w *writers) check() error {
	rows := w.rows
	for _, f := range w.files {
		rows -= f.Count()
	}
	if rows != 0 {
		return fmt.Errorf("%d rows were written, %d of them are in no file", w.rows, rows)
	}
	return nil
}
