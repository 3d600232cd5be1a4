package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/wire"
)

// arrowFile writes two batches of each type into a file, and returns it with its footer.
func arrowFile(t testing.TB, options ...ipc.Option) (file, footer []byte) {
	t.Helper()
	batch := everyType(t, memory.DefaultAllocator)
	defer batch.Release()
	var out bytes.Buffer
	w, err := ipc.NewFileWriter(&out, append(options, ipc.WithSchema(batch.Schema()))...)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Write(batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file = out.Bytes()
	end := len(file) - len("ARROW1") - 4
	size := int(binary.LittleEndian.Uint32(file[end:]))
	return file, file[end-size : end]
}

func TestInspectorTakesWhatFilesHave(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]ipc.Option{"plain": nil, "zstd": {ipc.WithZstd()}, "lz4": {ipc.WithLZ4()}} {
		file, footer := arrowFile(t, options...)
		var i wire.Inspector
		dictionaries, batches, err := i.Footer(footer)
		if err != nil || len(batches) != 2 || len(dictionaries) == 0 {
			t.Fatalf("%s: %d dictionaries, %d batches, %v", name, len(dictionaries), len(batches), err)
		}
		for _, b := range append(dictionaries, batches...) {
			if err := i.Block(file[b.Offset : b.Offset+int64(b.Metadata)]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestInspectorRefusesWhatTheProtocolRefuses(t *testing.T) {
	t.Parallel()
	var first wire.Inspector
	if _, err := first.Message(bomb(30, 2, 1)[8:]); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("a schema that grows: %v", err)
	}
	file, footer := arrowFile(t)
	var i wire.Inspector
	_, batches, err := i.Footer(footer)
	if err != nil {
		t.Fatal(err)
	}
	b := batches[0]
	meta := bytes.Clone(file[b.Offset : b.Offset+int64(b.Metadata)])
	for at := 8; at < len(meta); at++ {
		changed := bytes.Clone(meta)
		changed[at] = 0xff
		_ = i.Block(changed) // must not panic
	}
	if err := i.Block(meta[:3]); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("three bytes: %v", err)
	}
	if _, _, err := new(wire.Inspector).Footer(footer[:len(footer)/2]); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("half a footer: %v", err)
	}
}

// FuzzInspector reads anything as the footer of a file and as the messages of a stream.
func FuzzInspector(f *testing.F) {
	file, footer := arrowFile(f)
	var i wire.Inspector
	dictionaries, batches, err := i.Footer(footer)
	if err != nil {
		f.Fatal(err)
	}
	for _, b := range append(dictionaries[:1:1], batches...) {
		f.Add(footer, file[b.Offset:b.Offset+int64(b.Metadata)])
	}
	f.Fuzz(func(t *testing.T, footer, message []byte) {
		var i wire.Inspector
		if _, _, err := i.Footer(footer); err != nil && !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%v is not marked as malformed", err)
		}
		if err := i.Block(message); err != nil && !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%v is not marked as malformed", err)
		}
		var alone wire.Inspector
		if body, err := alone.Message(message); err == nil && body < 0 {
			t.Errorf("a body of %d bytes", body)
		}
	})
}
