package main

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

func done() *wire.Frame {
	return &wire.Frame{Head: &pluginv1.Head{Kind: &pluginv1.Head_Done{Done: &pluginv1.Done{}}}}
}

func findings(rows ...*pluginv1.Finding) *wire.Frame {
	return &wire.Frame{Head: &pluginv1.Head{Kind: &pluginv1.Head_Findings{Findings: &pluginv1.Findings{Rows: rows}}}}
}

func rejections(rows ...*pluginv1.Rejection) *wire.Frame {
	return &wire.Frame{Head: &pluginv1.Head{Kind: &pluginv1.Head_Reject{Reject: &pluginv1.Reject{Rows: rows}}}}
}

func result(verdict string, metrics map[string]float64) *wire.Frame {
	return &wire.Frame{Head: &pluginv1.Head{Kind: &pluginv1.Head_CheckResult{CheckResult: &pluginv1.CheckResult{Verdict: verdict, Metrics: metrics}}}}
}

func opened(o *pluginv1.Opened) *wire.Frame {
	return &wire.Frame{Head: &pluginv1.Head{Kind: &pluginv1.Head_Opened{Opened: o}}}
}

func mark(m *pluginv1.Mark) *wire.Frame {
	return &wire.Frame{Head: &pluginv1.Head{Kind: &pluginv1.Head_Mark{Mark: m}}}
}

func schemaFrame(stream string, version uint32, message []byte) *wire.Frame {
	head := &pluginv1.Head{Kind: &pluginv1.Head_Schema{Schema: &pluginv1.Schema{Stream: stream, Version: version}}}
	return &wire.Frame{Head: head, Body: wire.Bytes(message)}
}

func keyed(frame *wire.Frame, key string) *wire.Frame {
	frame.Head.GetSchema().Key = []string{key}
	return frame
}

func batchFrame(stream string, version uint32, rows uint64, body []byte) *wire.Frame {
	head := &pluginv1.Head{Kind: &pluginv1.Head_Batch{Batch: &pluginv1.Batch{Stream: stream, Version: version, Rows: rows}}}
	return &wire.Frame{Head: head, Body: wire.Bytes(body)}
}

func encoded(schema *arrow.Schema) []byte {
	message, err := wire.EncodeSchema(schema)
	if err != nil {
		panic(err)
	}
	return message
}

func ids() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil)
}

// honestSchema is what the host's tests send: one column of numbers.
func honestSchema() []byte { return encoded(ids()) }

func schemaOf(columns ...string) []byte {
	var fields []arrow.Field
	for _, name := range columns {
		fields = append(fields, arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Int64})
	}
	return encoded(arrow.NewSchema(fields, nil))
}

const largeRows = 100_000

func largeBody() []byte  { return bodyOf(largeRows) }
func honestBody() []byte { return bodyOf(3) }

func bodyOf(rows int) []byte {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	b.AppendValues(make([]int64, rows), nil)
	return body(ids(), b.NewArray())
}

func body(schema *arrow.Schema, column arrow.Array) []byte {
	out, err := wire.NewEncoder(schema).Encode(array.NewRecordBatch(schema, []arrow.Array{column}, int64(column.Len())))
	if err != nil {
		panic(err)
	}
	return slices.Clone(out.Join())
}

// swapped is the honest body with one number of its metadata in place of another.
func swapped(from, to uint64) []byte {
	out := honestBody()
	at := bytes.LastIndex(out, binary.LittleEndian.AppendUint64(nil, from))
	if at < 0 {
		panic("the number is not there")
	}
	binary.LittleEndian.PutUint64(out[at:], to)
	return out
}

func texts() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}}, nil)
}

func textSchema() []byte { return encoded(texts()) }

// textBody has three texts, the last of which ends elsewhere.
func textBody(end int32) []byte {
	offsets := memory.NewBufferBytes(arrow.Int32Traits.CastToBytes([]int32{0, 1, 2, 3}))
	data := array.NewData(arrow.BinaryTypes.String, 3, []*memory.Buffer{nil, offsets, memory.NewBufferBytes([]byte("abc"))}, nil, 0, 0)
	return replaced(body(texts(), array.MakeFromData(data)), []int32{0, 1, 2, 3}, []int32{0, 1, 2, end})
}

func dictionary() *arrow.Schema {
	kind := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	return arrow.NewSchema([]arrow.Field{{Name: "id", Type: kind}}, nil)
}

func dictionarySchema() []byte { return encoded(dictionary()) }

// dictionaryBody has an index that the dictionary lacks.
func dictionaryBody(index int32) []byte {
	b := array.NewBuilder(memory.DefaultAllocator, dictionary().Field(0).Type).(*array.BinaryDictionaryBuilder)
	for _, text := range []string{"a", "b", "c"} {
		if err := b.AppendString(text); err != nil {
			panic(err)
		}
	}
	return replaced(body(dictionary(), b.NewArray()), []int32{0, 1, 2}, []int32{0, 1, index})
}

func replaced(in []byte, from, to []int32) []byte {
	at := bytes.LastIndex(in, arrow.Int32Traits.CastToBytes(from))
	if at < 0 {
		panic("the numbers are not there")
	}
	copy(in[at:], arrow.Int32Traits.CastToBytes(to))
	return in
}

// extensionSchema has a column of a type that no reader knows.
func extensionSchema() []byte {
	metadata := arrow.NewMetadata([]string{"ARROW:extension:name", "ARROW:extension:metadata"}, []string{"nobody.knows", "x"})
	return encoded(arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64, Metadata: metadata}}, nil))
}
