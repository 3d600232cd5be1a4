package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/plugins/source-file/internal/column"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

// cut is a checkpoint with what was emitted before it.
type cut struct {
	position              sdk.Position
	batches, rejections   int
	linesBefore, rejected []string
}

// readWithCuts reads undisturbed and notes every checkpoint.
func readWithCuts(t *testing.T, s *Source, stream string) (*plugintest.Recorder, []cut) {
	t.Helper()
	rec := &plugintest.Recorder{}
	t.Cleanup(rec.Release)
	var cuts []cut
	rec.OnCheckpoint = func(pos sdk.Position) error {
		cuts = append(cuts, cut{position: slices.Clone(pos), batches: len(rec.Batches), rejections: len(rec.Rejections)})
		return nil
	}
	if err := s.Read(t.Context(), sdk.ReadRequest{}, rec); err != nil {
		t.Fatal(err)
	}
	for i := range cuts {
		for _, b := range rec.Batches[:cuts[i].batches] {
			if b.Stream == stream {
				cuts[i].linesBefore = append(cuts[i].linesBefore, recordLines(t, b.Record)...)
			}
		}
		cuts[i].rejected = rejects(&plugintest.Recorder{Rejections: rec.Rejections[:cuts[i].rejections]})
	}
	return rec, cuts
}

// checkEveryCut resumes from each checkpoint: what came before it and what comes after must be what an undisturbed read gives.
func checkEveryCut(t *testing.T, s *Source, stream string, atLeast int) {
	t.Helper()
	rec, cuts := readWithCuts(t, s, stream)
	if len(cuts) < atLeast {
		t.Fatalf("%d checkpoints, want at least %d", len(cuts), atLeast)
	}
	want, wantRejects := sortedLines(t, rec, stream), rejects(rec)
	slices.Sort(wantRejects)
	for i, c := range cuts {
		after := read(t, s, c.position)
		got := slices.Concat(c.linesBefore, lines(t, after, stream))
		gotRejects := slices.Concat(c.rejected, rejects(after))
		slices.Sort(got)
		slices.Sort(gotRejects)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("rows around checkpoint %d of %d, %s (-want +got):\n%s", i+1, len(cuts), c.position, diff)
		}
		if diff := cmp.Diff(wantRejects, gotRejects); diff != "" {
			t.Fatalf("rejections around checkpoint %d of %d (-want +got):\n%s", i+1, len(cuts), diff)
		}
		for v, change := range after.Schemas {
			if change.Version != v+1 {
				t.Fatalf("version %d of the schema comes as number %d", change.Version, v+1)
			}
		}
	}
}

func TestResumeFromEveryCheckpointGivesTheSameRows(t *testing.T) {
	t.Parallel()
	for name, content := range formats(t, 300) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for i := range 2 {
				write(t, filepath.Join(dir, fmt.Sprintf("%d-%s", i, name)), content)
			}
			s := newSource(t, fmt.Sprintf(`{"path": %q, "stream": "people", "batch_rows": 16, "checkpoint_rows": 60, "parallel": %d}`,
				filepath.Join(dir, "*"), 1+len(name)%2))
			checkEveryCut(t, s, "people", 8)
		})
	}
}

