package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/qanat-data/qanat/sdk/conformance"
)

// built is the plugin's binary.
func built(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source-postgres")
	if said, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return path
}

func conforms(t *testing.T, settings conformance.Settings, config map[string]any, skipped ...string) {
	t.Helper()
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	settings.Binary, settings.Config, settings.Patience, settings.MaxRows = built(t), raw, 3, 120_000
	report, err := conformance.Run(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		t.Logf("%s %v", r.ID, r.Duration)
		switch {
		case r.Status == conformance.Failed:
			t.Errorf("%s: %s\n%v", r.ID, r.Detail, r.Notes)
		case r.Status == conformance.Skipped && !slices.Contains(skipped, r.ID):
			t.Errorf("%s was skipped: %s", r.ID, r.Detail)
		}
	}
}

func TestFullConforms(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table a (id int primary key, v text, at timestamptz)", "create table b (v text, d date)",
		"insert into a select i, repeat('v', 500) || i, case when i % 9000 = 0 then 'infinity' else now() end from generate_series(1, 60000) i",
		"insert into b select repeat('w', 800) || i, current_date from generate_series(1, 40000) i", "analyze")
	conforms(t, conformance.Settings{}, map[string]any{"dsn": s.dsn, "chunk_rows": 5000}, "source.ack")
}

func regexpOf(text string) *regexp.Regexp { return regexp.MustCompile(text) }
