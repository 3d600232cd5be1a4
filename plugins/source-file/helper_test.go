package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

func TestMain(m *testing.M) {
	if settings := os.Getenv(readerRole); settings != "" {
		readAsChild(settings)
	}
	// The embedded S3 server of the tests leaves two goroutines of its HTTP library behind.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// newSource makes a source from settings as operators write them, in JSON.
func newSource(t testing.TB, settings string) *Source {
	t.Helper()
	var c Config
	decoder := json.NewDecoder(strings.NewReader(settings))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		t.Fatalf("settings %s: %v", settings, err)
	}
	if err := c.Validate(); err != nil {
		t.Fatalf("settings %s: %v", settings, err)
	}
	env := sdk.Env{Log: hclog.NewNullLogger(), Alloc: memory.NewGoAllocator()}
	if _, test := t.(*testing.T); test {
		checked := memory.NewCheckedAllocator(env.Alloc)
		env.Alloc = checked
		t.Cleanup(func() { checked.AssertSize(t, 0) })
	}
	s, err := New(t.Context(), c, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// read reads to the end.
func read(t testing.TB, s *Source, pos sdk.Position) *plugintest.Recorder {
	t.Helper()
	rec, err := tryRead(t, s, sdk.ReadRequest{Position: pos})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func tryRead(t testing.TB, s *Source, req sdk.ReadRequest) (*plugintest.Recorder, error) {
	t.Helper()
	rec := &plugintest.Recorder{}
	t.Cleanup(rec.Release)
	return rec, s.Read(t.Context(), req, rec)
}

// lines are the rows of a stream as JSON objects without nulls, so that rows of different schema versions compare.
func lines(t testing.TB, rec *plugintest.Recorder, stream string) []string {
	t.Helper()
	var out []string
	for _, record := range rec.Records(stream) {
		out = append(out, recordLines(t, record)...)
	}
	return out
}

func recordLines(t testing.TB, record arrow.RecordBatch) []string {
	t.Helper()
	raw, err := record.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&rows); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, row := range rows {
		dropNulls(row)
		line, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(line))
	}
	return out
}

func dropNulls(row map[string]any) {
	for name, value := range row {
		switch value := value.(type) {
		case nil:
			delete(row, name)
		case map[string]any:
			dropNulls(value)
		}
	}
}

func sortedLines(t testing.TB, rec *plugintest.Recorder, stream string) []string {
	out := lines(t, rec, stream)
	slices.Sort(out)
	return out
}

// rejects are the rejections as "code origin: reason".
func rejects(rec *plugintest.Recorder) []string {
	var out []string
	for _, r := range rec.Rejections {
		out = append(out, fmt.Sprintf("%s %s: %s", r.Code, filepath.Base(r.Origin), r.Reason))
	}
	return out
}

func lastPosition(t testing.TB, rec *plugintest.Recorder) sdk.Position {
	t.Helper()
	if len(rec.Checkpoints) == 0 {
		t.Fatal("no checkpoint")
	}
	return rec.Checkpoints[len(rec.Checkpoints)-1]
}

// write makes a file that has been left alone for a while.
func write(t testing.TB, path string, content []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	age(t, path, time.Minute)
	return path
}

// age sets a file's time back.
func age(t testing.TB, path string, by time.Duration) {
	t.Helper()
	then := time.Now().Add(-by)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
}

func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstandard(t testing.TB, content []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	return w.EncodeAll(content, nil)
}

func schemaText(s *arrow.Schema) string {
	if s == nil {
		return ""
	}
	return summary(s.Fields())
}

func marshaled(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(raw)
}
