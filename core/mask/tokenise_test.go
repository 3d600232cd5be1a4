package mask

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"
)

var tokenRule = Rule{Method: "tokenise", Args: args{"key": "one"}}

// shape is the format of a text in the common alphabet.
func shape(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9':
			return '0'
		case r >= 'a' && r <= 'z':
			return 'a'
		case r >= 'A' && r <= 'Z':
			return 'A'
		}
		return r
	}, s)
}

func textArray(t testing.TB, v ...string) arrow.Array {
	t.Helper()
	b := array.NewStringBuilder(checked(t))
	defer b.Release()
	b.AppendValues(v, nil)
	a := b.NewArray()
	t.Cleanup(a.Release)
	return a
}

func untokenised(t testing.TB, in arrow.Array, r Rule) arrow.Array {
	t.Helper()
	out, err := Untokenise(t.Context(), checked(t), in, r, testKeys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Release)
	return out
}

func TestTokensKeepTheFormatAndComeBack(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	in := []string{
		"4111-1111-1111-1234", "4111111111111111", "123456", "AB123456", "ada.lovelace@example.com", "Ada Lovelace", "DE89 3704 0044 0532 0130 00",
		strings.Repeat("0", 38), strings.Repeat("7", 39), strings.Repeat("long text, ", 80), strings.Repeat("A1b", 300), "000000", "customer12345@example.com",
		"12 345 678 €",
	}
	tokens := masked(t, alloc, textArray(t, in...), tokenRule)
	for i, v := range in {
		if token := tokens.ValueStr(i); token == v || shape(token) != shape(v) {
			t.Errorf("%q becomes %q", v, token)
		}
	}
	if diff := cmp.Diff(in, shownValues(untokenised(t, tokens, tokenRule))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	other := masked(t, alloc, textArray(t, in...), Rule{Method: "tokenise", Args: args{"key": "two"}})
	if other.ValueStr(0) == tokens.ValueStr(0) {
		t.Error("another key gives the same token")
	}
}

func TestRandomTextsComeBackFromTheirTokens(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7, 8))
	for _, c := range []struct {
		rule   Rule
		runes  []rune
		digits int // that make a domain large enough, whatever they are
	}{
		{tokenRule, []rune("0123456789"), 6},
		{tokenRule, []rune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789-_. €"), 12},
		{Rule{Method: "tokenise", Args: args{"key": "one", "alphabet": "01"}}, []rune("01"), 20},
		{Rule{Method: "tokenise", Args: args{"key": "one", "alphabet": "äöüß€𝄞abc"}}, []rune("äöüß€𝄞abc"), 7},
	} {
		var in []string
		for range 500 {
			n := c.digits + rnd.IntN(80)
			var b strings.Builder
			for range n {
				b.WriteRune(c.runes[rnd.IntN(len(c.runes))])
			}
			in = append(in, b.String())
		}
		tokens := masked(t, checked(t), textArray(t, in...), c.rule)
		for i, v := range in {
			token := tokens.ValueStr(i)
			if utf8.RuneCountInString(token) != utf8.RuneCountInString(v) && token != redacted {
				t.Errorf("%q becomes %q", v, token)
			}
		}
		back := shownValues(untokenised(t, tokens, c.rule))
		for i, v := range in {
			if back[i] != v && tokens.ValueStr(i) != redacted {
				t.Errorf("%q becomes %q and comes back as %q", v, tokens.ValueStr(i), back[i])
			}
		}
	}
}

// TestTokensDiffer takes texts of a format of 2.6 million, which has to walk out of the 2^22 that FF1 is given for it.
func TestTokensDiffer(t *testing.T) {
	t.Parallel()
	m, _ := parse(tokenRule)
	tok := m.(*tokenise)
	key, _ := testKeys("one")
	if err := tok.open(key); err != nil {
		t.Fatal(err)
	}
	s := tok.pool.Get().(*tokenState)
	seen := map[string]string{}
	out := make([]byte, 6)
	for i := 0; i < 2_600_000; i += 101 {
		v := fmt.Sprintf("%c%05d", 'a'+i/100_000, i%100_000)
		if n, ok := s.token(out, v, tok.symbols); !ok || n != 6 || shape(string(out)) != "a00000" {
			t.Fatalf("%q has no token: %q", v, out)
		}
		if other := seen[string(out)]; other != "" {
			t.Fatalf("%s is the token of %q and of %q", out, v, other)
		}
		seen[string(out)] = v
	}
}

