package gateway

import (
	"os"
	"path/filepath"
	"testing"
)

func touch(t *testing.T, path string) {
	t.Helper()
	if err := makeDirs(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func knows(d *durable, dir string) bool { _, ok := d.known.Load(dir); return ok }

func TestFoldersAreKnownOnlyWhileTheyStay(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := &durable{root: root}
	path := filepath.Join(root, "bucket", "a", "b", "file")
	touch(t, path)
	if err := d.file(path); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"bucket", "bucket/a", "bucket/a/b"} {
		if !knows(d, filepath.Join(root, dir)) {
			t.Errorf("%s was not synced", dir)
		}
	}
	if knows(d, root) {
		t.Error("root was synced")
	}
	if err := os.RemoveAll(filepath.Join(root, "bucket", "a")); err != nil {
		t.Fatal(err)
	}
	d.forget(path)
	if err := d.file(path); err != nil { // removed since: the nearest folder is synced
		t.Fatal(err)
	}
	if knows(d, filepath.Join(root, "bucket", "a")) {
		t.Error("a removed folder is taken for durable")
	}
	if !knows(d, filepath.Join(root, "bucket")) {
		t.Error("bucket was not synced")
	}
}

func TestTreeOfNothingIsNoError(t *testing.T) {
	t.Parallel()
	d := &durable{root: t.TempDir()}
	if err := d.tree(filepath.Join(d.root, "none")); err != nil {
		t.Error(err)
	}
	touch(t, filepath.Join(d.root, "versions", "a", "1"))
	if err := d.tree(filepath.Join(d.root, "versions")); err != nil {
		t.Error(err)
	}
	if !knows(d, filepath.Join(d.root, "versions", "a")) {
		t.Error("versions were not synced")
	}
}
