package spec_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/core/spec/yamltree"
)

// doubling is a schema of n parts, each of which asks for the next one twice.
func doubling(n int, twice string) string {
	var b strings.Builder
	b.WriteString(`{"$ref": "#/$defs/d0", "$defs": {`)
	for i := range n {
		fmt.Fprintf(&b, `"d%d": `+twice+`, `, i, i+1, i+1)
	}
	fmt.Fprintf(&b, `"d%d": {"type": "string"}}}`, n)
	return b.String()
}

// TestSchemasThatWouldTakeForEverAreRefused has what a plugin might send as the schema of its settings.
func TestSchemasThatWouldTakeForEverAreRefused(t *testing.T) {
	t.Parallel()
	config := parseConfig(t, "a: {b: {c: 1}}\nl: [1, 2]\n")
	resolver := spec.NewResolver(spec.ResolverSettings{Dir: t.TempDir(), Lookup: func(string) (string, bool) { return "", false }})
	const refs = `[{"$ref": "#/$defs/d%d"}, {"$ref": "#/$defs/d%d"}]`
	for name, c := range map[string]struct{ schema, want string }{
		"all of the next twice":    {doubling(60, `{"allOf": `+refs+`}`), "takes more than 262144 steps"},
		"any of the next twice":    {doubling(60, `{"anyOf": `+refs+`}`), "takes more than 262144 steps"},
		"one of the next twice":    {doubling(60, `{"not": {"oneOf": `+refs+`}}`), "takes more than 262144 steps"},
		"the next if and then":     {doubling(60, `{"if": {"$ref": "#/$defs/d%d"}, "then": {"$ref": "#/$defs/d%d"}}`), "takes more than 262144 steps"},
		"members of the next":      {`{"allOf": [` + strings.Repeat(`{"additionalProperties": {"$ref": "#"}}, `, 700) + `{}]}`, "takes more than 262144 steps"},
		"dynamic references":       {`{"$dynamicRef": "#a", "$defs": {"a": {"$dynamicAnchor": "a"}}}`, "$dynamicRef"},
		"nested too deeply":        {strings.Repeat(`{"not":`, 5000) + "{}" + strings.Repeat("}", 5000), "nested more than 200 deep"},
		"a limit of many digits":   {`{"properties": {"l": {"items": {"maximum": 1e99999999}}}}`, "too long or too large"},
		"a step of many digits":    {`{"properties": {"l": {"items": {"multipleOf": 1e-99999999}}}}`, "too long or too large"},
		"a pattern of much memory": {`{"properties": {"a": {"pattern": "((a{100}){100}){100}"}}}`, "schema can't be used"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults := spec.ValidateConfig(config, []byte(c.schema))
			if len(faults) != 1 || faults[0].Code != "bad-schema" || !strings.Contains(faults[0].Message, c.want) {
				t.Errorf("ValidateConfig: %v", faults)
			}
			if _, faults := resolver.Config(config, []byte(c.schema)); len(faults) != 1 || faults[0].Code != "bad-schema" {
				t.Errorf("Config: %v", faults)
			}
		})
	}
}

// FuzzConfig holds any settings against any schema: a fault says what is wrong, and what passes is JSON.
func FuzzConfig(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/config.schema.txtar")
	if err != nil {
		f.Fatal(err)
	}
	schema := *section(archive, "schema.json")
	f.Add([]byte("a: {b: [1, x, ${env:X}, 1e5, true, null]}\n"), schema)
	f.Add([]byte("a: &x {b: 1}\nc: *x\n"), []byte(`{"properties": {"a": {"$ref": "#/$defs/d"}}, "$defs": {"d": {"type": "object", "x-secret": true}}}`))
	f.Add([]byte("[1, 2]"), []byte(`{"items": {"oneOf": [{"type": "integer"}, {"const": "x"}, {"pattern": "^a+$"}]}, "uniqueItems": true}`))
	f.Add([]byte("a: b\n"), []byte(doubling(12, `{"allOf": [{"$ref": "#/$defs/d%d"}, {"$ref": "#/$defs/d%d"}]}`)))
	lookup := func(name string) (string, bool) { return "5", name == "X" }
	dir, err := os.MkdirTemp("", "fuzz")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = os.RemoveAll(dir) })
	f.Fuzz(func(t *testing.T, text, schema []byte) {
		docs, faults := yamltree.Parse(text, "c.yaml")
		if len(faults) > 0 {
			return
		}
		for _, doc := range docs {
			for _, fault := range spec.ValidateConfig(doc, schema) {
				if fault.Code == "" || fault.Message == "" {
					t.Fatalf("empty fault %+v", fault)
				}
			}
			data, faults := spec.NewResolver(spec.ResolverSettings{Dir: dir, Lookup: lookup}).Config(doc, schema)
			if len(faults) == 0 && !json.Valid(data) {
				t.Fatalf("%q is no JSON", data)
			}
		}
	})
}
