package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
)

func appendTo(t *testing.T, path, content string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFilesThatChange has what happens to a file after it was read, for every policy: the rows of the second read, or the error.
func TestFilesThatChange(t *testing.T) {
	t.Parallel()
	grow := func(t *testing.T, path string) { appendTo(t, path, "3\n4\n") }
	touch := func(t *testing.T, path string) { age(t, path, 0) }
	replace := func(t *testing.T, path string) { write(t, path, []byte("a\n8\n9\n10\n")) }
	shrink := func(t *testing.T, path string) { write(t, path, []byte("a\n1\n")) }
	all := []string{`{"a":1}`, `{"a":2}`, `{"a":3}`, `{"a":4}`}
	cases := map[string]struct {
		file, first, policy string
		change              func(*testing.T, string)
		rows                []string
		err                 string
	}{
		"grown, by default":       {"a.csv", "a\n1\n2\n", "", grow, all[2:], ""},
		"grown, append":           {"a.csv", "a\n1\n2\n", "append", grow, all[2:], ""},
		"grown, reread":           {"a.csv", "a\n1\n2\n", "reread", grow, all, ""},
		"grown, ignore":           {"a.csv", "a\n1\n2\n", "ignore", grow, nil, ""},
		"grown, error":            {"a.csv", "a\n1\n2\n", "error", grow, nil, "changed after it was read"},
		"touched, append":         {"a.csv", "a\n1\n2\n", "append", touch, nil, ""},
		"touched, error":          {"a.csv", "a\n1\n2\n", "error", touch, nil, "changed after it was read"},
		"replaced, append":        {"a.csv", "a\n1\n2\n", "append", replace, nil, "what was read of it has changed"},
		"replaced, reread":        {"a.csv", "a\n1\n2\n", "reread", replace, []string{`{"a":8}`, `{"a":9}`, `{"a":10}`}, ""},
		"shrunk, append":          {"a.csv", "a\n1\n2\n", "append", shrink, nil, "shorter than what was read"},
		"last record goes on":     {"a.csv", "a\n1\n2", "append", grow, nil, "has been continued"},
		"line end is added first": {"a.csv", "a\n1\n2", "append", func(t *testing.T, p string) { appendTo(t, p, "\n3\n4\n") }, all[2:], ""},
		"header only, then rows":  {"a.csv", "a\n", "append", grow, all[2:], ""},
		"empty, then all":         {"a.csv", "", "append", func(t *testing.T, p string) { appendTo(t, p, "a\n3\n4\n") }, all[2:], ""},
		"gzip can't grow": {"a.csv.gz", string(gzipped(t, []byte("a\n1\n"))), "append", func(t *testing.T, p string) {
			appendTo(t, p, string(gzipped(t, []byte("2\n"))))
		}, nil, "only local CSV and JSON Lines"},
		"grown lines":   {"a.jsonl", "{\"a\":1}\n", "append", func(t *testing.T, p string) { appendTo(t, p, "{\"a\":2}\n") }, all[1:2], ""},
		"grown array":   {"a.json", "[{\"a\":1}]", "append", func(t *testing.T, p string) { appendTo(t, p, " ") }, nil, "only local CSV and JSON Lines"},
		"reread array":  {"a.json", "[{\"a\":1}]", "reread", func(t *testing.T, p string) { appendTo(t, p, " ") }, all[:1], ""},
		"touched array": {"a.json", "[{\"a\":1}]", "append", touch, nil, "only local CSV and JSON Lines"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, filepath.Join(t.TempDir(), c.file), []byte(c.first))
			s := newSource(t, fmt.Sprintf(`{"path": %q, "changed": %q}`, path, c.policy))
			first := read(t, s, nil)
			c.change(t, path)
			second, err := tryRead(t, s, sdk.ReadRequest{Position: lastPosition(t, first)})
			if c.err != "" {
				if sdk.KindOf(err) != sdk.KindConfig || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), path) {
					t.Fatalf("error %v, want a config error with %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.rows, lines(t, second, "a")); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if third := read(t, s, lastPosition(t, second)); third.Rows("a") != 0 {
				t.Errorf("a third read gives %d rows", third.Rows("a"))
			}
		})
	}
}

