package registry

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// LockFile is the lock's name in a project folder.
const LockFile = "qanat.lock"

// Entry pins one plugin binary.
type Entry struct {
	Name     string   `json:"name"`
	Kinds    []Kind   `json:"kinds"`
	File     string   `json:"file"` // below one of the plugin folders
	SHA256   string   `json:"sha256"`
	Manifest Manifest `json:"manifest"`
}

// NewEntry pins a binary with what it says about itself.
func NewEntry(file, sha256 string, manifest Manifest) Entry {
	return Entry{Name: manifest.Name, Kinds: manifest.Kinds(), File: file, SHA256: sha256, Manifest: manifest}
}

// Serves reports whether the entry is the plugin of that kind and name.
func (e Entry) Serves(kind Kind, name string) bool {
	return e.Name == name && slices.Contains(e.Kinds, kind)
}

// Verify returns a *ChangedError if the digest is not the locked one.
func (e Entry) Verify(found string) error {
	if found == e.SHA256 {
		return nil
	}
	return &ChangedError{Plugin: e.Name, File: e.File, Locked: e.SHA256, Found: found}
}

var digestPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (e Entry) validate() error {
	var faults []error
	if e.Name != e.Manifest.Name || !slices.Equal(e.Kinds, e.Manifest.Kinds()) {
		faults = append(faults, errors.New("name and kinds differ from those in its manifest"))
	}
	if !filepath.IsLocal(e.File) {
		faults = append(faults, fmt.Errorf("file %q: expected a path below a plugin folder", e.File))
	}
	if !digestPattern.MatchString(e.SHA256) {
		faults = append(faults, fmt.Errorf("sha256 %q: expected 64 hexadecimal digits in lower case", e.SHA256))
	}
	faults = append(faults, e.Manifest.validate())
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("plugin %q: %w", e.Name, err)
	}
	return nil
}

// Lock is a project's lock file. Safe for concurrent use; changes go to the file at once, also beside those of other processes.
type Lock struct {
	path    string
	mu      sync.RWMutex
	entries []Entry
}

// OpenLock reads a lock file. One that does not exist is empty.
func OpenLock(path string) (*Lock, error) {
	entries, err := readLock(path)
	if err != nil {
		return nil, err
	}
	return &Lock{path: path, entries: entries}, nil
}

// Path is where the lock file lies.
func (l *Lock) Path() string { return l.path }

// Find returns the entry that serves a kind under a name.
func (l *Lock) Find(kind Kind, name string) (Entry, bool) {
	return l.first(func(e Entry) bool { return e.Serves(kind, name) })
}

// FindFile returns the entry of a binary.
func (l *Lock) FindFile(file string) (Entry, bool) {
	return l.first(func(e Entry) bool { return e.File == file })
}

func (l *Lock) first(match func(Entry) bool) (Entry, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := slices.IndexFunc(l.entries, match)
	if i < 0 {
		return Entry{}, false
	}
	return l.entries[i], true
}

// Entries are all plugins by name.
func (l *Lock) Entries() []Entry {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Clone(l.entries)
}

// Add trusts a plugin on first use. If the lock, meanwhile perhaps written by another process, has the same binary, nothing
// changes; if it has another one, the error is a *ChangedError or a *ConflictError.
func (l *Lock) Add(entry Entry) error {
	return l.update(entry, func(entries []Entry) ([]Entry, error) {
		for _, locked := range entries {
			if locked.File == entry.File {
				return entries, locked.Verify(entry.SHA256)
			}
			for _, kind := range entry.Kinds {
				if locked.Serves(kind, entry.Name) {
					return nil, &ConflictError{Kind: kind, Plugin: entry.Name, Locked: locked.File, Found: entry.File}
				}
			}
		}
		return append(entries, entry), nil
	})
}

// Accept pins a plugin in place of what the lock has for its file or for its kinds and name. Only a person may decide that.
func (l *Lock) Accept(entry Entry) error {
	return l.update(entry, func(entries []Entry) ([]Entry, error) {
		entries = slices.DeleteFunc(entries, func(locked Entry) bool {
			return locked.File == entry.File ||
				slices.ContainsFunc(entry.Kinds, func(kind Kind) bool { return locked.Serves(kind, entry.Name) })
		})
		return append(entries, entry), nil
	})
}

func (l *Lock) update(entry Entry, change func([]Entry) ([]Entry, error)) error {
	if err := entry.validate(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	entries, err := rewriteLock(l.path, change)
	if err != nil {
		return err
	}
	l.entries = entries
	return nil
}

func sortEntries(entries []Entry) {
	slices.SortFunc(entries, func(a, b Entry) int {
		return strings.Compare(a.Name+"\x00"+a.File, b.Name+"\x00"+b.File)
	})
}

// validateAll also refuses two entries for one plugin: which one runs would be a matter of chance.
func validateAll(entries []Entry) error {
	var faults []error
	seen := map[string]bool{}
	for _, e := range entries {
		faults = append(faults, e.validate())
		claims := []string{"file " + e.File}
		for _, kind := range e.Kinds {
			claims = append(claims, string(kind)+" "+e.Name)
		}
		for _, claim := range claims {
			if seen[claim] {
				faults = append(faults, fmt.Errorf("plugin %q: %q is there twice", e.Name, claim))
			}
			seen[claim] = true
		}
	}
	return errors.Join(faults...)
}
