package upkeep

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"

	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"github.com/qanat-data/qanat/core/zone/live"
)

// looked reads what the head of a table holds. Somebody else may have let go of that head since the table was loaded.
func looked(ctx context.Context, tbl *table.Table) (live.Survey, error) {
	fs, err := tbl.FS(ctx)
	if err != nil {
		return live.Survey{}, err
	}
	s, err := live.Look(fs, tbl.CurrentSnapshot(), nil)
	if errors.Is(err, iofs.ErrNotExist) {
		err = errors.Join(errConflict, err)
	}
	return s, err
}

// sameVector tells whether a data file has the same vector in both, or none.
func sameVector(a, b live.Survey, path string) bool {
	v, w := a.Vectors[path], b.Vectors[path]
	if v == nil || w == nil {
		return v == nil && w == nil
	}
	return v.FilePath() == w.FilePath() && *v.ContentOffset() == *w.ContentOffset()
}

// paths are the names of files.
func paths(entries []live.Entry) map[string]bool {
	out := make(map[string]bool, len(entries))
	for _, e := range entries {
		out[e.File.FilePath()] = true
	}
	return out
}

func filesOf(entries []live.Entry) []iceberg.DataFile {
	out := make([]iceberg.DataFile, len(entries))
	for i, e := range entries {
		out[i] = e.File
	}
	return out
}

// vectorsOf gives the vectors of data files now, and tells whether the same rows of the files are deleted as they were, but for those that
// keys delete that came since.
func vectorsOf(was live.Survey, files []live.Entry, now live.Survey) (vectors []iceberg.DataFile, same bool) {
	keys := paths(now.Keys)
	for _, e := range files {
		path := e.File.FilePath()
		if !sameVector(was, now, path) {
			return nil, false
		}
		if v, have := now.Vectors[path]; have {
			vectors = append(vectors, v)
		}
		for _, applied := range was.Applied(e) {
			if !keys[applied.File.FilePath()] {
				return nil, false // its unit was taken back
			}
		}
	}
	return vectors, true
}

// hasDeletes tells whether a snapshot has files that delete rows of others.
func hasDeletes(fs iceio.IO, s *table.Snapshot) (bool, error) {
	list, err := s.Manifests(fs)
	if err != nil {
		return false, fmt.Errorf("manifests of snapshot %d: %w", s.SnapshotID, err)
	}
	for _, m := range list {
		if m.ManifestContent() == iceberg.ManifestContentDeletes && (m.HasAddedFiles() || m.HasExistingFiles()) {
			return true, nil
		}
	}
	return false, nil
}
