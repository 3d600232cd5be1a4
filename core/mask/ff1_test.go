package mask

import (
	"encoding/hex"
	"math/big"
	"math/rand/v2"
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

func below(rnd *rand.Rand, n *big.Int) *big.Int {
	b := make([]byte, n.BitLen()/8+8)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return new(big.Int).Mod(new(big.Int).SetBytes(b), n)
}
