package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qanat-data/qanat/registry"
)

func original(t *testing.T, content string) (path, digest string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "plugin")
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	digest, err := registry.Digest(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, digest
}

func store(t *testing.T) *Store {
	t.Helper()
	s, err := NewStore(filepath.Join(t.TempDir(), "plugins"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCopyIsExecutableForItsOwnerOnlyAndNamedByItsDigest(t *testing.T) {
	t.Parallel()
	s := store(t)
	path, digest := original(t, "content")
	copied, err := s.Copy(path, digest)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(copied)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(copied) != digest || info.Mode() != 0o500 {
		t.Errorf("got %s with mode %v", copied, info.Mode())
	}
	if folder, err := os.Stat(filepath.Dir(copied)); err != nil || folder.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", folder.Mode(), err)
	}
}

func TestCopyThatWasTamperedWithIsTakenAgain(t *testing.T) {
	t.Parallel()
	s := store(t)
	path, digest := original(t, "content")
	copied, err := s.Copy(path, digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(copied, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, []byte("another content"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Copy(path, digest); err != nil {
		t.Fatal(err)
	}
	if found, err := registry.Digest(copied); err != nil || found != digest {
		t.Errorf("the copy has digest %s, %v, want %s", found, err, digest)
	}
}

func TestCopyRefusesAnOriginalThatChangedAfterItsCheck(t *testing.T) {
	t.Parallel()
	s := store(t)
	path, digest := original(t, "content")
	if err := os.WriteFile(path, []byte("another"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Copy(path, digest); err == nil || !strings.Contains(err.Error(), "changed while it was copied") {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(s.dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDigestNoticesAChangeOfTheSameSizeAtOnce(t *testing.T) {
	t.Parallel()
	s := store(t)
	path, before := original(t, "one")
	if got, err := s.Digest(path); err != nil || got != before {
		t.Fatalf("got %s, %v", got, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("two"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Digest(path); err != nil || got == before {
		t.Errorf("got the digest of the old content, %v", err)
	}
}
