package zone

import (
	"context"
	"fmt"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// stageUnit adds the snapshot of a unit to a transaction.
func stageUnit(ctx context.Context, tx *table.Transaction, tbl *table.Table, r CommitRequest, p iceberg.Properties) error {
	if r.Mode == Overwrite || r.Truncate {
		live, err := liveFiles(ctx, tbl, tip(tbl, branchName(r.Branch)))
		if err != nil {
			return err
		}
		if len(live.data)+len(live.deletes) > 0 {
			return replaceAll(ctx, tx, tbl, live, r.Files.list, p)
		}
		r.Keys = Files{}
	}
	return addUnit(ctx, tx, tbl, r.Files.list, r.Keys.list, p)
}

// replaceAll puts files in the place of all that there is.
func replaceAll(
	ctx context.Context, tx *table.Transaction, tbl *table.Table, live contents, come []iceberg.DataFile, p iceberg.Properties,
) error {
	come, err := numbered(tbl, come)
	if err != nil {
		return err
	}
	return tx.ReplaceFiles(ctx, live.data, come, live.deletes, p, table.WithoutAutoNameMapping())
}

// addUnit adds rows, and the keys of rows to delete: those hit only what has a lower sequence number than their snapshot.
func addUnit(ctx context.Context, tx *table.Transaction, tbl *table.Table, rows, keys []iceberg.DataFile, p iceberg.Properties) error {
	switch {
	case len(rows)+len(keys) == 0:
		return emptyAppend(ctx, tx, p)
	case isKeyed(tbl):
		return tx.NewRowDelta(p).AddRows(rows...).AddDeletes(keys...).Commit(ctx)
	}
	// File names are random, so the check of every manifest for duplicates is left out.
	return tx.AddDataFiles(ctx, rows, p, table.WithoutAutoNameMapping(), table.WithoutDuplicateCheck())
}

// numbered gives files the ids of their rows, which a table of format 3 wants to be told when files replace others. They are those
// that the files would get by themselves: new manifests come first.
func numbered(tbl *table.Table, files []iceberg.DataFile) ([]iceberg.DataFile, error) {
	if tbl.Metadata().Version() < 3 {
		return files, nil
	}
	next := tbl.Metadata().NextRowID()
	out := make([]iceberg.DataFile, len(files))
	for i, f := range files {
		b, err := rebuilt(f)
		if err != nil {
			return nil, err
		}
		out[i] = b.LowerBoundValues(f.LowerBoundValues()).UpperBoundValues(f.UpperBoundValues()).FirstRowID(next).Build()
		next += f.Count()
	}
	return out, nil
}

// unbounded takes the bounds of some columns out of what is known of files.
func unbounded(files []iceberg.DataFile, ids []int) ([]iceberg.DataFile, error) {
	if len(ids) == 0 {
		return files, nil
	}
	out := make([]iceberg.DataFile, len(files))
	for i, f := range files {
		b, err := rebuilt(f)
		if err != nil {
			return nil, err
		}
		low, high := f.LowerBoundValues(), f.UpperBoundValues()
		for _, id := range ids {
			delete(low, id)
			delete(high, id)
		}
		out[i] = b.LowerBoundValues(low).UpperBoundValues(high).EqualityFieldIDs(f.EqualityFieldIDs()).Build()
	}
	return out, nil
}

// rebuilt begins another description of a file, all but its bounds.
func rebuilt(f iceberg.DataFile) (*iceberg.DataFileBuilder, error) {
	b, err := iceberg.NewDataFileBuilder(*iceberg.UnpartitionedSpec, f.ContentType(), f.FilePath(), f.FileFormat(), nil, nil, nil,
		f.Count(), f.FileSizeBytes())
	if err != nil {
		return nil, fmt.Errorf("file %q: %w", f.FilePath(), err)
	}
	return b.ColumnSizes(f.ColumnSizes()).ValueCounts(f.ValueCounts()).NullValueCounts(f.NullValueCounts()).
		NaNValueCounts(f.NaNValueCounts()).SplitOffsets(f.SplitOffsets()), nil
}
