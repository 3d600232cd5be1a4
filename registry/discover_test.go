package registry

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(path), mode); err != nil {
		t.Fatal(err)
	}
}

func TestDiscoverListsExecutablesAndNamesProblems(t *testing.T) {
	t.Parallel()
	first, second := t.TempDir(), t.TempDir()
	write(t, filepath.Join(first, "source-file"), 0o755)
	write(t, filepath.Join(first, "odd"), 0o755)
	write(t, filepath.Join(first, "README.md"), 0o644)
	write(t, filepath.Join(first, ".hidden"), 0o755)
	write(t, filepath.Join(second, "source-file"), 0o755)
	write(t, filepath.Join(second, "sink-db"), 0o644)
	if err := os.Symlink(filepath.Join(first, "odd"), filepath.Join(second, "check-rows")); err != nil {
		t.Fatal(err)
	}

	binaries, problems := Discover([]string{first, filepath.Join(first, "absent"), second})
	want := []Binary{
		{File: "odd", Path: filepath.Join(first, "odd")},
		{File: "source-file", Path: filepath.Join(first, "source-file"), Kind: Source, Name: "file"},
		{File: "check-rows", Path: filepath.Join(second, "check-rows"), Kind: Check, Name: "rows"},
	}
	if diff := cmp.Diff(want, binaries); diff != "" {
		t.Error(diff)
	}
	wants := []string{"no such file", "not executable", "hidden by"}
	if len(problems) != len(wants) {
		t.Fatalf("got %v, want %d problems", problems, len(wants))
	}
	for i, want := range wants {
		if !strings.Contains(problems[i].Err.Error(), want) {
			t.Errorf("%s: got %v, want %q", problems[i].Path, problems[i].Err, want)
		}
	}
}

func TestLocateTakesTheFirstFolder(t *testing.T) {
	t.Parallel()
	first, second := t.TempDir(), t.TempDir()
	write(t, filepath.Join(second, "source-file"), 0o755)
	got, err := Locate([]string{first, second}, "source-file")
	if err != nil || got != filepath.Join(second, "source-file") {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := Locate([]string{first}, "source-file"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %v", err, fs.ErrNotExist)
	}
}

func TestDigestIsTheSHA256OfTheContent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Digest(path)
	if err != nil || got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestMissingErrorSaysWhereWasLookedAndWhatIsThere(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		err  MissingError
		want string
	}{
		"unlocked":   {MissingError{Kind: Source, Name: "shop", Looked: []string{"bin", "/opt"}, Found: []string{"source-file", "sink-db"}}, `source plugin "shop" is missing: expected a binary "source-shop" in bin, /opt; there are source-file, sink-db`},
		"locked":     {MissingError{Kind: Source, Name: "shop", File: "shop", Looked: []string{"bin"}}, `source plugin "shop" is missing: the locked binary "shop" is not in bin, where no plugins are`},
		"no folders": {MissingError{Kind: Source, Name: "shop"}, `source plugin "shop" is missing: expected a binary "source-shop" in a plugin folder, but the project names none`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, c.err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
