package jsonfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/plugins/source-file/internal/column"
	"github.com/qanat-data/qanat/plugins/source-file/internal/store"
	"github.com/qanat-data/qanat/plugins/source-file/internal/text"
)

// readAll reads a file as a run does, and returns how many rows and rejections it has.
func readAll(t *testing.T, path string, lines bool, batch int) (rows, rejects int) {
	t.Helper()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	files, err := store.Local{}.List(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	settings := Settings{
		Layers: text.Layers{Compression: text.None, Encoding: text.UTF8}, Lines: lines, SampleRows: 2, BatchRows: batch,
	}
	r, err := Open(t.Context(), files[0], block.Mark{}, settings, &atomic.Int64{})
	if _, fault := block.AsFault(err); fault {
		return 0, 1
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	fields, _ := column.Rules{}.Union(nil, r.Fields())
	for {
		before := r.Mark().Offset
		b, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return rows, rejects
		}
		if _, fault := block.AsFault(err); fault {
			return rows, rejects + 1
		}
		if err != nil || b.End().Offset <= before {
			t.Fatalf("from %d to %d, error %v", before, b.End().Offset, err)
		}
		var bound block.Rows
		for tries := 0; ; tries++ {
			if bound, err = b.Bind(t.Context(), alloc, arrow.NewSchema(fields, nil)); err != nil {
				t.Fatal(err)
			}
			if len(bound.Unknown) == 0 {
				break
			}
			grown, changed := column.Rules{}.Union(fields, bound.Unknown)
			if fields = grown; !changed || tries > 3 {
				t.Fatalf("no end of new columns: %v", bound.Unknown)
			}
		}
		rejects += len(bound.Rejects)
		if bound.Record != nil {
			rows += int(bound.Record.NumRows())
			bound.Record.Release()
		}
	}
}

// FuzzReader reads anything as JSON Lines and as a JSON file: every record is counted once, in blocks of whatever size.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"{\"a\":1}\n{\"b\":[{\"c\":null}]}\n", "[{\"a\":1},{\"a\":\"x\"}]", "{}{}", "[", "[{}", "[1,]", "{\"a\":{\"b\":{}}}\n{\"a\":{\"b\":{\"c\":1}}}",
		"{\"a\":[]}\n{\"a\":[[1]]}\n", "{\"\":1}", "{\"a\":1,\"a\":2}", "[{\"a\":\"\\\"]\"}]", "{\"a\":\"\xff\"}", "{\"a\":\"\\ud800\"}", "{\"a\":{}}\n{\"a\":5}\n", "0 {\"0\":[{\"\":null}]}0",
		"{\"x\":{\"\":1}}\n{\"x\":{\"\":1},\"new\":5}",
	} {
		f.Add([]byte(seed), uint8(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, batch uint8) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		size := int(batch%5) + 1
		for _, lines := range []bool{true, false} {
			rows, rejects := readAll(t, path, lines, size)
			allRows, allRejects := readAll(t, path, lines, 1000)
			if rows+rejects != allRows+allRejects {
				t.Fatalf("%q: %d rows and %d rejections in blocks of %d, %d and %d in one", data, rows, rejects, size, allRows, allRejects)
			}
			if want, ok := elements(data); ok && !lines && rows+rejects != want {
				t.Fatalf("%q: %d rows and %d rejections, want %d in all", data, rows, rejects, want)
			}
		}
	})
}

// elements is the number of elements if the text is an array that encoding/json reads.
func elements(data []byte) (int, bool) {
	var all []json.RawMessage
	if bytes.IndexByte(data, 0) >= 0 || json.Unmarshal(data, &all) != nil || all == nil {
		return 0, false
	}
	return len(all), true
}
