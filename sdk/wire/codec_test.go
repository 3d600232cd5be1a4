package wire_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

func batchHead(stream string) *pluginv1.Head {
	return &pluginv1.Head{Kind: &pluginv1.Head_Batch{Batch: &pluginv1.Batch{Stream: stream, Version: 3, Rows: 12, Origin: "a.csv"}}}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	out, err := wire.Codec{}.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Free()
	return out.Materialize()
}

// inPieces is data as gRPC might hand it over.
func inPieces(data []byte, size int) mem.BufferSlice {
	var out mem.BufferSlice
	for part := range slices.Chunk(data, size) {
		out = append(out, mem.SliceBuffer(part))
	}
	return out
}

func TestFramesAreTheProtobufMessageOnTheWire(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("0123456789abcdef"), 10_000)
	for name, frame := range map[string]*wire.Frame{
		"empty":           {},
		"head only":       {Head: batchHead("s")},
		"empty head":      {Head: &pluginv1.Head{}},
		"body only":       {Body: wire.Bytes([]byte("body"))},
		"both":            {Head: batchHead("s"), Body: wire.Bytes([]byte("body"))},
		"several pieces":  {Head: batchHead("s"), Body: wire.Body{Pieces: [][]byte{large, []byte("x"), nil, large}}},
		"an empty piece":  {Head: batchHead("s"), Body: wire.Bytes(nil)},
		"a very long one": {Head: batchHead(strings.Repeat("s", 100_000)), Body: wire.Bytes(large)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			message := &pluginv1.Frame{Head: frame.Head, Body: frame.Body.Join()}
			want, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
			if err != nil {
				t.Fatal(err)
			}
			if got := marshal(t, frame); !bytes.Equal(got, want) {
				t.Errorf("%d bytes differ from the %d bytes of protobuf", len(got), len(want))
			}
			for _, size := range []int{1, 7, 1 << 20} {
				var got wire.Frame
				if err := (wire.Codec{}).Unmarshal(inPieces(want, size), &got); err != nil {
					t.Fatal(err)
				}
				back := &pluginv1.Frame{Head: got.Head, Body: got.Body.Join()}
				if frame.Head == nil {
					message.Head = &pluginv1.Head{} // a frame always has a head to ask for its kind
				}
				if diff := cmp.Diff(message, back, protocmp.Transform()); diff != "" {
					t.Errorf("in pieces of %d (-want +got):\n%s", size, diff)
				}
			}
		})
	}
}