func TestAFileReadInPartMayGrowButNotChange(t *testing.T) {
	t.Parallel()
	path := write(t, filepath.Join(t.TempDir(), "a.csv"), peopleCSV(100, ","))
	s := newSource(t, fmt.Sprintf(`{"path": %q, "batch_rows": 10, "checkpoint_rows": 10, "changed": "ignore"}`, path))
	grown := newSource(t, fmt.Sprintf(`{"path": %q}`, path))
	_, cuts := readWithCuts(t, s, "a")
	middle := cuts[len(cuts)/2]
	appendTo(t, path, "100,x,1.5,true\n")
	if _, err := tryRead(t, s, sdk.ReadRequest{Position: middle.position}); sdk.KindOf(err) != sdk.KindConfig {
		t.Errorf("error %v, want a config error", err)
	}
	rest := read(t, grown, middle.position)
	if n := int64(len(middle.linesBefore)) + rest.Rows("a"); n != 101 {
		t.Errorf("%d rows, want 101", n)
	}
}

// settled writes a file that counts as complete, whose row shows that a pass has seen what lay there before.
func settled(t *testing.T, path, content string) {
	t.Helper()
	hidden := write(t, filepath.Join(filepath.Dir(path), ".new"), []byte(content))
	age(t, hidden, 2*time.Hour)
	if err := os.Rename(hidden, path); err != nil {
		t.Fatal(err)
	}
}

func TestFollowReadsWhatComes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settled(t, filepath.Join(dir, "1.csv"), "a\n1\n")
	s := newSource(t, fmt.Sprintf(`{"path": %q, "stream": "s", "poll": "5ms", "settle": "1h"}`, filepath.Join(dir, "*")))
	f := follow(t, s)
	f.waitFor(1)
	// A file that nobody has finished yet: its last line has no end.
	growing := filepath.Join(dir, "2.csv")
	write(t, growing, nil)
	rows := int64(1)
	for i, part := range []string{"a\n2\n", "3", "3\n", "\"4", "4\"\n"} {
		appendTo(t, growing, part)
		settled(t, filepath.Join(dir, fmt.Sprintf("9%d.csv", i)), "a\n9\n")
		rows += []int64{2, 1, 2, 1, 2}[i]
		f.waitFor(rows)
	}
	// A line that never gets its end counts when it has been left alone.
	appendTo(t, growing, "6")
	age(t, growing, 2*time.Hour)
	f.waitFor(rows + 1)
	rec := f.stop()
	want := map[string]int{`{"a":1}`: 1, `{"a":2}`: 1, `{"a":33}`: 1, `{"a":44}`: 1, `{"a":6}`: 1, `{"a":9}`: 5}
	if diff := cmp.Diff(want, toSet(lines(t, rec, "s"))); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if len(rec.Rejections) > 0 {
		t.Errorf("rejections %v", rejects(rec))
	}
	if again := read(t, s, lastPosition(t, rec)); again.Rows("s") != 0 {
		t.Errorf("%d rows are read again", again.Rows("s"))
	}
}

func toSet(lines []string) map[string]int {
	set := map[string]int{}
	for _, line := range lines {
		set[line]++
	}
	return set
}

func TestFollowLeavesAFileAloneThatIsBeingWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newSource(t, fmt.Sprintf(`{"path": %q, "stream": "s", "poll": "5ms", "settle": "1h", "allow_empty": true}`, filepath.Join(dir, "*")))
	f := follow(t, s)
	path := filepath.Join(dir, "a.csv.gz")
	if err := os.WriteFile(path, gzipped(t, []byte("a\n1\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	settled(t, filepath.Join(dir, "b.csv"), "a\n9\n")
	f.waitFor(1)
	age(t, path, 2*time.Hour)
	f.waitFor(2)
	f.stop()
}
