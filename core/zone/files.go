package zone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// Files are the data files of a staged unit.
type Files struct {
	Rows  int64
	Bytes int64
	list  []iceberg.DataFile
}

// Count is the number of files.
func (f Files) Count() int { return len(f.list) }

// Paths are the files' names, as s3://bucket/key.
func (f Files) Paths() []string {
	out := make([]string, len(f.list))
	for i, file := range f.list {
		out[i] = file.FilePath()
	}
	return out
}

// File is one Parquet file of a snapshot.
type File struct {
	Path  string // s3://bucket/key; the object never changes
	Bytes int64
	Rows  int64
	Local string // path on this machine, if the embedded gateway holds the object
	// Exact says that the file read by itself gives the rows of the dataset: no row of
	// it is deleted, and its columns are those of the dataset's schema.
	Exact bool
}

// Files lists the files of a snapshot (0: the head of main) that hold rows.
func (d *Dataset) Files(ctx context.Context, snapshot int64) ([]File, error) {
	var out []File
	err := d.look(ctx, func(tbl *table.Table) (err error) {
		out, err = d.filesOf(ctx, tbl, snapshot)
		return err
	})
	return out, err
}

func (d *Dataset) filesOf(ctx context.Context, tbl *table.Table, snapshot int64) ([]File, error) {
	at, err := d.snapshotFor(tbl, snapshot, "")
	if err != nil || at == nil {
		return nil, err
	}
	tasks, err := tbl.Scan(table.WithSnapshotID(at.SnapshotID), table.WithMaxConcurrency(1)).PlanFiles(ctx)
	if err != nil {
		return nil, fmt.Errorf("dataset %q: %w", d.name, err)
	}
	same := sameSchemas(tbl)
	var out []File
	for _, t := range tasks {
		if t.File.Count() == 0 || t.Start > 0 { // large files are planned in parts
			continue
		}
		id, known := schemaOf(t.File.FilePath())
		deletes := len(t.DeleteFiles) + len(t.EqualityDeleteFiles) + len(t.DeletionVectorFiles)
		out = append(out, File{
			Path: t.File.FilePath(), Bytes: t.File.FileSizeBytes(), Rows: t.File.Count(),
			Local: d.zones.client.LocalPath(t.File.FilePath()),
			Exact: deletes == 0 && known && same[id],
		})
	}
	return out, nil
}

// sameSchemas are the ids of schemas with the columns of the current one: those that
// differ only in which columns may be null.
func sameSchemas(tbl *table.Table) map[int]bool {
	now := tbl.Schema().Fields()
	out := map[int]bool{}
	for id, s := range tbl.Schemas() {
		fields := s.Fields()
		out[id] = len(fields) == len(now)
		for i := 0; out[id] && i < len(now); i++ {
			out[id] = fields[i].ID == now[i].ID && fields[i].Name == now[i].Name && fields[i].Type.Equals(now[i].Type)
		}
	}
	return out
}

// Fetch gives a path on this machine that holds a file: the embedded gateway's own,
// or a copy below dir, which is made once. Copies never go stale, because objects
// don't change; removing them is up to the caller.
func (z *Zones) Fetch(ctx context.Context, f File, dir string) (string, error) {
	if f.Local != "" {
		return f.Local, nil
	}
	name, ok := strings.CutPrefix(f.Path, "s3://")
	if !ok || !filepath.IsLocal(name) {
		return "", fmt.Errorf("file %q: expected s3://bucket/key", f.Path)
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	info, err := os.Stat(path)
	if err == nil && info.Size() == f.Bytes {
		return path, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	return path, z.client.Download(ctx, f.Path, path)
}

// LocalPath is where an object or folder lies on this machine, empty when the server
// is not the embedded gateway.
func (z *Zones) LocalPath(uri string) string { return z.client.LocalPath(uri) }
