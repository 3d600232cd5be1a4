package spec_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/core/spec/yamltree"
)

func parseConfig(t *testing.T, text string) *spec.Node {
	t.Helper()
	docs, faults := yamltree.Parse([]byte(text), "c.yaml")
	if len(faults) > 0 || len(docs) != 1 {
		t.Fatal(len(docs), faults)
	}
	return docs[0]
}

func TestConfigFaultsPointIntoThePipeline(t *testing.T) {
	t.Parallel()
	archive, err := txtar.ParseFile("testdata/config.schema.txtar")
	if err != nil {
		t.Fatal(err)
	}
	schema := *section(archive, "schema.json")
	testArchives(t, "testdata/config/*.txtar", "-faults", func(t *testing.T, opts spec.Options) string {
		bundle, faults := spec.Load(t.Context(), opts)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		for _, use := range bundle.Pipelines[0].Uses() {
			faults = append(faults, spec.ValidateConfig(use.Config, schema)...)
		}
		var out bytes.Buffer
		if err := spec.Print(&out, faults, false); err != nil {
			t.Fatal(err)
		}
		return out.String()
	})
}

func TestConfigFaultsCarryTheirPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	extract(t, txtar.Parse([]byte("-- p.yaml --\nkind: pipeline\nname: p\nsource: {plugin: x, config: {a: {b: 1}}}\nlanding: {dataset: landing.a.b}\n")), dir)
	bundle, faults := spec.Load(t.Context(), spec.Options{Dir: dir})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	schema := `{"properties": {"a": {"properties": {"c": {}}, "additionalProperties": false}}}`
	faults = spec.ValidateConfig(bundle.Pipelines[0].Source.Config, []byte(schema))
	if len(faults) != 1 || faults[0].Path != "/source/config/a/b" || faults[0].Code != "unknown-key" {
		t.Fatal(faults)
	}
}

func TestUnusableSchemasAreFaults(t *testing.T) {
	t.Parallel()
	config := parseConfig(t, "a: 1\n")
	for _, schema := range []string{
		`{`, `{"type": 5}`, `{"$ref": "file:///etc/passwd"}`, `{"$ref": "https://example.com/x"}`, `{"properties": {"a": {"pattern": "("}}}`,
	} {
		faults := spec.ValidateConfig(config, []byte(schema))
		if len(faults) != 1 || faults[0].Code != "bad-schema" || faults[0].Line != 1 {
			t.Errorf("%s: %v", schema, faults)
		}
	}
}

func TestConfigTakesTheTypesOfTheSchema(t *testing.T) {
	t.Parallel()
	schema := []byte(`{"type": "object", "properties": {
		"port": {"type": "integer"}, "ratio": {"type": ["number", "null"]}, "tls": {"type": "boolean"}, "pin": {"type": "string"},
		"list": {"items": {"$ref": "#/$defs/n"}}, "mode": {"enum": ["a", "b"]}}, "$defs": {"n": {"type": "integer"}}}`)
	config := parseConfig(t, `{port: "${env:PORT}", ratio: "${env:RATIO}", tls: "${env:TLS}", pin: "${env:PORT}", list: [1, "${env:PORT}"], mode: "${env:MODE}"}`)
	env := map[string]string{"PORT": "5432", "RATIO": "1.50", "TLS": "true", "MODE": "b"}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	if faults := spec.ValidateConfig(config, schema); len(faults) > 0 {
		t.Fatal(faults)
	}
	data, faults := spec.NewResolver(spec.ResolverSettings{Dir: t.TempDir(), Lookup: lookup}).Config(config, schema)
	want := `{"list":[1,5432],"mode":"b","pin":"5432","port":5432,"ratio":1.50,"tls":true}`
	if diff := cmp.Diff(want, string(data)); diff != "" || len(faults) > 0 {
		t.Error(faults, diff)
	}
	env["PORT"], env["MODE"], env["TLS"] = "hunter2", "hunter2", "yes"
	data, faults = spec.NewResolver(spec.ResolverSettings{Dir: t.TempDir(), Lookup: lookup}).Config(config, schema)
	if data != nil || len(faults) != 4 {
		t.Fatalf("%s %v", data, faults)
	}
	for _, f := range faults {
		if strings.Contains(f.Error()+f.Excerpt, "hunter2") {
			t.Errorf("the fault gives the secret away: %v", f)
		}
	}
	delete(env, "PORT")
	if data, faults = spec.NewResolver(spec.ResolverSettings{Dir: t.TempDir(), Lookup: lookup}).Config(config, schema); data != nil || len(faults) != 3 {
		t.Fatalf("%s %v", data, faults)
	}
}

func TestAnEmptyConfigIsChecked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	extract(t, txtar.Parse([]byte("-- p.yaml --\nkind: pipeline\nname: p\nsource: {plugin: x}\nlanding: {dataset: landing.a.b}\n")), dir)
	bundle, _ := spec.Load(t.Context(), spec.Options{Dir: dir})
	faults := spec.ValidateConfig(bundle.Pipelines[0].Source.Config, []byte(`{"required": ["dsn"], "properties": {"dsn": {"description": "where"}}}`))
	want := `p.yaml:3:9: key "dsn" is missing (dsn: where)`
	if len(faults) != 1 || faults[0].Error() != want {
		t.Fatal(faults)
	}
}
