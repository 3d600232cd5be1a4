package rig

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var buildTestPlugins = sync.OnceValues(func() (string, error) {
	root := Root()
	dir := filepath.Join(bin(), "testplugins")
	if _, err := os.Stat(dir); err == nil && os.Getenv(binVariable) != "" { // they were built with the rest
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	sources, err := filepath.Glob(filepath.Join(root, "e2e", "testdata", "plugins", "*"))
	if err != nil {
		return "", err
	}
	for _, source := range sources {
		cmd := exec.Command("go", "build", "-tags=duckdb_arrow", "-o", filepath.Join(dir, filepath.Base(source)), source)
		cmd.Dir = root
		if said, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build %s: %w\n%s", source, err, said)
		}
	}
	return dir, nil
})

// TestPlugins is the folder of the plugins that only tests have (e2e/testdata/plugins), built.
func TestPlugins(t testing.TB) string {
	t.Helper()
	dir, err := buildTestPlugins()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Segments fills a folder of the test's own with rows for the plugin pruning: the row of number n has the id n and the value "v" and
// n. The plugin deletes segments that were acknowledged, and refuses to read from before that: what an acknowledgement covered too
// early shows.
func Segments(t testing.TB, rows, perSegment int) string {
	t.Helper()
	dir := t.TempDir()
	for first := 0; first < rows; first += perSegment {
		if err := writeSegment(dir, first, min(first+perSegment, rows)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func writeSegment(dir string, first, end int) error {
	file, err := os.Create(filepath.Join(dir, fmt.Sprintf("%012d.jsonl", first)))
	if err != nil {
		return err
	}
	w := bufio.NewWriter(file)
	for n := first; n < end; n++ {
		_, _ = fmt.Fprintf(w, "{\"id\": %d, \"value\": \"v%d\"}\n", n, n)
	}
	if err := w.Flush(); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}
