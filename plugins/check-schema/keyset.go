package main

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/xxh3"
)

// mostKeys is how many keys a set holds in memory, in 16 bytes each and as much again for free places, before it writes them to a
// file.
const mostKeys = 2 << 20

// key is a hash of 128 bits. Two different values share one with a probability of about n²/2¹²⁹ for n rows: 10⁻²⁰ for a billion.
type key struct{ hi, lo uint64 }

func (k key) compare(other key) int {
	return cmp.Or(cmp.Compare(k.hi, other.hi), cmp.Compare(k.lo, other.lo))
}

// keySet is a set of keys that may outgrow memory: it keeps the newest in memory and older ones in sorted files. The hash is seeded
// anew for every set, so that nobody can prepare values that collide.
type keySet struct {
	folder string
	most   int
	seed   uint64
	slots  []key // open addressing; the zero key marks a free place
	used   int
	runs   []*run
}

func newKeySet(folder string, most int) (*keySet, error) {
	var seed [8]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, fmt.Errorf("seed a hash: %w", err)
	}
	return &keySet{folder: folder, most: most, seed: binary.LittleEndian.Uint64(seed[:])}, nil
}

func (s *keySet) hash(value []byte) key {
	sum := xxh3.Hash128Seed(value, s.seed)
	if sum.Hi == 0 && sum.Lo == 0 {
		sum.Lo = 1
	}
	return key{hi: sum.Hi, lo: sum.Lo}
}

// add puts a value into the set and says whether it is new.
func (s *keySet) add(value []byte) (bool, error) {
	k := s.hash(value)
	if s.used*2 >= len(s.slots) {
		s.grow()
	}
	at := s.place(k)
	if s.slots[at] == k {
		return false, nil
	}
	for _, r := range s.runs {
		if found, err := r.contains(k); found || err != nil {
			return false, err
		}
	}
	s.slots[at] = k
	s.used++
	if s.used < s.most {
		return true, nil
	}
	return true, s.spill()
}

// has says whether a value is in the set.
func (s *keySet) has(value []byte) (bool, error) {
	if len(s.slots) == 0 && len(s.runs) == 0 {
		return false, nil
	}
	k := s.hash(value)
	if len(s.slots) > 0 && s.slots[s.place(k)] == k {
		return true, nil
	}
	for _, r := range s.runs {
		if found, err := r.contains(k); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// place is where a key is, or where it would go.
func (s *keySet) place(k key) int {
	mask := uint64(len(s.slots) - 1) //nolint:gosec // there are slots
	at := k.lo & mask
	for s.slots[at] != (key{}) && s.slots[at] != k {
		at = (at + 1) & mask
	}
	return int(at) //nolint:gosec // below the number of slots
}

func (s *keySet) grow() {
	const least = 1 << 10
	old := s.slots
	s.slots = make([]key, max(least, 2*len(old)))
	for _, k := range old {
		if k != (key{}) {
			s.slots[s.place(k)] = k
		}
	}
}

func (s *keySet) spill() error {
	keys := make([]key, 0, s.used)
	for _, k := range s.slots {
		if k != (key{}) {
			keys = append(keys, k)
		}
	}
	r, err := writeRun(s.folder, keys)
	if err != nil {
		return err
	}
	s.runs = append(s.runs, r)
	s.used = 0
	clear(s.slots)
	return nil
}

// reset empties the set for the next unit; the memory of a large one is given back.
func (s *keySet) reset() error {
	err := s.close()
	if len(s.runs) > 0 {
		s.slots = nil
	}
	clear(s.slots)
	s.used, s.runs = 0, nil
	return err
}

// close removes the files.
func (s *keySet) close() error {
	var faults []error
	for _, r := range s.runs {
		faults = append(faults, r.close())
	}
	return errors.Join(faults...)
}
