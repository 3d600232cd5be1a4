package upkeep

import (
	"context"
	"fmt"
	"sync"

	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"golang.org/x/sync/errgroup"
)

// Cache remembers what manifest lists and manifests hold. They never change, so what a look at a table has read serves the next.
type Cache struct {
	mutex     sync.Mutex
	lists     map[string][]iceberg.ManifestFile
	manifests map[string][]named
}

// NewCache makes an empty cache.
func NewCache() *Cache {
	return &Cache{lists: map[string][]iceberg.ManifestFile{}, manifests: map[string][]named{}}
}

// named is an object that a manifest names.
type named struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

func (c *Cache) list(fs iceio.IO, s *table.Snapshot) ([]iceberg.ManifestFile, error) {
	c.mutex.Lock()
	known, ok := c.lists[s.ManifestList]
	c.mutex.Unlock()
	if ok {
		return known, nil
	}
	list, err := s.Manifests(fs)
	if err != nil {
		return nil, fmt.Errorf("manifests of snapshot %d: %w", s.SnapshotID, err)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.lists[s.ManifestList] = list
	return list, nil
}

// files are the live files of a manifest.
func (c *Cache) files(fs iceio.IO, m iceberg.ManifestFile) ([]named, error) {
	c.mutex.Lock()
	known, ok := c.manifests[m.FilePath()]
	c.mutex.Unlock()
	if ok {
		return known, nil
	}
	files := []named{}
	for e, err := range m.Entries(fs, true) {
		if err != nil {
			return nil, fmt.Errorf("manifest %q: %w", m.FilePath(), err)
		}
		files = append(files, named{e.DataFile().FilePath(), e.DataFile().FileSizeBytes()})
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.manifests[m.FilePath()] = files
	return files, nil
}

// forget drops what the snapshots don't refer to any more.
func (c *Cache) forget(snapshots []*table.Snapshot) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	lists, manifests := map[string][]iceberg.ManifestFile{}, map[string][]named{}
	for _, s := range snapshots {
		list, ok := c.lists[s.ManifestList]
		if !ok {
			continue
		}
		lists[s.ManifestList] = list
		for _, m := range list {
			if files, ok := c.manifests[m.FilePath()]; ok {
				manifests[m.FilePath()] = files
			}
		}
	}
	c.lists, c.manifests = lists, manifests
}

// references are the objects that snapshots refer to.
type references struct {
	lists     map[string]bool
	manifests map[string]iceberg.ManifestFile
	fs        iceio.IO
	cache     *Cache
}

// references reads the manifest lists of snapshots.
func (k *keeper) references(ctx context.Context, tbl *table.Table, snapshots []*table.Snapshot) (references, error) {
	out := references{lists: map[string]bool{}, manifests: map[string]iceberg.ManifestFile{}, cache: k.Cache}
	var err error
	if out.fs, err = tbl.FS(ctx); err != nil {
		return out, err
	}
	lists := make([][]iceberg.ManifestFile, len(snapshots))
	var group errgroup.Group
	group.SetLimit(readersAtATime)
	for i, s := range snapshots {
		group.Go(func() (err error) {
			lists[i], err = k.Cache.list(out.fs, s)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return out, err
	}
	for i, s := range snapshots {
		out.lists[s.ManifestList] = true
		for _, m := range lists[i] {
			out.manifests[m.FilePath()] = m
		}
	}
	return out, nil
}

// files reads manifests and returns the live files in them, by path.
func (r references) files(manifests []iceberg.ManifestFile) (map[string]int64, error) {
	found := make([][]named, len(manifests))
	var group errgroup.Group
	group.SetLimit(readersAtATime)
	for i, m := range manifests {
		group.Go(func() (err error) {
			found[i], err = r.cache.files(r.fs, m)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for _, files := range found {
		for _, f := range files {
			out[f.Path] = f.Bytes
		}
	}
	return out, nil
}

func snapshotsOf(meta table.Metadata) []*table.Snapshot {
	all := meta.Snapshots()
	out := make([]*table.Snapshot, len(all))
	for i := range all {
		out[i] = &all[i]
	}
	return out
}
