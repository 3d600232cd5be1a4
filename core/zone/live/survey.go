// Package live tells which rows of a snapshot of a dataset with a key are there, and reads them: those that neither deletion vectors
// nor keys of later upserts delete. iceberg-go does so, too, and is the oracle in tests, but goes through sets of encoded keys for each
// state of the data and copies what it keeps twice. Here keys are told apart by numbers where they are numbers, once for all files, and
// each batch is filtered once. It is used by package zone, for scans and look-ups, and by package upkeep.
package live

import (
	"fmt"

	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"golang.org/x/sync/errgroup"
)

// manifestsAtATime are read side by side.
const manifestsAtATime = 8

// Entry is a file of a snapshot with its place in the order of changes.
type Entry struct {
	File  iceberg.DataFile
	Seq   int64 // deletes by key apply to files with a lower one
	Added int64 // the snapshot that added it
}

// Survey is what a snapshot holds.
type Survey struct {
	Data    []Entry
	Keys    []Entry                     // of rows that upserts deleted
	Vectors map[string]iceberg.DataFile // by the name of the data file that they are for
	Others  bool                        // there are deletes of another kind
}

// Look reads a snapshot's manifests. The cache may be nil.
func Look(fs iceio.IO, s *table.Snapshot, c *Cache) (Survey, error) {
	out := Survey{Vectors: map[string]iceberg.DataFile{}}
	list, err := s.Manifests(fs)
	if err != nil {
		return out, fmt.Errorf("manifests of snapshot %d: %w", s.SnapshotID, err)
	}
	found := make([][]Entry, len(list))
	var group errgroup.Group
	group.SetLimit(manifestsAtATime)
	for i, m := range list {
		group.Go(func() (err error) {
			found[i], err = c.entries(fs, m)
			return err
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

func (s *Survey) add(e Entry) {
	switch {
	case e.File.ContentType() == iceberg.EntryContentData:
		s.Data = append(s.Data, e)
	case e.File.ContentType() == iceberg.EntryContentEqDeletes:
		s.Keys = append(s.Keys, e)
	case table.IsDeletionVector(e.File) && e.File.ReferencedDataFile() != nil:
		s.Vectors[*e.File.ReferencedDataFile()] = e.File
	default:
		s.Others = true
	}
}

// Deletes tells whether rows of the snapshot's files are deleted by others.
func (s *Survey) Deletes() bool { return len(s.Keys) > 0 || len(s.Vectors) > 0 || s.Others }

// Applied are the files of keys that apply to a data file.
func (s *Survey) Applied(e Entry) []Entry {
	var out []Entry
	for _, k := range s.Keys {
		if k.Seq > e.Seq {
			out = append(out, k)
		}
	}
	return out
}

// Deleted is how many rows of a data file its vector deletes.
func (s *Survey) Deleted(e Entry) int64 {
	if v, ok := s.Vectors[e.File.FilePath()]; ok {
		return v.Count()
	}
	return 0
}
