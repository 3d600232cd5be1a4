package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

const lockVersion = 1

// document is the lock file's content.
type document struct {
	Version int     `json:"version"`
	Plugins []Entry `json:"plugins"`
}

func readLock(path string) ([]Entry, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the operator's own file
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	entries, err := parseLock(raw)
	if err != nil {
		return nil, fmt.Errorf("lock file %s: %w", path, err)
	}
	return entries, nil
}

// parseLock takes an empty file for an empty lock: a process that is about to write the first one has created it.
func parseLock(raw []byte) ([]Entry, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	var content document
	if err := decoder.Decode(&content); err != nil {
		return nil, fmt.Errorf("line %d: %w", line(raw, err, decoder.InputOffset()), err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d: something follows the end", line(raw, nil, decoder.InputOffset()))
	}
	if content.Version != lockVersion {
		return nil, fmt.Errorf("version %d, this program reads version %d", content.Version, lockVersion)
	}
	if err := validateAll(content.Plugins); err != nil {
		return nil, err
	}
	sortEntries(content.Plugins)
	return content.Plugins, compactSchemas(content.Plugins)
}

// compactSchemas takes the file's indentation out, so that an entry is the same before and after it went through the file.
func compactSchemas(entries []Entry) error {
	for _, e := range entries {
		for i, c := range e.Manifest.Components {
			var schema bytes.Buffer
			if err := json.Compact(&schema, c.ConfigSchema); err != nil {
				return err
			}
			e.Manifest.Components[i].ConfigSchema = schema.Bytes()
		}
	}
	return nil
}

func line(raw []byte, err error, offset int64) int {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = syntax.Offset
	}
	return 1 + bytes.Count(raw[:min(max(offset, 0), int64(len(raw)))], []byte("\n"))
}

func formatLock(entries []Entry) ([]byte, error) {
	sortEntries(entries)
	text, err := marshal(document{Version: lockVersion, Plugins: entries}, "  ")
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}

// rewriteLock changes the file under an exclusive lock and returns what is in it now.
func rewriteLock(path string, change func([]Entry) ([]Entry, error)) ([]Entry, error) {
	held, err := exclusive(path)
	if err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	defer func() { _ = held.Close() }()
	before, err := readLock(path)
	if err != nil {
		return nil, err
	}
	after, err := change(slices.Clone(before))
	if err != nil {
		return nil, err
	}
	text, err := formatLock(after)
	if err != nil {
		return nil, err
	}
	if err := replace(path, text); err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	return after, nil
}

// exclusive opens and locks the file itself. Because writers replace the file, the one that was opened may be gone once the lock
// is granted; then it begins again with the new one.
func exclusive(path string) (*os.File, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644) //nolint:gosec // meant to be committed and read by others
		if err != nil {
			return nil, err
		}
		if err := flock(file); err != nil {
			return nil, errors.Join(fmt.Errorf("lock %q: %w", path, err), file.Close())
		}
		current, err := os.Stat(path)
		mine, errMine := file.Stat()
		if err == nil && errMine == nil && os.SameFile(current, mine) {
			return file, nil
		}
		if err := errors.Join(errMine, file.Close()); err != nil {
			return nil, err
		}
	}
}

func flock(file *os.File) error {
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// replace writes a file so that readers see the old content or the new, also after a power failure.
func replace(path string, text []byte) error {
	folder := filepath.Dir(path)
	temp, err := os.CreateTemp(folder, "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.Write(text)
	if err := errors.Join(err, temp.Chmod(0o644), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	parent, err := os.Open(folder) //nolint:gosec // the lock file's own folder
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}
