package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func (g *target) write(s *Sink, stream string, version int, record arrow.RecordBatch) {
	g.t.Helper()
	rejected, err := s.Write(g.t.Context(), sdk.Batch{Stream: stream, Version: version, Record: record})
	if err != nil || len(rejected) > 0 {
		g.t.Fatal(rejected, err)
	}
}

func (g *target) commit(s *Sink, m sdk.Mark) {
	g.t.Helper()
	rejected, err := s.Commit(g.t.Context(), m)
	if err != nil || len(rejected) > 0 {
		g.t.Fatal(rejected, err)
	}
}

const firstOrders = "orders/shop%2Forders-000000000001.jsonl"

func TestWriteShowsNothingUntilCommit(t *testing.T) {
	t.Parallel()
	g := newTarget(t, sdk.Append, func(*Config) {})
	s, from := g.begin(1)
	if from.Seq != 0 {
		t.Errorf("a new folder has the mark %+v", from)
	}
	g.write(s, "orders", 1, rows(1, 2))
	if seen := g.tree(); len(seen) > 0 {
		t.Errorf("readers see %v before the commit", seen)
	}
	g.commit(s, mark(1, 1))
	want := map[string]string{firstOrders: `{"id":1,"note":"note 1"}` + "\n" + `{"id":2,"note":"note 2"}` + "\n"}
	if diff := cmp.Diff(want, g.tree()); diff != "" {
		t.Error(diff)
	}
	g.settled()
	_, last := g.begin(1)
	if diff := cmp.Diff(mark(1, 1), last); diff != "" {
		t.Error(diff)
	}
}

func TestCommitOfACommittedMarkIsANoOp(t *testing.T) {
	t.Parallel()
	g := newTarget(t, sdk.Append, func(*Config) {})
	s, _ := g.begin(1)
	for seq := uint64(1); seq <= 2; seq++ {
		g.write(s, "orders", 1, rows(int64(seq), 1))
		g.commit(s, mark(1, seq))
	}
	want := g.tree()
	g.commit(s, mark(1, 2))
	g.write(s, "orders", 1, rows(2, 1))
	g.commit(s, mark(1, 2))
	g.commit(s, mark(1, 1))
	next, _ := g.begin(2)
	g.write(next, "orders", 1, rows(2, 1))
	g.commit(next, mark(1, 2))
	if diff := cmp.Diff(want, g.tree()); diff != "" {
		t.Error(diff)
	}
	g.settled()
	other := mark(2, 2)
	other.Position = []byte(`{"offset":99}`)
	if _, err := next.Commit(t.Context(), other); err == nil || !strings.Contains(err.Error(), "is committed with position") {
		t.Errorf("%v, expected a refusal of other rows under a committed seq", err)
	}
}

func TestNewerEpochFencesOlderWritersOut(t *testing.T) {
	t.Parallel()
	g := newTarget(t, sdk.Append, func(*Config) {})
	fenced := func(what string, err error) {
		t.Helper()
		if sdk.KindOf(err) != sdk.KindFenced {
			t.Errorf("%s: %v, expected Fenced", what, err)
		}
	}
	old, _ := g.begin(3)
	g.write(old, "orders", 1, rows(1, 1))
	now, _ := g.begin(5)
	_, err := old.Commit(t.Context(), mark(3, 1))
	fenced("commit of staged rows", err)
	_, err = g.open(nil).Begin(t.Context(), 4)
	fenced("begin of an older epoch", err)
	idle, _ := g.begin(5)
	_, err = now.Write(t.Context(), sdk.Batch{Stream: "orders", Version: 1, Record: rows(1, 1)})
	if err == nil {
		_, err = now.Commit(t.Context(), mark(5, 1))
	}
	fenced("a second writer of the same epoch has begun", err)
	g.write(idle, "orders", 1, rows(1, 1))
	_, err = idle.Commit(t.Context(), mark(4, 1))
	fenced("commit of an older epoch's mark", err)
	g.commit(idle, mark(5, 1))
	_, err = old.Commit(t.Context(), mark(3, 1))
	fenced("commit of a committed seq by an old writer", err)
	if len(g.tree()) != 1 {
		t.Errorf("files %v", sortedKeys(g.tree()))
	}
	g.settled()
}

