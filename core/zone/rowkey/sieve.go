package rowkey

import (
	"hash/maphash"
	"math/bits"
	"sync"
)

// sieveBits is how many bits there are for each key: about one in sixteen of other keys goes through.
const sieveBits = 16

// sieve tells most keys that an index does not have apart without going through its map, whose parts lie all over the memory.
type sieve struct {
	once  sync.Once
	words []uint64
	shift int // of a hash, to the number of its bit
	seed  maphash.Seed
}

func (x *Index) fillSieve() {
	s := &x.sieve
	s.seed = maphash.MakeSeed()
	size := max(6, bits.Len(uint(x.Len()*sieveBits)))
	s.words, s.shift = make([]uint64, 1<<(size-6)), 64-size
	for key := range x.ints {
		s.add(ofNumber(key))
	}
	for key := range x.texts {
		s.add(s.ofText([]byte(key)))
	}
}

// ofNumber spreads a number over all bits (Fibonacci hashing).
func ofNumber(key int64) uint64 { return uint64(key) * 0x9e3779b97f4a7c15 } //nolint:gosec // bits

func (s *sieve) ofText(key []byte) uint64 { return maphash.Bytes(s.seed, key) }

func (s *sieve) add(hash uint64) {
	bit := hash >> s.shift
	s.words[bit>>6] |= 1 << (bit & 63)
}

func (s *sieve) mayHave(hash uint64) bool {
	bit := hash >> s.shift
	return s.words[bit>>6]>>(bit&63)&1 == 1
}
