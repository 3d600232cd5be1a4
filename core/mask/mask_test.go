package mask

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"
)

func TestRedactAndPartialKeepWhatTheyShould(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	in := values(t, alloc, utf8Type, `["", "a", "abcd", "abcde", "4111-1111-1111-1234", "äöü€𝄞", null]`)
	for _, c := range []struct {
		rule Rule
		want []string
	}{
		{Rule{Method: "redact"}, []string{"***", "***", "***", "***", "***", "***", "(null)"}},
		{Rule{Method: "redact", Args: args{"with": ""}}, []string{"", "", "", "", "", "", "(null)"}},
		{Rule{Method: "partial", Args: args{"keep_last": 4}}, []string{"", "*", "****", "*bcde", "***************1234", "*öü€𝄞", "(null)"}},
		{Rule{Method: "partial", Args: args{"keep_first": 1, "keep_last": 1.0, "with": "×"}},
			[]string{"", "×", "a××d", "a×××e", "4×××××××××××××××××4", "ä×××𝄞", "(null)"}},
		{Rule{Method: "partial", Args: args{"keep_first": 0}}, []string{"", "*", "****", "*****", "*******************", "*****", "(null)"}},
	} {
		if diff := cmp.Diff(c.want, shownValues(masked(t, alloc, in, c.rule))); diff != "" {
			t.Errorf("%v: (-want +got)\n%s", c.rule, diff)
		}
	}
}

func TestPartialCountsBrokenTextByItsBytes(t *testing.T) {
	t.Parallel()
	m := &partial{last: 1, with: "*"}
	for in, want := range map[string]string{"\xff\xfe\xfd": "**\xfd", "ab\xff": "**\xff", "\xe2\x82ä": "**ä", "\xe2\x82": "*\x82"} {
		w := newTextWriter(checked(t), 1, 0)
		if m.write(w, in); string(w.bytes[:w.at]) != want {
			t.Errorf("%q becomes %q, expected %q", in, w.bytes[:w.at], want)
		}
		w.release()
	}
}

func TestMoreThanAnArrayHoldsIsAnError(t *testing.T) {
	t.Parallel()
	w := newTextWriter(checked(t), 1, 10)
	w.next(1 << 31)
	if a, err := w.finish(nulls{}); !errors.Is(err, errTooLong) || a != nil {
		t.Errorf("got %v, %v", a, err)
	}
}

func TestAHashIsTheHMACOfTheCanonicalEncoding(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	key, _ := testKeys("one")
	sum := func(encoding string) string {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(encoding))
		return hex.EncodeToString(mac.Sum(nil))
	}
	text := masked(t, alloc, values(t, alloc, utf8Type, `["ada@example.com", "b", "ada@example.com"]`), Rule{Method: "hash", Args: args{"key": "one"}})
	if diff := cmp.Diff([]string{sum("tada@example.com"), sum("tb"), sum("tada@example.com")}, shownValues(text)); diff != "" {
		t.Errorf("text: (-want +got)\n%s", diff)
	}
	number := masked(t, alloc, values(t, alloc, arrow.PrimitiveTypes.Int32, `[258]`), Rule{Method: "hash", Args: args{"key": "one", "length": 20}})
	if diff := cmp.Diff([]string{sum("i\x00\x00\x00\x00\x00\x00\x01\x02")[:20]}, shownValues(number)); diff != "" {
		t.Errorf("number: (-want +got)\n%s", diff)
	}
	other := masked(t, alloc, values(t, alloc, utf8Type, `["b"]`), Rule{Method: "hash", Args: args{"key": "two"}})
	if other.ValueStr(0) == sum("tb") {
		t.Error("another key gives the same hash")
	}
}