// nested has lists and structs, in which rows are harder to skip.
func nested(t *testing.T, n int) arrow.RecordBatch {
	t.Helper()
	item := arrow.StructOf(column.Field("k", arrow.PrimitiveTypes.Int64), column.Field("s", arrow.BinaryTypes.String))
	schema := arrow.NewSchema([]arrow.Field{
		column.Field("id", arrow.PrimitiveTypes.Int64), column.Field("o", item), column.Field("l", arrow.ListOf(item)),
	}, nil)
	var rows []string
	for i := range n {
		items := strings.TrimSuffix(strings.Repeat(fmt.Sprintf(`{"k": %d, "s": "x%d"},`, i, i), i%4), ",")
		rows = append(rows, fmt.Sprintf(`{"id": %d, "o": {"k": %d, "s": null}, "l": [%s]}`, i, i, items))
	}
	record, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader("["+strings.Join(rows, ",")+"]"))
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func TestResumeInNestedColumns(t *testing.T) {
	t.Parallel()
	record := nested(t, 400)
	t.Cleanup(record.Release)
	for name, content := range map[string][]byte{"a.parquet": parquetFile(t, record, 150), "a.arrow": arrowFile(t, record, 150, false)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, filepath.Join(t.TempDir(), name), content)
			s := newSource(t, fmt.Sprintf(`{"path": %q, "batch_rows": 20, "checkpoint_rows": 40}`, path))
			checkEveryCut(t, s, "a", 8)
			if diff := cmp.Diff(recordLines(t, record), lines(t, read(t, s, nil), "a")); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

// TestResumeWithEvolutionAndRejections mixes what changes schemas and what is rejected into the files.
func TestResumeWithEvolutionAndRejections(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 3 {
		var out bytes.Buffer
		for n := range 200 {
			switch {
			case n%37 == 5:
				out.WriteString("{broken\n")
			case n%41 == 7:
				fmt.Fprintf(&out, "{\"id\": \"no number\"}\n")
			case n > 100:
				fmt.Fprintf(&out, "{\"id\": %d, \"deep\": {\"f%d\": [%d, null]}, \"late_%d\": %t}\n", n, i, n, i, n%2 == 0)
			default:
				fmt.Fprintf(&out, "{\"id\": %d, \"deep\": {\"x\": 1}}\n", n)
			}
		}
		write(t, filepath.Join(dir, fmt.Sprintf("%d.jsonl", i)), out.Bytes())
	}
	for _, parallel := range []int{1, 4} {
		t.Run(fmt.Sprintf("by %d", parallel), func(t *testing.T) {
			t.Parallel()
			s := newSource(t, fmt.Sprintf(`{"path": %q, "stream": "s", "batch_rows": 16, "checkpoint_rows": 40, "parallel": %d,
				"infer": {"rows": 20}}`, filepath.Join(dir, "*.jsonl"), parallel))
			checkEveryCut(t, s, "s", 10)
		})
	}
}

func TestCheckpointErrorEndsTheRead(t *testing.T) {
	t.Parallel()
	path := write(t, filepath.Join(t.TempDir(), "a.csv"), peopleCSV(1000, ","))
	s := newSource(t, fmt.Sprintf(`{"path": %q, "batch_rows": 10, "checkpoint_rows": 50}`, path))
	broken := errors.New("the host is gone")
	rec := &plugintest.Recorder{OnCheckpoint: func(sdk.Position) error { return broken }}
	t.Cleanup(rec.Release)
	if err := s.Read(t.Context(), sdk.ReadRequest{}, rec); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	if n := rec.Rows("a"); n != 50 {
		t.Errorf("%d rows were emitted, want 50", n)
	}
}

func TestStopEndsWithACheckpointThatResumes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 5 {
		write(t, filepath.Join(dir, fmt.Sprintf("%d.csv", i)), peopleCSV(500, ","))
	}
	s := newSource(t, fmt.Sprintf(`{"path": %q, "stream": "s", "batch_rows": 10, "checkpoint_rows": 100}`, filepath.Join(dir, "*")))
	stop := make(chan struct{})
	stops := 0
	rec := &plugintest.Recorder{OnCheckpoint: func(sdk.Position) error {
		if stops++; stops == 3 {
			close(stop)
		}
		return nil
	}}
	t.Cleanup(rec.Release)
	if err := s.Read(t.Context(), sdk.ReadRequest{Stop: stop}, rec); err != nil {
		t.Fatal(err)
	}
	if n := rec.Rows("s"); n < 300 || n >= 2500 {
		t.Errorf("%d rows before the end", n)
	}
	rest := read(t, s, lastPosition(t, rec))
	if n := rec.Rows("s") + rest.Rows("s"); n != 2500 {
		t.Errorf("%d rows in all, want 2500", n)
	}
}

func TestUnknownPositionIsRefused(t *testing.T) {
	t.Parallel()
	path := write(t, filepath.Join(t.TempDir(), "a.csv"), peopleCSV(1, ","))
	s := newSource(t, fmt.Sprintf(`{"path": %q}`, path))
	for _, pos := range []string{`{"v": 7}`, `[]`, `{"v": 1, "streams": {"a": {"folded": "AAAA"}}}`} {
		if _, err := tryRead(t, s, sdk.ReadRequest{Position: sdk.Position(pos)}); sdk.KindOf(err) != sdk.KindFatal || err == nil {
			t.Errorf("position %s: error %v, want a fatal one", pos, err)
		}
	}
}
