package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qanat-data/qanat/e2e/rig"
)

// What a README has between the lines for it is what its plugin says of itself: "make gen" writes it.
func TestReadmesSayWhatThePluginsSay(t *testing.T) {
	t.Parallel()
	readmes, err := filepath.Glob(filepath.Join(rig.Root(), "plugins", "*", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	p := rig.New(t, "script")
	var described []string
	for _, path := range readmes {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "described by the plugin") {
			continue
		}
		name := filepath.Base(filepath.Dir(path))
		described = append(described, name)
		p.Must("plugin", "describe", filepath.Join(filepath.Dir(rig.Qanat(t)), "plugins", name), "--readme", path, "--check")
	}
	for _, name := range []string{"source-postgres", "sink-postgres"} {
		if !slices.Contains(described, name) {
			t.Errorf("%s's README has no place for what the plugin says", name)
		}
	}
}
