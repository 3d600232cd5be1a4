package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/qanat-data/qanat/sdk"
)

// Local is the file system. Relative paths start at the working directory.
type Local struct{}

// List implements Store. A pattern skips folders and hidden files.
func (l Local) List(_ context.Context, pattern string) ([]File, error) {
	pattern = filepath.ToSlash(filepath.Clean(pattern))
	if !IsPattern(pattern) {
		return l.single(pattern)
	}
	names, err := doublestar.FilepathGlob(pattern, doublestar.WithFilesOnly(), doublestar.WithFailOnIOErrors())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("find %q: %w", pattern, err)
	}
	var files []File
	for _, name := range names {
		if hidden(pattern, name) {
			continue
		}
		found, err := l.single(name)
		switch {
		case errors.Is(err, ErrNotFound):
			continue // it went away since the folder was read
		case err != nil:
			return nil, err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%w matches %q", ErrNotFound, pattern)
	}
	return sorted(files), nil
}

func (l Local) single(name string) ([]File, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %q", ErrNotFound, name)
	case err != nil:
		return nil, fmt.Errorf("look at %q: %w", name, err)
	case info.IsDir():
		return nil, fmt.Errorf("%w: %q is a folder; write %q for the files in it", ErrNotFound, name, name+"/*")
	}
	return []File{l.file(name, info)}, nil
}

func (l Local) file(name string, info fs.FileInfo) File {
	return File{Path: name, Size: info.Size(), ModTime: info.ModTime(), opener: l}
}

func (Local) open(_ context.Context, f File, offset int64) (io.ReadCloser, error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, localError(err)
	}
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		_ = file.Close()
		return nil, localError(err)
	}
	return localFile{file}, nil
}

func (Local) random(_ context.Context, f File) (Random, error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, localError(err)
	}
	return localFile{file}, nil
}

func (l Local) stat(_ context.Context, f File) (File, error) {
	info, err := os.Stat(f.Path)
	if err != nil {
		return File{}, localError(err)
	}
	return l.file(f.Path, info), nil
}

// localFile types the errors of the disk, so that they can be told from faults in the content.
type localFile struct{ *os.File }

func (l localFile) Read(p []byte) (int, error) {
	n, err := l.File.Read(p)
	return n, localError(err)
}

func (l localFile) ReadAt(p []byte, offset int64) (int, error) {
	n, err := l.File.ReadAt(p, offset)
	return n, localError(err)
}

func localError(err error) error {
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return sdk.Retryable(fmt.Errorf("the file went away: %w", err), 0)
	}
	return sdk.Fatal(err)
}
