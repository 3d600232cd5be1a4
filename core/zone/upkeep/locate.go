package upkeep

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/apache/iceberg-go/table/dv"
	"golang.org/x/sync/errgroup"

	"github.com/qanat-data/qanat/core/zone/rowkey"
)

const (
	// keysAtATime bounds the keys in memory; when there are more, data files are gone through more often.
	keysAtATime = 1 << 20
	// searchersAtATime go through data files side by side.
	searchersAtATime = 2
)

// positions are the rows of data files that keys delete, by the name of the file.
type positions map[string]*dv.RoaringPositionBitmap

// locate finds the rows that keys delete. A key deletes rows of files with a lower sequence number than its own.
func (k *keeper) locate(ctx context.Context, tbl *table.Table, s survey) (positions, error) {
	found := positions{}
	for rest := s.keys; len(rest) > 0; {
		count, rows := 0, int64(0)
		for count < len(rest) && (count == 0 || rows+rest[count].file.Count() <= keysAtATime) {
			rows += rest[count].file.Count()
			count++
		}
		if err := k.locateSome(ctx, tbl, rest[:count], s.data, found); err != nil {
			return nil, err
		}
		rest = rest[count:]
	}
	return found, nil
}

// keyReader reads the key's columns of single files, every row that is in the file.
type keyReader struct {
	tbl   *table.Table
	names []string
	ids   []int
	types []arrow.DataType
}

func (k *keeper) keyReader(tbl *table.Table) (keyReader, error) {
	r := keyReader{tbl: tbl}
	schema, err := table.SchemaToArrowSchema(tbl.Schema(), nil, false, false)
	if err != nil {
		return r, err
	}
	for i, f := range tbl.Schema().Fields() {
		if slices.Contains(k.Key, f.Name) {
			r.names, r.ids, r.types = append(r.names, f.Name), append(r.ids, f.ID), append(r.types, schema.Field(i).Type)
		}
	}
	return r, nil
}

// each calls visit with the key's columns of a file's rows, from the first on.
func (r keyReader) each(ctx context.Context, f iceberg.DataFile, visit func([]arrow.Array) error) error {
	task := table.FileScanTask{File: f, Length: f.FileSizeBytes()}
	scan := r.tbl.Scan(table.WithMaxConcurrency(1), table.WithSelectedFields(r.names...))
	_, batches, err := scan.ReadTasks(ctx, []table.FileScanTask{task})
	if err != nil {
		return err
	}
	for b, err := range batches {
		if err != nil {
			return err
		}
		columns := make([]arrow.Array, len(r.names))
		for i, name := range r.names {
			at := b.Schema().FieldIndices(name)
			columns[i] = b.Column(at[0])
		}
		err = visit(columns)
		b.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// mayHold tells by a file's statistics whether it may have rows with keys of an index.
func (r keyReader) mayHold(x *rowkey.Index, f iceberg.DataFile) bool {
	lower, upper := f.LowerBoundValues(), f.UpperBoundValues()
	low, high := make([][]byte, len(r.ids)), make([][]byte, len(r.ids))
	for i, id := range r.ids {
		low[i], high[i] = lower[id], upper[id]
	}
	return x.Between(low, high)
}

func (k *keeper) locateSome(ctx context.Context, tbl *table.Table, keys, data []entry, found positions) error {
	r, err := k.keyReader(tbl)
	if err != nil {
		return err
	}
	index := rowkey.New(r.types)
	newest := int64(0)
	for _, e := range keys {
		newest = max(newest, e.seq)
		if err := r.each(ctx, e.file, func(c []arrow.Array) error { return index.Put(c, e.seq) }); err != nil {
			return err
		}
	}
	hits := make([]*dv.RoaringPositionBitmap, len(data))
	group, searching := errgroup.WithContext(ctx)
	group.SetLimit(searchersAtATime)
	for i, e := range data {
		if e.seq >= newest || !r.mayHold(index, e.file) {
			continue
		}
		group.Go(func() (err error) {
			hits[i], err = search(searching, r, index, e)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, hit := range hits {
		if hit == nil || hit.IsEmpty() {
			continue
		}
		if before := found[data[i].file.FilePath()]; before != nil {
			hit.Or(before)
		}
		found[data[i].file.FilePath()] = hit
	}
	return nil
}

// search finds the rows of one file that have a key with a higher sequence number than the file.
func search(ctx context.Context, r keyReader, index *rowkey.Index, e entry) (*dv.RoaringPositionBitmap, error) {
	hit := dv.NewRoaringPositionBitmap()
	first := 0
	err := r.each(ctx, e.file, func(c []arrow.Array) error {
		defer func() { first += c[0].Len() }()
		return index.Match(c, func(row int, seq int64) {
			if seq > e.seq {
				hit.Set(uint64(first + row)) //nolint:gosec // a position
			}
		})
	})
	return hit, err
}
