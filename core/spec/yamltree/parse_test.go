package yamltree_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/spec/yamltree"
)

func parse(t *testing.T, text string) *yamltree.Node {
	t.Helper()
	docs, faults := yamltree.Parse([]byte(text), "t.yaml")
	if len(faults) > 0 || len(docs) != 1 {
		t.Fatalf("%d documents, faults %v", len(docs), faults)
	}
	return docs[0]
}

func jsonOf(t *testing.T, n *yamltree.Node) string {
	t.Helper()
	data, err := n.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestParseReadsTheCoreSchema(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ yaml, want string }{
		{"a: 1\nb: -2\nc: +3\nd: 0x1F\ne: 0o17\nf: 1_000\n", `{"a":1,"b":-2,"c":3,"d":31,"e":15,"f":1000}`},
		{"a: 1.10\nb: 1e3\nc: .5\nd: 123456789012345678901234567890\n", `{"a":1.10,"b":1e3,"c":0.5,"d":123456789012345678901234567890}`},
		{"a: yes\nb: true\nc: \"1\"\nd: 2001-01-01\ne: null\nf:\ng: ~\n", `{"a":"yes","b":true,"c":"1","d":"2001-01-01","e":null,"f":null,"g":null}`},
		{"a: |\n  x\n  \ty\n\nb: >-\n  p\n  q\n", `{"a":"x\n\ty\n","b":"p q"}`},
		{"a: {b: [1, x, {c: d}], e}\n", `{"a":{"b":[1,"x",{"c":"d"}],"e":null}}`},
		{"1: x\ntrue: y\n\"q\": z\n", `{"1":"x","q":"z","true":"y"}`},
		{"a: &x {k: 1, l: 2}\nb: *x\nc:\n  <<: *x\n  l: 3\nd:\n  <<: [{m: 1}, *x]\n",
			`{"a":{"k":1,"l":2},"b":{"k":1,"l":2},"c":{"k":1,"l":3},"d":{"k":1,"l":2,"m":1}}`},
		{"a: !!str 12\nb: !!int 3\nc: !!map {x: 1}\n", `{"a":"12","b":3,"c":{"x":1}}`},
		{"\uFEFFa: é\r\nb: 2\r\n", `{"a":"é","b":2}`},
		{"%YAML 1.2\n---\na: 1\n...\n", `{"a":1}`},
		{"---\n---\na: 1\n---\n", `{"a":1}`},
		{"- - - x\n- \n", `[[["x"]],null]`},
		{"? a\n: 1\n", `{"a":1}`},
	} {
		if diff := cmp.Diff(c.want, jsonOf(t, parse(t, c.yaml))); diff != "" {
			t.Errorf("%q: %s", c.yaml, diff)
		}
	}
}

