// Package store finds and opens files in local folders and in S3 buckets. It knows nothing of what is in them.
package store

import (
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

// ErrNotFound says that a pattern matches no file.
var ErrNotFound = errors.New("no such file")

// File is a file as it was when it was listed.
type File struct {
	Path    string // as the pattern gives it, or s3://bucket/key
	Size    int64
	ModTime time.Time
	ETag    string // S3 only: what the object's content is known by
	opener  opener
}

type opener interface {
	open(ctx context.Context, f File, offset int64) (io.ReadCloser, error)
	stat(ctx context.Context, f File) (File, error)
	// random gives access to any part of the file. Its Close ends the access.
	random(ctx context.Context, f File) (Random, error)
}

// Random reads any part of a file.
type Random interface {
	io.ReaderAt
	io.Closer
}

// Open reads the file from an offset on. Errors of the store, not of the content, are typed by the sdk.
func (f File) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	return f.opener.open(ctx, f, offset)
}

// Stat lists the file again.
func (f File) Stat(ctx context.Context) (File, error) { return f.opener.stat(ctx, f) }

// Random opens the file for reading at any place.
func (f File) Random(ctx context.Context) (Random, error) { return f.opener.random(ctx, f) }

// Local says whether the file may grow in place, which S3 objects can't.
func (f File) Local() bool {
	_, local := f.opener.(Local)
	return local
}

// Store lists files.
type Store interface {
	// List returns the files that a path or a pattern matches, sorted by path. ErrNotFound if there are none.
	List(ctx context.Context, pattern string) ([]File, error)
}

// IsPattern says whether a path has wildcards.
func IsPattern(p string) bool { return strings.ContainsAny(p, `*?[{`) }

// Base is the part of a path before its first wildcard segment, without a slash at its end unless it is the root.
func Base(p string) string {
	base, _ := doublestar.SplitPattern(p)
	if !IsPattern(p) {
		return p
	}
	return base
}

// hidden says whether a wildcard would match a file that shells leave out: one whose name, or a folder of it, begins with a dot.
func hidden(pattern, name string) bool {
	rest := strings.TrimPrefix(strings.TrimPrefix(name, Base(pattern)), "/")
	if strings.HasPrefix(path.Base(pattern), ".") {
		rest = path.Dir(rest) + "/"
	}
	return strings.HasPrefix(rest, ".") && !strings.HasPrefix(rest, "./") || strings.Contains(rest, "/.")
}

func sorted(files []File) []File {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return slices.CompactFunc(files, func(a, b File) bool { return a.Path == b.Path })
}
