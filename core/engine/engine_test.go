package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/core/zone/zonetest"
	"github.com/qanat-data/qanat/registry"
)

var plugins string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "qanat-engine-test-")
	if err != nil {
		panic(err)
	}
	plugins = dir
	for _, name := range []string{"source-generator", "transform-fields"} {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, name), "../../plugins/"+name)
		if out, err := build.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("build %s: %v\n%s", name, err, out))
		}
	}
	code := m.Run()
	if err := errors.Join(os.RemoveAll(dir), goleak.Find(zonetest.Leaks()...)); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

const pipeline = `
kind: pipeline
name: p
source:
  plugin: generator
  config: {stream: events, rows: 5000, fault: {reject_every: 100}}
landing: {dataset: "landing.e.{stream}"}
flows:
- name: thin
  from: [landing.e.*]
  transforms: [{plugin: fields, config: {steps: [{drop: [name]}]}}]
  to: processing.e.{name}
`

// openProject writes a project's files and opens it, without servers.
func openProject(t *testing.T, files map[string]string) (*engine.Project, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bundle, faults := spec.Load(t.Context(), spec.Options{Dir: dir})
	if spec.HasErrors(faults) {
		t.Fatal(faults)
	}
	project, err := engine.Open(bundle, hclog.NewNullLogger())
	if err == nil {
		t.Cleanup(func() {
			if err := project.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	return project, err
}

func projectFile(more string) string {
	return "kind: project\nname: e\nplugins: {path: [" + plugins + "]}\n" + more
}

func TestARunEndsWithItsFlowsCaughtUpAndReported(t *testing.T) {
	project, err := openProject(t, map[string]string{"qanat.yaml": projectFile(""), "p.yaml": pipeline})
	if err != nil {
		t.Fatal(err)
	}
	if err := project.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	run, planned, err := project.Prepare(t.Context(), project.Bundle.Pipelines[0])
	if err != nil {
		t.Fatal(err)
	}
	if after := planned.Flows[1].After; len(after) != 1 || after[0] != "p.landing" {
		t.Errorf("the second flow comes after %q", after)
	}
	summary, err := run.Go(t.Context(), make(chan struct{}))
	if err != nil {
		t.Fatal(err)
	}
	landing, thin := summary.Flows[0], summary.Flows[1]
	if landing.Read != 5000 || landing.Written != 4950 || landing.Quarantined != 50 || thin.Written != 4950 || thin.State != progress.Done {
		t.Errorf("summary: %+v", summary)
	}
	report, err := project.Status(t.Context(), "p.")
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Flows) != 2 || len(report.Datasets) != 3 || report.Flows[0].State != "idle" {
		t.Errorf("report: %+v", report)
	}
}

func TestAStoppedRunCommitsWhatItHasRead(t *testing.T) {
	endless := strings.Replace(pipeline, "rows: 5000", "rows: 0, rate: 20000", 1)
	project, err := openProject(t, map[string]string{"qanat.yaml": projectFile(""), "p.yaml": endless})
	if err != nil {
		t.Fatal(err)
	}
	if err := project.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	run, _, err := project.Prepare(t.Context(), project.Bundle.Pipelines[0])
	if err != nil {
		t.Fatal(err)
	}
	stopping := make(chan struct{})
	go func() {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for run.Status("p.landing").Reading == 0 && t.Context().Err() == nil {
			<-ticker.C
		}
		close(stopping)
	}()
	summary, err := run.Go(t.Context(), stopping)
	if err != nil {
		t.Fatal(err)
	}
	landing := summary.Flows[0]
	if landing.State != progress.Stopped || landing.Read == 0 || landing.Read != landing.Reading {
		t.Errorf("%+v", landing)
	}
}

func TestSettingsAreFaultedAtTheirPlace(t *testing.T) {
	project, err := openProject(t, map[string]string{
		"qanat.yaml": projectFile(""), "p.yaml": strings.Replace(pipeline, "rows: 5000", "rowz: 5000", 1),
	})
	if err != nil {
		t.Fatal(err)
	}
	faults, err := project.Validate(t.Context(), project.Bundle.Pipelines)
	if err != nil {
		t.Fatal(err)
	}
	if len(faults) != 1 || faults[0].Line != 6 || !strings.Contains(faults[0].Message, "rowz") {
		t.Errorf("faults: %v", faults)
	}
}

func TestWhatThisVersionCanNotObeyIsRefused(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"a point at which nobody asks":   {"qanat.yaml": projectFile("policies: [rules]\n"), "rules/a.rego": "package governance.access.a\n\nallow := true\n"},
		"policies that do not compile":   {"qanat.yaml": projectFile("policies: [rules]\n"), "rules/a.rego": "package governance.spec_admit.a\n\nx := y\n"},
		"a folder without policies":      {"qanat.yaml": projectFile("policies: [rules]\n"), "rules/a.txt": ""},
		"a folder that is not there":     {"qanat.yaml": projectFile("policies: [rules]\n")},
		"policies that nobody has named": {"qanat.yaml": projectFile(""), "policies/a.rego": "package governance.access.a\n\nallow := true\n"},
	} {
		files["p.yaml"] = pipeline
		_, err := openProject(t, files)
		if _, ok := errors.AsType[*engine.PolicyError](err); !ok {
			t.Errorf("%s: the project was opened, or refused for another reason: %v", name, err)
		}
	}
}

func TestPoliciesAreAskedBeforeAPluginStarts(t *testing.T) {
	project, err := openProject(t, map[string]string{"qanat.yaml": projectFile(""), "p.yaml": pipeline, "policies/a.rego": `package governance.plugin_load.a
deny contains {"id": "A", "msg": "no plugins"} if startswith(input.plugin.digest, "sha256:")
`})
	if err != nil {
		t.Fatal(err)
	}
	_, err = project.Validate(t.Context(), project.Bundle.Pipelines)
	d, denied := engine.Denied(err)
	if !denied || d.Point != "plugin.load" || len(project.Lock.Entries()) != 0 {
		t.Errorf("decision %+v, error %v, locked %v", d, err, project.Lock.Entries())
	}
}

func TestAChangedPluginIsRefusedUntilItIsLockedAgain(t *testing.T) {
	own := t.TempDir()
	copyPlugin := func(extra string) {
		binary, err := os.ReadFile(filepath.Join(plugins, "source-generator"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(own, "source-generator"), append(binary, extra...), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	copyPlugin("")
	project, err := openProject(t, map[string]string{
		"qanat.yaml": "kind: project\nname: e\nplugins: {path: [" + own + "]}\n", "p.yaml": pipeline,
	})
	if err != nil {
		t.Fatal(err)
	}
	describe := func() error {
		_, err := project.Plugins.Manifest(t.Context(), registry.Source, "generator")
		return err
	}
	if err := describe(); err != nil {
		t.Fatal(err)
	}
	copyPlugin("changed")
	if _, changed := errors.AsType[*registry.ChangedError](describe()); !changed {
		t.Errorf("%v, want a ChangedError", describe())
	}
	if _, err := project.LockPlugins(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := describe(); err != nil {
		t.Error(err)
	}
}
