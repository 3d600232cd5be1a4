package merge

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/change"
)

// many are batches whose rows do not fit into a small budget.
func many(t *testing.T, alloc memory.Allocator, m *Merge, batches int) error {
	t.Helper()
	for n := range batches {
		var s []step
		for i := range 200 {
			s = append(s, step{op: change.Insert, key: n*200 + i, before: -1, a: "1", s: strings.Repeat("text ", 30), n: n*200 + i})
		}
		b := plainKey.batch(t, alloc, s)
		_, err := m.Add(t.Context(), b)
		b.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// drained takes all parts and returns the error at their end.
func drained(t *testing.T, m *Merge) error {
	t.Helper()
	for _, err := range m.Parts(t.Context()) {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestTroubleWithFilesIsAnError(t *testing.T) {
	t.Parallel()
	full := func(m *Merge) error { // every write fails as on a full disk
		for p := range m.top.parts {
			if w := m.top.parts[p].writer; w != nil {
				device, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
				if err != nil {
					return err
				}
				w.buffer.Reset(device)
				_ = w.file.Close()
				w.file = device
			}
		}
		return nil
	}
	shorten := func(to func(int64) int64) func(m *Merge) error {
		return func(m *Merge) error {
			for p := range m.top.parts {
				part := &m.top.parts[p]
				if err := part.end(); err != nil {
					return err
				}
				for _, f := range part.files {
					info, err := os.Stat(f.path)
					if err != nil {
						return err
					}
					if err := os.Truncate(f.path, to(info.Size())); err != nil {
						return err
					}
				}
			}
			return nil
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(m *Merge) error
		want  string
	}{
		{"disk full", full, "no space left on device"},
		{"file cut off", shorten(func(n int64) int64 { return n - 100 }), "read spilled changes"},
		{"file empty", shorten(func(int64) int64 { return 0 }), "read spilled changes"},
		{"files gone", func(m *Merge) error { return os.RemoveAll(m.folder) }, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
			folder := t.TempDir()
			settings := plainKey.settings(alloc, nil, folder)
			settings.Budget = 20_000
			m, err := New(settings)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(many(t, alloc, m, 10), c.spoil(m)); err != nil {
				t.Fatal(err)
			}
			err = many(t, alloc, m, 10)
			if err == nil {
				err = drained(t, m)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, expected %q in it", err, c.want)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			alloc.AssertSize(t, 0)
			if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
				t.Errorf("%d files are left, %v", len(left), err)
			}
		})
	}
}

func TestWithoutAFolderABudgetThatIsUsedUpIsAnError(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
	t.Cleanup(func() { alloc.AssertSize(t, 0) })
	settings := plainKey.settings(alloc, nil, filepath.Join(t.TempDir(), "missing"))
	settings.Budget = 20_000
	if err := many(t, alloc, open(t, settings), 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, expected that the folder does not exist", err)
	}
}

func TestALookupThatFailsOrLiesIsAnError(t *testing.T) {
	t.Parallel()
	table := map[int]modelRow{1: {"a": "1", "s": "x"}}
	errLookup := errors.New("the table is gone")
	full := schema("id", int64s, "a", int64s, "s", texts)
	for name, rows := range map[string]string{
		"fails": "", "twice": `[{"id": 1, "s": "x"}, {"id": 1, "s": "y"}]`, "null key": `[{"s": "x"}]`, "no column": "-",
	} {
		alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
		settings := plainKey.settings(alloc, table, t.TempDir())
		settings.Lookup = func(context.Context, arrow.RecordBatch, []string) (arrow.RecordBatch, error) {
			switch rows {
			case "":
				return nil, errLookup
			case "-":
				return record(t, alloc, schema("id", int64s), `[{"id": 1}]`), nil
			}
			return record(t, alloc, full, rows), nil
		}
		m, err := New(settings)
		if err != nil {
			t.Fatal(err)
		}
		add(t, m, plainKey.batch(t, alloc, steps(step{op: change.Update, key: 1, a: "2", unchanged: []string{"s"}})))
		if err := drained(t, m); err == nil || (rows == "" && !errors.Is(err, errLookup)) {
			t.Errorf("%s: got %v", name, err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		alloc.AssertSize(t, 0)
	}
}

func TestPartsCanBeLeftEarlyAndAreGivenOutOnce(t *testing.T) {
	t.Parallel()
	for _, budget := range []int64{1 << 30, 20_000} {
		alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
		settings := plainKey.settings(alloc, nil, t.TempDir())
		settings.Budget, settings.BatchRows = budget, 10
		m, err := New(settings)
		if err != nil {
			t.Fatal(err)
		}
		if err := many(t, alloc, m, 10); err != nil {
			t.Fatal(err)
		}
		for p, err := range m.Parts(t.Context()) {
			if err != nil || p.Upserts.NumRows() < 1 || p.Upserts.NumRows() > 10 {
				t.Errorf("%v, %v", p, err)
			}
			break
		}
		if err := drained(t, m); !errors.Is(err, errEnded) {
			t.Errorf("got %v, expected that the unit has ended", err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		alloc.AssertSize(t, 0)
	}
}
