package policy_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/qanat-data/qanat/core/policy"
)

var update = flag.Bool("update", false, "write the schemas of specs/policy anew")

const published = "../../specs/policy"

func schemaOf(t *testing.T, name string, v any) []byte {
	t.Helper()
	r := &jsonschema.Reflector{ExpandedStruct: true, AllowAdditionalProperties: name == "decision"}
	if err := r.AddGoComments("github.com/qanat-data/qanat/core/policy", "."); err != nil {
		t.Fatal(err)
	}
	s := r.Reflect(v)
	s.ID = jsonschema.ID("https://github.com/qanat-data/qanat/specs/policy/" + name + ".schema.json")
	s.Title = "Qanat " + policy.API + " " + name
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func TestPublishedSchemasAreThoseOfInputsAndDecisions(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]any{"input": policy.Input{}, "decision": policy.Decision{}} {
		path := filepath.Join(published, name+".schema.json")
		want := schemaOf(t, name, v)
		if *update {
			if err := os.WriteFile(path, want, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(have)); diff != "" {
			t.Errorf("%s: go test ./core/policy -update\n%s", path, diff)
		}
	}
}

func TestInputsAndDecisionsAreValidByTheirSchemas(t *testing.T) {
	t.Parallel()
	valid := func(name string, v any) {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		schema, err := validator.NewCompiler().Compile(filepath.Join(published, name+".schema.json"))
		if err != nil {
			t.Fatal(err)
		}
		document, err := validator.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
			t.Errorf("%s %s: %v", name, text, err)
		}
	}
	in := plan()
	in.API = policy.API
	valid("input", in)
	for _, files := range []map[string]string{
		{"privacy.rego": privacy, "data.json": purposes}, {"privacy.rego": privacy, "data.json": `{"purposes": []}`},
	} {
		valid("decision", load(t, files).Decide(t.Context(), plan()))
	}
}

// What is given to begin with compiles, is in canonical form, and every line of it is tested.
func TestTheBaselineIsInOrder(t *testing.T) {
	t.Parallel()
	s := policy.Settings{Folders: []string{filepath.Join(published, "baseline")}}
	p, err := policy.Load(t.Context(), s)
	if err != nil || len(p.Packages()) == 0 {
		t.Fatalf("%v, %v", p, err)
	}
	report, err := policy.Test(t.Context(), s, true)
	if err != nil || report.Failed() > 0 || len(report.Results) == 0 || len(report.NotCovered) > 0 {
		t.Errorf("tests: %+v, %v", report, err)
	}
	if changed, err := policy.Format(s, false); err != nil || len(changed) > 0 {
		t.Errorf("not in canonical form: %q, %v", changed, err)
	}
}

func TestWhatIsNewIsInOrderAndNothingIsOverwritten(t *testing.T) {
	t.Parallel()
	both := []policy.Point{policy.PluginLoad, policy.SpecAdmit}
	for _, point := range both {
		dir := t.TempDir()
		if _, err := policy.New(dir, string(point), "privacy", both); err != nil {
			t.Fatal(err)
		}
		s := policy.Settings{Folders: []string{dir}}
		if p, err := policy.Load(t.Context(), s); err != nil || p.Packages()[0].Point != point || p.Packages()[0].Enforcement != policy.DryRun {
			t.Errorf("%s: %v", point, err)
		}
		if report, err := policy.Test(t.Context(), s, true); err != nil || report.Failed() > 0 || report.Coverage < 100 {
			t.Errorf("%s: %+v, %v", point, report, err)
		}
		if changed, err := policy.Format(s, false); err != nil || len(changed) > 0 {
			t.Errorf("%s: not in canonical form: %q, %v", point, changed, err)
		}
		if _, err := policy.New(dir, string(point), "privacy", both); err == nil {
			t.Errorf("%s: written over what was there", point)
		}
	}
	for _, c := range [][2]string{{"run", "privacy"}, {"plan", "privacy"}, {"spec_admit", "../privacy"}, {"spec_admit", "Privacy"}, {"spec_admit", ""}} {
		if _, err := policy.New(t.TempDir(), c[0], c[1], both); err == nil {
			t.Errorf("%q was written", c)
		}
	}
}

func TestFailedTestsSaySo(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"a.rego":      "package governance.plan.a\n\nx := 1\n\ny := 2",
		"a_test.rego": "package governance.plan.a_test\n\nimport data.governance.plan.a\n\ntest_one if a.x == 1\n\ntest_two if {\n\tprint(\"x is\", a.x)\n\ta.x == 2\n}\n\ntodo_test_three if false\n",
	})
	report, err := policy.Test(t.Context(), policy.Settings{Folders: []string{dir}, Base: dir}, true)
	if err != nil || report.Failed() != 1 || len(report.Results) != 3 {
		t.Fatalf("%+v, %v", report, err)
	}
	for _, r := range report.Results {
		if r.Name == "test_two" && (r.Pass || r.Place != "a_test.rego:7" || r.Output != "x is 1\n") {
			t.Errorf("%+v", r)
		}
	}
	if diff := cmp.Diff([]string{"a.rego:5"}, report.NotCovered); diff != "" {
		t.Error(diff)
	}
	if _, err := policy.Test(t.Context(), policy.Settings{Folders: []string{folder(t, map[string]string{"a_test.rego": "package a\n\nx := http.send({})"})}}, false); err == nil {
		t.Error("a test may use the network")
	}
}

func TestFormatWritesTheCanonicalForm(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"a.rego": "package governance.plan.a\nx:=1", "b.rego": "package governance.plan.b\n\nx := 1\n"})
	s := policy.Settings{Folders: []string{dir}, Base: dir}
	for _, c := range []struct {
		write bool
		want  []string
	}{{false, []string{"a.rego"}}, {true, []string{"a.rego"}}, {true, nil}} {
		if changed, err := policy.Format(s, c.write); err != nil || !cmp.Equal(changed, c.want) {
			t.Errorf("%+v: %q, %v", c, changed, err)
		}
	}
}
