package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/sdk"
)

// target is one folder that a test writes to.
type target struct {
	t      *testing.T
	config Config
	mode   sdk.WriteMode
	alloc  memory.Allocator
}

func newTarget(t *testing.T, mode sdk.WriteMode, change func(*Config)) *target {
	t.Helper()
	c := Config{Path: t.TempDir() + "/out", Format: "jsonl", Name: "{stream}/{flow}-{seq}"}
	change(&c)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return &target{t: t, config: c, mode: mode, alloc: memory.DefaultAllocator}
}

// open makes an instance as a new process would.
func (g *target) open(wrap func(disk) disk) *Sink {
	g.t.Helper()
	s, err := New(g.t.Context(), g.config, sdk.Env{Log: hclog.NewNullLogger(), Alloc: g.alloc})
	if err != nil {
		g.t.Fatal(err)
	}
	if wrap != nil {
		s.wrap = wrap
	}
	if _, err := s.Open(g.t.Context(), sdk.OpenRequest{Flow: "shop/orders", Mode: g.mode}); err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = s.Close(g.t.Context()) })
	return s
}

// begin opens an instance and begins.
func (g *target) begin(epoch uint64) (*Sink, sdk.Mark) {
	g.t.Helper()
	s := g.open(nil)
	mark, err := s.Begin(g.t.Context(), epoch)
	if err != nil {
		g.t.Fatal(err)
	}
	return s, mark
}

var orders = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "note", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

// rows are n made-up rows; the first id tells units apart.
func rows(first int64, n int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, orders)
	defer b.Release()
	for i := range int64(n) {
		b.Field(0).(*array.Int64Builder).Append(first + i)
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("note %d", first+i))
	}
	return b.NewRecordBatch()
}

func mark(epoch, seq uint64) sdk.Mark {
	return sdk.Mark{Epoch: epoch, Seq: seq, Position: fmt.Appendf(nil, `{ "offset": %d, "<": "ü"}`, seq)}
}

// tree is what readers see: all files that are not hidden, with their content.
func (g *target) tree() map[string]string {
	g.t.Helper()
	seen := map[string]string{}
	root := os.DirFS(g.config.Path)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".q"):
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		raw, err := fs.ReadFile(root, name)
		seen[name] = string(raw)
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return seen
}

// listed are the files that the records name.
func (g *target) listed() []string {
	g.t.Helper()
	root, err := os.OpenRoot(g.config.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		g.t.Fatal(err)
	}
	defer root.Close()
	l := newLedger(nil, root, "shop/orders")
	seqs, err := l.seqs()
	if err != nil {
		g.t.Fatal(err)
	}
	var files []string
	for _, seq := range seqs {
		rec, err := l.record(seq)
		if err != nil {
			g.t.Fatal(err)
		}
		for _, f := range rec.Files {
			files = append(files, f.Path)
		}
	}
	return files
}

// settled checks that nothing but committed files and the ledger is left.
func (g *target) settled() {
	g.t.Helper()
	left, err := os.ReadDir(path.Join(g.config.Path, home, safe("shop/orders"), "staging"))
	if err != nil || len(left) > 0 {
		g.t.Errorf("staging folder: %v, error %v", left, err)
	}
	seen := g.tree()
	listed := g.listed()
	slices.Sort(listed)
	if diff := cmp.Diff(sortedKeys(seen), listed); diff != "" {
		g.t.Errorf("files in place and in the records:\n%s", diff)
	}
}
