package mask

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

type args = map[string]any

var utf8Type = arrow.BinaryTypes.String

// testKeys has two keys and one that is too short.
func testKeys(name string) ([]byte, error) {
	switch name {
	case "one":
		return []byte("0123456789abcdef"), nil
	case "two":
		return []byte("fedcba9876543210 and more"), nil
	case "short":
		return []byte("short"), nil
	}
	return nil, fmt.Errorf("no key %q", name)
}

func field(name string, dt arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: dt, Nullable: true}
}

// checked is an allocator that must be empty in the end.
func checked(t testing.TB) *memory.CheckedAllocator {
	t.Helper()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	t.Cleanup(func() { alloc.AssertSize(t, 0) })
	return alloc
}

// values makes an array of JSON, released in the end.
func values(t testing.TB, alloc memory.Allocator, dt arrow.DataType, json string) arrow.Array {
	t.Helper()
	a, _, err := array.FromJSON(alloc, dt, strings.NewReader(json))
	if err != nil {
		t.Fatalf("%s of %s: %v", dt, json, err)
	}
	t.Cleanup(a.Release)
	return a
}

// batchOf makes a batch of columns a, b, c …, released in the end.
func batchOf(t testing.TB, columns ...arrow.Array) arrow.RecordBatch {
	t.Helper()
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = field(string(rune('a'+i)), c.DataType())
	}
	b := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, int64(columns[0].Len()))
	t.Cleanup(b.Release)
	return b
}

func newMasker(t testing.TB, alloc memory.Allocator, s *arrow.Schema, masks map[string]Rule) *Masker {
	t.Helper()
	m, err := New(Settings{Schema: s, Masks: masks, Keys: testKeys, Alloc: alloc})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// masked runs a method on an array; the result is released in the end.
func masked(t testing.TB, alloc memory.Allocator, in arrow.Array, r Rule) arrow.Array {
	t.Helper()
	b := batchOf(t, in)
	m := newMasker(t, alloc, b.Schema(), map[string]Rule{"a": r})
	out := apply(t, m, b)
	want, err := Outcome(in.DataType(), r)
	if err != nil || !arrow.TypeEqual(out.Column(0).DataType(), want) {
		t.Errorf("%s of %s is %s, Outcome says %s, %v", r.Method, in.DataType(), out.Column(0).DataType(), want, err)
	}
	return out.Column(0)
}

func apply(t testing.TB, m *Masker, b arrow.RecordBatch) arrow.RecordBatch {
	t.Helper()
	out, err := m.Apply(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Release)
	if !out.Schema().Equal(m.Schema()) || out.NumRows() != b.NumRows() {
		t.Errorf("got %d rows of %s, expected %d of %s", out.NumRows(), out.Schema(), b.NumRows(), m.Schema())
	}
	for i, f := range out.Schema().Fields() {
		if v, ok := out.Column(i).(interface{ ValidateFull() error }); ok {
			if err := v.ValidateFull(); err != nil {
				t.Errorf("column %q: %v", f.Name, err)
			}
		}
	}
	return out
}

// shownValues are the values of an array as text.
func shownValues(a arrow.Array) []string {
	out := make([]string, a.Len())
	for i := range out {
		out[i] = a.ValueStr(i)
	}
	return out
}

// holds looks for bytes in all buffers of an array, and beyond their length.
func holds(data arrow.ArrayData, secret []byte) bool {
	for _, b := range data.Buffers() {
		if b != nil && bytes.Contains(b.Buf(), secret) {
			return true
		}
	}
	for _, child := range data.Children() {
		if holds(child, secret) {
			return true
		}
	}
	return data.DataType().ID() == arrow.DICTIONARY && holds(data.Dictionary(), secret)
}
