package mask

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// FuzzRule reads rules as they come from a policy, binds them to every type and, where that goes, runs them.
func FuzzRule(f *testing.F) {
	for _, one := range []struct{ method, args string }{
		{"null", `{}`}, {"constant", `{"value": 1.5e3}`}, {"constant", `{"value": "2026-01-31T00:00:00Z"}`}, {"redact", `{"with": "x"}`},
		{"partial", `{"keep_first": 1, "keep_last": 2, "with": "×"}`}, {"hash", `{"key": "one", "length": 12}`},
		{"tokenise", `{"key": "one", "alphabet": "01é"}`}, {"generalise", `{"to": "month"}`}, {"generalise", `{"band": "0.25"}`},
		{"generalise", `{"prefix": 24, "prefix6": 48}`}, {"constant", `{"value": "1e-400"}`}, {"scramble", `{"x": [1]}`},
	} {
		f.Add(one.method, one.args)
	}
	cases := typeCases()
	f.Fuzz(func(t *testing.T, name, text string) {
		var arguments map[string]any
		if json.Unmarshal([]byte(text), &arguments) != nil {
			return
		}
		rule := Rule{Method: name, Args: arguments}
		for _, c := range cases {
			out, err := Outcome(c.dt, rule)
			if err != nil {
				var fault *ArgError
				if !errors.As(err, &fault) || out != nil || err.Error() == "" {
					t.Fatalf("%v of %s: %v, %v", rule, c.dt, out, err)
				}
				continue
			}
			runFuzzed(t, c, rule, out)
		}
	})
}

func runFuzzed(t *testing.T, c typeCase, rule Rule, want arrow.DataType) {
	t.Helper()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	b := batchOf(t, values(t, memory.NewGoAllocator(), c.dt, c.json))
	m, err := New(Settings{Schema: b.Schema(), Masks: map[string]Rule{"a": rule}, Alloc: alloc, Keys: func(string) ([]byte, error) { return make([]byte, minKey), nil }})
	if err != nil {
		t.Fatalf("%v of %s: Outcome says %s, New %v", rule, c.dt, want, err)
	}
	out, err := m.Apply(t.Context(), b)
	if err != nil {
		t.Fatalf("%v of %s: %v", rule, c.dt, err)
	}
	defer out.Release()
	if !arrow.TypeEqual(out.Column(0).DataType(), want) || out.NumRows() != 3 {
		t.Fatalf("%v of %s: %s, expected %s", rule, c.dt, out, want)
	}
}

// FuzzTokens takes texts to their tokens and back.
func FuzzTokens(f *testing.F) {
	for _, v := range []string{"4111-1111-1111-1234", "ada@example.com", "Ä1", "", "\xff123456", "123456"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		b := array.NewStringBuilder(memory.NewGoAllocator())
		b.Append(v)
		in := b.NewArray()
		tokens := masked(t, memory.NewGoAllocator(), in, tokenRule)
		back := untokenised(t, tokens, tokenRule)
		token, again := tokens.(*array.String).Value(0), back.(*array.String).Value(0)
		if token != redacted && (again != v || shape(token) != shape(v)) {
			t.Errorf("%q becomes %q and then %q", v, token, again)
		}
	})
}
