package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
)

func TestPathsMatchFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"a.csv", "b.csv", "c.txt", ".hidden.csv", "x/d.csv", "x/y/e.csv", "x/.git/f.csv", "b.csv.gz"} {
		content := fmt.Appendf(nil, "file\n%s\n", name)
		if strings.HasSuffix(name, ".gz") {
			content = gzipped(t, content)
		}
		write(t, filepath.Join(dir, name), content)
	}
	cases := map[string][]string{
		`"a.csv"`:            {"a.csv"},
		`"*.csv"`:            {"a.csv", "b.csv"},
		`"*.{csv,csv.gz}"`:   {"a.csv", "b.csv", "b.csv.gz"},
		`"[ab].csv"`:         {"a.csv", "b.csv"},
		`"?.csv"`:            {"a.csv", "b.csv"},
		`"**/*.csv"`:         {"a.csv", "b.csv", "x/d.csv", "x/y/e.csv"},
		`"x/**"`:             {"x/d.csv", "x/y/e.csv"},
		`".*.csv"`:           {".hidden.csv"},
		`["b.csv", "*.csv"]`: {"b.csv", "a.csv"},
	}
	for paths, want := range cases {
		t.Run(paths, func(t *testing.T) {
			t.Parallel()
			s := newSource(t, fmt.Sprintf(`{"path": %s, "stream": "s", "parallel": 1}`, under(dir, paths)))
			rec := read(t, s, nil)
			var got []string
			for _, b := range rec.Batches {
				origin, err := filepath.Rel(dir, b.Origin)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, origin)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

// under puts the folder before each path of a setting.
func under(dir, paths string) string {
	var out strings.Builder
	for i, part := range strings.Split(paths, `"`) {
		if i > 0 {
			out.WriteByte('"')
		}
		if i%2 == 1 {
			out.WriteString(dir + "/")
		}
		out.WriteString(part)
	}
	return out.String()
}

func TestMissingFilesAreAConfigErrorUnlessAllowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.csv"), []byte("a\n1\n"))
	for _, paths := range []string{`"b.csv"`, `"*.json"`, `"no/such/*.csv"`, `["a.csv", "b.csv"]`, `""`} {
		settings := under(dir, paths)
		s := newSource(t, fmt.Sprintf(`{"path": %s, "stream": "s"}`, settings))
		_, streamsErr := s.Streams(t.Context())
		_, readErr := tryRead(t, s, sdk.ReadRequest{})
		_, testErr := s.Test(t.Context())
		for _, err := range []error{streamsErr, readErr, testErr} {
			if sdk.KindOf(err) != sdk.KindConfig || err == nil || !strings.Contains(err.Error(), dir) {
				t.Errorf("%s: error %v, want a config error with the path", paths, err)
			}
		}
		allowed := newSource(t, fmt.Sprintf(`{"path": %s, "stream": "s", "allow_empty": true}`, settings))
		if _, err := allowed.Streams(t.Context()); err != nil {
			t.Error(err)
		}
		if rec := read(t, allowed, nil); len(rec.Checkpoints) != 1 {
			t.Errorf("%s: %d checkpoints, want 1", paths, len(rec.Checkpoints))
		}
	}
}

func TestStreamsDescribeFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	record := people(1000)
	defer record.Release()
	for i := range 6 {
		write(t, filepath.Join(dir, fmt.Sprintf("p/%d.parquet", i)), parquetFile(t, record, 300))
	}
	write(t, filepath.Join(dir, "o.csv"), []byte("id\n1\n"))
	s := newSource(t, fmt.Sprintf(`{"streams": [{"name": "p", "path": %q, "key": ["id"]}, {"name": "o", "path": %q}]}`,
		dir+"/p/*.parquet", dir+"/o.csv"))
	streams, err := s.Streams(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(streams) != 2 || streams[0].EstimatedRows != 6000 || streams[1].EstimatedRows != 0 {
		t.Errorf("streams %+v", streams)
	}
	if got, want := streams[0].External, (sdk.ExternalDataset{Namespace: "file", Name: dir + "/p"}); got != want {
		t.Errorf("external %v, want %v", got, want)
	}
	if got, want := streams[1].External, (sdk.ExternalDataset{Namespace: "file", Name: dir + "/o.csv"}); got != want {
		t.Errorf("external %v, want %v", got, want)
	}
	summary, err := s.Test(t.Context())
	if err != nil || !strings.Contains(summary, "stream p: 6 files") {
		t.Errorf("test %q, error %v", summary, err)
	}
	rec, err := tryRead(t, s, sdk.ReadRequest{Streams: []string{"o"}})
	if err != nil || rec.Rows("o") != 1 || rec.Rows("p") != 0 {
		t.Errorf("reading one stream: %d and %d rows, error %v", rec.Rows("o"), rec.Rows("p"), err)
	}
	if _, err := tryRead(t, s, sdk.ReadRequest{Streams: []string{"q"}}); err == nil {
		t.Error("an unknown stream is read")
	}
}

func TestUnusableFilesAndKeysAreConfigErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct{ settings, path string }{
		"a.dat":        {``, "/format"},
		"a.parquet.gz": {``, "/compression"},
		"a.csv":        {`, "key": ["nope"]`, "/key/0"},
	} {
		path := write(t, filepath.Join(dir, name), []byte("a\n1\n"))
		_, err := tryRead(t, newSource(t, fmt.Sprintf(`{"path": %q%s}`, path, c.settings)), sdk.ReadRequest{})
		if sdk.KindOf(err) != sdk.KindConfig || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: error %v, want a config error at %s", name, err, c.path)
		}
	}
}

func TestUnreadableFileEndsTheRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "a.csv"), []byte("a\n1\n"))
	s := newSource(t, fmt.Sprintf(`{"path": %q}`, path))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := tryRead(t, s, sdk.ReadRequest{}); sdk.KindOf(err) != sdk.KindConfig {
		t.Errorf("error %v", err)
	}
}
