package mask

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"
)

// minDomain is the least number of texts that FF1 may be used for (SP 800-38G revision 1, section 5.1).
const minDomain = 1_000_000

// ff1 is the mode FF1 of NIST SP 800-38G (sections 5.1 and 6.2): it encrypts strings of n numerals of a radix to such strings. Halves of
// strings are handled as the numbers that they write down, so NUM and STR are left to the caller. It is for one goroutine.
type ff1 struct {
	block   cipher.Block
	radix   uint32
	tweak   []byte
	lengths map[int]*ff1Length
}

const ff1Rounds = 10

func newFF1(key []byte, radix uint32, tweak []byte) (*ff1, error) {
	if radix < 2 || radix > 1<<16 {
		return nil, fmt.Errorf("the radix is %d, expected 2 to 65536", radix)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &ff1{block: block, radix: radix, tweak: tweak, lengths: map[int]*ff1Length{}}, nil
}

// ff1Length is what is the same for all strings of a length: the names are those of the standard.
type ff1Length struct {
	block  cipher.Block
	u, v   int // numerals of the left and of the right half
	b, d   int // bytes of NUM(B), bytes of y
	moduli [2]*big.Int
	small  [2]uint64 // the moduli, if both are below 2^63; else 0
	p      [aes.BlockSize]byte
	q      []byte // T, zeros, and room for the round and NUM(B)
	r      [aes.BlockSize]byte
	s      []byte
}

// length prepares for strings of n numerals, of which there are two at least.
func (f *ff1) length(n int) *ff1Length {
	if l := f.lengths[n]; l != nil {
		return l
	}
	l := &ff1Length{block: f.block, u: n / 2, v: n - n/2}
	radix := big.NewInt(int64(f.radix))
	for i, m := range []int{l.u, l.v} { // round i is modulo the power of u where i is even
		l.moduli[i] = new(big.Int).Exp(radix, big.NewInt(int64(m)), nil)
	}
	if l.moduli[1].BitLen() < 64 {
		l.small = [2]uint64{l.moduli[0].Uint64(), l.moduli[1].Uint64()}
	}
	highest := new(big.Int).Sub(l.moduli[1], big.NewInt(1))
	l.b = (highest.BitLen() + 7) / 8
	l.d = (l.b+3)/4*4 + 4
	t := len(f.tweak)
	p := append([]byte{1, 2, 0, 0, 0, 0, ff1Rounds, byte(l.u % 256)}, make([]byte, 8)...) //nolint:gosec // the lower byte is meant
	binary.BigEndian.PutUint32(p[2:], 1<<24|f.radix)
	binary.BigEndian.PutUint32(p[8:], uint32(n))  //nolint:gosec // a text's length
	binary.BigEndian.PutUint32(p[12:], uint32(t)) //nolint:gosec // a short tweak
	f.block.Encrypt(l.p[:], p)
	l.q = make([]byte, (t+l.b+1+aes.BlockSize-1)/aes.BlockSize*aes.BlockSize)
	copy(l.q, f.tweak)
	l.s = make([]byte, (l.d+aes.BlockSize-1)/aes.BlockSize*aes.BlockSize)
	f.lengths[n] = l
	return l
}

// prf works out S of a round, whose NUM(B) is at the end of q already.
func (l *ff1Length) prf(round int) {
	l.q[len(l.q)-l.b-1] = byte(round) //nolint:gosec // one of ten
	l.r = l.p
	for at := 0; at < len(l.q); at += aes.BlockSize {
		for i := range l.r {
			l.r[i] ^= l.q[at+i]
		}
		l.block.Encrypt(l.r[:], l.r[:])
	}
	copy(l.s, l.r[:])
	for j := 1; j*aes.BlockSize < len(l.s); j++ {
		more := l.s[j*aes.BlockSize : (j+1)*aes.BlockSize]
		copy(more, l.r[:])
		counter := binary.BigEndian.Uint32(more[12:]) ^ uint32(j)
		binary.BigEndian.PutUint32(more[12:], counter)
		l.block.Encrypt(more, more)
	}
}

// y is that of a round, modulo m.
func (l *ff1Length) y(round int, num, m uint64) uint64 {
	var last [8]byte
	binary.BigEndian.PutUint64(last[:], num)
	copy(l.q[len(l.q)-l.b:], last[8-l.b:])
	l.prf(round)
	if l.d == 8 {
		return binary.BigEndian.Uint64(l.s) % m
	}
	return bits.Rem64(uint64(binary.BigEndian.Uint32(l.s)), binary.BigEndian.Uint64(l.s[4:]), m)
}

// encrypt is for lengths whose halves fit 63 bits.
func (l *ff1Length) encrypt(a, b uint64) (uint64, uint64) {
	for i := range ff1Rounds {
		m := l.small[i%2]
		c := a + l.y(i, b, m)
		if c >= m {
			c -= m
		}
		a, b = b, c
	}
	return a, b
}

func (l *ff1Length) decrypt(a, b uint64) (uint64, uint64) {
	for i := ff1Rounds - 1; i >= 0; i-- {
		m := l.small[i%2]
		c := b + m - l.y(i, a, m)
		if c >= m {
			c -= m
		}
		a, b = c, a
	}
	return a, b
}

// encryptWide is encrypt for halves of any length. It changes neither a nor b.
func (l *ff1Length) encryptWide(a, b *big.Int) (*big.Int, *big.Int) {
	for i := range ff1Rounds {
		c := l.wideY(i, b)
		c.Add(c, a).Mod(c, l.moduli[i%2])
		a, b = b, c
	}
	return a, b
}

func (l *ff1Length) decryptWide(a, b *big.Int) (*big.Int, *big.Int) {
	for i := ff1Rounds - 1; i >= 0; i-- {
		c := l.wideY(i, a)
		c.Sub(b, c).Mod(c, l.moduli[i%2])
		a, b = c, a
	}
	return a, b
}

func (l *ff1Length) wideY(round int, num *big.Int) *big.Int {
	num.FillBytes(l.q[len(l.q)-l.b:])
	l.prf(round)
	return new(big.Int).SetBytes(l.s[:l.d])
}