// hook runs once when the disk renames.
type hook struct {
	disk
	run func()
}

func (h *hook) Rename(from, to string) error {
	if h.run != nil {
		h.run()
		h.run = nil
	}
	return h.disk.Rename(from, to)
}

func TestTakeoverWaitsForTheCommitUnderWay(t *testing.T) {
	t.Parallel()
	g := newTarget(t, sdk.Append, func(*Config) {})
	h := &hook{}
	s := g.open(func(d disk) disk { h.disk = d; return h })
	if _, err := s.Begin(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	g.write(s, "orders", 1, rows(1, 1))
	h.run = func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := g.open(nil).Begin(ctx, 2); sdk.KindOf(err) != sdk.KindRetryable {
			t.Errorf("%v, expected to be told to wait", err)
		}
	}
	g.commit(s, mark(1, 1))
	if _, last := g.begin(2); last.Seq != 1 {
		t.Errorf("mark %+v", last)
	}
}

func TestFlowsShareAFolderWithoutHarm(t *testing.T) {
	t.Parallel()
	g := newTarget(t, sdk.Overwrite, func(*Config) {})
	s, _ := g.begin(1)
	g.write(s, "orders", 1, rows(1, 1))
	g.commit(s, mark(1, 1))
	other := g.open(nil)
	if _, err := other.Open(t.Context(), sdk.OpenRequest{Flow: "other", Mode: sdk.Overwrite}); err != nil {
		t.Fatal(err)
	}
	if last, err := other.Begin(t.Context(), 9); err != nil || last.Seq != 0 {
		t.Fatal(last, err)
	}
	g.write(other, "orders", 1, rows(1, 1))
	g.commit(other, mark(9, 1))
	g.write(s, "orders", 1, rows(1, 1))
	g.commit(s, mark(1, 2))
	want := []string{"orders/other-000000000001.jsonl", "orders/shop%2Forders-000000000002.jsonl"}
	if diff := cmp.Diff(want, sortedKeys(g.tree())); diff != "" {
		t.Error(diff)
	}
}

func TestForeignFileIsNeverOverwritten(t *testing.T) {
	t.Parallel()
	g := newTarget(t, sdk.Append, func(c *Config) { c.Name = "all-{seq}" })
	foreign := filepath.Join(g.config.Path, "all-000000000001.jsonl")
	s, _ := g.begin(1)
	if err := os.WriteFile(foreign, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.write(s, "orders", 1, rows(1, 1))
	if _, err := s.Commit(t.Context(), mark(1, 1)); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Fatalf("%v, expected a refusal", err)
	}
	if _, err := s.Write(t.Context(), sdk.Batch{Stream: "orders", Version: 1, Record: rows(1, 1)}); err == nil {
		t.Error("a unit whose commit failed took more rows")
	}
	if err := os.Remove(foreign); err != nil {
		t.Fatal(err)
	}
	g.commit(s, mark(1, 1))
	if len(g.tree()) != 1 {
		t.Errorf("files %v", g.tree())
	}
}

func TestOverwriteReplacesAllEarlierFiles(t *testing.T) {
	t.Parallel()
	g := newTarget(t, sdk.Append, func(*Config) {})
	s, _ := g.begin(1)
	for seq := uint64(1); seq <= 3; seq++ {
		g.write(s, "orders", 1, rows(1, 1))
		g.write(s, "items", 1, rows(1, 1))
		g.commit(s, mark(1, seq))
	}
	g.mode = sdk.Overwrite
	s, _ = g.begin(2)
	g.write(s, "orders", 1, rows(1, 1))
	g.commit(s, mark(2, 4))
	if diff := cmp.Diff([]string{"orders/shop%2Forders-000000000004.jsonl"}, sortedKeys(g.tree())); diff != "" {
		t.Error(diff)
	}
	g.commit(s, mark(2, 5))
	if len(g.tree()) != 0 {
		t.Errorf("files %v after an empty unit", g.tree())
	}
	g.settled()
}

