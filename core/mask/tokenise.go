package mask

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash/maphash"
	"math/big"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// tokenise replaces a value by another one of its format, by FF1 with AES-256, so that the key brings it back. tokenise_text.go and
// tokenise_int.go say what a format is.
type tokenise struct {
	key     string
	symbols *symbols
	reverse bool // bring values back
	pool    sync.Pool
}

// tokenState has the ciphers of a key. It is for one goroutine.
type tokenState struct {
	ciphers map[cipherName]*ff1
	key     []byte
	reverse bool
	seed    maphash.Seed
	rows    []int32 // as in hashState
	text    textState
}

type cipherName struct {
	radix uint32
	tweak byte
}

// Tweaks keep values of different kinds from having related tokens.
const (
	tweakText     = 't'
	tweakPositive = '+'
	tweakNegative = '-'
)

func parseTokenise(args *argReader) method {
	m := &tokenise{key: args.needed("key", "the name of a secret key"), symbols: commonSymbols()}
	before := len(args.faults)
	alphabet := args.text("alphabet", "")
	if args.has("alphabet") && len(args.faults) == before {
		m.symbols = oneAlphabet(alphabet)
	}
	if m.symbols == nil {
		args.fault("alphabet", "is "+shown(alphabet), "two characters at least, each of them once")
	}
	return m
}

func (m *tokenise) keyName() string { return m.key }

// open derives the AES key, so that a key that also hashes does not do both.
func (m *tokenise) open(secret []byte) error {
	if len(secret) < minKey {
		return errShortKey(len(secret))
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("qanat tokenise FF1 AES-256"))
	key := mac.Sum(nil)
	if _, err := newFF1(key, 2, nil); err != nil {
		return err
	}
	m.pool.New = func() any {
		return &tokenState{
			ciphers: map[cipherName]*ff1{}, key: key, reverse: m.reverse, seed: maphash.MakeSeed(), rows: make([]int32, slots),
		}
	}
	return nil
}

func (m *tokenise) bind(in arrow.DataType) (bound, *ArgError) {
	switch {
	case isText(in):
		return bound{out: arrow.BinaryTypes.String, run: m.runText}, nil
	case in.ID() == arrow.UINT64:
		return bound{out: arrow.PrimitiveTypes.Uint64, flat: true, run: m.runUint}, nil
	case arrow.IsInteger(in.ID()):
		return bound{out: arrow.PrimitiveTypes.Int64, flat: true, run: m.runInt}, nil
	}
	return bound{}, &ArgError{Problem: "it has no format to keep", Allowed: "text and integer columns; for others hash, redact, constant and null"}
}

// Untokenise brings back what the method tokenise made with the same rule. The result is utf8, int64 or uint64, as the masked column was;
// redacted values stay as they are. The caller releases it.
func Untokenise(ctx context.Context, alloc memory.Allocator, in arrow.Array, r Rule, keys func(name string) ([]byte, error)) (arrow.Array, error) {
	if r.Method != methodTokenise {
		return nil, &ArgError{Method: r.Method, Problem: "it can't be undone", Allowed: methodTokenise}
	}
	m, faults := parse(r)
	if len(faults) > 0 {
		return nil, joined(faults)
	}
	t := m.(*tokenise)
	t.reverse = true
	secret, err := keys(t.key)
	if err == nil {
		err = t.open(secret)
	}
	if err != nil {
		return nil, &ArgError{Method: r.Method, Arg: "key", Problem: fmt.Sprintf("the key %q can't be used", t.key), Err: err}
	}
	b, fault := bindType(t, in.DataType())
	if fault != nil {
		fault.Method, fault.Type = r.Method, in.DataType()
		return nil, fault
	}
	return b.run(ctx, &call{alloc: alloc, refused: new(atomic.Int64)}, in)
}

// cipher returns that of a radix.
func (s *tokenState) cipher(radix uint32, tweak byte) *ff1 {
	name := cipherName{radix, tweak}
	if s.ciphers[name] == nil {
		s.ciphers[name], _ = newFF1(s.key, radix, []byte{tweak}) // open has tried the key, and alphabets have no wrong radix
	}
	return s.ciphers[name]
}

func (s *tokenState) halves(l *ff1Length, a, b uint64) (uint64, uint64) {
	if s.reverse {
		return l.decrypt(a, b)
	}
	return l.encrypt(a, b)
}

func (s *tokenState) wideHalves(l *ff1Length, a, b *big.Int) (*big.Int, *big.Int) {
	if s.reverse {
		return l.decryptWide(a, b)
	}
	return l.encryptWide(a, b)
}

func (m *tokenise) runText(_ context.Context, c *call, in arrow.Array) (arrow.Array, error) {
	s := m.pool.Get().(*tokenState)
	defer m.pool.Put(s)
	clear(s.rows)
	n := nullsOf(in)
	values := textsOf(in, &n)
	w := newTextWriter(c.alloc, in.Len(), values.size)
	for i := range in.Len() {
		if n.at(i) {
			w.next(0)
			continue
		}
		v := values.at(i)
		slot := &s.rows[maphash.String(s.seed, v)%slots]
		if row := int(*slot) - 1; row >= 0 && values.at(row) == v {
			out := w.room(int(w.end[row+1] - w.end[row]))
			w.next(copy(out, w.bytes[w.end[row]:w.end[row+1]]))
			continue
		}
		out := w.room(len(v) + m.symbols.longer(v))
		size, ok := s.token(out, v, m.symbols)
		switch {
		case ok:
			*slot = int32(i) + 1
			w.next(size)
		case m.reverse:
			w.text(v)
		default:
			c.refused.Add(1)
			w.text(redacted)
		}
	}
	return w.finish(n)
}
