package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

// settings are the defaults that the schema's tags give, with changes.
func settings(change func(*Config)) Config {
	c := Config{Seed: 1, BatchRows: 8192}
	change(&c)
	return c
}

func everyKind() []Column {
	scale := 1
	return []Column{
		{Name: "seq", Type: "int64", Generator: "sequence", Min: raw(`100`), Step: raw(`3`)},
		{Name: "whole", Type: "int64", Generator: "uniform", Min: raw(`-5`), Max: raw(`5`), NullFraction: 0.2},
		{Name: "bell", Type: "float64", Generator: "normal", Mean: 50, Stddev: 10, Min: raw(`0`)},
		{Name: "bell_whole", Type: "int64", Generator: "normal", Mean: 50, Stddev: 10},
		{Name: "ratio", Type: "float64", Min: raw(`-1`), Max: raw(`1`)},
		{Name: "step", Type: "float64", Generator: "sequence", Step: raw(`0.5`)},
		{Name: "price", Type: "decimal", Precision: 8, Scale: &scale, Max: raw(`"99.5"`)},
		{Name: "flag", Type: "bool", NullFraction: 0.5},
		{Name: "at", Type: "timestamp", Step: raw(`"250ms"`)},
		{Name: "when", Type: "timestamp", Generator: "uniform", Max: raw(`"2024-02-01T00:00:00Z"`)},
		{Name: "day", Type: "date", Generator: "timestamp", Min: raw(`"2024-02-28"`), Step: raw(`"6h"`)},
		{Name: "holiday", Type: "date", Generator: "choice", Values: []json.RawMessage{raw(`"2024-12-25"`), raw(`"2024-05-01"`)}},
		{Name: "code", Type: "string", Generator: "uuid"},
		{Name: "words", Type: "string", Length: 40, NullFraction: 0.1},
		{Name: "shop", Type: "string", Generator: "constant", Value: raw(`"shop-7"`)},
	}
}

func raw(text string) json.RawMessage { return json.RawMessage(text) }

// read runs the source to its end and returns what it emitted. The allocator is checked when the test ends.
func read(t *testing.T, c Config, req sdk.ReadRequest) *plugintest.Recorder {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	t.Cleanup(func() { alloc.AssertSize(t, 0) })
	source, err := New(t.Context(), c, sdk.Env{Log: hclog.NewNullLogger(), Alloc: alloc})
	if err != nil {
		t.Fatal(err)
	}
	recorder := &plugintest.Recorder{}
	t.Cleanup(recorder.Release)
	if err := source.Read(t.Context(), req, recorder); err != nil {
		t.Fatal(err)
	}
	if err := source.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return recorder
}

// lines are the rows of a stream as text, one element per row.
func lines(t *testing.T, recorder *plugintest.Recorder, stream string) []string {
	t.Helper()
	var text strings.Builder
	for _, record := range recorder.Records(stream) {
		if err := array.RecordToJSON(record, &text); err != nil {
			t.Fatal(err)
		}
	}
	return strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
}

func TestRowsDependOnlyOnSeedStreamAndIndex(t *testing.T) {
	t.Parallel()
	for name, columns := range map[string][]Column{"default": nil, "every kind": everyKind()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := lines(t, read(t, settings(func(c *Config) { c.Rows, c.Columns = 1000, columns }), sdk.ReadRequest{}), "events")
			if len(whole) != 1000 {
				t.Fatalf("%d rows, expected 1000", len(whole))
			}
			for _, batch := range []int{1, 7, 64, 999, 1000} {
				for _, start := range []int{0, 1, 511, 512, 513, 999, 1000} {
					c := settings(func(c *Config) { c.Rows, c.BatchRows, c.Columns = 1000, batch, columns })
					part := read(t, c, sdk.ReadRequest{Position: fmt.Appendf(nil, `{"events":%d}`, start)})
					got := lines(t, part, "events")
					if start == 1000 {
						got = got[1:] // no row gives one empty line
					}
					if diff := cmp.Diff(whole[start:], got); diff != "" {
						t.Fatalf("batches of %d from row %d:\n%s", batch, start, diff)
					}
				}
			}
		})
	}
}

func TestSeedAndStreamChangeTheRows(t *testing.T) {
	t.Parallel()
	rows := map[string]string{}
	for _, seed := range []int64{1, 2} {
		for _, stream := range []string{"a", "b"} {
			c := settings(func(c *Config) { c.Seed, c.Stream, c.Rows = seed, stream, 20 })
			rows[strings.Join(lines(t, read(t, c, sdk.ReadRequest{}), stream), "\n")] = stream
		}
	}
	if len(rows) != 4 {
		t.Errorf("%d different outputs, expected 4", len(rows))
	}
}

