package mask

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func num(t *testing.T, s string, radix int) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(s, radix)
	if !ok {
		t.Fatalf("%q is no number to base %d", s, radix)
	}
	return n
}

func str(n *big.Int, radix, length int) string {
	s := n.Text(radix)
	return strings.Repeat("0", length-len(s)) + s
}

// TestFF1GivesTheSamplesOfNIST has the nine samples that NIST publishes for FF1.
func TestFF1GivesTheSamplesOfNIST(t *testing.T) {
	t.Parallel()
	const key = "2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f7f036d6f04fc6a94"
	const tweak10, tweak36 = "39383736353433323130", "3737373770717273373737"
	for _, c := range []struct {
		keyBytes     int
		tweak        string
		radix        int
		plain, crypt string
	}{
		{16, "", 10, "0123456789", "2433477484"},
		{16, tweak10, 10, "0123456789", "6124200773"},
		{16, tweak36, 36, "0123456789abcdefghi", "a9tv40mll9kdu509eum"},
		{24, "", 10, "0123456789", "2830668132"},
		{24, tweak10, 10, "0123456789", "2496655549"},
		{24, tweak36, 36, "0123456789abcdefghi", "xbj3kv35jrawxv32ysr"},
		{32, "", 10, "0123456789", "6657667009"},
		{32, tweak10, 10, "0123456789", "1001623463"},
		{32, tweak36, 36, "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"},
	} {
		secret, _ := hex.DecodeString(key[:2*c.keyBytes])
		tweak, _ := hex.DecodeString(c.tweak)
		f, err := newFF1(secret, uint32(c.radix), tweak)
		if err != nil {
			t.Fatal(err)
		}
		l := f.length(len(c.plain))
		a, b := num(t, c.plain[:l.u], c.radix), num(t, c.plain[l.u:], c.radix)
		x, y := l.encrypt(a.Uint64(), b.Uint64())
		wideX, wideY := l.encryptWide(a, b)
		for _, got := range []string{
			str(wideX, c.radix, l.u) + str(wideY, c.radix, l.v),
			str(new(big.Int).SetUint64(x), c.radix, l.u) + str(new(big.Int).SetUint64(y), c.radix, l.v),
		} {
			if got != c.crypt {
				t.Errorf("%q becomes %q, expected %q", c.plain, got, c.crypt)
			}
		}
		backA, backB := l.decrypt(x, y)
		if backA != a.Uint64() || backB != b.Uint64() {
			t.Errorf("%q comes back as %d %d", c.plain, backA, backB)
		}
	}
}

func TestBothWaysOfFF1AgreeAndComeBack(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, radix := range []uint32{2, 10, 26, 62, 1000, 65536} {
		f, err := newFF1(make([]byte, 32), radix, []byte("tweak"))
		if err != nil {
			t.Fatal(err)
		}
		for n := 2; n < 300; n += 1 + n/8 {
			l := f.length(n)
			a, b := below(rnd, l.moduli[0]), below(rnd, l.moduli[1])
			x, y := l.encryptWide(a, b)
			if backA, backB := l.decryptWide(x, y); backA.Cmp(a) != 0 || backB.Cmp(b) != 0 {
				t.Errorf("radix %d, %d numerals: %d %d comes back as %d %d", radix, n, a, b, backA, backB)
			}
			if l.small[0] == 0 {
				continue
			}
			smallX, smallY := l.encrypt(a.Uint64(), b.Uint64())
			if smallX != x.Uint64() || smallY != y.Uint64() {
				t.Errorf("radix %d, %d numerals: %d %d becomes %d %d and %d %d", radix, n, a, b, x, y, smallX, smallY)
			}
			if backA, backB := l.decrypt(smallX, smallY); backA != a.Uint64() || backB != b.Uint64() {
				t.Errorf("radix %d, %d numerals: %d %d comes back as %d %d", radix, n, a, b, backA, backB)
			}
		}
	}
	for _, radix := range []uint32{0, 1, 65537} {
		if _, err := newFF1(make([]byte, 32), radix, nil); err == nil {
			t.Errorf("radix %d is taken", radix)
		}
	}
}

