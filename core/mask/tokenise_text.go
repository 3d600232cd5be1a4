package mask

import (
	"math/big"
	"math/bits"
	"unicode"
	"unicode/utf8"
)

// symbols are the characters that tokens are made of, in classes: a character is replaced by one of its class, and what has no class
// stays. The format of a text is where which class stands, and all that stays.
//
// With one class, a text is a string of numerals to FF1. With several, it is a number in mixed radix below the size N of its format, and
// FF1 runs on the bits of that number until the result is below N, too (cycle-walking).
type symbols struct {
	classes [][]rune
	ascii   [utf8.RuneSelf]symbol
	other   map[rune]symbol
	strict  bool // letters and digits without a class are refused instead of left to be read
	widest  int  // bytes of the longest rune; 1 if all are ASCII
}

type symbol struct {
	class int8 // from 1; 0: none
	digit uint16
}

func newSymbols(strict bool, classes ...[]rune) *symbols {
	s := &symbols{classes: classes, other: map[rune]symbol{}, strict: strict, widest: 1}
	for class, runes := range classes {
		for i, r := range runes {
			one := symbol{class: int8(class + 1), digit: uint16(i)}
			if r < utf8.RuneSelf {
				s.ascii[r] = one
			} else {
				s.other[r] = one
			}
			s.widest = max(s.widest, utf8.RuneLen(r))
		}
	}
	return s
}

