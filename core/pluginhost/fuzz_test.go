package pluginhost

import (
	"encoding/binary"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc/mem"

	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// FuzzEvents feeds whole streams of frames, each with its length before it, to what reads a source.
func FuzzEvents(f *testing.F) {
	record := numbers(memory.DefaultAllocator, 3)
	message, err := wire.EncodeSchema(record.Schema())
	if err != nil {
		f.Fatal(err)
	}
	body, err := wire.NewEncoder(record.Schema()).Encode(record)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stream(f,
		&wire.Frame{Head: &pluginv1.Head{Kind: &pluginv1.Head_Schema{Schema: &pluginv1.Schema{Stream: "rows", Version: 1}}}, Body: wire.Bytes(message)},
		&wire.Frame{Head: &pluginv1.Head{Kind: &pluginv1.Head_Batch{Batch: &pluginv1.Batch{Stream: "rows", Version: 1, Rows: 3}}}, Body: body},
		&wire.Frame{Head: &pluginv1.Head{Kind: &pluginv1.Head_Checkpoint{Checkpoint: &pluginv1.Checkpoint{Position: []byte("1")}}}},
	))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		inst := Instance{Kind: registry.Source, Plugin: "fuzz"}
		r := &Read{s: &session{launched: &launched{inst: inst}, in: newReceiver(inst, memory.DefaultAllocator)}}
		defer r.s.in.close()
		for len(raw) >= 4 {
			size := min(int(binary.LittleEndian.Uint32(raw)), len(raw)-4)
			var frame wire.Frame
			if (wire.Codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw[4 : 4+size])}, &frame) == nil {
				use(r.event(&frame))
			}
			raw = raw[4+size:]
		}
	})
}

// use reads every value of a batch: what passed the checks must not make a reader panic.
func use(event Event, err error) {
	batch, ok := event.(BatchEvent)
	if err != nil || !ok {
		return
	}
	defer batch.Record.Release()
	for _, column := range batch.Record.Columns() {
		for i := range column.Len() {
			_ = column.ValueStr(i)
		}
	}
}

func stream(f *testing.F, frames ...*wire.Frame) []byte {
	f.Helper()
	var out []byte
	for _, frame := range frames {
		data, err := wire.Codec{}.Marshal(frame)
		if err != nil {
			f.Fatal(err)
		}
		out = binary.LittleEndian.AppendUint32(out, uint32(data.Len()))
		out = append(out, data.Materialize()...)
	}
	return out
}

// FuzzPlan feeds plans to what reads them.
func FuzzPlan(f *testing.F) {
	record := numbers(memory.DefaultAllocator, 1)
	in := []sdk.SchemaChange{change(record)}
	message, err := wire.EncodeSchema(record.Schema())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(message, "rows", "one", "identity", "id")
	f.Fuzz(func(t *testing.T, schema []byte, name, cardinality, kind, column string) {
		plan, err := transformPlan(&pluginv1.TransformPlan{
			Cardinality: cardinality, Outputs: []*pluginv1.Input{{Name: name, Schema: schema}},
			Lineage: []*pluginv1.ColumnLineage{{Output: name, Column: column, Kind: kind, Inputs: []*pluginv1.ColumnRef{{Input: "rows", Column: column}}}},
		}, in)
		if err == nil && (len(plan.Outputs) != 1 || len(plan.Lineage) != 1 || plan.Outputs[0].Schema == nil) {
			t.Errorf("got %+v", plan)
		}
	})
}
