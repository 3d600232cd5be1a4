package live

import (
	"context"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"golang.org/x/sync/errgroup"

	"github.com/qanat-data/qanat/core/zone/rowkey"
)

// keyFilesAtATime are read side by side.
const keyFilesAtATime = 4

// keyReader reads the key's columns of single files, every row that is in the file.
type keyReader struct {
	tbl   *table.Table
	names []string
	ids   []int
	types []arrow.DataType
}

func newKeyReader(tbl *table.Table, key []string) (keyReader, error) {
	r := keyReader{tbl: tbl}
	schema, err := table.SchemaToArrowSchema(tbl.Schema(), nil, false, false)
	if err != nil {
		return r, err
	}
	for i, f := range tbl.Schema().Fields() {
		if slices.Contains(key, f.Name) {
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
		err = visit(pick(b, r.names))
		b.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// pick gives columns of a batch, which must be there.
func pick(b arrow.RecordBatch, columns []string) []arrow.Array {
	out := make([]arrow.Array, len(columns))
	for i, name := range columns {
		out[i] = b.Column(b.Schema().FieldIndices(name)[0])
	}
	return out
}

// keyIndex has the keys of some files with their sequence numbers.
type keyIndex struct {
	*rowkey.Index
	ids    []int
	newest int64
}

func (r keyReader) index(ctx context.Context, keys []Entry) (keyIndex, error) {
	x := keyIndex{Index: rowkey.New(r.types), ids: r.ids}
	var mutex sync.Mutex
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(keyFilesAtATime)
	for _, e := range keys {
		x.newest = max(x.newest, e.Seq)
		group.Go(func() error {
			return r.each(reading, e.File, func(c []arrow.Array) error {
				mutex.Lock()
				defer mutex.Unlock()
				return x.Put(c, e.Seq)
			})
		})
	}
	return x, group.Wait()
}

// mayApply tells by a file's number and statistics whether it may have rows that keys of the index delete.
func (x keyIndex) mayApply(e Entry) bool {
	if x.Index == nil || e.Seq >= x.newest {
		return false
	}
	lower, upper := e.File.LowerBoundValues(), e.File.UpperBoundValues()
	low, high := make([][]byte, len(x.ids)), make([][]byte, len(x.ids))
	for i, id := range x.ids {
		low[i], high[i] = lower[id], upper[id]
	}
	return x.Between(low, high)
}