// secrets makes texts and numbers that are easy to find again, a third of them null and some of them twice.
func secrets(t testing.TB, n int) (text, number arrow.Array, clear []string) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	var texts, numbers []string
	for i := range n {
		if i%3 == 0 {
			texts, numbers = append(texts, "null"), append(numbers, "null")
			continue
		}
		v := 1_000_000_000 + rnd.Int64N(1_000_000_000)
		if i%7 == 0 {
			v = 1_234_567_890
		}
		texts, numbers = append(texts, fmt.Sprintf(`"%d"`, v)), append(numbers, fmt.Sprint(v))
		clear = append(clear, fmt.Sprint(v))
	}
	alloc := checked(t)
	return values(t, alloc, utf8Type, "["+strings.Join(texts, ",")+"]"),
		values(t, alloc, arrow.PrimitiveTypes.Int64, "["+strings.Join(numbers, ",")+"]"), clear
}

func textRules() []Rule {
	return []Rule{
		{Method: "null"},
		{Method: "redact"},
		{Method: "constant", Args: args{"value": "x"}},
		{Method: "partial", Args: args{"keep_last": 4}},
		{Method: "hash", Args: args{"key": "one"}},
		tokenRule,
		{Method: "generalise", Args: args{"prefix": 8}},
	}
}

func TestNoClearValueIsLeftInABuffer(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	text, number, clear := secrets(t, 300)
	for _, r := range textRules() {
		b := batchOf(t, text, number, text)
		m := newMasker(t, alloc, b.Schema(), map[string]Rule{"a": r})
		out := apply(t, m, b)
		for _, secret := range clear {
			if holds(out.Column(0).Data(), []byte(secret)) {
				t.Fatalf("%s: %s is still there", r.Method, secret)
			}
		}
		if !holds(out.Column(2).Data(), []byte(clear[0])) || out.Column(2).Data() != text.Data() {
			t.Errorf("%s: an untouched column is copied", r.Method)
		}
	}
}

// TestAMaskIsTheSameInEveryBatch masks a column as a whole, and again in slices of it.
func TestAMaskIsTheSameInEveryBatch(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	text, number, _ := secrets(t, 100)
	type one struct {
		column arrow.Array
		rule   Rule
	}
	cases := []one{
		{number, tokenRule}, {number, Rule{Method: "hash", Args: args{"key": "one"}}}, {number, generalised(args{"band": 1000})},
		{masked(t, alloc, number, Rule{Method: "constant", Args: args{"value": 7}}), generalised(args{"band": 5})},
	}
	for _, r := range textRules() {
		cases = append(cases, one{text, r})
	}
	for _, c := range cases {
		b, r := batchOf(t, c.column), c.rule
		m, again := newMasker(t, alloc, b.Schema(), map[string]Rule{"a": r}), newMasker(t, alloc, b.Schema(), map[string]Rule{"a": r})
		whole := apply(t, m, b)
		for _, at := range [][2]int64{{0, 100}, {0, 0}, {1, 2}, {3, 11}, {8, 64}, {13, 100}, {99, 100}} {
			part := b.NewSlice(at[0], at[1])
			defer part.Release()
			want := whole.NewSlice(at[0], at[1])
			defer want.Release()
			if got := apply(t, again, part); !array.RecordEqual(want, got) {
				t.Errorf("%s of rows %v: got %v, expected %v", r.Method, at, got, want)
			}
		}
	}
}

func TestAMaskerIsForAllGoroutines(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	text, number, _ := secrets(t, 200)
	for _, r := range textRules() {
		b := batchOf(t, text, number)
		m := newMasker(t, alloc, b.Schema(), map[string]Rule{"a": r})
		want := apply(t, m, b)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5 {
					got, err := m.Apply(t.Context(), b)
					if err != nil || !array.RecordEqual(want, got) {
						t.Errorf("%s: %v, %v", r.Method, got, err)
						return
					}
					got.Release()
				}
			})
		}
		wg.Wait()
	}
}

