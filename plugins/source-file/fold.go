package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
)

// fold remembers many finished files in twelve bytes each: half a digest of the path, and a shorter one of what the file was known
// by when it was read. Two paths that share the former are taken for one file that changed, which is an error and no silent loss.
type fold struct {
	entries []entry // by path
	encoded []byte  // as JSON; nil if entries have changed
}

type entry struct {
	path  uint64
	print uint32
}

const entrySize = 12

func (f *fold) len() int { return len(f.entries) }

func pathHash(path string) uint64 {
	sum := sha256.Sum256([]byte(path))
	return binary.BigEndian.Uint64(sum[:])
}

func byPath(a, b entry) int { return cmp.Compare(a.path, b.path) }

// add takes files in, in place of what was known of them.
func (f *fold) add(files map[string]stamp) {
	if len(files) == 0 {
		return
	}
	added := make([]entry, 0, len(files))
	for path, s := range files {
		added = append(added, entry{path: pathHash(path), print: s.print()})
	}
	all := append(added, f.entries...) //nolint:gocritic // the new entries come first, so that they are the ones kept
	slices.SortStableFunc(all, byPath)
	f.entries = slices.CompactFunc(all, func(a, b entry) bool { return a.path == b.path })
	f.encoded = nil
}

// find returns the print of a file.
func (f *fold) find(path string) (uint32, bool) {
	i, ok := slices.BinarySearchFunc(f.entries, entry{path: pathHash(path)}, byPath)
	if !ok {
		return 0, false
	}
	return f.entries[i].print, true
}

// IsZero leaves an empty fold out of the position.
func (f *fold) IsZero() bool { return f == nil || len(f.entries) == 0 }

// MarshalJSON implements json.Marshaler.
func (f *fold) MarshalJSON() ([]byte, error) { //nolint:unparam // the signature is json.Marshaler's
	if f.encoded != nil {
		return f.encoded, nil
	}
	raw := make([]byte, 0, len(f.entries)*entrySize)
	for _, e := range f.entries {
		raw = binary.BigEndian.AppendUint64(raw, e.path)
		raw = binary.BigEndian.AppendUint32(raw, e.print)
	}
	f.encoded = []byte(`"` + base64.StdEncoding.EncodeToString(raw) + `"`)
	return f.encoded, nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *fold) UnmarshalJSON(b []byte) error {
	var raw []byte
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	if len(raw)%entrySize != 0 {
		return fmt.Errorf("folded files of %d bytes, expected a multiple of %d", len(raw), entrySize)
	}
	f.entries = make([]entry, 0, len(raw)/entrySize)
	for ; len(raw) > 0; raw = raw[entrySize:] {
		f.entries = append(f.entries, entry{path: binary.BigEndian.Uint64(raw), print: binary.BigEndian.Uint32(raw[8:])})
	}
	if !slices.IsSortedFunc(f.entries, byPath) {
		return fmt.Errorf("folded files are not sorted")
	}
	return nil
}