// commonSymbols keep digits digits, and letters letters of their case.
func commonSymbols() *symbols {
	return newSymbols(true, []rune("0123456789"), []rune("abcdefghijklmnopqrstuvwxyz"), []rune("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
}

// oneAlphabet is nil for an alphabet that can't be one.
func oneAlphabet(alphabet string) *symbols {
	runes := []rune(alphabet)
	seen := map[rune]bool{}
	for _, r := range runes {
		if seen[r] || r == utf8.RuneError {
			return nil
		}
		seen[r] = true
	}
	if len(runes) < 2 {
		return nil
	}
	return newSymbols(false, runes)
}

// longer is by how many bytes a token can be longer than its text.
func (s *symbols) longer(v string) int { return (s.widest - 1) * len(v) }

func (s *symbols) of(r rune) symbol {
	if r < utf8.RuneSelf {
		return s.ascii[r]
	}
	return s.other[r]
}

// maxSymbols is the length of the longest text in replaced characters. The work grows with its square.
const maxSymbols = 1000

// place is a character to replace.
type place struct {
	at, size int // bytes of the text
	symbol
}

// textState is what a text is taken apart to.
type textState struct {
	places []place
	used   [4]int // places by class
}

// parse finds the places; false where the text can't be tokenised.
func (t *textState) parse(v string, s *symbols) bool {
	t.places, t.used = t.places[:0], [4]int{}
	for at := 0; at < len(v); {
		r, size := rune(v[at]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(v[at:])
		}
		one := s.of(r)
		switch {
		case one.class > 0:
			t.places = append(t.places, place{at: at, size: size, symbol: one})
			t.used[one.class]++
		case r >= utf8.RuneSelf && s.strict && (r == utf8.RuneError || unicode.In(r, unicode.L, unicode.N, unicode.M)):
			return false
		}
		at += size
	}
	return len(t.places) <= maxSymbols
}

// single is the only class of a text, or 0.
func (t *textState) single() int {
	for class, n := range t.used {
		if n > 0 && n == len(t.places) {
			return class
		}
	}
	return 0
}

// token writes the token of a text; false where the text has too few alternatives, or letters that would stay.
func (s *tokenState) token(out []byte, v string, sym *symbols) (int, bool) {
	t := &s.text
	if !t.parse(v, sym) || len(t.places) == 0 {
		return 0, false
	}
	class := t.single()
	if class == 0 && !s.mixed(t.places, sym) {
		return 0, false
	}
	if class > 0 && !s.numerals(t.places, uint32(len(sym.classes[class-1]))) { //nolint:gosec // at most 1024
		return 0, false
	}
	return t.write(out, v, sym), true
}

func (t *textState) write(out []byte, v string, sym *symbols) int {
	out = out[:0] // its capacity is enough
	from := 0
	for _, p := range t.places {
		out = append(out, v[from:p.at]...)
		out = utf8.AppendRune(out, sym.classes[p.class-1][p.digit])
		from = p.at + p.size
	}
	return len(append(out, v[from:]...))
}

// numerals encrypts digits of one radix.
func (s *tokenState) numerals(places []place, radix uint32) bool {
	if tooFew(places, func(place) uint64 { return uint64(radix) }) {
		return false
	}
	l := s.cipher(radix, tweakText).length(len(places))
	if l.small[0] == 0 {
		s.wideNumerals(l, places, radix)
		return true
	}
	a, b := uint64(0), uint64(0)
	for _, p := range places[:l.u] {
		a = a*uint64(radix) + uint64(p.digit)
	}
	for _, p := range places[l.u:] {
		b = b*uint64(radix) + uint64(p.digit)
	}
	a, b = s.halves(l, a, b)
	putDigits(places[:l.u], a, uint64(radix))
	putDigits(places[l.u:], b, uint64(radix))
	return true
}

func putDigits(places []place, n, radix uint64) {
	for i := len(places) - 1; i >= 0; i-- {
		places[i].digit = uint16(n % radix) //nolint:gosec // a radix is at most 1024
		n /= radix
	}
}

func (s *tokenState) wideNumerals(l *ff1Length, places []place, radix uint32) {
	same := func(place) uint64 { return uint64(radix) }
	a, b := s.wideHalves(l, wideRank(places[:l.u], same), wideRank(places[l.u:], same))
	putWideRank(places[:l.u], a, same)
	putWideRank(places[l.u:], b, same)
}

// tooFew says whether a format has fewer texts than FF1 may be used for.
func tooFew(places []place, radix func(place) uint64) bool {
	size := uint64(1)
	for _, p := range places {
		if size *= radix(p); size >= minDomain {
			return false
		}
	}
	return true
}

func wideRank(places []place, radix func(place) uint64) *big.Int {
	n, r, digit := new(big.Int), new(big.Int), new(big.Int)
	for _, p := range places {
		n.Mul(n, r.SetUint64(radix(p))).Add(n, digit.SetUint64(uint64(p.digit)))
	}
	return n
}

// putWideRank changes n.
func putWideRank(places []place, n *big.Int, radix func(place) uint64) {
	r, digit := new(big.Int), new(big.Int)
	for i := len(places) - 1; i >= 0; i-- {
		n.QuoRem(n, r.SetUint64(radix(places[i])), digit)
		places[i].digit = uint16(digit.Uint64()) //nolint:gosec // a radix is at most 1024
	}
}

// mixed encrypts digits of several radices.
func (s *tokenState) mixed(places []place, sym *symbols) bool {
	radix := func(p place) uint64 { return uint64(len(sym.classes[p.class-1])) }
	if tooFew(places, radix) {
		return false
	}
	rank, size := pair{}, pair{lo: 1}
	for _, p := range places {
		r := radix(p)
		rank, size = rank.timesPlus(r, uint64(p.digit)), size.timesPlus(r, 0)
		if size.hi >= maxPairHigh {
			s.wideMixed(places, radix)
			return true
		}
	}
	l := s.cipher(2, tweakText).length(size.minusOne().bits())
	for {
		a, b := s.halves(l, rank.high(l.v), rank.low(l.v))
		rank = joinHalves(a, b, l.v)
		if rank.less(size) {
			break
		}
	}
	for i := len(places) - 1; i >= 0; i-- {
		var digit uint64
		rank, digit = rank.quoRem(radix(places[i]))
		places[i].digit = uint16(digit) //nolint:gosec // a radix is at most 1024
	}
	return true
}

func (s *tokenState) wideMixed(places []place, radix func(place) uint64) {
	size, one := big.NewInt(1), big.NewInt(1)
	for _, p := range places {
		size.Mul(size, new(big.Int).SetUint64(radix(p)))
	}
	rank := wideRank(places, radix)
	l := s.cipher(2, tweakText).length(new(big.Int).Sub(size, one).BitLen())
	mask := new(big.Int).Sub(l.moduli[1], one)
	for {
		a, b := s.wideHalves(l, new(big.Int).Rsh(rank, uint(l.v)), new(big.Int).And(rank, mask))
		rank.Lsh(a, uint(l.v)).Or(rank, b)
		if rank.Cmp(size) < 0 {
			break
		}
	}
	putWideRank(places, rank, radix)
}

// pair is a number of 128 bits.
type pair struct{ hi, lo uint64 }

// maxPairHigh bounds the sizes of formats, so that both halves of their bits are below 2^63 and the next radix does not overflow.
const maxPairHigh = 1 << 50

func (p pair) timesPlus(factor, add uint64) pair {
	hi, lo := bits.Mul64(p.lo, factor)
	lo, carry := bits.Add64(lo, add, 0)
	return pair{hi: p.hi*factor + hi + carry, lo: lo}
}

func (p pair) quoRem(by uint64) (pair, uint64) {
	lo, rest := bits.Div64(p.hi%by, p.lo, by)
	return pair{hi: p.hi / by, lo: lo}, rest
}

func (p pair) minusOne() pair {
	lo, borrow := bits.Sub64(p.lo, 1, 0)
	return pair{hi: p.hi - borrow, lo: lo}
}

func (p pair) less(q pair) bool { return p.hi < q.hi || p.hi == q.hi && p.lo < q.lo }

func (p pair) bits() int {
	if p.hi > 0 {
		return 64 + bits.Len64(p.hi)
	}
	return bits.Len64(p.lo)
}

// high is p without its n lowest bits, of which there are fewer than 64.
func (p pair) high(n int) uint64 { return p.hi<<(64-n) | p.lo>>n }

func (p pair) low(n int) uint64 { return p.lo & (1<<n - 1) }

func joinHalves(a, b uint64, n int) pair { return pair{hi: a >> (64 - n), lo: a<<n | b} }
