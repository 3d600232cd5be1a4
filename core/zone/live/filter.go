package live

import (
	"cmp"
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table/dv"
	"golang.org/x/sync/errgroup"
)

// deletes are what deletes rows of the files of a request.
type deletes struct {
	keyIndex
	names []string // the key's columns, if there are keys
	at    Positions
}

// loading reads what deletes rows while the first file is opened.
type loading struct {
	held    bool // keys are, in memory, to compare rows with
	cancel  context.CancelFunc
	done    chan struct{}
	deletes deletes
	err     error
}

func (r Request) load(ctx context.Context) *loading {
	data := make([]Entry, len(r.Parts))
	for i, p := range r.Parts {
		data[i] = p.Entry
	}
	keys := r.Survey.applyTo(data)
	var rows int64
	for _, k := range keys {
		rows += k.File.Count()
	}
	limit := cmp.Or(r.MostKeys, keysAtATime)
	l := &loading{held: len(keys) > 0 && rows <= limit, done: make(chan struct{})}
	ctx, l.cancel = context.WithCancel(ctx)
	go func() {
		defer close(l.done)
		l.deletes, l.err = r.deletes(ctx, keys, data, l.held, limit)
	}()
	return l
}

func (l *loading) wait() (deletes, error) {
	<-l.done
	return l.deletes, l.err
}

func (l *loading) stop() {
	l.cancel()
	<-l.done
}

// deletes reads vectors, and keys if they are to be held: else the rows are looked for beforehand.
func (r Request) deletes(ctx context.Context, keys, data []Entry, held bool, limit int64) (deletes, error) {
	d := deletes{at: Positions{}}
	var err error
	switch {
	case held:
		reader, failure := newKeyReader(r.Table, r.Key)
		if failure != nil {
			return d, failure
		}
		d.names = reader.names
		d.keyIndex, err = reader.index(ctx, keys)
	case len(keys) > 0:
		d.at, err = locate(ctx, r.Table, r.Key, keys, data, limit)
	}
	if err != nil {
		return d, err
	}
	return d, r.addVectors(ctx, d.at)
}

// applyTo are the keys that may delete rows of some of the files.
func (s *Survey) applyTo(data []Entry) []Entry {
	var out []Entry
	for _, k := range s.Keys {
		for _, e := range data {
			if k.Seq > e.Seq {
				out = append(out, k)
				break
			}
		}
	}
	return out
}

// addVectors adds the positions of the files' vectors, those in one object at once.
func (r Request) addVectors(ctx context.Context, to Positions) error {
	fs, err := r.Table.FS(ctx)
	if err != nil {
		return err
	}
	var objects []string
	in := map[string][]iceberg.DataFile{}
	for _, p := range r.Parts {
		if v, ok := r.Survey.Vectors[p.File.FilePath()]; ok {
			if in[v.FilePath()] == nil {
				objects = append(objects, v.FilePath())
			}
			in[v.FilePath()] = append(in[v.FilePath()], v)
		}
	}
	read := make([][]*dv.RoaringPositionBitmap, len(objects))
	var group errgroup.Group
	group.SetLimit(keyFilesAtATime)
	for i, object := range objects {
		group.Go(func() (err error) {
			if read[i], err = dv.ReadDVs(fs, in[object]); err != nil {
				return fmt.Errorf("deletion vectors of %q: %w", object, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, object := range objects {
		for j, v := range in[object] {
			of := *v.ReferencedDataFile()
			if have := to[of]; have != nil {
				have.Or(read[i][j])
			} else {
				to[of] = read[i][j]
			}
		}
	}
	return nil
}

// filter leaves out the rows of one file that are deleted or not wanted.
type filter struct {
	Request
	deletes
	part    Part
	keep    []byte // a bit for each row of the file; nil: all
	applies bool   // keys of the index may
	first   int64  // row of the next batch
}

func newFilter(r Request, d deletes, p Part) *filter {
	f := &filter{Request: r, deletes: d, part: p, applies: d.Index != nil && p.Seq < d.newest}
	if gone := d.at[p.File.FilePath()]; gone != nil && !gone.IsEmpty() {
		f.keep = gone.KeepMaskBytes(p.File.Count())
	}
	return f
}

// done tells whether the file's rows are all read.
func (f *filter) done() bool { return f.first == f.part.File.Count() }

// next is nil if no row of the batch is left.
func (f *filter) next(ctx context.Context, b arrow.RecordBatch) (arrow.RecordBatch, error) {
	first, rows := f.first, b.NumRows()
	f.first += rows
	if f.first > f.part.File.Count() {
		return nil, fmt.Errorf("file %q has more rows than the %d that its manifest says", f.part.File.FilePath(), f.part.File.Count())
	}
	wanted, err := f.project(b)
	if err != nil || (f.keep == nil && !f.applies && f.part.Choose == nil) {
		return wanted, err
	}
	defer wanted.Release()
	bits, err := f.mask(b, first)
	if err != nil {
		return nil, err
	}
	switch int64(bitutil.CountSetBits(bits, 0, int(rows))) {
	case 0:
		return nil, nil
	case rows:
		wanted.Retain()
		return wanted, nil
	}
	return compact(ctx, wanted, bits)
}

// mask has a bit for each row of a batch that is left.
func (f *filter) mask(b arrow.RecordBatch, first int64) ([]byte, error) {
	rows := int(b.NumRows())
	bits := make([]byte, bitutil.BytesForBits(int64(rows)))
	if f.part.Choose == nil {
		bitutil.SetBitsTo(bits, 0, int64(rows), true)
	} else if err := f.part.Choose(b, func(row int) { bitutil.SetBit(bits, row) }); err != nil {
		return nil, err
	}
	if f.keep != nil {
		bitutil.BitmapAnd(f.keep, bits, first, 0, bits, 0, int64(rows))
	}
	if !f.applies || bitutil.CountSetBits(bits, 0, rows) == 0 {
		return bits, nil
	}
	return bits, f.Match(pick(b, f.names), func(row int, seq int64) {
		if seq > f.part.Seq {
			bitutil.ClearBit(bits, row)
		}
	})
}
