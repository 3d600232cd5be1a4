package registry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func entry(t *testing.T, name, file, digest string, kinds ...Kind) Entry {
	t.Helper()
	manifest, err := FromDescribe(described(), 1)
	if err != nil {
		t.Fatal(err)
	}
	schema := manifest.Components[0].ConfigSchema
	manifest.Name, manifest.Components = name, nil
	for _, kind := range kinds {
		manifest.Components = append(manifest.Components, Component{Kind: kind, ConfigSchema: schema})
	}
	return NewEntry(file, strings.Repeat(digest, 64), manifest)
}

func open(t *testing.T, path string) *Lock {
	t.Helper()
	lock, err := OpenLock(path)
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

func add(t *testing.T, lock *Lock, entries ...Entry) {
	t.Helper()
	for _, e := range entries {
		if err := lock.Add(e); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLockKeepsWhatWasTrustedOnFirstUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), LockFile)
	file, sql := entry(t, "file", "source-file", "a", Source, Sink), entry(t, "sql", "transform-sql", "b", Transform)
	add(t, open(t, path), sql, file, sql)

	lock := open(t, path)
	if diff := cmp.Diff([]Entry{file, sql}, lock.Entries()); diff != "" {
		t.Error(diff)
	}
	if got, ok := lock.Find(Sink, "file"); !ok || got.File != "source-file" {
		t.Errorf("sink file: got %v, %v", got.File, ok)
	}
	if _, ok := lock.Find(Check, "file"); ok {
		t.Error("found a check that the plugin does not serve")
	}
	if _, ok := lock.FindFile("transform-sql"); !ok {
		t.Error("did not find the binary transform-sql")
	}
}

func TestLockFileIsWrittenInAStableReadableForm(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), LockFile)
	add(t, open(t, path), entry(t, "sql", "transform-sql", "b", Transform), entry(t, "file", "source-file", "a", Source))
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/qanat.lock")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAddRefusesAChangedBinaryUntilItIsAccepted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), LockFile)
	before, after := entry(t, "file", "source-file", "a", Source), entry(t, "file", "source-file", "c", Source)
	lock := open(t, path)
	add(t, lock, before)

	var changed *ChangedError
	if err := lock.Add(after); !errors.As(err, &changed) {
		t.Fatalf("got %v, want a ChangedError", err)
	}
	want := &ChangedError{Plugin: "file", File: "source-file", Locked: before.SHA256, Found: after.SHA256}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Error(diff)
	}
	if err := lock.Accept(after); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Entry{after}, open(t, path).Entries()); diff != "" {
		t.Error(diff)
	}
}

func TestAddSeesWhatAnotherProcessTrustedMeanwhile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), LockFile)
	ours, theirs := open(t, path), open(t, path)
	add(t, theirs, entry(t, "file", "source-file", "a", Source))

	var changed *ChangedError
	if err := ours.Add(entry(t, "file", "source-file", "b", Source)); !errors.As(err, &changed) {
		t.Errorf("same file: got %v, want a ChangedError", err)
	}
	var conflict *ConflictError
	if err := ours.Add(entry(t, "file", "file-plugin", "b", Sink, Source)); !errors.As(err, &conflict) || conflict.Kind != Source {
		t.Errorf("same name in another file: got %v, want a ConflictError", err)
	}
}

func TestAcceptReplacesAPluginThatMovedToAnotherFile(t *testing.T) {
	t.Parallel()
	lock := open(t, filepath.Join(t.TempDir(), LockFile))
	add(t, lock, entry(t, "file", "source-file", "a", Source), entry(t, "sql", "transform-sql", "b", Transform))
	moved := entry(t, "file", "file-plugin", "c", Source)
	if err := lock.Accept(moved); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Entry{moved, entry(t, "sql", "transform-sql", "b", Transform)}, lock.Entries()); diff != "" {
		t.Error(diff)
	}
}

func TestWritersAtOneTimeLoseNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), LockFile)
	const writers, each = 4, 8
	var group sync.WaitGroup
	for w := range writers {
		lock := open(t, path)
		entries := make([]Entry, 0, each)
		for i := range each {
			name := fmt.Sprintf("p%d-%d", w, i)
			entries = append(entries, entry(t, name, "source-"+name, "a", Source))
		}
		group.Go(func() {
			for _, e := range entries {
				if err := lock.Add(e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if got := len(open(t, path).Entries()); got != writers*each {
		t.Errorf("%d entries, want %d", got, writers*each)
	}
}

func TestLockFileFaultsAreNamed(t *testing.T) {
	t.Parallel()
	good, err := formatLock([]Entry{entry(t, "file", "source-file", "a", Source)})
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct{ old, new, want string }{
		"merge conflict": {"{\n  \"version\"", "{\n<<<<<<< main\n  \"version\"", "line 2"},
		"later version":  {`"version": 1`, `"version": 2`, "version 2"},
		"unknown key":    {`"file": `, `"path": `, `unknown field "path"`},
		"short digest":   {strings.Repeat("a", 64), "aa", `sha256 "aa"`},
		"escaping file":  {`"source-file"`, `"../source-file"`, "below a plugin folder"},
		"other kind":     {`"kind": "source"`, `"kind": "sink"`, "differ from those in its manifest"},
		"trailing text":  {"]\n}\n", "]\n}\n{}", "something follows"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := strings.Replace(string(good), c.old, c.new, 1)
			if bad == string(good) {
				t.Fatal("the case changes nothing")
			}
			if _, err := parseLock([]byte(bad)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestLockFileWithTwoClaimsOfOnePluginIsRefused(t *testing.T) {
	t.Parallel()
	text, err := formatLock([]Entry{entry(t, "file", "a", "a", Source), entry(t, "file", "b", "b", Source)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseLock(text); err == nil || !strings.Contains(err.Error(), `"source file" is there twice`) {
		t.Errorf("got %v", err)
	}
}

func TestReadOnlyLockFileIsNotReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing-folder", LockFile)
	lock := open(t, path)
	if err := lock.Add(entry(t, "file", "source-file", "a", Source)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %v", err, os.ErrNotExist)
	}
	if len(lock.Entries()) > 0 {
		t.Error("the lock claims an entry that is not in its file")
	}
}

func FuzzParseLock(f *testing.F) {
	golden, err := os.ReadFile("testdata/qanat.lock")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte(`{"version": 1, "plugins": [{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, err := parseLock(raw)
		if err != nil {
			return
		}
		text, err := formatLock(entries)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseLock(text)
		if err != nil {
			t.Fatalf("what was written can't be read: %v", err)
		}
		twice, err := formatLock(again)
		if err != nil || string(twice) != string(text) {
			t.Errorf("written again it differs: %v\n%s\n%s", err, text, twice)
		}
	})
}
