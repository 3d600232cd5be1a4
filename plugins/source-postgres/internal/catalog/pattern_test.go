package catalog

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPatternsMatchWhatTheySay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, schema, table string
		want                   bool
	}{
		{"orders", "public", "orders", true}, {"orders", "shop", "orders", false}, {"shop.*", "shop", "orders", true}, {"shop.*", "public", "orders", false},
		{"*.orders", "shop", "orders", true}, {"shop.order?", "shop", "orders", true}, {"shop.order?", "shop", "order", false}, {"o[a-r]ders", "public", "orders", true},
		{`"Shop".orders`, "Shop", "orders", true}, {`"Shop".orders`, "shop", "orders", false}, {`shop."a.b"`, "shop", "a.b", true}, {`"a*"`, "public", "a*", true}, {`"a*"`, "public", "ab", false},
		{`"say ""hi"""`, "public", `say "hi"`, true}, {"*", "public", "a/b", true}, {"a?b", "public", "a/b", true}, {`a\*`, "public", "a*", true},
	} {
		p, err := ParsePattern(c.pattern)
		if err != nil || p.Match(c.schema, c.table) != c.want {
			t.Errorf("%s matches %s.%s: %t, %v", c.pattern, c.schema, c.table, !c.want, err)
		}
	}
	for _, text := range []string{"", ".", "a.", ".a", "a.b.c", `"a`, `"a"b`, `"".a`, "a[", "shop.a[", `"a"."b".c`} {
		if p, err := ParsePattern(text); err == nil {
			t.Errorf("%q was taken: %+v", text, p)
		}
	}
}

// A quoted name matches itself, and nothing else; a pattern that names one table matches it.
func FuzzPattern(f *testing.F) {
	for _, seed := range [][3]string{{"shop.*", "shop", "orders"}, {`"Shop"."a.b"`, "Shop", "a.b"}, {`[a-z]?.\*`, `"`, "*/"}, {"a[", "", ""}, {"ü.ö*", "ü", "ö"}} {
		f.Add(seed[0], seed[1], seed[2])
	}
	quoted := func(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
	f.Fuzz(func(t *testing.T, text, schema, table string) {
		if p, err := ParsePattern(text); err == nil {
			matches := p.Match(schema, table)
			if p.Literal() && matches != (p.schema.text == schema && p.table.text == table) {
				t.Errorf("%q matches %q.%q: %t", text, schema, table, matches)
			}
		}
		if schema == "" || table == "" || !utf8.ValidString(schema+table) {
			return
		}
		p, err := ParsePattern(quoted(schema) + "." + quoted(table))
		if err != nil || !p.Literal() || !p.Match(schema, table) || p.Match(schema, table+"x") || p.Match("x"+schema, table) {
			t.Errorf("%q.%q: %+v, %v", schema, table, p, err)
		}
	})
}
