package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/plugins/source-file/internal/store"
	"github.com/qanat-data/qanat/sdk"
)

func fileNo(i int) store.File {
	return store.File{Path: fmt.Sprintf("data/%d.csv", i), Size: int64(i), ModTime: time.Unix(int64(1_700_000_000+i), 0)}
}

func TestAHundredThousandFilesFitIntoAPosition(t *testing.T) {
	t.Parallel()
	j, err := openJournal(nil)
	if err != nil {
		t.Fatal(err)
	}
	const n = 100_000
	for i := range n {
		j.finish("s", fileNo(i).Path, stampOf(fileNo(i), block.Mark{Offset: int64(i)}))
	}
	pos, err := j.encode()
	if err != nil {
		t.Fatal(err)
	}
	if len(pos) > sdk.MaxPosition/2 {
		t.Errorf("the position has %d bytes", len(pos))
	}
	back, err := openJournal(pos)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		f := fileNo(i)
		m := back.find("s", f)
		f.Size++
		other := back.find("s", f)
		same := m.state == foldedSame && other.state == foldedOther || m.state == finished && m.stamp.same(fileNo(i)) && !other.stamp.same(f)
		if !same {
			t.Fatalf("file %d: %+v, changed %+v", i, m, other)
		}
	}
	if m := back.find("s", fileNo(n)); m.state != unread {
		t.Errorf("a new file is taken for %+v", m)
	}
	again, err := back.encode()
	if err != nil || string(again) != string(pos) {
		t.Errorf("the position is not what it was, error %v", err)
	}
}

func TestTooManyFilesAreAnError(t *testing.T) {
	t.Parallel()
	j, err := openJournal(nil)
	if err != nil {
		t.Fatal(err)
	}
	j.streams["s"] = &progress{Folded: &fold{entries: make([]entry, 300_000)}}
	if _, err := j.encode(); sdk.KindOf(err) != sdk.KindFatal {
		t.Errorf("error %v, want a fatal one", err)
	}
}

func TestAFoldedFileThatIsReadAgainIsRememberedAnew(t *testing.T) {
	t.Parallel()
	var f fold
	f.add(map[string]stamp{"a": {Size: 1}, "b": {Size: 2}})
	f.add(map[string]stamp{"a": {Size: 3}, "c": {Size: 4}})
	raw, err := json.Marshal(&f)
	if err != nil {
		t.Fatal(err)
	}
	var back fold
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for path, size := range map[string]int64{"a": 3, "b": 2, "c": 4} {
		found, ok := back.find(path)
		got[path] = ok && found == stamp{Size: size}.print()
	}
	if diff := cmp.Diff(map[string]bool{"a": true, "b": true, "c": true}, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// TestManySmallFiles reads more files than are remembered in full, and sees that the positions do not outweigh the data.
func TestManySmallFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const n = 1500
	for i := range n {
		write(t, filepath.Join(dir, fmt.Sprintf("%04d.jsonl", i)), fmt.Appendf(nil, "{\"a\": %d}\n", i))
	}
	s := newSource(t, fmt.Sprintf(`{"path": %q, "stream": "s"}`, filepath.Join(dir, "*")))
	rec := read(t, s, nil)
	if rec.Rows("s") != n {
		t.Errorf("%d rows, want %d", rec.Rows("s"), n)
	}
	if len(rec.Checkpoints) > n/2 {
		t.Errorf("%d checkpoints for %d files", len(rec.Checkpoints), n)
	}
	write(t, filepath.Join(dir, "new.jsonl"), []byte("{\"a\": -1}\n"))
	if again := read(t, s, lastPosition(t, rec)); again.Rows("s") != 1 {
		t.Errorf("%d rows are read again", again.Rows("s"))
	}
	age(t, filepath.Join(dir, "0000.jsonl"), time.Hour)
	_, err := tryRead(t, s, sdk.ReadRequest{Position: lastPosition(t, rec)})
	if sdk.KindOf(err) != sdk.KindConfig {
		t.Errorf("error %v, want a config error", err)
	}
}

func TestProgressTellsBytes(t *testing.T) {
	t.Parallel()
	content := peopleCSV(5000, ",")
	path := write(t, filepath.Join(t.TempDir(), "a.csv"), content)
	rec := &counter{}
	if err := newSource(t, fmt.Sprintf(`{"path": %q}`, path)).Read(t.Context(), sdk.ReadRequest{}, rec); err != nil {
		t.Fatal(err)
	}
	want := sdk.Progress{Stream: "a", Rows: 5000, Bytes: uint64(len(content)), TotalBytes: uint64(len(content)), Message: path}
	if diff := cmp.Diff(want, rec.last); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}
