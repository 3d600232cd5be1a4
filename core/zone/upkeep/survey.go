package upkeep

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"

	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"golang.org/x/sync/errgroup"
)

// entry is a file of a snapshot with its place in the order of changes.
type entry struct {
	file  iceberg.DataFile
	seq   int64 // deletes by key apply to files with a lower one
	added int64 // the snapshot that added it
}

// survey is what a snapshot holds.
type survey struct {
	data    []entry
	keys    []entry                     // of rows that upserts deleted
	vectors map[string]iceberg.DataFile // by the name of the data file that they are for
	others  bool                        // there are deletes of another kind
}

// looked reads what the head of a table holds. Somebody else may have let go of that head since the table was loaded.
func looked(ctx context.Context, tbl *table.Table) (survey, error) {
	fs, err := tbl.FS(ctx)
	if err != nil {
		return survey{}, err
	}
	s, err := look(fs, tbl.CurrentSnapshot())
	if errors.Is(err, iofs.ErrNotExist) {
		err = errors.Join(errConflict, err)
	}
	return s, err
}

// look reads a snapshot's manifests.
func look(fs iceio.IO, s *table.Snapshot) (survey, error) {
	out := survey{vectors: map[string]iceberg.DataFile{}}
	list, err := s.Manifests(fs)
	if err != nil {
		return out, fmt.Errorf("manifests of snapshot %d: %w", s.SnapshotID, err)
	}
	found := make([][]entry, len(list))
	var group errgroup.Group
	group.SetLimit(readersAtATime)
	for i, m := range list {
		group.Go(func() error {
			for e, err := range m.Entries(fs, true) {
				if err != nil {
					return fmt.Errorf("manifest %q: %w", m.FilePath(), err)
				}
				found[i] = append(found[i], entry{file: e.DataFile(), seq: e.SequenceNum(), added: e.SnapshotID()})
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return out, err
	}
	for _, entries := range found {
		for _, e := range entries {
			out.add(e)
		}
	}
	return out, nil
}

func (s *survey) add(e entry) {
	switch {
	case e.file.ContentType() == iceberg.EntryContentData:
		s.data = append(s.data, e)
	case e.file.ContentType() == iceberg.EntryContentEqDeletes:
		s.keys = append(s.keys, e)
	case table.IsDeletionVector(e.file) && e.file.ReferencedDataFile() != nil:
		s.vectors[*e.file.ReferencedDataFile()] = e.file
	default:
		s.others = true
	}
}

// deletes tells whether rows of the snapshot's files are deleted by others.
func (s *survey) deletes() bool { return len(s.keys) > 0 || len(s.vectors) > 0 || s.others }

// task reads a file as the snapshot has it: without the rows that are deleted.
func (s *survey) task(e entry) table.FileScanTask {
	t := table.FileScanTask{File: e.file, Length: e.file.FileSizeBytes()}
	for _, k := range s.keys {
		if k.seq > e.seq {
			t.EqualityDeleteFiles = append(t.EqualityDeleteFiles, k.file)
		}
	}
	if v, ok := s.vectors[e.file.FilePath()]; ok {
		t.DeletionVectorFiles = []iceberg.DataFile{v}
	}
	return t
}

// deleted is how many rows of a data file its vector deletes.
func (s *survey) deleted(e entry) int64 {
	if v, ok := s.vectors[e.file.FilePath()]; ok {
		return v.Count()
	}
	return 0
}

// sameVector tells whether a data file has the same vector in both, or none.
func sameVector(a, b survey, path string) bool {
	v, w := a.vectors[path], b.vectors[path]
	if v == nil || w == nil {
		return v == nil && w == nil
	}
	return v.FilePath() == w.FilePath() && *v.ContentOffset() == *w.ContentOffset()
}

// paths are the names of files.
func paths(entries []entry) map[string]bool {
	out := make(map[string]bool, len(entries))
	for _, e := range entries {
		out[e.file.FilePath()] = true
	}
	return out
}

func filesOf(entries []entry) []iceberg.DataFile {
	out := make([]iceberg.DataFile, len(entries))
	for i, e := range entries {
		out[i] = e.file
	}
	return out
}

// vectorsOf gives the vectors of data files, and tells whether in a later state the same rows of the files are deleted as in this one,
// but for those that keys delete that came since.
func (s *survey) vectorsOf(files []entry, now survey) (vectors []iceberg.DataFile, same bool) {
	keys := paths(now.keys)
	for _, e := range files {
		path := e.file.FilePath()
		if !sameVector(*s, now, path) {
			return nil, false
		}
		if v, have := now.vectors[path]; have {
			vectors = append(vectors, v)
		}
		for _, applied := range s.task(e).EqualityDeleteFiles {
			if !keys[applied.FilePath()] {
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
