package spec_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/qanat-data/qanat/core/spec"
)

var update = flag.Bool("update", false, "write the expected files anew")

// extract writes an archive's files to a folder.
func extract(t *testing.T, archive *txtar.Archive, dir string) {
	t.Helper()
	for _, f := range archive.Files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// options reads the lines "env: prod", "dir: sub" and "load: a.yaml b" of an archive's comment.
func options(comment []byte, dir string) spec.Options {
	opts := spec.Options{Dir: dir}
	for line := range strings.Lines(string(comment)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "env":
			opts.Env = value
		case "dir":
			opts.Dir = filepath.Join(dir, value)
		case "load":
			opts.Files = strings.Fields(value)
		}
	}
	return opts
}

// section is a file of an archive; want files are named with a leading dash.
func section(archive *txtar.Archive, name string) *[]byte {
	for i, f := range archive.Files {
		if f.Name == name {
			return &archive.Files[i].Data
		}
	}
	archive.Files = append(archive.Files, txtar.File{Name: name})
	return &archive.Files[len(archive.Files)-1].Data
}

func testArchives(t *testing.T, pattern, want string, run func(t *testing.T, opts spec.Options) string) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatal("no archives", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			extract(t, archive, dir)
			got := strings.ReplaceAll(run(t, options(archive.Comment, dir)), dir, "DIR")
			expected := section(archive, want)
			if *update {
				*expected = []byte(got)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(*expected), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadReportsEveryFaultWithItsPlace(t *testing.T) {
	t.Parallel()
	testArchives(t, "testdata/faults/*.txtar", "-faults", func(t *testing.T, opts spec.Options) string {
		_, faults := spec.Load(t.Context(), opts)
		var out bytes.Buffer
		if err := spec.Print(&out, faults, false); err != nil {
			t.Fatal(err)
		}
		return out.String()
	})
}

func TestShowNamesTheOriginOfEachValue(t *testing.T) {
	t.Parallel()
	testArchives(t, "testdata/show/*.txtar", "-show", func(t *testing.T, opts spec.Options) string {
		bundle, faults := spec.Load(t.Context(), opts)
		if spec.HasErrors(faults) {
			t.Fatal(faults)
		}
		var out bytes.Buffer
		nodes := []*spec.Node{bundle.Project.Node}
		for _, c := range bundle.Connections {
			nodes = append(nodes, c.Node)
		}
		for _, p := range bundle.Pipelines {
			nodes = append(nodes, p.Node)
		}
		for _, n := range nodes {
			out.WriteString("---\n")
			if err := spec.Show(&out, n); err != nil {
				t.Fatal(err)
			}
		}
		return out.String()
	})
}
