package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// bracketed is brackets around a number.
func bracketed(depth int, open, closing string) string {
	return strings.Repeat(open, depth) + "1" + strings.Repeat(closing, depth)
}

// keys is an object of n keys that begin with a prefix.
func keys(prefix string, n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, `,"%s%d":1`, prefix, i)
	}
	return "{" + out.String()[1:] + "}"
}

func TestHostileJSON(t *testing.T) {
	t.Parallel()
	after := "{\"b\":2}"
	deepArray, deepObject := bracketed(9_990, "[", "]"), bracketed(9_990, `{"a":`, "}")
	var cases []hostile
	for file, form := range map[string]string{"a.jsonl": "%s\n" + after + "\n", "a.json": "[%s,\n" + after + "]", "seq.json": "%s\n" + after} {
		in := func(text string) string { return fmt.Sprintf(form, text) }
		cases = append(cases,
			hostile{
				name: "nested 9,990 deep", file: file, content: in(`{"a":` + deepArray + `,"o":` + deepObject + `}`), settings: `, "columns": {"a": "json", "o": "json"}`,
				rows: []string{`{"a":"` + deepArray + `","o":"` + strings.ReplaceAll(deepObject, `"`, `\"`) + `"}`, `{"b":2}`},
			},
			hostile{
				name: "arrays nested 10,001 deep", file: file, content: in(`{"a":` + bracketed(10_001, "[", "]") + `}`), rows: []string{after},
				rejects: []string{"malformed " + file + ":1: not JSON: exceeded max depth*"},
			},
			hostile{
				name: "objects nested a million deep", file: file, content: in(bracketed(1_000_000, `{"a":`, "}")), rows: []string{after},
				rejects: []string{"malformed " + file + ":1: not JSON: exceeded max depth*"},
			},
			hostile{
				name: "a key twice", file: file, content: in(`{"a":1,"b":1,"a":"x","o":{"k":1,"k":[{"z":1,"z":2}]}}`),
				rows: []string{`{"a":"x","b":1,"o":{"k":[{"z":2}]}}`, after},
			},
			hostile{
				name: "a key twice, refused", file: file, content: in(`{"a":1,"a":1}`), settings: `, "json": {"repeated_keys": "reject"}`, rows: []string{after},
				rejects: []string{"malformed " + file + ":1: not JSON: duplicate object member name \"a\"*"}, raw: []string{`{"a":1,"a":1}`},
			},
			hostile{
				name: "an empty key", file: file, content: in(`{"":1,"o":{"":"x"}}`), rows: []string{`{"_empty":1,"o":{"_empty":"x"}}`, after},
			},
			hostile{
				name: "an empty key beside its column", file: file, content: in(`{"":1,"_empty":2}`), rows: []string{after},
				rejects: []string{"malformed " + file + `:1: two names in the object mean the column "_empty"`},
			},
			hostile{
				name: "a fault that lies deep under long keys", file: file, rows: []string{after}, rejects: []string{"malformed " + file + ":1: not JSON: *"},
				content: in(strings.Repeat(`{"`+strings.Repeat("k", 500)+`":`, 5000) + "tru" + strings.Repeat("}", 5000)),
			},
			hostile{
				name: "a key of 512 bytes", file: file, content: in(`{"` + strings.Repeat("k", 512) + `":1}`),
				rows: []string{`{"` + strings.Repeat("k", 512) + `":1}`, after},
			},
			hostile{
				name: "a key of 513 bytes", file: file, content: in(`{"` + strings.Repeat("k", 513) + `":1}`), rows: []string{after},
				rejects: []string{"too_wide " + file + ":1: a name of more than 512 bytes*"},
			},
			hostile{
				name: "10,001 keys", file: file, content: in(keys("k", 10_001)), rows: []string{after},
				rejects: []string{"too_wide " + file + ":1: it has names that the stream has no columns for, and it can't have more than 10000"},
			},
			hostile{
				name: "501 keys in a column", file: file, content: in(`{"o":` + keys("k", 501) + `}`),
				rows: []string{`{"o":"` + strings.ReplaceAll(keys("k", 501), `"`, `\"`) + `"}`, after},
			},
			hostile{
				name: "a number that no float holds", file: file, content: in(`{"n":1e999999}`), rows: []string{after},
				rejects: []string{"wrong_type " + file + ":1: column \"n\": 1e999999 is no float64: the number is out of the type's range"},
			},
			hostile{
				name: "a number of 1,000 digits", file: file, content: in(`{"n":` + strings.Repeat("9", 1000) + `}`),
				rows: []string{`{"n":"` + strings.Repeat("9", 1000) + `"}`, after},
			},
		)
	}
	cases = append(cases,
		hostile{
			name: "100,000 open brackets", file: "a.json", content: strings.Repeat("[", 100_000),
			rejects: []string{"malformed a.json:1: the rest of the file is not read: *"},
		},
		hostile{
			name: "many records with keys of their own", file: "a.jsonl", settings: `, "infer": {"rows": 1}`,
			content: "{\"a\":1}\n" + keys("k", 9_000) + "\n" + keys("l", 9_000) + "\n{\"b\":1}\n",
			rejects: []string{"too_wide a.jsonl:3: *"}, rows: []string{`{"a":1}`, sortedKeys("k", 9_000), `{"b":1}`},
		},
	)
	runHostile(t, cases)
}

// sortedKeys is what keys becomes after a row was read: names in their order.
func sortedKeys(prefix string, n int) string {
	names := map[string]int{}
	for i := range n {
		names[fmt.Sprintf("%s%d", prefix, i)] = 1
	}
	return marshaled(names)
}

func TestRepeatedKeysAreCountedInTheLog(t *testing.T) {
	t.Parallel()
	path := write(t, filepath.Join(t.TempDir(), "a.jsonl"), []byte("{\"a\":1}\n{\"a\":1,\"a\":2}\n{\"a\":3,\"a\":4}\n"))
	s := newSource(t, fmt.Sprintf(`{"path": %q}`, path))
	var log strings.Builder
	s.env.Log = hclog.New(&hclog.LoggerOptions{Output: &log})
	if got := lines(t, read(t, s, nil), "a"); len(got) != 3 || got[2] != `{"a":4}` {
		t.Errorf("rows %v", got)
	}
	if !strings.Contains(log.String(), "records=2") {
		t.Errorf("the log says %q", log.String())
	}
}