func TestPositionsCountLinesAndCharacters(t *testing.T) {
	t.Parallel()
	docs, faults := yamltree.Parse([]byte("a: 1\n---\n# note\nü: {b: [é, 'y']}\r\nc:\n- d: |\n    x\n- e: \"p\n    q\"\n  f: 2\n"), "t.yaml")
	if len(faults) > 0 || len(docs) != 2 {
		t.Fatal(faults)
	}
	got := map[string]string{}
	for _, path := range []string{"", "/ü", "/ü/b", "/ü/b/0", "/ü/b/1", "/c", "/c/0", "/c/0/d", "/c/1/e", "/c/1/f", "/c/1/none", "/c/9"} {
		got[path] = docs[1].Locate(path).String()
	}
	want := map[string]string{
		"": "t.yaml:4:1", "/ü": "t.yaml:4:4", "/ü/b": "t.yaml:4:8", "/ü/b/0": "t.yaml:4:9", "/ü/b/1": "t.yaml:4:12",
		"/c": "t.yaml:6:1", "/c/0": "t.yaml:6:3", "/c/0/d": "t.yaml:6:6", "/c/1/e": "t.yaml:8:6", "/c/1/f": "t.yaml:10:6",
		"/c/1/none": "t.yaml:8:3", "/c/9": "t.yaml:6:1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseFaultsNameTheirPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, yaml, want string }{
		{"tab", "a:\n\tb: 1\n", "t.yaml:2:1: a tab can't indent (indent with spaces)"},
		{"not utf-8", "a: 1\nb: x\xffy\n", "t.yaml:2:5: byte 0xff is not UTF-8 (save the file as UTF-8)"},
		{"utf-16", "\xff\xfea\x00", "t.yaml:1:1: the file is UTF-16 (save it as UTF-8)"},
		{"control", "a: \x1b[31m\n", "t.yaml:1:4: control character U+001B (remove it, or write it as an escape in double quotes)"},
		{"duplicate", "a: 1\nb: 2\na: 3\n", `t.yaml:3:1: key "a" is given twice (it is first given on line 1; keep one of them)`},
		{"duplicate in flow", "a: {b: 1, b: 2}\n", `t.yaml:1:11: key "b" is given twice (it is first given on line 1; keep one of them)`},
		{"unknown alias", "a: *nope\n", `t.yaml:1:4: no anchor "nope" is set before this alias (set it with &nope, or quote the text if no alias is meant)`},
		{"star", "from: *\n", `t.yaml:1:7: * starts an alias, and no name follows (quote the text: "*")`},
		{"endless", "a: &x [*x]\n", `t.yaml:1:8: anchor "x" contains itself`},
		{"null key", "~: 1\n", "t.yaml:1:1: a key must be plain text"},
		{"merge of text", "a:\n  <<: x\n", "t.yaml:2:3: << takes a map or a list of maps, not text"},
		{"unknown tag", "a: !secret x\n", `t.yaml:1:4: unknown tag "!secret" (leave tags out, or quote the text)`},
		{"wrong tag", "a: !!int x\n", "t.yaml:1:4: the tag !!int does not fit text"},
		{"octal", "zip: 01234\n", "t.yaml:1:6: 01234 is a decimal number to some readers and an octal one to others (quote it if it is text; drop the leading zeros if it is a number)"},
		{"infinity", "a: .inf\n", `t.yaml:1:4: ".inf" can't be used here`},
		{"second document", "a: 1\n...\nb: 2\n", "t.yaml:3:1: a new document starts here without a --- line"},
		{"colon", "a: b: c\n", `t.yaml:1:4: a second ": " in one line (quote the text if the colon belongs to it)`},
		{"reserved", "a: @x\n", "t.yaml:1:4: '@' is a reserved character (quote the text)"},
		{"quote", "a: 'b\nc: d\n", "t.yaml:1:4: could not find end character of single-quoted text"},
	} {
		_, faults := yamltree.Parse([]byte(c.yaml), "t.yaml")
		if len(faults) != 1 {
			t.Errorf("%s: %d faults: %v", c.name, len(faults), faults)
			continue
		}
		if diff := cmp.Diff(c.want, faults[0].Error()); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestOneBrokenDocumentDoesNotHideTheOthers(t *testing.T) {
	t.Parallel()
	docs, faults := yamltree.Parse([]byte("a: [1\n---\nb: 1\nb: 2\n---\nc: 1\n"), "t.yaml")
	if len(docs) != 2 || len(faults) != 2 || faults[0].Line != 1 || faults[1].Line != 4 {
		t.Fatalf("%d documents, faults %v", len(docs), faults)
	}
}

func TestHostileTextIsRefused(t *testing.T) {
	t.Parallel()
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	merges := "x: &mz {k: 1}\n"
	for i := 1; i < 12; i++ {
		prev := string(rune('a' + i - 1))
		if i == 1 {
			prev = "a0"
		}
		name := string(rune('a' + i))
		bomb += name + ": &" + name + " [" + strings.Repeat("*"+prev+", ", 9) + "1]\n"
	}
	for i := 1; i < 2000; i++ {
		merges += "x" + num(i) + ": &m" + num(i) + " {<<: *m" + num(i-1) + ", k" + num(i) + ": 1}\n"
	}
	for _, c := range []struct{ name, text, code string }{
		{"alias bomb", bomb, "too-large"},
		{"merge bomb", merges, "too-large"},
		{"brackets", strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), "too-deep"},
		{"braces", "a: " + strings.Repeat("{a: ", 10_000), "too-deep"},
		{"dashes", strings.Repeat("- ", 10_000) + "x", "too-deep"},
		{"indents", indents(1000), "too-deep"},
		{"explicit keys", strings.Repeat("? ", 10_000) + "x", "too-deep"},
		{"tags", strings.Repeat("!a ", 10_000) + "x", "too-deep"},
		{"anchors", strings.Repeat("&a ", 10_000) + "x", "too-deep"},
		{"blank lines", "a: |\n" + strings.Repeat("\n", 60_000), "too-large"},
		{"values", "a:\n" + strings.Repeat("- x\n", yamltree.MaxTokens), "too-large"},
		{"50 MB", strings.Repeat("a", 50<<20), "too-large"},
		{"documents", strings.Repeat("---\na: 1\n", yamltree.MaxDocuments+1), "too-large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, faults := yamltree.Parse([]byte(c.text), "t.yaml")
			if len(faults) != 1 || faults[0].Code != c.code {
				t.Fatalf("faults %v, expected one %s", faults, c.code)
			}
		})
	}
}

func TestSiblingsOfGrowingKeysAreNotDeep(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := 1; i < 200; i++ {
		b.WriteString(strings.Repeat("k", i) + ": 1\n")
	}
	parse(t, b.String())
}

func num(i int) string {
	return "z" + strings.Repeat("i", i%10) + strings.Repeat("j", i/10%10) + strings.Repeat("l", i/100%10) + strings.Repeat("n", i/1000)
}

func indents(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestReadFileRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo.yaml")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, yamltree.MaxBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{filepath.Join(dir, "none.yaml"), "x: can't read the file: no such file or directory"},
		{dir, "x: not a regular file"},
		{fifo, "x: not a regular file"},
		{large, "x: the file is larger than 1024 KiB"},
	} {
		_, faults := yamltree.ReadFile(c.path, "x")
		if len(faults) != 1 || faults[0].Error() != c.want {
			t.Errorf("%s: %v, expected %s", c.path, faults, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a: 1\n", "a: &x {k: [1]}\nb: *x\n", "---\na: |\n x\n---\n", "? [a]\n: 3\n", "a:\n- b: 'c'\n  <<: {d: 1}\n", "!!str a: !b 1", "%YAML 1.1\n---\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, faults := yamltree.Parse(data, "f.yaml")
		for _, fault := range faults {
			if fault.Code == "" || fault.Message == "" {
				t.Fatalf("empty fault %+v", fault)
			}
		}
		for _, doc := range docs {
			if _, err := doc.MarshalJSON(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
