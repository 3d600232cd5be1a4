package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/sdk"
)

// tally counts what a read emits, and what has been emitted at each checkpoint.
type tally struct {
	counter
	rejected int64
	at       []int64
}

func (c *tally) Reject(_ context.Context, r ...sdk.Rejection) error {
	c.rejected += int64(len(r))
	return nil
}

func (c *tally) Checkpoint(ctx context.Context, pos sdk.Position) error {
	c.at = append(c.at, c.rows+c.rejected)
	return c.counter.Checkpoint(ctx, pos)
}

// fuzzFile reads a file with settings of its own and holds the read to what every read promises: it ends without an error, and it
// can be taken up at each checkpoint without losing or repeating a record.
func fuzzFile(t *testing.T, name string, content []byte, settings string) {
	t.Helper()
	hangs := time.AfterFunc(time.Minute, func() { panic("the read does not end") })
	defer hangs.Stop()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	var c Config
	if err := json.Unmarshal(fmt.Appendf(nil, `{"path": %q, "stream": "a", "batch_rows": 3, "checkpoint_rows": 3%s}`, path, settings), &c); err != nil {
		t.Fatal(err)
	}
	if c.Validate() != nil {
		return
	}
	s, err := New(t.Context(), c, sdk.Env{Log: hclog.NewNullLogger(), Alloc: memory.NewGoAllocator()})
	if err != nil {
		t.Fatal(err)
	}
	whole := tallyOf(t, s, nil)
	for i, pos := range whole.Checkpoints {
		if i > 3 && i < len(whole.Checkpoints)-1 {
			continue // the first ones and the last are enough
		}
		rest := tallyOf(t, s, pos)
		if got, want := whole.at[i]+rest.rows+rest.rejected, whole.rows+whole.rejected; got != want {
			t.Fatalf("%d records up to checkpoint %d %s and %d after it, %d in all", whole.at[i], i, pos, rest.rows+rest.rejected, want)
		}
	}
}

func tallyOf(t *testing.T, s *Source, pos sdk.Position) *tally {
	t.Helper()
	rec := &tally{}
	defer rec.Release()
	if err := s.Read(t.Context(), sdk.ReadRequest{Position: pos}, rec); err != nil {
		t.Fatal(err)
	}
	return rec
}

// seeds adds the files of a format, whole and cut.
func seeds(f *testing.F, names ...string) {
	f.Helper()
	all := formats(f, 9)
	for _, name := range names {
		content, ok := all[name]
		if !ok {
			f.Fatalf("there is no file %q", name)
		}
		f.Add(content)
		f.Add(content[:len(content)*2/3])
	}
}

func FuzzCSV(f *testing.F) {
	for _, dialect := range []string{``, `, "encoding": "utf-16"`, `, "csv": {"header": false, "comment": "#"}`, `, "csv": {"lazy": true, "delimiter": ";"}`} {
		for _, text := range []string{"a,b\n1,\"x\ny\"\n2,\"\n3\n", "a;b\n1;\x00\n", "\xff\xfea\x00\n\x001\x00\n\x00", "#c\r\na,a,\r\n1,2,3\r\n", "caf\xe9,\n"} {
			f.Add([]byte(text), dialect)
		}
	}
	f.Add(formats(f, 9)["bom.csv"], "")
	f.Fuzz(func(t *testing.T, content []byte, settings string) {
		if !json.Valid([]byte(`{"a": 0`+settings+`}`)) || bytes.Contains([]byte(settings), []byte("path")) {
			return
		}
		var c Config
		if json.Unmarshal([]byte(`{"batch_rows": 1`+settings+`}`), &c) != nil || c.Streams != nil || c.Format != "" {
			return
		}
		fuzzFile(t, "a.csv", content, settings)
	})
}

func FuzzJSONLines(f *testing.F) {
	seeds(f, "a.jsonl")
	f.Add([]byte("{\"a\":1,\"a\":{\"\":1}}\n{\"a\":[{}]}\n\n[1]\n{\"a\":\"\\ud800\"}\n"))
	f.Fuzz(func(t *testing.T, content []byte) { fuzzFile(t, "a.jsonl", content, "") })
}

func FuzzJSON(f *testing.F) {
	seeds(f, "a.json", "seq.json")
	f.Add([]byte("[{\"a\":1,\"a\":2},{\"\":[{\"b\":{}}]},1,\"\\\"]\",{\"a\":1e999}]"))
	f.Fuzz(func(t *testing.T, content []byte) { fuzzFile(t, "a.json", content, "") })
}

func FuzzGzip(f *testing.F) {
	seeds(f, "a.csv.gz")
	f.Fuzz(func(t *testing.T, content []byte) { fuzzFile(t, "a.csv.gz", content, "") })
}

func FuzzZstd(f *testing.F) {
	seeds(f, "a.csv.zst")
	f.Fuzz(func(t *testing.T, content []byte) { fuzzFile(t, "a.csv.zst", content, "") })
}

func FuzzParquet(f *testing.F) {
	seeds(f, "a.parquet")
	f.Fuzz(func(t *testing.T, content []byte) { fuzzFile(t, "a.parquet", content, "") })
}

func FuzzArrow(f *testing.F) {
	seeds(f, "a.arrow", "a.arrows")
	f.Fuzz(func(t *testing.T, content []byte) { fuzzFile(t, "a.arrow", content, "") })
}

// FuzzPosition takes anything for a position: it is refused, or it comes back as it was.
func FuzzPosition(f *testing.F) {
	f.Add([]byte(`{"v":1,"streams":{"a":{"schema":"AAAA","done":{"x":{"s":1,"t":2,"o":3,"g":"1:0"}},"open":{},"folded":"AAAAAAAAAAAAAAAA"}}}`))
	f.Add([]byte(`{"v":1,"streams":{"a":null,"b":{"open":{"y":{"s":9,"e":"tag","r":1,"p":2}}}}}`))
	f.Fuzz(func(t *testing.T, pos []byte) {
		first, err := openJournal(pos)
		if err != nil {
			return
		}
		for name := range first.streams {
			_, _ = first.schema(name)
		}
		one, err := first.encode()
		if err != nil {
			t.Fatal(err)
		}
		second, err := openJournal(one)
		if err != nil {
			t.Fatalf("%s became %s, which is refused: %v", pos, one, err)
		}
		if two, err := second.encode(); err != nil || !bytes.Equal(one, two) {
			t.Fatalf("%s became %s and then %s, %v", pos, one, two, err)
		}
	})
}
