package contract

import (
	"os"
	"path/filepath"
	"testing"
)

func dataFolder(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("QANAT_TEST_DATA")
	if dir == "" {
		dir = "../../../shared/data"
	}
	if _, err := os.Stat(filepath.Join(dir, "odcs")); err != nil {
		t.Skipf("SKIPPED: no published ODCS documents below %s; set QANAT_TEST_DATA", dir)
	}
	return dir
}

func published(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dataFolder(t), "odcs", "*.odcs.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no example contracts found: %v", err)
	}
	return files
}

func TestPublishedContractsLoad(t *testing.T) {
	t.Parallel()
	for _, file := range published(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			c, err := Load(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Schema) == 0 {
				t.Error("no schema objects")
			}
		})
	}
}
