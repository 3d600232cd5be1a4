package zone

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go/table"

	"github.com/qanat-data/qanat/core/zone/objects"
)

// Memory of a stage: each of its writers holds queuedBatches and one row group.
const (
	stageWriters  = 2
	queuedBatches = 2
	maxBatchRows  = 64 << 10 // longer batches are cut
	secondAt      = 64 << 10 // rows before the second writer may start
)

// StageOptions say whose unit is staged.
type StageOptions struct {
	Flow       string
	Seq        int64
	IngestedAt time.Time
	// Ordered keeps the rows in the order in which they are written, for half the speed: a scan of the unit gives them back in it.
	Ordered bool
}

// Stage writes the files of one unit while its batches arrive. Nothing of it is
// visible before Commit. It is for one goroutine.
type Stage struct {
	dataset  *Dataset
	opts     StageOptions
	ctx      context.Context
	cancel   context.CancelFunc
	created  *objects.Created
	constant *constants

	tbl     *table.Table
	target  *arrow.Schema // with field ids and system columns, as the writer wants it
	adapter *adapter
	pool    *writers
	part    int // of the next pool
	files   Files
	ended   bool
}

var errStageEnded = errors.New("the stage has ended")

// Stage begins a unit. The context bounds the whole stage: when it ends, so do its
// writers. Finish or Abort must be called.
func (d *Dataset) Stage(ctx context.Context, o StageOptions) (*Stage, error) {
	if o.Flow == "" || o.Seq <= 0 {
		return nil, fmt.Errorf("dataset %q: a unit needs a flow and a seq above 0, got %q and %d", d.name, o.Flow, o.Seq)
	}
	s := &Stage{dataset: d, opts: o, constant: newConstants(d.zones.alloc)}
	ctx, s.created = objects.WithCreated(d.zones.arrowContext(ctx))
	s.ctx, s.cancel = context.WithCancel(ctx)
	if err := s.open(); err != nil {
		s.cancel()
		return nil, err
	}
	return s, nil
}

// open reads the table's schema; writers start with the first batch.
func (s *Stage) open() error {
	tbl, err := s.dataset.load(s.ctx)
	if err != nil {
		return err
	}
	target, err := table.SchemaToArrowSchema(tbl.Schema(), nil, true, false)
	if err != nil {
		return fmt.Errorf("dataset %q: %w", s.dataset.name, err)
	}
	s.tbl, s.target, s.adapter, s.pool = tbl, target, nil, newWriters(s.ctx, tbl, target, s.part, s.opts.Ordered)
	s.part++
	return nil
}

// Write stages a batch of storable user columns, matched by name: optional columns
// may be missing, types may be narrower than the table's. Source says where the rows
// came from and is kept in landing. It blocks while the writers are busy. The batch
// stays the caller's.
func (s *Stage) Write(ctx context.Context, batch arrow.RecordBatch, source string) error {
	if s.ended {
		return errStageEnded
	}
	if batch.NumRows() == 0 {
		return nil
	}
	if s.adapter == nil || !s.adapter.accepts(batch.Schema()) {
		a, err := newAdapter(s.dataset.name, batch.Schema(), s.target)
		if err != nil {
			return err
		}
		s.adapter = a
	}
	for start := int64(0); start < batch.NumRows(); start += maxBatchRows {
		if err := s.writeSlice(ctx, batch, start, min(start+maxBatchRows, batch.NumRows()), source); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stage) writeSlice(ctx context.Context, batch arrow.RecordBatch, start, end int64, source string) error {
	part := batch.NewSlice(start, end)
	defer part.Release()
	out, err := s.adapter.adapt(s.ctx, part, s.systemColumn(int(end-start), source))
	if err != nil {
		return fmt.Errorf("dataset %q: %w", s.dataset.name, err)
	}
	return s.pool.write(ctx, out)
}

// systemColumn makes the constant columns of a batch.
func (s *Stage) systemColumn(rows int, source string) func(name string) (arrow.Array, bool) {
	return func(name string) (arrow.Array, bool) {
		switch name {
		case ColumnSeq:
			return s.constant.int64(arrow.PrimitiveTypes.Int64, s.opts.Seq, rows), true
		case ColumnIngestedAt:
			return s.constant.int64(timestampUTC, s.opts.IngestedAt.UnixMicro(), rows), true
		case ColumnFlow:
			return s.constant.text(s.opts.Flow, rows), true
		case ColumnSource:
			return s.constant.text(source, rows), true
		}
		return nil, false
	}
}

// Evolve ends the files begun so far, brings the dataset to a new schema and goes on
// with it.
func (s *Stage) Evolve(ctx context.Context, to *arrow.Schema) ([]Change, error) {
	if s.ended {
		return nil, errStageEnded
	}
	if err := s.flush(); err != nil {
		return nil, err
	}
	_, changes, err := s.dataset.Evolve(ctx, to)
	if err != nil {
		return nil, err
	}
	return changes, s.open()
}

// flush waits until the files begun so far are stored.
func (s *Stage) flush() error {
	files, err := s.pool.finish()
	for _, f := range files {
		s.files.list = append(s.files.list, f)
		s.files.Rows += f.Count()
		s.files.Bytes += f.FileSizeBytes()
	}
	if err != nil {
		return fmt.Errorf("dataset %q: stage: %w", s.dataset.name, err)
	}
	return nil
}

// Finish waits until every file is stored and returns them. A unit without rows has
// none. After an error what was written is removed.
func (s *Stage) Finish(ctx context.Context) (Files, error) {
	if s.ended {
		return Files{}, errStageEnded
	}
	stop := context.AfterFunc(ctx, s.cancel)
	err := s.flush()
	stop()
	if err != nil {
		return Files{}, errors.Join(err, s.Abort(ctx))
	}
	s.end()
	return s.files, nil
}

func (s *Stage) end() {
	s.ended = true
	s.cancel()
	s.constant.release()
}

// Abort stops the writers and removes what they wrote; objects under retention stay
// as orphans. After Finish it does nothing (see Discard), so it can be deferred.
func (s *Stage) Abort(_ context.Context) error {
	if s.ended {
		return nil
	}
	s.cancel()
	_, _ = s.pool.finish()
	s.end()
	return s.dataset.remove(s.ctx, s.created.Names())
}

// Discard removes the files of a finished stage that was not committed.
func (d *Dataset) Discard(ctx context.Context, f Files) error { return d.remove(ctx, f.Paths()) }

func (d *Dataset) remove(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if err := d.zones.client.Remove(ctx, names); err != nil {
		return fmt.Errorf("dataset %q: remove staged files: %w", d.name, err)
	}
	return nil
}
