package live

import (
	"fmt"
	"sync"

	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
)

// cachedEntries bounds a cache; of those that are full everything goes.
const cachedEntries = 10_000

// Cache remembers what manifests hold. They never change, so those that a reader has read serve the next one. It is safe for concurrent
// use.
type Cache struct {
	mutex     sync.Mutex
	manifests map[string][]Entry
	count     int
}

// NewCache makes an empty cache.
func NewCache() *Cache { return &Cache{manifests: map[string][]Entry{}} }

func (c *Cache) entries(fs iceio.IO, m iceberg.ManifestFile) ([]Entry, error) {
	if known, ok := c.known(m.FilePath()); ok {
		return known, nil
	}
	var out []Entry
	for e, err := range m.Entries(fs, true) {
		if err != nil {
			return nil, fmt.Errorf("manifest %q: %w", m.FilePath(), err)
		}
		out = append(out, Entry{File: e.DataFile(), Seq: e.SequenceNum(), Added: e.SnapshotID()})
	}
	c.remember(m.FilePath(), out)
	return out, nil
}

func (c *Cache) known(path string) ([]Entry, bool) {
	if c == nil {
		return nil, false
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	out, ok := c.manifests[path]
	return out, ok
}

func (c *Cache) remember(path string, entries []Entry) {
	if c == nil || len(entries) > cachedEntries/10 {
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.count += len(entries) + 1; c.count > cachedEntries {
		clear(c.manifests)
		c.count = len(entries) + 1
	}
	c.manifests[path] = entries
}
