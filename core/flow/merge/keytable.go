package merge

import (
	"bytes"

	"github.com/zeebo/xxh3"
)

// keyTable numbers keys in the order in which they come.
type keyTable struct {
	slots   []int32 // 1 + number, 0: free; a power of two
	hashes  []uint64
	data    []byte
	width   int   // of each key, if fixed
	offsets []int // else
}

func newKeyTable(width int) keyTable {
	return keyTable{width: width, slots: make([]int32, 64), offsets: []int{0}}
}

func (t *keyTable) len() int { return len(t.hashes) }

func (t *keyTable) bytes() int64 {
	return int64(cap(t.data)) + 8*int64(cap(t.hashes)+cap(t.offsets)) + 4*int64(len(t.slots))
}

func (t *keyTable) key(id int32) []byte {
	if t.width > 0 {
		return t.data[int(id)*t.width : (int(id)+1)*t.width]
	}
	return t.data[t.offsets[id]:t.offsets[id+1]]
}

// find returns a key's number, or -1.
func (t *keyTable) find(key []byte) int32 {
	_, id := t.probe(key, xxh3.Hash(key))
	return id
}

// put returns a key's number, a new one if it has none.
func (t *keyTable) put(key []byte) int32 {
	hash := xxh3.Hash(key)
	slot, id := t.probe(key, hash)
	if id >= 0 {
		return id
	}
	id = int32(len(t.hashes)) //nolint:gosec // memory ends before 2^31 keys
	t.slots[slot] = id + 1
	t.hashes = append(t.hashes, hash)
	t.data = append(t.data, key...)
	if t.width == 0 {
		t.offsets = append(t.offsets, len(t.data))
	}
	if 2*len(t.hashes) > len(t.slots) {
		t.grow()
	}
	return id
}

// probe returns the key's number and slot, or -1 and the slot that it would take.
func (t *keyTable) probe(key []byte, hash uint64) (int, int32) {
	mask := len(t.slots) - 1
	for at := int(hash) & mask; ; at = (at + 1) & mask { //nolint:gosec // only the low bits count
		id := t.slots[at] - 1
		if id < 0 || (t.hashes[id] == hash && bytes.Equal(t.key(id), key)) {
			return at, id
		}
	}
}

func (t *keyTable) grow() {
	t.slots = make([]int32, 2*len(t.slots))
	mask := len(t.slots) - 1
	for id, hash := range t.hashes {
		at := int(hash) & mask //nolint:gosec // only the low bits count
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = int32(id) + 1
	}
}