// standardFF1 is the algorithm step by step as SP 800-38G writes it down (algorithm 7, with PRF and CIPH of algorithm 6).
func standardFF1(t *testing.T, key, tweak []byte, radix int64, x []int64) []int64 {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	ciph := func(in []byte) []byte { out := make([]byte, 16); block.Encrypt(out, in); return out }
	number := func(digits []int64) *big.Int {
		n := new(big.Int)
		for _, d := range digits {
			n.Add(n.Mul(n, big.NewInt(radix)), big.NewInt(d))
		}
		return n
	}
	n := len(x)
	u := n / 2
	v := n - u
	a, b := x[:u], x[u:]
	bytes := int(math.Ceil(math.Ceil(float64(v)*math.Log2(float64(radix))) / 8))
	d := 4*int(math.Ceil(float64(bytes)/4)) + 4
	p := []byte{1, 2, 1, byte(radix >> 16), byte(radix >> 8), byte(radix), 10, byte(u)}
	p = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(p, uint32(n)), uint32(len(tweak)))
	for i := range 10 {
		q := append(slices.Clone(tweak), make([]byte, ((-len(tweak)-bytes-1)%16+16)%16)...)
		q = append(append(q, byte(i)), number(b).FillBytes(make([]byte, bytes))...)
		r := make([]byte, 16)
		for chunk := range slices.Chunk(append(slices.Clone(p), q...), 16) {
			subtle.XORBytes(r, r, chunk)
			r = ciph(r)
		}
		s := slices.Clone(r)
		for j := 1; len(s) < d; j++ {
			mixed := big.NewInt(int64(j)).FillBytes(make([]byte, 16))
			subtle.XORBytes(mixed, mixed, r)
			s = append(s, ciph(mixed)...)
		}
		m := u
		if i%2 == 1 {
			m = v
		}
		c := new(big.Int).Add(number(a), new(big.Int).SetBytes(s[:d]))
		next := make([]int64, m)
		for k := m - 1; k >= 0; k-- {
			digit := new(big.Int)
			c.DivMod(c, big.NewInt(radix), digit)
			next[k] = digit.Int64()
		}
		a, b = b, next
	}
	return append(slices.Clone(a), b...)
}

func TestFF1IsTheStandardsStepByStep(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(13, 14))
	for _, radix := range []int64{2, 10, 26, 62, 1000} {
		for _, tweak := range []int{0, 1, 14, 15, 16, 40} {
			for _, n := range []int{6, 7, 20, 39, 100, 259} {
				key, tweak, x := make([]byte, 32), make([]byte, tweak), make([]int64, n)
				key[0] = byte(rnd.Uint32())
				for i := range x {
					x[i] = rnd.Int64N(radix)
				}
				want := standardFF1(t, key, tweak, radix, x)
				f, err := newFF1(key, uint32(radix), tweak)
				if err != nil {
					t.Fatal(err)
				}
				l := f.length(n)
				places := make([]place, n)
				for i, d := range x {
					places[i].digit = uint16(d)
				}
				same := func(place) uint64 { return uint64(radix) }
				a, b := l.encryptWide(wideRank(places[:l.u], same), wideRank(places[l.u:], same))
				putWideRank(places[:l.u], a, same)
				putWideRank(places[l.u:], b, same)
				for i := range places {
					if int64(places[i].digit) != want[i] {
						t.Fatalf("radix %d, %d numerals, tweak of %d bytes: digit %d is %d, expected %d", radix, n, len(tweak), i, places[i].digit, want[i])
					}
				}
			}
		}
	}
}

func below(rnd *rand.Rand, n *big.Int) *big.Int {
	b := make([]byte, n.BitLen()/8+8)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return new(big.Int).Mod(new(big.Int).SetBytes(b), n)
}
