package keyed

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/core/flow/merge"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/rowkey"
	"github.com/qanat-data/qanat/sdk/change"
)

// history stages what a unit means to a dataset that keeps versions. The version of a key that holds is the row of the key and
// change.Current, so it is looked up, deleted and added as rows of upserts are. When it ends it becomes another row, with a number.
type history struct {
	*stages
	dataset *zone.Dataset
	key     []string // of the rows
	anew    bool
	number  int64 // given last to a version that has ended

	pending   []arrow.RecordBatch // keys whose versions have not been looked for
	waiting   int64               // their number
	truncated *truncated
}

// truncated is what is known of a unit that empties the table: the versions that hold all end, at the time of the truncate, or at that of
// an earlier change. Such keys are held in memory.
type truncated struct {
	at    int64
	times *rowkey.Index
}

// lookUpKeys is for how many keys versions are looked for at once.
const lookUpKeys = 128 << 10

// firstNumber is behind those of all units before. A unit ends fewer than 2³² versions.
func firstNumber(seq int64) int64 { return seq << 32 }

// part stages a part of what changes come to. In the net changes, a key's version that held has to go before one that holds comes.
func (h *history) part(ctx context.Context, part *merge.Part) error {
	if part.Truncate {
		if err := h.truncate(ctx, int64(part.Time)); err != nil {
			return err
		}
	}
	if part.Keys != nil && !h.empties {
		if err := h.end(ctx, part.Keys); err != nil {
			return err
		}
	}
	if part.Versions == nil {
		return nil
	}
	if err := h.lookForPending(ctx); err != nil {
		return err
	}
	return h.add(ctx, part.Versions)
}

func (h *history) truncate(ctx context.Context, at int64) error {
	if h.anew { // not by the word of the source: nothing of what there was counts
		h.empties = true
		noted := batchOf([]column{opColumn(h.alloc, change.Truncate, 1)}, 1)
		defer noted.Release()
		return h.note(ctx, noted)
	}
	h.truncated = &truncated{at: at, times: h.index()}
	return h.eachOpen(ctx, func(rows arrow.RecordBatch) error { return h.remove(ctx, rows, at) })
}

// index is of the rows' keys.
func (h *history) index() *rowkey.Index {
	types := make([]arrow.DataType, len(h.key))
	for i, name := range h.key {
		types[i] = h.dataset.Schema().Field(h.dataset.Schema().FieldIndices(name)[0]).Type
	}
	return rowkey.New(types)
}

// end ends the versions of keys, if there are any.
func (h *history) end(ctx context.Context, keys arrow.RecordBatch) error {
	if h.truncated != nil {
		return put(h.truncated.times, keys, h.key)
	}
	keys.Retain()
	h.pending, h.waiting = append(h.pending, keys), h.waiting+keys.NumRows()
	if h.waiting < lookUpKeys {
		return nil
	}
	return h.lookForPending(ctx)
}

func (h *history) dropPending() {
	for _, keys := range h.pending {
		keys.Release()
	}
	h.pending, h.waiting = nil, 0
}

// lookForPending ends the versions that pending keys have.
func (h *history) lookForPending(ctx context.Context) error {
	if len(h.pending) == 0 {
		return nil
	}
	defer h.dropPending()
	keys, err := together(h.pending[0].Schema(), h.pending, h.alloc)
	if err != nil {
		return err
	}
	defer keys.Release()
	times := h.index()
	if err := put(times, keys, h.key); err != nil {
		return err
	}
	open := current(h.alloc, keys, h.key)
	defer open.Release()
	found, err := h.dataset.Lookup(ctx, open, 0)
	if err != nil {
		return err
	}
	for rows, err := range found {
		if err != nil {
			return err
		}
		err = h.endRows(ctx, rows, times, 0)
		rows.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// put fills an index with the times at which the versions of keys end, their last column.
func put(times *rowkey.Index, keys arrow.RecordBatch, key []string) error {
	at := keys.Column(int(keys.NumCols()) - 1).(*array.Timestamp)
	for from := 0; from < at.Len(); {
		to := from + 1
		for to < at.Len() && at.Value(to) == at.Value(from) {
			to++
		}
		run := keys.NewSlice(int64(from), int64(to))
		err := times.Put(columnsOf(run, key), int64(at.Value(from)))
		run.Release()
		if err != nil {
			return err
		}
		from = to
	}
	return nil
}

// endRows takes versions that held away and adds them with their ends: by their keys, or otherwise.
func (h *history) endRows(ctx context.Context, rows arrow.RecordBatch, times *rowkey.Index, otherwise int64) error {
	ends := make([]int64, rows.NumRows())
	for i := range ends {
		ends[i] = otherwise
	}
	if err := times.Match(columnsOf(rows, h.key), func(row int, at int64) { ends[row] = at }); err != nil {
		return err
	}
	if h.truncated == nil {
		if err := h.removeAt(ctx, rows, ends); err != nil {
			return err
		}
	}
	ended, err := h.ended(rows, ends)
	if err != nil {
		return err
	}
	defer ended.Release()
	if err := h.rows.Write(ctx, ended, ""); err != nil {
		return err
	}
	noted := appended(ended, opColumn(h.alloc, change.Insert, ended.NumRows()), timeColumn(h.alloc, change.ColumnTs, ends))
	defer noted.Release()
	return h.note(ctx, noted)
}

// remove takes versions that held away.
func (h *history) remove(ctx context.Context, rows arrow.RecordBatch, at int64) error {
	ends := make([]int64, rows.NumRows())
	for i := range ends {
		ends[i] = at
	}
	return h.removeAt(ctx, rows, ends)
}

func (h *history) removeAt(ctx context.Context, rows arrow.RecordBatch, ends []int64) error {
	keys := current(h.alloc, rows, h.key)
	defer keys.Release()
	if err := h.keys.Write(ctx, keys); err != nil {
		return err
	}
	noted := appended(keys, opColumn(h.alloc, change.Delete, keys.NumRows()), timeColumn(h.alloc, change.ColumnTs, ends))
	defer noted.Release()
	return h.note(ctx, noted)
}

// add stages new versions, those that hold and those that have ended within the unit.
func (h *history) add(ctx context.Context, versions arrow.RecordBatch) error {
	rows, noted, err := h.versions(versions)
	if err != nil {
		return err
	}
	defer rows.Release()
	defer noted.Release()
	if err := h.rows.Write(ctx, rows, ""); err != nil {
		return err
	}
	return h.note(ctx, noted)
}

// finish ends what is left to be ended.
func (h *history) finish(ctx context.Context) error {
	if h.truncated == nil {
		return h.lookForPending(ctx)
	}
	return h.eachOpen(ctx, func(rows arrow.RecordBatch) error {
		return h.endRows(ctx, rows, h.truncated.times, h.truncated.at)
	})
}

// eachOpen gives out the versions that held before the unit.
func (h *history) eachOpen(ctx context.Context, each func(arrow.RecordBatch) error) error {
	_, batches, err := h.dataset.Scan(ctx, zone.ScanRequest{})
	if err != nil {
		return err
	}
	for rows, err := range batches {
		if err != nil {
			return err
		}
		open, err := onlyOpen(ctx, h.alloc, rows)
		rows.Release()
		if err != nil {
			return fmt.Errorf("dataset %q: %w", h.dataset.Name(), err)
		}
		err = nil
		if open.NumRows() > 0 {
			err = each(open)
		}
		open.Release()
		if err != nil {
			return err
		}
	}
	return nil
}
