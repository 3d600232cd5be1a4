package upkeep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"github.com/apache/iceberg-go/table/dv"
	"github.com/google/uuid"

	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/core/zone/live"
)

// convert turns keys of upserts into deletion vectors: then a reader does not compare every row with all keys any more. Vectors say
// which rows of a file are deleted, so they hold for as long as the file is there.
func (k *keeper) convert(ctx context.Context) error {
	if len(k.Key) == 0 || k.Policy.convert() < 0 {
		return nil
	}
	for range attempts {
		err := k.convertOnce(ctx)
		if !errors.Is(err, errConflict) {
			return err
		}
	}
	k.keep("keys of upserts: others changed the dataset %d times meanwhile", attempts)
	return nil
}

func (k *keeper) convertOnce(ctx context.Context) error {
	tbl, err := k.Load(ctx)
	if err != nil || tbl.CurrentSnapshot() == nil {
		return err
	}
	was, err := looked(ctx, tbl)
	if err != nil || !k.due(was) {
		return err
	}
	for _, e := range was.Keys {
		k.foretellConverted(e)
	}
	if k.DryRun {
		return nil
	}
	vectors, err := k.vectors(ctx, tbl, was)
	if err != nil {
		return fmt.Errorf("dataset %q: convert keys of upserts: %w", k.Name, err)
	}
	killpoint.Here("after-convert-write")
	if err := k.applyVectors(ctx, tbl, was, vectors); err != nil {
		return k.unused(ctx, err, vectors[:min(1, len(vectors))]) // they share an object
	}
	for _, e := range was.Keys {
		k.report.Converted.add(e.File.FileSizeBytes())
	}
	return nil
}

func (k *keeper) foretellConverted(e live.Entry) {
	if k.DryRun {
		k.report.Converted.add(e.File.FileSizeBytes())
	}
}

// due tells whether enough upserts have left keys.
func (k *keeper) due(s live.Survey) bool {
	commits := map[int64]bool{}
	for _, e := range s.Keys {
		commits[e.Seq] = true
	}
	return len(commits) > 0 && len(commits) >= k.Policy.convert() && !s.Others
}

// vectors writes vectors for the files with rows that keys delete, in one object. A file that has a vector gets one that holds its
// positions, too.
func (k *keeper) vectors(ctx context.Context, tbl *table.Table, s live.Survey) ([]iceberg.DataFile, error) {
	fs, err := tbl.FS(ctx)
	if err != nil {
		return nil, err
	}
	hits, err := live.Locate(ctx, tbl, k.Key, s.Keys, s.Data)
	if err != nil {
		return nil, err
	}
	writable, ok := fs.(iceio.WriteFileIO)
	if !ok {
		return nil, errors.New("files can't be written")
	}
	spec := func(id int32) *iceberg.PartitionSpec { return tbl.Metadata().PartitionSpecByID(int(id)) }
	w := dv.NewDVWriter(writable, spec)
	for _, e := range s.Data {
		path := e.File.FilePath()
		hit := hits[path]
		if hit == nil {
			continue
		}
		old, have := s.Vectors[path]
		if have {
			before, err := dv.ReadDV(fs, old)
			if err != nil {
				return nil, fmt.Errorf("vector of %q: %w", path, err)
			}
			hit.Or(before)
			if hit.Cardinality() == before.Cardinality() {
				continue // those rows were deleted before
			}
		}
		w.Load(path, hit, e.File.SpecID(), nil)
	}
	return w.Flush(ctx, fmt.Sprintf("%s/data/00000-%s-deletes.puffin", k.Location, uuid.NewString()))
}

// applyVectors commits vectors and lets go of the keys that they were made from. It does so on a fresh handle, pinned to its head.
func (k *keeper) applyVectors(ctx context.Context, planned *table.Table, was live.Survey, vectors []iceberg.DataFile) error {
	defer k.Lock()()
	for range attempts {
		tbl, err := k.Load(ctx)
		if err != nil {
			return err
		}
		tx, err := k.stageVectors(ctx, tbl, planned, was, vectors)
		if err != nil {
			return err
		}
		killpoint.Here("before-convert-commit")
		err = k.commitStaged(ctx, tbl, tx)
		if err == nil {
			killpoint.Here("after-convert-commit")
			return nil
		}
		if !errors.Is(err, errConflict) {
			return err
		}
	}
	return errConflict
}

// stageVectors makes two snapshots that come to be as one: the library adds vectors in one kind of change and removes keys in another.
func (k *keeper) stageVectors(
	ctx context.Context, tbl, planned *table.Table, was live.Survey, vectors []iceberg.DataFile,
) (*table.Transaction, error) {
	head := tbl.CurrentSnapshot()
	if head == nil {
		return nil, errConflict
	}
	if tbl.MetadataLocation() != planned.MetadataLocation() {
		now, err := looked(ctx, tbl)
		if err != nil {
			return nil, err
		}
		if !convertible(was, now, vectors) {
			return nil, errConflict
		}
	}
	marks, err := k.Marks(head)
	if err != nil {
		return nil, err
	}
	tx := tbl.NewTransaction()
	if len(vectors) > 0 {
		delta := tx.NewRowDelta(marks).AddDeletes(vectors...)
		for _, v := range vectors {
			if old, have := was.Vectors[*v.ReferencedDataFile()]; have {
				delta.RemoveDeletes(old)
			}
		}
		if err := delta.Commit(ctx); err != nil {
			return nil, fmt.Errorf("dataset %q: add deletion vectors: %w", k.Name, err)
		}
	}
	rewrite := tx.NewRewrite(marks)
	for _, e := range was.Keys {
		rewrite.DeleteFile(e.File)
	}
	if err := rewrite.Commit(ctx); err != nil {
		return nil, fmt.Errorf("dataset %q: let go of keys: %w", k.Name, err)
	}
	return tx, nil
}

// convertible tells whether vectors that were made in one state of the table say in a later one what the keys do: the keys and the
// files that they apply to are as they were. What was added since has a higher sequence number, or it is rows that somebody else has
// put together, and to those the keys may apply.
func convertible(was, now live.Survey, vectors []iceberg.DataFile) bool {
	keys, data := paths(now.Keys), paths(now.Data)
	for _, e := range was.Keys {
		if !keys[e.File.FilePath()] {
			return false
		}
	}
	for _, v := range vectors {
		ref := *v.ReferencedDataFile()
		if !data[ref] || !sameVector(was, now, ref) {
			return false
		}
	}
	newest := slices.MaxFunc(was.Keys, func(a, b live.Entry) int { return cmp.Compare(a.Seq, b.Seq) }).Seq
	known := paths(was.Data)
	return !slices.ContainsFunc(now.Data, func(e live.Entry) bool { return e.Seq < newest && !known[e.File.FilePath()] })
}