func TestIntegersComeBackFromTheirTokensInEveryWidth(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	for _, c := range []struct {
		dt   arrow.DataType
		json string
	}{
		{arrow.PrimitiveTypes.Int8, `[0, 1, -1, 127, -128, null, 7]`},
		{arrow.PrimitiveTypes.Uint8, `[0, 1, 255, null]`},
		{arrow.PrimitiveTypes.Int16, `[0, 7, -32768]`},
		{arrow.PrimitiveTypes.Uint16, `[0, 7, 65535]`},
		{arrow.PrimitiveTypes.Int32, `[0, 7, -2147483648, 7]`},
		{arrow.PrimitiveTypes.Uint32, `[0, 7, 4294967295]`},
		{arrow.PrimitiveTypes.Int64, `[0, 7, -7, 999999999999999999, 1000000000000000000, 9223372036854775807, -9223372036854775808, -9223372036854775807, null]`},
		{arrow.PrimitiveTypes.Uint64, `[0, 7, 9223372036854775807, 9223372036854775808, 18446744073709551615, null]`},
	} {
		in := values(t, alloc, c.dt, c.json)
		tokens := masked(t, alloc, in, tokenRule)
		if diff := cmp.Diff(shownValues(in), shownValues(untokenised(t, tokens, tokenRule))); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.dt, diff)
		}
		for i := range in.Len() {
			if in.IsValid(i) && (in.ValueStr(i) == tokens.ValueStr(i) || strings.HasPrefix(in.ValueStr(i), "-") != strings.HasPrefix(tokens.ValueStr(i), "-")) {
				t.Errorf("%s: %s becomes %s", c.dt, in.ValueStr(i), tokens.ValueStr(i))
			}
		}
	}
	var seven []string
	for _, dt := range []arrow.DataType{arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Uint32, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Uint64} {
		seven = append(seven, masked(t, alloc, values(t, alloc, dt, `[7]`), tokenRule).ValueStr(0))
	}
	if seven[0] != seven[1] || seven[0] != seven[2] || seven[0] != seven[3] {
		t.Errorf("7 becomes %v", seven)
	}
}

func TestRandomIntegersComeBackFromTheirTokens(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(9, 10))
	signed, unsigned := make([]int64, 2000), make([]uint64, 2000)
	for i := range signed {
		signed[i], unsigned[i] = int64(rnd.Uint64())>>rnd.IntN(64), rnd.Uint64()>>rnd.IntN(64)
	}
	for i, v := range []any{signed, unsigned} {
		dt := map[bool]arrow.DataType{true: arrow.PrimitiveTypes.Int64, false: arrow.PrimitiveTypes.Uint64}[i == 0]
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		in := values(t, checked(t), dt, string(text))
		if back := untokenised(t, masked(t, checked(t), in, tokenRule), tokenRule); !array.Equal(in, back) {
			t.Errorf("%s: got %s", dt, back)
		}
	}
}

func TestWhatHasTooFewAlternativesIsRedactedAndCounted(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	in := textArray(t, "", "12345", "abcd", "AB123", "Müller-Lüdenscheidt", "1234567\xff", strings.Repeat("1", maxSymbols+1), "123456", "١٢٣٤٥٦٧٨", "漢字漢字漢字漢字")
	b := batchOf(t, in)
	m := newMasker(t, alloc, b.Schema(), map[string]Rule{"a": tokenRule})
	out := apply(t, m, b)
	for i := range in.Len() {
		if got := out.Column(0).ValueStr(i); (got == redacted) != (i != 7) {
			t.Errorf("%q becomes %q", in.ValueStr(i), got)
		}
	}
	apply(t, m, b)
	if diff := cmp.Diff(map[string]int64{"a": 18}, m.Refused()); diff != "" {
		t.Errorf("refused: (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(redacted, untokenised(t, out.Column(0), tokenRule).ValueStr(0)); diff != "" {
		t.Errorf("a redacted value comes back: (-want +got)\n%s", diff)
	}
}

func TestAKeyIsNotRedactedBySurprise(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	b := batchOf(t, textArray(t, "1234567", "12"))
	m, err := New(Settings{Schema: b.Schema(), Masks: map[string]Rule{"a": tokenRule}, Keys: testKeys, Key: []string{"a"}, Alloc: alloc})
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Apply(t.Context(), b)
	var fault *KeyValueError
	if !errors.As(err, &fault) || fault.Column != "a" || fault.Rows != 1 || strings.Contains(err.Error(), "12;") {
		t.Errorf("got %v", err)
	}
}

func TestUntokeniseRefusesWhatItCantUndo(t *testing.T) {
	t.Parallel()
	in, number := textArray(t, "1234567"), values(t, checked(t), arrow.PrimitiveTypes.Float64, "[1]")
	for _, c := range []struct {
		in   arrow.Array
		rule Rule
	}{
		{in, Rule{Method: "hash", Args: args{"key": "one"}}},
		{in, Rule{Method: "tokenise"}},
		{in, Rule{Method: "tokenise", Args: args{"key": "short"}}},
		{in, Rule{Method: "tokenise", Args: args{"key": "none"}}},
		{number, tokenRule},
	} {
		_, err := Untokenise(t.Context(), checked(t), c.in, c.rule, testKeys)
		var fault *ArgError
		if !errors.As(err, &fault) || fault.Method != c.rule.Method {
			t.Errorf("%v: %v", c.rule, err)
		}
	}
}

func TestAlphabetsAreChecked(t *testing.T) {
	t.Parallel()
	for _, alphabet := range []any{"", "a", "aa", "a\xff", 7, strings.Repeat("é", 600)} {
		if _, err := Outcome(utf8Type, Rule{Method: "tokenise", Args: args{"key": "one", "alphabet": alphabet}}); err == nil {
			t.Errorf("%v is taken", alphabet)
		}
	}
	tokens := masked(t, checked(t), textArray(t, "DE12345678"), Rule{Method: "tokenise", Args: args{"key": "one", "alphabet": "0123456789"}})
	if got := tokens.ValueStr(0); !strings.HasPrefix(got, "DE") || got == "DE12345678" {
		t.Errorf("got %q: what is not in a given alphabet stays", got)
	}
}
