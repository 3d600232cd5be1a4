package mask

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/maphash"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
)

// minKey is the length of the shortest secret key in bytes. With less, all keys could be tried.
const minKey = 16

// hashed is HMAC-SHA-256 (RFC 2104, FIPS 180-4) of the canonical encoding of a value.
type hashed struct {
	key    string
	length int
	pool   sync.Pool // of *hashState
}

type hashState struct {
	mac    hash.Hash
	seed   maphash.Seed
	values encodings
	seen   []int32 // by hash of the encoding: the row that was hashed last, and one more; 0: none
}

// slots is how many values a batch remembers, so that those that repeat are hashed once. It is enough for the columns of few values that
// this is for, and so few that looking is cheap where it is for nothing.
const slots = 2048

const (
	fullHash     = 2 * sha256.Size
	shortestHash = 8
	keyHash      = 32 // below, a key column's values may well share a hash
)

func parseHash(args *argReader) method {
	return &hashed{
		key:    args.needed("key", "the name of a secret key"),
		length: args.whole("length", shortestHash, fullHash, fullHash),
	}
}

func (m *hashed) keyName() string { return m.key }

func (m *hashed) open(secret []byte) error {
	if len(secret) < minKey {
		return errShortKey(len(secret))
	}
	m.pool.New = func() any {
		return &hashState{mac: hmac.New(sha256.New, secret), seed: maphash.MakeSeed(), seen: make([]int32, slots)}
	}
	return nil
}

func errShortKey(n int) error {
	return fmt.Errorf("the key has %d bytes, expected at least %d", n, minKey)
}

func (m *hashed) bind(in arrow.DataType) (bound, *ArgError) {
	if !encodable(in) {
		return bound{}, &ArgError{Problem: "the type can't be hashed", Allowed: "null, redact, constant"}
	}
	return bound{out: arrow.BinaryTypes.String, run: m.run}, nil
}

func (m *hashed) run(_ context.Context, c *call, in arrow.Array) (arrow.Array, error) {
	s := m.pool.Get().(*hashState)
	defer m.pool.Put(s)
	n := nullsOf(in)
	s.values.encode(in, &n)
	clear(s.seen)
	w := newTextWriter(c.alloc, in.Len(), (in.Len()-n.count)*m.length)
	sum := make([]byte, 0, sha256.Size)
	digits := make([]byte, fullHash)
	for i := range in.Len() {
		if n.at(i) {
			w.next(0)
			continue
		}
		value := s.values.at(i)
		slot := &s.seen[maphash.Bytes(s.seed, value)%slots]
		out := w.room(m.length)
		if row := int(*slot) - 1; row >= 0 && bytes.Equal(s.values.at(row), value) {
			copy(out, w.bytes[w.end[row]:w.end[row+1]])
			w.next(m.length)
			continue
		}
		*slot = int32(i) + 1
		s.mac.Reset()
		s.mac.Write(value)
		sum = s.mac.Sum(sum[:0])
		hex.Encode(digits, sum)
		copy(out, digits)
		w.next(m.length)
	}
	return w.finish(n)
}