func TestOtherMessagesGoThroughTheProtobufCodec(t *testing.T) {
	t.Parallel()
	want := &pluginv1.DescribeResponse{Name: "file", Version: "1.0.0"}
	var got pluginv1.DescribeResponse
	if err := (wire.Codec{}).Unmarshal(inPieces(marshal(t, want), 5), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, &got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if name := (wire.Codec{}).Name(); name != "proto" {
		t.Errorf("the codec is called %q, gRPC negotiates proto", name)
	}
}

func TestFieldsOfLaterVersionsAreSkipped(t *testing.T) {
	t.Parallel()
	var data []byte
	data = protowire.AppendVarint(protowire.AppendTag(data, 3, protowire.VarintType), 1<<60)
	data = append(data, marshal(t, &wire.Frame{Head: batchHead("s")})...)
	data = protowire.AppendFixed32(protowire.AppendTag(data, 4, protowire.Fixed32Type), 7)
	data = protowire.AppendFixed64(protowire.AppendTag(data, 5, protowire.Fixed64Type), 7)
	data = protowire.AppendBytes(protowire.AppendTag(data, 1<<28, protowire.BytesType), bytes.Repeat([]byte("x"), 300))
	data = append(data, marshal(t, &wire.Frame{Body: wire.Bytes([]byte("body"))})...)
	for _, size := range []int{1, 3, len(data)} {
		var got wire.Frame
		if err := (wire.Codec{}).Unmarshal(inPieces(data, size), &got); err != nil {
			t.Fatal(err)
		}
		if got.Head.GetBatch().GetStream() != "s" || string(got.Body.Join()) != "body" {
			t.Errorf("in pieces of %d: got %v and %q", size, got.Head, got.Body.Join())
		}
	}
}

func TestRepeatedHeadsMergeAsInProtobuf(t *testing.T) {
	t.Parallel()
	first := &pluginv1.Head{Kind: &pluginv1.Head_Batch{Batch: &pluginv1.Batch{Stream: "s"}}}
	second := &pluginv1.Head{Kind: &pluginv1.Head_Batch{Batch: &pluginv1.Batch{Rows: 5}}}
	data := append(marshal(t, &wire.Frame{Head: first}), marshal(t, &wire.Frame{Head: second})...)
	var want pluginv1.Frame
	if err := proto.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	var got wire.Frame
	if err := (wire.Codec{}).Unmarshal(inPieces(data, 4), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.GetHead(), got.Head, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestTruncatedAndLyingFramesAreRefused(t *testing.T) {
	t.Parallel()
	whole := marshal(t, &wire.Frame{Head: batchHead("stream"), Body: wire.Bytes(bytes.Repeat([]byte("b"), 200))})
	fieldEnds := []int{0, len(marshal(t, &wire.Frame{Head: batchHead("stream")})), len(whole)}
	for n := range whole {
		var got wire.Frame
		err := wire.Codec{}.Unmarshal(inPieces(whole[:n], 16), &got)
		if complete := slices.Contains(fieldEnds, n); complete != (err == nil) {
			t.Errorf("the first %d of %d bytes: %v", n, len(whole), err)
		}
	}
	for name, data := range map[string][]byte{
		"a length past the end":      {0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"an endless number":          bytes.Repeat([]byte{0xff}, 12),
		"a number over 64 bits":      {0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02},
		"a head that is a number":    {0x08, 0x01},
		"a body that is a number":    {0x10, 0x01},
		"a head that is no message":  {0x0a, 0x02, 0xff, 0xff},
		"field 0":                    {0x02, 0x00},
		"a group":                    {0x1b},
		"a fixed number cut short":   {0x1d, 0x01},
		"an unknown field cut short": {0x1a, 0x05, 0x01},
	} {
		var got wire.Frame
		if err := (wire.Codec{}).Unmarshal(inPieces(data, 3), &got); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestGRPCReleasesWhatItWasLent(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	batch := everyType(t, alloc)
	wide := largeBatch(alloc, 100_000)
	for _, b := range []arrow.RecordBatch{batch, wide} {
		encoder := wire.NewEncoder(b.Schema())
		body, err := encoder.Encode(b)
		if err != nil {
			t.Fatal(err)
		}
		encoder.Close()
		b.Release()
		out, err := wire.Codec{}.Marshal(&wire.Frame{Head: batchHead("s"), Body: body})
		if err != nil {
			t.Fatal(err)
		}
		out.Ref() // gRPC holds a message more than once
		out.Free()
		if out.Len() < body.Len() {
			t.Error("the message is shorter than its body")
		}
		out.Free()
	}
}

// largeBatch is one column of n numbers: more than gRPC copies.
func largeBatch(alloc memory.Allocator, n int) arrow.RecordBatch {
	b := array.NewInt64Builder(alloc)
	defer b.Release()
	for i := range n {
		b.Append(int64(i))
	}
	column := b.NewInt64Array()
	defer column.Release()
	return array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "c", Type: arrow.PrimitiveTypes.Int64}}, nil), []arrow.Array{column}, int64(n))
}

// FuzzCodec holds the codec to protobuf's own reading of a frame.
func FuzzCodec(f *testing.F) {
	f.Add(marshal(f, &wire.Frame{Head: batchHead("s"), Body: wire.Bytes([]byte("body"))}), 3)
	f.Add([]byte{0x12, 0xff, 0x7f}, 1)
	f.Add([]byte{0x18, 0x01, 0x1d, 1, 2, 3, 4}, 2)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		var got wire.Frame
		if err := (wire.Codec{}).Unmarshal(inPieces(data, max(1, size%64)), &got); err != nil {
			return
		}
		var want pluginv1.Frame
		if err := proto.Unmarshal(data, &want); err != nil {
			t.Fatalf("accepted what protobuf refuses: %v", err)
		}
		if !bytes.Equal(want.GetBody(), got.Body.Join()) {
			t.Fatalf("body %q, protobuf reads %q", got.Body.Join(), want.GetBody())
		}
		if want.Head == nil {
			want.Head = &pluginv1.Head{}
		}
		if !proto.Equal(want.Head, got.Head) {
			t.Fatalf("head %v, protobuf reads %v", got.Head, want.Head)
		}
	})
}
