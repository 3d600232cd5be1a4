package rowkey

import (
	"hash/maphash"
	"math/bits"
	"sync"
)

// sieveBits is how many bits there are for each key, of which two are set: one in fifty of other keys goes through.
const sieveBits = 16

// sieve tells most keys that an index does not have apart without going through its map, whose parts lie all over the memory.
type sieve struct {
	once  sync.Once
	words []uint64
	shift int // of a hash, to the number of its word
	seed  maphash.Seed
}

func (x *Index) fillSieve() {
	s := &x.sieve
	s.seed = maphash.MakeSeed()
	size := bits.Len(uint(x.Len() * sieveBits / 64))
	s.words, s.shift = make([]uint64, 1<<size), 64-size
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

func (s *sieve) add(hash uint64) { s.words[hash>>s.shift] |= twoBits(hash) }

func (s *sieve) mayHave(hash uint64) bool {
	two := twoBits(hash)
	return s.words[hash>>s.shift]&two == two
}

// twoBits are a key's in its word: they come of the middle of the hash, as the word comes of its top.
func twoBits(hash uint64) uint64 { return 1<<(hash>>26&63) | 1<<(hash>>20&63) }
