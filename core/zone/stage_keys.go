package zone

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go/table"

	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/core/zone/objects"
	"github.com/qanat-data/qanat/core/zone/rowkey"
)

// Memory of a stage of keys: it holds this much and then writes a file.
const (
	keyFileRows  = 128 << 10
	keyFileBytes = 16 << 20
)

// KeyStage writes the keys of rows that a unit deletes or replaces, in files that CommitRequest.Keys takes. Nothing of it is visible
// before Commit. It is for one goroutine, and may be filled beside the Stage of the unit's rows by another.
type KeyStage struct {
	dataset *Dataset
	ctx     context.Context
	cancel  context.CancelFunc
	created *objects.Created

	tbl     *table.Table
	ids     []int
	target  *arrow.Schema // the key's columns with field ids
	adapter *adapter
	held    []arrow.RecordBatch
	rows    int64
	bytes   int64
	files   Files
	ended   bool
}

// StageKeys begins the keys of a unit on a dataset with a key. The context bounds the whole stage. Finish or Abort must be called.
func (d *Dataset) StageKeys(ctx context.Context, o StageOptions) (*KeyStage, error) {
	if o.Flow == "" || o.Seq <= 0 {
		return nil, fmt.Errorf("dataset %q: a unit needs a flow and a seq above 0, got %q and %d", d.name, o.Flow, o.Seq)
	}
	s := &KeyStage{dataset: d}
	ctx, s.created = objects.WithCreated(d.zones.arrowContext(ctx))
	s.ctx, s.cancel = context.WithCancel(ctx)
	if err := s.open(); err != nil {
		s.cancel()
		return nil, err
	}
	return s, nil
}

func (s *KeyStage) open() error {
	tbl, err := s.dataset.load(s.ctx)
	if err != nil {
		return err
	}
	s.tbl = tbl
	if s.ids, s.target, err = keyTarget(tbl); err != nil {
		return fmt.Errorf("dataset %q: %w", s.dataset.name, err)
	}
	return nil
}

// Write stages a batch of the key's columns and no others, matched by name, of the types that rows are staged with; nulls are
// refused. Every key may come once in a unit. A key that no row has is no error. The batch stays the caller's.
func (s *KeyStage) Write(ctx context.Context, batch arrow.RecordBatch) error {
	if s.ended {
		return errStageEnded
	}
	if batch.NumRows() == 0 {
		return ctx.Err()
	}
	if s.adapter == nil || !s.adapter.accepts(batch.Schema()) {
		a, err := newAdapter(s.dataset.name, batch.Schema(), s.target)
		if err != nil {
			return err
		}
		s.adapter = a
	}
	for start := int64(0); start < batch.NumRows(); start += maxBatchRows {
		if err := s.writeSlice(ctx, batch, start, min(start+maxBatchRows, batch.NumRows())); err != nil {
			return err
		}
	}
	return nil
}

func (s *KeyStage) writeSlice(ctx context.Context, batch arrow.RecordBatch, start, end int64) error {
	part := batch.NewSlice(start, end)
	defer part.Release()
	out, err := s.adapter.adapt(s.ctx, part, func(string) (arrow.Array, bool) { return nil, false })
	if err != nil {
		return fmt.Errorf("dataset %q: %w", s.dataset.name, err)
	}
	s.held = append(s.held, out)
	s.rows += out.NumRows()
	s.bytes += valueBytes(out)
	if s.rows < keyFileRows && s.bytes < keyFileBytes {
		return ctx.Err()
	}
	return s.flush(ctx)
}

// valueBytes is about what the values of a batch take, however long the buffers are that it is a part of.
func valueBytes(b arrow.RecordBatch) int64 {
	var sum int64
	for _, column := range b.Columns() {
		switch c := column.(type) {
		case *array.String:
			sum += int64(len(c.ValueBytes()))
		case *array.Binary:
			sum += int64(len(c.ValueBytes()))
		}
		sum += 16 * int64(column.Len())
	}
	return sum
}

// flush writes what is held into a file.
func (s *KeyStage) flush(ctx context.Context) error {
	if len(s.held) == 0 {
		return nil
	}
	defer s.drop()
	defer context.AfterFunc(ctx, s.cancel)()
	files, err := s.tbl.NewTransaction().WriteEqualityDeletes(s.ctx, s.ids, func(yield func(arrow.RecordBatch, error) bool) {
		for _, b := range s.held {
			if !yield(b, nil) {
				return
			}
		}
	})
	if err != nil {
		return fmt.Errorf("dataset %q: stage keys: %w", s.dataset.name, errors.Join(err, ctx.Err()))
	}
	if files, err = unbounded(files, s.withEmpty()); err != nil {
		return fmt.Errorf("dataset %q: stage keys: %w", s.dataset.name, err)
	}
	for _, f := range files {
		s.files.list = append(s.files.list, f)
		s.files.Rows += f.Count()
		s.files.Bytes += f.FileSizeBytes()
	}
	killpoint.Here("after-keys")
	return nil
}

// withEmpty are the ids of columns with an empty text among what is held. Arrow's Parquet writer leaves empty texts out of a file's
// bounds, so by these a reader might take it that keys do not apply to a file.
func (s *KeyStage) withEmpty() []int {
	var ids []int
	for i, id := range s.ids {
		if slices.ContainsFunc(s.held, func(b arrow.RecordBatch) bool { return rowkey.HasEmpty(b.Column(i)) }) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (s *KeyStage) drop() {
	for _, b := range s.held {
		b.Release()
	}
	s.held, s.rows, s.bytes = nil, 0, 0
}

// Finish stores what is held and returns the files. A unit without keys has none. After an error what was written is removed.
func (s *KeyStage) Finish(ctx context.Context) (Files, error) {
	if s.ended {
		return Files{}, errStageEnded
	}
	if err := s.flush(ctx); err != nil {
		return Files{}, errors.Join(err, s.Abort(ctx))
	}
	s.ended = true
	s.cancel()
	return s.files, nil
}

// Abort removes what was written. After Finish it does nothing (see Discard), so it can be deferred.
func (s *KeyStage) Abort(_ context.Context) error {
	if s.ended {
		return nil
	}
	s.ended = true
	s.cancel()
	s.drop()
	return s.dataset.remove(s.ctx, s.created.Names())
}
