package spec_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
	"github.com/rogpeppe/go-internal/txtar"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/core/spec/yamltree"
)

const schemaFolder = "../../specs/schema"

func schemaOf(t *testing.T, name string, v any) []byte {
	t.Helper()
	r := &jsonschema.Reflector{
		RequiredFromJSONSchemaTags: true, ExpandedStruct: true, Mapper: scalarSchema,
	}
	if err := r.AddGoComments("github.com/qanat-data/qanat/core/spec", "."); err != nil {
		t.Fatal(err)
	}
	r.LookupComment = func(t reflect.Type, field string) string { return keyComment(r.CommentMap, t, field) }
	s := r.Reflect(v)
	s.ID = jsonschema.ID("https://github.com/qanat-data/qanat/specs/schema/" + name + ".schema.json")
	s.Title = "Qanat " + name
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}

// keyComment is the comment of a field with the key in place of the Go name that it starts with.
func keyComment(comments map[string]string, t reflect.Type, field string) string {
	if t.Kind() != reflect.Struct || field == "" {
		return ""
	}
	f, ok := t.FieldByName(field)
	text, starts := strings.CutPrefix(comments[t.PkgPath()+"."+t.Name()+"."+field], field+" ")
	if !ok || !starts {
		return ""
	}
	key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return key + " " + text
}

// scalarSchema describes the types that read themselves from text.
func scalarSchema(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[spec.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+d)?([0-9.]+(ns|us|µs|ms|s|m|h))*$`, Examples: []any{"500ms", "5s", "1h30m", "7d"}}
	case reflect.TypeFor[spec.Size]():
		return &jsonschema.Schema{
			OneOf: []*jsonschema.Schema{
				{Type: "integer", Minimum: "1"},
				{Type: "string", Pattern: `^[0-9]+(\.[0-9]+)? ?([kKmMgGtT]([iI])?)?[bB]?$`},
			},
			Examples: []any{"256MiB", "1GB", 1048576},
		}
	case reflect.TypeFor[spec.Node]():
		return &jsonschema.Schema{Type: "object"}
	}
	return nil
}

// TestPublishedSchemasAreCurrent compares specs/schema with the Go types; go test ./core/spec -update
// writes it anew.
func TestPublishedSchemasAreCurrent(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]any{"project": spec.Project{}, "connection": spec.Connection{}, "pipeline": spec.Pipeline{}} {
		path := filepath.Join(schemaFolder, name+".schema.json")
		want := schemaOf(t, name, v)
		if *update {
			if err := os.MkdirAll(schemaFolder, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is stale, run go generate ./core/spec: %s", path, diff)
		}
	}
}

// TestEveryKeyIsDocumented walks the published schemas.
func TestEveryKeyIsDocumented(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]any{"project": spec.Project{}, "connection": spec.Connection{}, "pipeline": spec.Pipeline{}} {
		var document struct {
			Properties map[string]struct{ Description string }
			Defs       map[string]struct {
				Properties map[string]struct{ Description string }
			} `json:"$defs"`
		}
		if err := json.Unmarshal(schemaOf(t, name, v), &document); err != nil {
			t.Fatal(err)
		}
		for key, property := range document.Properties {
			if property.Description == "" {
				t.Errorf("%s.%s has no description", name, key)
			}
		}
		for def, object := range document.Defs {
			for key, property := range object.Properties {
				if property.Description == "" {
					t.Errorf("%s.%s has no description", def, key)
				}
			}
		}
	}
}

// TestSchemasAgreeWithTheLoader runs the documents of the fault archives through the published schemas:
// what loads without a fault fits, and what has a structural fault does not.
func TestSchemasAgreeWithTheLoader(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	structural := map[string]bool{"unknown-key": true, "wrong-type": true}
	documents := 0
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if !strings.HasSuffix(f.Name, ".yaml") || strings.HasPrefix(f.Name, "overlays/") {
				continue
			}
			docs, _ := yamltree.Parse(f.Data, f.Name)
			for _, doc := range docs {
				kind := doc.Field("kind").Text()
				if kind != "project" && kind != "pipeline" && kind != "connection" {
					continue
				}
				documents++
				faults := yamltree.Decode(doc, newSpec(kind))
				err := validate(t, kind, doc)
				if len(faults) == 0 && err != nil {
					t.Errorf("%s %s: the schema refuses what loads: %v", path, doc.Position(), err)
				}
				for _, fault := range faults {
					if structural[fault.Code] && err == nil {
						t.Errorf("%s: the schema takes what does not load: %v", path, fault)
					}
				}
			}
		}
	}
	if documents < 20 {
		t.Errorf("only %d documents", documents)
	}
}

func newSpec(kind string) any {
	switch kind {
	case "project":
		return &spec.Project{}
	case "connection":
		return &spec.Connection{}
	}
	return &spec.Pipeline{}
}

func validate(t *testing.T, kind string, doc *spec.Node) error {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(schemaFolder, kind+".schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	document, err := validator.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	if err := c.AddResource("s.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("s.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(withoutNulls(doc.Value()))
}

// withoutNulls drops what is set to null: the loader takes it as left out, so that overlays can drop a
// key, and the schemas, which describe what people write first, don't offer it.
func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if value == nil {
				delete(v, key)
				continue
			}
			v[key] = withoutNulls(value)
		}
	case []any:
		for i, item := range v {
			v[i] = withoutNulls(item)
		}
	}
	return v
}
