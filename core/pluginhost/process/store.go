package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/qanat-data/qanat/registry"
)

// Store keeps the copies of binaries that run, each under its digest: between the check of a plugin folder's file and its
// execution, the file could change; a copy that only this user may touch, named by what was found in it, can't.
type Store struct {
	dir string

	mu    sync.Mutex
	known map[string]digested
}

// digested remembers the digest of a file for as long as the file's identity stays.
type digested struct {
	identity identity
	digest   string
}

// identity changes whenever the content does: a program can set a file's modification time, but not its change time.
type identity struct {
	device, inode   uint64
	size            int64
	changed, edited syscall.Timespec
}

// NewStore uses a folder, which is made if it is missing.
func NewStore(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder for plugin copies: %w", err)
	}
	return &Store{dir: dir, known: map[string]digested{}}, nil
}

// Digest is the sha-256 of a file, taken again only if the file has changed since.
func (s *Store) Digest(path string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.digest(path)
}

func (s *Store) digest(path string) (string, error) {
	before, err := identify(path)
	if err != nil {
		return "", err
	}
	if last, ok := s.known[path]; ok && last.identity == before {
		return last.digest, nil
	}
	started := time.Now()
	digest, err := registry.Digest(path)
	if err != nil {
		return "", err
	}
	if before.settled(started) {
		s.known[path] = digested{identity: before, digest: digest}
	}
	return digest, nil
}

func identify(path string) (identity, error) {
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		return identity{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return identity{device: stat.Dev, inode: stat.Ino, size: stat.Size, changed: stat.Ctim, edited: stat.Mtim}, nil
}

// settled is false for a file that changed just now: another change within the clock's grain would go unnoticed.
func (i identity) settled(now time.Time) bool {
	return now.Sub(time.Unix(i.changed.Unix())) > 2*time.Second
}

// Copy returns the path of the copy with the digest, which it takes of the original if there is none yet. An original that has
// changed since its digest was taken is an error.
func (s *Store) Copy(original, digest string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	target := filepath.Join(s.dir, digest)
	if found, err := s.digest(target); err == nil && found == digest {
		return target, nil
	}
	temp, err := s.copyFile(original)
	if err != nil {
		return "", fmt.Errorf("copy of plugin binary %q: %w", original, err)
	}
	defer func() { _ = os.Remove(temp) }()
	found, err := registry.Digest(temp)
	if err != nil {
		return "", err
	}
	if found != digest {
		return "", fmt.Errorf("plugin binary %q changed while it was copied: its sha-256 was %s, now it is %s", original, digest, found)
	}
	if err := os.Rename(temp, target); err != nil {
		return "", err
	}
	// Nobody else may touch it, so that it need not settle before its digest is believed.
	if now, err := identify(target); err == nil {
		s.known[target] = digested{identity: now, digest: digest}
	}
	return target, nil
}

// copyFile holds off all forks while the copy is open for writing: a child forked meanwhile would hold it open until it executes
// its own program, and the kernel does not run a file that is open for writing.
func (s *Store) copyFile(original string) (path string, err error) {
	from, err := os.Open(original) //nolint:gosec // the operator names the plugin folders
	if err != nil {
		return "", err
	}
	defer func() { _ = from.Close() }()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	to, err := os.CreateTemp(s.dir, ".copy-*")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from)
	err = errors.Join(err, to.Chmod(0o500), to.Sync(), to.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(to.Name()))
	}
	return to.Name(), nil
}
