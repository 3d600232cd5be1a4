package gateway

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// durable puts files and the names of files on stable storage. A folder whose own
// name is known to be on disk is remembered, so that the usual put costs two syncs:
// its file and its folder.
type durable struct {
	root  string // folders above it are not ours to sync
	known sync.Map
}

// file syncs a file, its folder, and the name of every folder above up to root
// that is not known to be on disk. A missing file is no error: it was removed since.
func (d *durable) file(path string) error {
	if err := sync1(path); err != nil {
		return err
	}
	return d.folder(filepath.Dir(path))
}

// folder syncs the entries of dir, or of the nearest folder above that exists, and
// the names of those above it that are not known.
func (d *durable) folder(dir string) error {
	for {
		err := syncDir(dir)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == d.root {
			return err
		}
		dir = filepath.Dir(dir)
	}
	for dir != d.root && len(dir) > len(d.root) {
		if _, ok := d.known.Load(dir); ok {
			return nil
		}
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
		d.known.Store(dir, struct{}{})
		dir = filepath.Dir(dir)
	}
	return nil
}

// forget drops what is known of the folders above path. A delete calls it before
// and after, as the backend removes folders that become empty.
func (d *durable) forget(path string) {
	for dir := filepath.Dir(path); len(dir) > len(d.root); dir = filepath.Dir(dir) {
		d.known.Delete(dir)
	}
}

// tree syncs every file below dir that exists.
func (d *durable) tree(dir string) error {
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return d.file(path)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func sync1(path string) error {
	f, err := os.Open(path) //nolint:gosec // a path below the gateway's own root
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func syncDir(path string) error {
	f, err := os.Open(path) //nolint:gosec // a path below the gateway's own root
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
