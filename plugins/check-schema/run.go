package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
)

const (
	keyBytes  = 16
	blockKeys = 256 // keys of one read, 4 KiB
	bloomBits = 10  // per key: one in a hundred absent keys costs a read
	bloomTips = 6   // bits set per key
)

// run is a sorted file of keys. Of each block the first key stays in memory, and of all keys the bits of a Bloom filter, so that
// nearly no key that isn't there costs a read.
type run struct {
	file  *os.File
	count int
	first []key
	bloom []uint64
	block [blockKeys * keyBytes]byte
}

// writeRun sorts the keys, of which there must be some, into a file of its own.
func writeRun(folder string, keys []key) (*run, error) {
	file, err := os.CreateTemp(folder, "unique-*")
	if err != nil {
		return nil, fmt.Errorf("spill keys of a unique rule: %w", err)
	}
	slices.SortFunc(keys, key.compare)
	r := &run{file: file, count: len(keys), bloom: make([]uint64, len(keys)*bloomBits/64+1)}
	out := bufio.NewWriterSize(file, 1<<16)
	for i, k := range keys {
		if i%blockKeys == 0 {
			r.first = append(r.first, k)
		}
		r.mark(k)
		if _, err = out.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, k.hi), k.lo)); err != nil {
			break
		}
	}
	if err = errors.Join(err, out.Flush()); err != nil {
		return nil, fmt.Errorf("spill keys of a unique rule: %w", errors.Join(err, r.close()))
	}
	return r, nil
}

func (r *run) mark(k key) {
	for bit := range r.bits(k) {
		r.bloom[bit/64] |= 1 << (bit % 64)
	}
}

// bits are the places of a key in the filter; a key is a hash already, so its halves are mixed into as many as are needed.
func (r *run) bits(k key) func(yield func(uint64) bool) {
	size := uint64(len(r.bloom)) * 64
	return func(yield func(uint64) bool) {
		at := k.hi
		for range bloomTips {
			if !yield(at % size) {
				return
			}
			at += k.lo | 1
		}
	}
}

func (r *run) contains(k key) (bool, error) {
	for bit := range r.bits(k) {
		if r.bloom[bit/64]&(1<<(bit%64)) == 0 {
			return false, nil
		}
	}
	block := sort.Search(len(r.first), func(i int) bool { return r.first[i].compare(k) > 0 }) - 1
	if block < 0 {
		return false, nil
	}
	n, err := r.file.ReadAt(r.block[:], int64(block)*int64(len(r.block)))
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read spilled keys of a unique rule: %w", err)
	}
	_, found := sort.Find(n/keyBytes, func(i int) int { return k.compare(r.at(i)) })
	return found, nil
}

func (r *run) at(i int) key {
	return key{hi: binary.BigEndian.Uint64(r.block[i*keyBytes:]), lo: binary.BigEndian.Uint64(r.block[i*keyBytes+8:])}
}

func (r *run) close() error {
	return errors.Join(r.file.Close(), os.Remove(r.file.Name()))
}