// TestTextIsMaskedAlikeInEveryType has a null, and a text that string views keep out of line.
func TestTextIsMaskedAlikeInEveryType(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	const json = `["4111-1111-1111-1234", null, "10.1.2.3", "10.1.2.3", "a longer text, out of line"]`
	for _, r := range textRules()[1:] {
		want := shownValues(masked(t, alloc, values(t, alloc, utf8Type, json), r))
		for _, dt := range []arrow.DataType{
			arrow.BinaryTypes.LargeString, arrow.BinaryTypes.StringView, &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Uint16, ValueType: utf8Type},
			arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int16, utf8Type),
		} {
			in := values(t, alloc, dt, json)
			for _, a := range []arrow.Array{in, sliced(t, in)} {
				if diff := cmp.Diff(want, shownValues(masked(t, alloc, a, r))); diff != "" {
					t.Errorf("%s of %s: (-want +got)\n%s", r.Method, dt, diff)
				}
			}
		}
	}
}

// TestDictionariesAndRunsOfEveryTypeAreDecoded wraps the arrays of all types by hand, as there are no builders for most.
func TestDictionariesAndRunsOfEveryTypeAreDecoded(t *testing.T) {
	t.Parallel()
	rules := slices.Concat(textRules()[1:], []Rule{tokenRule, generalised(args{"to": "month"}), generalised(args{"band": 2})})
	for _, c := range typeCases() {
		t.Run(c.dt.String(), func(t *testing.T) {
			t.Parallel()
			for _, r := range rules {
				if _, err := Outcome(c.dt, r); err == nil && r.Method != "constant" {
					wrapped(t, c, r)
				}
			}
		})
	}
}

func wrapped(t *testing.T, c typeCase, r Rule) {
	t.Helper()
	alloc := checked(t)
	inner := values(t, alloc, c.dt, c.json)
	plain := shownValues(masked(t, alloc, inner, r))
	dict := array.NewDictionaryArray(&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: c.dt},
		values(t, alloc, arrow.PrimitiveTypes.Int8, `[2, 0, null, 1, 2]`), inner)
	defer dict.Release()
	runs := array.NewRunEndEncodedArray(values(t, alloc, arrow.PrimitiveTypes.Int32, `[2, 3, 6]`), inner, 4, 1)
	defer runs.Release()
	if diff := cmp.Diff([]string{plain[2], plain[0], "(null)", "(null)", plain[2]}, shownValues(masked(t, alloc, dict, r))); diff != "" {
		t.Errorf("%s of a dictionary: (-want +got)\n%s", r.Method, diff)
	}
	if diff := cmp.Diff([]string{plain[0], plain[1], plain[2], plain[2]}, shownValues(masked(t, alloc, runs, r))); diff != "" {
		t.Errorf("%s of runs: (-want +got)\n%s", r.Method, diff)
	}
}

func TestNewSaysEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	s := arrow.NewSchema([]arrow.Field{
		field("id", arrow.PrimitiveTypes.Int64), field("mail", utf8Type), field("n", arrow.PrimitiveTypes.Int64),
		field("a", utf8Type), field("b", utf8Type), field("c", utf8Type), field("d", utf8Type), field("e", utf8Type), field("f", utf8Type),
	}, nil)
	_, err := New(Settings{Schema: s, Keys: testKeys, Key: []string{"id", "e", "f"}, Drop: []string{"gone", "id"}, Masks: map[string]Rule{
		"mail": {Method: "scramble"},
		"n":    {Method: "partial", Args: args{"keep_last": 4}},
		"a":    {Method: "hash", Args: args{"length": 99, "salt": "x"}},
		"b":    {Method: "hash", Args: args{"key": "unknown"}},
		"c":    {Method: "hash", Args: args{"key": "short"}},
		"d":    {Method: "partial", Args: args{"with": "ab"}},
		"e":    {Method: "redact"},
		"f":    {Method: "hash", Args: args{"key": "one", "length": 16}},
		"z":    {Method: "null", Args: args{"x": 1}},
	}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`column "gone": mask "drop": there is no such column`,
		`column "id": mask "drop": it is a key column, whose values must stay different; allowed: tokenise, and hash`,
		`column "mail": mask "scramble": there is no such method; allowed: null, constant, redact, partial, hash, tokenise, generalise`,
		`column "n": mask "partial": it can't be kept in part (the column is int64); allowed: text columns`,
		`column "a": mask "hash": argument "key": is missing; allowed: the name of a secret key`,
		`column "a": mask "hash": argument "length": is 99; allowed: a whole number from 8 to 64`,
		`column "a": mask "hash": argument "salt": is not known; allowed: key, length`,
		`column "b": mask "hash": argument "key": the key "unknown" can't be had: no key "unknown"`,
		`column "c": mask "hash": argument "key": the key "short" can't be used: the key has 5 bytes, expected at least 16`,
		`column "d": mask "partial": argument "keep_first": is missing, and so is keep_last; allowed: at least one of them`,
		`column "d": mask "partial": argument "with": is "ab"; allowed: one character`,
		`column "e": mask "redact": it is a key column`,
		`column "f": mask "hash": it is a key column`,
		`column "z": mask "null": argument "x": is not known; allowed: none`,
		`column "z": mask "null": there is no such column`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
	joined, _ := err.(interface{ Unwrap() []error })
	for _, one := range joined.Unwrap() {
		var fault *ArgError
		if !errors.As(one, &fault) || fault.Column == "" || fault.Method == "" {
			t.Errorf("%#v is no full ArgError", one)
		}
	}
}

func TestWithoutKeysNothingIsHashed(t *testing.T) {
	t.Parallel()
	s := arrow.NewSchema([]arrow.Field{field("a", utf8Type)}, nil)
	_, err := New(Settings{Schema: s, Masks: map[string]Rule{"a": {Method: "hash", Args: args{"key": "one"}}}})
	if !errors.Is(err, errNoKeys) {
		t.Errorf("got %v", err)
	}
}

func TestColumnsGoAndKeepTheirMetadata(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	doc := arrow.NewMetadata([]string{"doc", "ARROW:extension:name"}, []string{"who", "arrow.uuid"})
	meta := arrow.NewMetadata([]string{"qanat.key"}, []string{`["id"]`})
	s := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int32, Metadata: doc}, {Name: "pin", Type: utf8Type}, {Name: "n", Type: arrow.PrimitiveTypes.Int32},
	}, &meta)
	m, err := New(Settings{
		Schema: s, Keys: testKeys, Alloc: alloc, Key: []string{"id"}, Drop: []string{"pin"},
		Masks: map[string]Rule{"id": {Method: "hash", Args: args{"key": "one"}}, "n": {Method: "null"}, "pin": {Method: "redact"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"id: hash → utf8", "pin: drop", "n: null → int32"}, m.Columns()); diff != "" {
		t.Errorf("columns: (-want +got)\n%s", diff)
	}
	want := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: utf8Type, Metadata: arrow.NewMetadata([]string{"doc"}, []string{"who"})},
		{Name: "n", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	}, &meta)
	if got := m.Schema(); !got.Equal(want) || !got.Metadata().Equal(meta) || !got.Field(0).Metadata.Equal(want.Field(0).Metadata) {
		t.Errorf("got %s, expected %s", got, want)
	}
	if _, err := New(Settings{Schema: s, Drop: []string{"id", "pin", "n"}}); err == nil {
		t.Error("all columns may be dropped")
	}
}

func TestApplyRefusesAnotherSchemaAndStopsWithItsContext(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	b := batchOf(t, values(t, alloc, utf8Type, `["a"]`))
	m := newMasker(t, alloc, b.Schema(), map[string]Rule{"a": {Method: "redact"}})
	for _, other := range []arrow.RecordBatch{
		batchOf(t, values(t, alloc, arrow.PrimitiveTypes.Int64, `[1]`)),
		batchOf(t, values(t, alloc, utf8Type, `["a"]`), values(t, alloc, utf8Type, `["a"]`)),
	} {
		if _, err := m.Apply(t.Context(), other); err == nil {
			t.Errorf("%s is taken", other.Schema())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Apply(ctx, b); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