// The rows of a seed are a promise: pipelines compare counts and sums across versions of the plugin.
func TestDefaultShapeStaysAsItIs(t *testing.T) {
	t.Parallel()
	got := lines(t, read(t, settings(func(c *Config) { c.Rows = 3 }), sdk.ReadRequest{}), "events")
	want := []string{
		`{"amount":735.96,"id":0,"name":"ember ember m","region":"asia","ts":"2024-01-01T00:00:00Z"}`,
		`{"amount":828.51,"id":1,"name":"linen anchor o","region":"asia","ts":"2024-01-01T00:00:01Z"}`,
		`{"amount":200.87,"id":2,"name":"prairie jade summit kel","region":"asia","ts":"2024-01-01T00:00:02Z"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryCheckpointIsAPlaceToGoOnFrom(t *testing.T) {
	t.Parallel()
	c := settings(func(c *Config) { c.Streams, c.Rows, c.BatchRows, c.CheckpointRows = []string{"a", "b"}, 50, 7, 20 })
	whole := read(t, c, sdk.ReadRequest{})
	if len(whole.Checkpoints) < 4 {
		t.Fatalf("%d checkpoints, expected one each 20 rows", len(whole.Checkpoints))
	}
	for _, pos := range whole.Checkpoints {
		next := map[string]int64{}
		if err := json.Unmarshal(pos, &next); err != nil {
			t.Fatal(err)
		}
		rest := read(t, c, sdk.ReadRequest{Position: pos})
		for _, stream := range []string{"a", "b"} {
			if rest.Rows(stream) != 50-next[stream] {
				t.Errorf("%d rows of %q from %s", rest.Rows(stream), stream, pos)
			}
			if rest.Rows(stream) == 0 {
				continue
			}
			if diff := cmp.Diff(lines(t, whole, stream)[next[stream]:], lines(t, rest, stream)); diff != "" {
				t.Errorf("%q from %s:\n%s", stream, pos, diff)
			}
		}
	}
	last := string(whole.Checkpoints[len(whole.Checkpoints)-1])
	if last != `{"a":50,"b":50}` {
		t.Errorf("last checkpoint %s", last)
	}
}

func TestSelectedStreamsAlone(t *testing.T) {
	t.Parallel()
	c := settings(func(c *Config) { c.Streams, c.Rows = []string{"a", "b"}, 10 })
	got := read(t, c, sdk.ReadRequest{Streams: []string{"b"}, Position: raw(`{"a":4}`)})
	if got.Rows("a") != 0 || got.Rows("b") != 10 {
		t.Errorf("%d rows of a, %d of b", got.Rows("a"), got.Rows("b"))
	}
	if pos := string(got.Checkpoints[len(got.Checkpoints)-1]); pos != `{"a":4,"b":10}` {
		t.Errorf("position %s forgets the stream that was not read", pos)
	}
}

func TestReadRefusesWhatItCantUnderstand(t *testing.T) {
	t.Parallel()
	source, err := New(t.Context(), settings(func(*Config) {}), sdk.Env{Alloc: memory.DefaultAllocator})
	if err != nil {
		t.Fatal(err)
	}
	for want, req := range map[string]sdk.ReadRequest{
		`no stream "x", there are events`: {Streams: []string{"x"}},
		"expected each stream's next row": {Position: raw(`[1]`)},
		"row -1 is negative":              {Position: raw(`{"events":-1}`)},
	} {
		if err := source.Read(t.Context(), req, &plugintest.Recorder{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}

func TestEndlessReadEndsAtStopWithACheckpoint(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	source, err := New(t.Context(), settings(func(c *Config) { c.BatchRows, c.CheckpointRows = 10, 100 }), sdk.Env{Alloc: memory.DefaultAllocator})
	if err != nil {
		t.Fatal(err)
	}
	recorder := &plugintest.Recorder{}
	defer recorder.Release()
	recorder.OnCheckpoint = func(sdk.Position) error {
		if len(recorder.Checkpoints) == 3 {
			close(stop)
		}
		return nil
	}
	if err := source.Read(t.Context(), sdk.ReadRequest{Stop: stop}, recorder); err != nil {
		t.Fatal(err)
	}
	last := string(recorder.Checkpoints[len(recorder.Checkpoints)-1])
	if want := fmt.Sprintf(`{"events":%d}`, recorder.Rows("events")); last != want {
		t.Errorf("last checkpoint %s, expected %s", last, want)
	}
}

func TestFollowWaitsForStopAfterTheLastRow(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	source, err := New(t.Context(), settings(func(c *Config) { c.Rows = 5 }), sdk.Env{Alloc: memory.DefaultAllocator})
	if err != nil {
		t.Fatal(err)
	}
	recorder := &plugintest.Recorder{OnCheckpoint: func(sdk.Position) error { close(stop); return nil }}
	defer recorder.Release()
	if err := source.Read(t.Context(), sdk.ReadRequest{Stop: stop, Follow: true}, recorder); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := &plugintest.Recorder{OnCheckpoint: func(sdk.Position) error { cancel(); return nil }}
	defer cancelled.Release()
	if err := source.Read(ctx, sdk.ReadRequest{Follow: true}, cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, expected the context's error", err)
	}
}

func TestRateSpreadsRowsAndCheckpoints(t *testing.T) {
	t.Parallel()
	c := settings(func(c *Config) { c.Rows, c.Rate = 60, 2000 })
	if got := c.batchRows(); got != 100 {
		t.Errorf("batches of %d rows at 2000 rows/s, expected a twentieth of a second's worth", got)
	}
	if got := c.checkpointRows(); got != 2000 {
		t.Errorf("checkpoints each %d rows at 2000 rows/s, expected a second's worth", got)
	}
	c.BatchRows = 20
	got := read(t, c, sdk.ReadRequest{})
	if got.Rows("events") != 60 || len(got.Batches) != 3 {
		t.Errorf("%d rows in %d batches", got.Rows("events"), len(got.Batches))
	}
	stop := make(chan struct{})
	close(stop)
	slow := settings(func(c *Config) { c.Rate = 0.001 })
	if got := read(t, slow, sdk.ReadRequest{Stop: stop}); len(got.Checkpoints) != 1 {
		t.Errorf("%d checkpoints, expected the last one", len(got.Checkpoints))
	}
}

func TestRejectEveryTakesTheRowsOut(t *testing.T) {
	t.Parallel()
	whole := lines(t, read(t, settings(func(c *Config) { c.Rows = 100 }), sdk.ReadRequest{}), "events")
	for _, every := range []int64{1, 3, 100, 101} {
		for _, batch := range []int{1, 10, 100} {
			c := settings(func(c *Config) { c.Rows, c.BatchRows, c.Fault.RejectEvery = 100, batch, every })
			got := read(t, c, sdk.ReadRequest{Position: raw(`{"events":5}`)})
			var kept, rejected []string
			for i, line := range whole[5:] {
				if int64(i+5)%every == every-1 {
					rejected = append(rejected, line)
				} else {
					kept = append(kept, line)
				}
			}
			if every == 1 {
				kept = []string{""}
			}
			if diff := cmp.Diff(kept, lines(t, got, "events")); diff != "" {
				t.Errorf("each %d. rejected, batches of %d:\n%s", every, batch, diff)
			}
			var raws []string
			for _, r := range got.Rejections {
				raws = append(raws, string(r.Raw))
				if r.Code != "fault_injected" || r.Row != sdk.NoRow || r.Stream != "events" {
					t.Errorf("rejection %+v", r)
				}
			}
			if diff := cmp.Diff(rejected, raws); diff != "" {
				t.Errorf("each %d. rejected, batches of %d:\n%s", every, batch, diff)
			}
		}
	}
}

func TestSchemaChangesAtTheRowAndOnlyThere(t *testing.T) {
	t.Parallel()
	c := settings(func(c *Config) { c.Rows, c.BatchRows, c.Fault.SchemaChangeAt = 100, 16, 40 })
	whole := read(t, c, sdk.ReadRequest{})
	if len(whole.Schemas) != 2 || whole.Schemas[1].Version != 2 || whole.Schemas[1].Schema.NumFields() != 6 {
		t.Fatalf("schemas %v", whole.Schemas)
	}
	rows := int64(0)
	for _, b := range whole.Batches {
		if want := 1 + b2i(rows >= 40); b.Version != want || !b.Record.Schema().Equal(whole.Schemas[want-1].Schema) {
			t.Errorf("row %d has version %d, expected %d", rows, b.Version, want)
		}
		rows += b.Record.NumRows()
	}
	later := read(t, c, sdk.ReadRequest{Position: raw(`{"events":40}`)})
	if len(later.Schemas) != 1 || later.Schemas[0].Version != 2 {
		t.Errorf("a read from row 40 on begins with %v", later.Schemas)
	}
	if diff := cmp.Diff(lines(t, whole, "events")[40:], lines(t, later, "events")); diff != "" {
		t.Error(diff)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestStreamsSayWhatReadEmits(t *testing.T) {
	t.Parallel()
	c := settings(func(c *Config) { c.Rows, c.Columns = 10, everyKind() })
	c.Columns[1].Doc, c.Columns[1].Tags = "A number.", []string{"pii", "internal"}
	source, err := New(t.Context(), c, sdk.Env{Alloc: memory.DefaultAllocator})
	if err != nil {
		t.Fatal(err)
	}
	streams, err := source.Streams(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	emitted := read(t, c, sdk.ReadRequest{})
	if !streams[0].Schema.Equal(emitted.Schemas[0].Schema) || !cmp.Equal(streams[0].Key, []string{"seq"}) {
		t.Errorf("stream %+v, emitted %v", streams[0], emitted.Schemas[0])
	}
	meta := streams[0].Schema.Field(1).Metadata
	if doc, _ := meta.GetValue(sdk.MetaDoc); doc != "A number." {
		t.Errorf("doc %q", doc)
	}
	if tags, _ := meta.GetValue(sdk.MetaTags); tags != "pii,internal" {
		t.Errorf("tags %q", tags)
	}
	if f := streams[0].Schema.Field(0); f.Nullable || f.Type.ID() != arrow.INT64 {
		t.Errorf("field %v", f)
	}
}

func BenchmarkDefaultShape(b *testing.B) {
	shape, err := newShape(Config{Seed: 1}, "events", memory.DefaultAllocator)
	if err != nil {
		b.Fatal(err)
	}
	const rows = 8192
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		shape.rows(1, int64(i)*rows, rows).Release()
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds()/1e6, "Mrows/s")
}