func TestFilesThatReadersTookAwayAreNotMissed(t *testing.T) {
	t.Parallel()
	g := newTarget(t, sdk.Append, func(*Config) {})
	s, _ := g.begin(1)
	g.write(s, "orders", 1, rows(1, 1))
	g.commit(s, mark(1, 1))
	if err := os.RemoveAll(filepath.Join(g.config.Path, "orders")); err != nil {
		t.Fatal(err)
	}
	g.commit(s, mark(1, 1))
	s, last := g.begin(2)
	if last.Seq != 1 {
		t.Errorf("mark %+v", last)
	}
	g.write(s, "orders", 1, rows(2, 1))
	g.commit(s, mark(2, 2))
	if len(g.tree()) != 1 {
		t.Errorf("files %v", g.tree())
	}
}

func TestSchemaChangeAndSizeBeginAnotherFile(t *testing.T) {
	t.Parallel()
	g := newTarget(t, sdk.Append, func(c *Config) { c.FileSize = 40 })
	s, _ := g.begin(1)
	g.write(s, "orders", 1, rows(1, 2))
	g.write(s, "orders", 1, rows(3, 1))
	wider := array.NewRecordBatch(arrow.NewSchema(orders.Fields()[:1], nil), rows(4, 1).Columns()[:1], 1)
	g.write(s, "orders", 2, wider)
	g.commit(s, mark(1, 1))
	want := map[string]string{
		firstOrders: `{"id":1,"note":"note 1"}` + "\n" + `{"id":2,"note":"note 2"}` + "\n",
		"orders/shop%2Forders-000000000001-0002.jsonl": `{"id":3,"note":"note 3"}` + "\n",
		"orders/shop%2Forders-000000000001-0003.jsonl": `{"id":4}` + "\n",
	}
	if diff := cmp.Diff(want, g.tree()); diff != "" {
		t.Error(diff)
	}
}

func TestCloseLeavesNoStagedRows(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	g := newTarget(t, sdk.Append, func(c *Config) { c.Format = "parquet" })
	g.alloc = alloc
	s, _ := g.begin(1)
	g.write(s, "orders", 1, rows(1, 100))
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.settled()
	if len(g.tree()) != 0 {
		t.Errorf("files %v", g.tree())
	}
}

func TestCallsOutOfOrderAreRefused(t *testing.T) {
	t.Parallel()
	g := newTarget(t, sdk.Append, func(*Config) {})
	s := g.open(nil)
	if _, err := s.Write(t.Context(), sdk.Batch{Stream: "orders", Record: rows(1, 1)}); err == nil {
		t.Error("Write before Begin")
	}
	if _, err := s.Commit(t.Context(), mark(1, 1)); err == nil {
		t.Error("Commit before Begin")
	}
	if _, err := s.Begin(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for _, m := range []sdk.Mark{mark(2, 1), mark(1, 0)} {
		if _, err := s.Commit(t.Context(), m); err == nil {
			t.Errorf("Commit of %+v by epoch 1", m)
		}
	}
	for _, req := range []sdk.OpenRequest{{Flow: "f", Mode: sdk.Upsert}, {Mode: sdk.Append}} {
		if _, err := s.Open(t.Context(), req); err == nil {
			t.Errorf("Open %+v", req)
		}
	}
}

func TestDamagedLedgerStopsTheFlow(t *testing.T) {
	t.Parallel()
	g := newTarget(t, sdk.Append, func(*Config) {})
	s, _ := g.begin(1)
	g.write(s, "orders", 1, rows(1, 1))
	g.commit(s, mark(1, 1))
	name := filepath.Join(g.config.Path, home, "shop%2Forders", "commits", "000000000001.json")
	for _, content := range []string{"{", `{"format":2,"seq":1}`, `{"format":1,"seq":2}`} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := g.open(nil).Begin(t.Context(), 2); err == nil {
			t.Errorf("a record %q was taken", content)
		}
	}
}
