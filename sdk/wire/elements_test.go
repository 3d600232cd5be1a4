package wire_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// empties is a field that holds n empty messages.
func empties(field, inner protowire.Number, n int) []byte {
	one := protowire.AppendVarint(protowire.AppendTag(nil, inner, protowire.BytesType), 0)
	many := []byte(strings.Repeat(string(one), n))
	return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), many)
}

func TestMessagesThatGrowInMemoryAreRefused(t *testing.T) {
	t.Parallel()
	const reject, head, rows = 5, 1, 1
	frame := func(n int) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, head, protowire.BytesType), empties(reject, rows, n))
	}
	accept := func(data []byte, into any) error {
		return wire.Codec{}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, into)
	}
	if err := accept(frame(1000), &wire.Frame{}); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"one head":       accept(frame(wire.MaxElements), &wire.Frame{}),
		"many heads":     accept([]byte(strings.Repeat(string(frame(wire.MaxElements/8)), 9)), &wire.Frame{}),
		"a unary answer": accept([]byte(strings.Repeat("\x0a\x00", wire.MaxElements+1)), &pluginv1.DiscoverResponse{}),
	} {
		if err == nil || !strings.Contains(err.Error(), "more than 1048576 elements") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
