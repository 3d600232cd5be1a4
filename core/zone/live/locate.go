package live

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go/table"
	"github.com/apache/iceberg-go/table/dv"
	"golang.org/x/sync/errgroup"
)

const (
	// keysAtATime bounds the keys in memory; when there are more, data files are gone through more often.
	keysAtATime = 1 << 20
	// searchersAtATime go through data files side by side.
	searchersAtATime = 2
)

// Positions are rows of data files, by the name of the file.
type Positions map[string]*dv.RoaringPositionBitmap

// Locate finds the rows of data files that keys delete. A key deletes rows of files with a lower sequence number than its own. Memory
// is bounded however many keys there are.
func Locate(ctx context.Context, tbl *table.Table, key []string, keys, data []Entry) (Positions, error) {
	return locate(ctx, tbl, key, keys, data, keysAtATime)
}

func locate(ctx context.Context, tbl *table.Table, key []string, keys, data []Entry, atATime int64) (Positions, error) {
	r, err := newKeyReader(tbl, key)
	if err != nil {
		return nil, err
	}
	found := Positions{}
	for rest := keys; len(rest) > 0; {
		count, rows := 0, int64(0)
		for count < len(rest) && (count == 0 || rows+rest[count].File.Count() <= atATime) {
			rows += rest[count].File.Count()
			count++
		}
		x, err := r.index(ctx, rest[:count])
		if err != nil {
			return nil, err
		}
		if err := r.search(ctx, x, data, found); err != nil {
			return nil, err
		}
		rest = rest[count:]
	}
	return found, nil
}

// search goes through the files that may have rows with keys of an index.
func (r keyReader) search(ctx context.Context, x keyIndex, data []Entry, found Positions) error {
	hits := make([]*dv.RoaringPositionBitmap, len(data))
	group, searching := errgroup.WithContext(ctx)
	group.SetLimit(searchersAtATime)
	for i, e := range data {
		if !x.mayApply(e) {
			continue
		}
		group.Go(func() (err error) {
			hits[i], err = r.hits(searching, x, e)
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
		if before := found[data[i].File.FilePath()]; before != nil {
			hit.Or(before)
		}
		found[data[i].File.FilePath()] = hit
	}
	return nil
}

// hits finds the rows of one file that have a key with a higher sequence number than the file.
func (r keyReader) hits(ctx context.Context, x keyIndex, e Entry) (*dv.RoaringPositionBitmap, error) {
	hit := dv.NewRoaringPositionBitmap()
	first := 0
	err := r.each(ctx, e.File, func(c []arrow.Array) error {
		defer func() { first += c[0].Len() }()
		return x.Match(c, func(row int, seq int64) {
			if seq > e.Seq {
				hit.Set(uint64(first + row)) //nolint:gosec // a position
			}
		})
	})
	return hit, err
}

// Count is the number of rows that are there. It costs no more than reading manifests if no keys wait, and else reads the keys of files
// that they may apply to.
func Count(ctx context.Context, tbl *table.Table, key []string, s Survey) (int64, error) {
	hits, err := Locate(ctx, tbl, key, s.Keys, s.Data)
	if err != nil {
		return 0, err
	}
	fs, err := tbl.FS(ctx)
	if err != nil {
		return 0, err
	}
	var rows int64
	for _, e := range s.Data {
		rows += e.File.Count()
		hit := hits[e.File.FilePath()]
		if hit == nil {
			rows -= s.Deleted(e)
			continue
		}
		if v, ok := s.Vectors[e.File.FilePath()]; ok {
			before, err := dv.ReadDV(fs, v)
			if err != nil {
				return 0, err
			}
			hit.Or(before)
		}
		rows -= hit.Cardinality()
	}
	return rows, nil
}
