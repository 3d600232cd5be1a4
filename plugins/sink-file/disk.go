package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// disk changes what lies below the target folder. It is the seam at which tests break off after any step. Names are relative
// and separated by slashes.
type disk interface {
	// Create makes a file, or empties one.
	Create(name string) (file, error)
	// MkdirAll makes a folder that outlives a power failure.
	MkdirAll(name string) error
	Rename(from, to string) error
	RemoveAll(name string) error
	// Sync makes the entries of a folder outlive a power failure.
	Sync(folder string) error
}

type file interface {
	io.WriteCloser
	// Sync makes the file's bytes outlive a power failure.
	Sync() error
}

const (
	folderMode = 0o755
	fileMode   = 0o644
)

// rooted is the disk below one folder; symbolic links don't lead out of it.
type rooted struct {
	root *os.Root
}

// openRoot opens the target folder and makes it if it is missing.
func openRoot(folder string) (rooted, error) {
	if err := os.MkdirAll(folder, folderMode); err != nil {
		return rooted{}, err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return rooted{}, err
	}
	return rooted{root: root}, syncFolder(os.Open(filepath.Dir(folder)))
}

// syncFolder syncs and closes a folder that has just been opened.
func syncFolder(f *os.File, err error) error {
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (r rooted) Create(name string) (file, error) {
	return r.root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode)
}

// MkdirAll syncs every folder on the way, also where it was there: who made it may have died before syncing.
func (r rooted) MkdirAll(name string) error {
	if name == "." {
		return nil
	}
	if err := r.MkdirAll(path.Dir(name)); err != nil {
		return err
	}
	if err := r.root.Mkdir(name, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return r.Sync(path.Dir(name))
}

func (r rooted) Rename(from, to string) error { return r.root.Rename(from, to) }
func (r rooted) RemoveAll(name string) error  { return r.root.RemoveAll(name) }
func (r rooted) Sync(folder string) error     { return syncFolder(r.root.Open(folder)) }

// exists says whether there is anything of that name.
func exists(files fs.FS, name string) (bool, error) {
	_, err := fs.Lstat(files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
