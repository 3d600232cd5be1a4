package live

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go/table"
)

// A file below smallFile is read while the one before it is filtered; of larger ones one at a time, as what is read ahead is held.
const (
	smallFile    = 8 << 20
	filesAtATime = 2
)

// Choice calls take for the rows of a batch that are wanted, in any order.
type Choice func(b arrow.RecordBatch, take func(row int)) error

// Part is a data file to read.
type Part struct {
	Entry
	Choose Choice // which of its rows are wanted; nil: all
}

// Request says what to read of a snapshot.
type Request struct {
	Table   *table.Table
	Survey  Survey   // of the snapshot; without deletes of other kinds
	Key     []string // the columns of the dataset's key
	Parts   []Part   // are read in this order
	Schema  *arrow.Schema
	More    []string           // columns that choices look at besides
	Options []table.ScanOption // snapshot and length of batches, if they matter
	// MostKeys are held in memory at a time, a million if it is 0. When more wait, the keys of files are read beforehand to find the rows.
	MostKeys int64
}

// Read gives the rows that are there, with the columns of the schema by name. The receiver releases the batches; none is empty.
func Read(ctx context.Context, r Request) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		l := r.load(ctx)
		defer l.stop()
		for _, run := range runs(r.Parts) {
			if !r.readRun(ctx, l, run, yield) {
				return
			}
		}
	}
}

// runs cuts parts where the sizes of files want another way of reading. Files without rows are left out.
func runs(parts []Part) [][]Part {
	var out [][]Part
	wasSmall := false
	for _, p := range parts {
		small := p.File.FileSizeBytes() < smallFile
		switch {
		case p.File.Count() == 0:
			continue
		case len(out) == 0 || small != wasSmall:
			out = append(out, nil)
		}
		out[len(out)-1], wasSmall = append(out[len(out)-1], p), small
	}
	return out
}

// readRun reads files one after the other as they are, and counts rows to know where each begins.
func (r Request) readRun(ctx context.Context, l *loading, run []Part, yield func(arrow.RecordBatch, error) bool) bool {
	batches, err := r.open(ctx, l.held, run)
	if err != nil {
		yield(nil, err)
		return false
	}
	var f *filter
	for b, err := range batches {
		if err != nil {
			yield(nil, err)
			return false
		}
		f, run, err = r.filterOf(l, f, run)
		var out arrow.RecordBatch
		if err == nil {
			out, err = f.next(ctx, b)
		}
		b.Release()
		if err == nil && out == nil {
			continue
		}
		if !yield(out, err) || err != nil {
			return false
		}
	}
	if err := ctx.Err(); err != nil {
		yield(nil, context.Cause(ctx))
		return false
	}
	if len(run) > 1 || f == nil || !f.done() {
		yield(nil, fmt.Errorf("file %q has fewer rows than the %d that its manifest says", run[0].File.FilePath(), run[0].File.Count()))
		return false
	}
	return true
}

// filterOf is the filter of the file that the next batch is of, and the files from that one on.
func (r Request) filterOf(l *loading, f *filter, run []Part) (*filter, []Part, error) {
	switch {
	case f != nil && (!f.done() || len(run) == 1):
		return f, run, nil
	case f != nil:
		run = run[1:]
	}
	d, err := l.wait()
	return newFilter(r, d, run[0]), run, err
}

// open reads files without looking at what is deleted of them.
func (r Request) open(ctx context.Context, withKey bool, run []Part) (iter.Seq2[arrow.RecordBatch, error], error) {
	columns := fieldNames(r.Schema)
	more := r.More
	if withKey {
		more = slices.Concat(more, r.Key)
	}
	for _, name := range more {
		if !slices.Contains(columns, name) {
			columns = append(columns, name)
		}
	}
	atATime := 1
	if run[0].File.FileSizeBytes() < smallFile {
		atATime = filesAtATime
	}
	tasks := make([]table.FileScanTask, len(run))
	for i, p := range run {
		tasks[i] = table.FileScanTask{File: p.File, Length: p.File.FileSizeBytes()}
	}
	options := append(slices.Clone(r.Options), table.WithMaxConcurrency(atATime), table.WithSelectedFields(columns...))
	_, batches, err := r.Table.Scan(options...).ReadTasks(ctx, tasks)
	return batches, err
}

func fieldNames(s *arrow.Schema) []string {
	out := make([]string, s.NumFields())
	for i, f := range s.Fields() {
		out[i] = f.Name
	}
	return out
}

// project picks the columns of the schema by name.
func (r Request) project(b arrow.RecordBatch) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, r.Schema.NumFields())
	for i, f := range r.Schema.Fields() {
		at := b.Schema().FieldIndices(f.Name)
		if len(at) != 1 {
			return nil, fmt.Errorf("column %q: the reader gave %d of it", f.Name, len(at))
		}
		columns[i] = b.Column(at[0])
	}
	return array.NewRecordBatch(r.Schema, columns, b.NumRows()), nil
}
