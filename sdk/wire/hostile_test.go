package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/qanat-data/qanat/sdk/wire"
)

// encoded returns the schema message and the body of one batch.
func encoded(t testing.TB, batch arrow.RecordBatch) (schema, body []byte) {
	t.Helper()
	schema, err := wire.EncodeSchema(batch.Schema())
	if err != nil {
		t.Fatal(err)
	}
	encoder := wire.NewEncoder(batch.Schema())
	defer encoder.Close()
	out, err := encoder.Encode(batch)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	return schema, slices.Clone(out.Join())
}

// touch decodes and, if there is a batch, reads every value in all the ways that the rest of the runtime does.
func touch(t testing.TB, schema, body []byte) error {
	t.Helper()
	decoder, err := wire.NewDecoder(schema, memory.DefaultAllocator)
	if err != nil {
		return malformed(t, err)
	}
	defer decoder.Close()
	batch, err := decoder.Decode(body)
	if err != nil {
		return malformed(t, err)
	}
	defer batch.Release()
	_ = wire.Size(batch)
	const most = 2000
	for from := int64(0); from < batch.NumRows(); from += max(most, batch.NumRows()-most) {
		read(t, batch, from, min(from+most, batch.NumRows()))
	}
	return nil
}

func read(t testing.TB, batch arrow.RecordBatch, from, to int64) {
	t.Helper()
	part := batch.NewSlice(from, to)
	defer part.Release()
	_, _ = part.MarshalJSON() // times out of range have no JSON; what counts is that there is no panic
	for _, column := range part.Columns() {
		for row := range column.Len() {
			_ = column.ValueStr(row)
		}
	}
	if !array.RecordApproxEqual(part, part, array.WithNaNsEqual(true)) {
		t.Error("a batch differs from itself")
	}
	encoder := wire.NewEncoder(part.Schema())
	defer encoder.Close()
	if body, err := encoder.Encode(part); err == nil {
		body.Release()
	}
}

func malformed(t testing.TB, err error) error {
	t.Helper()
	if !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("%v is not marked as malformed", err)
	}
	return err
}

// FuzzDecoder changes a schema message and a body of each type.
func FuzzDecoder(f *testing.F) {
	for _, c := range columns() {
		batch := recordOf(f, memory.DefaultAllocator, c.kind, c.values)
		schema, body := encoded(f, batch)
		f.Add(schema, body)
		batch.Release()
	}
	f.Fuzz(func(t *testing.T, schema, body []byte) { _ = touch(t, schema, body) })
}

// TestNoSingleWrongByteGetsPastTheDecoder sets each byte of each type's messages to values that turn lengths, offsets and
// indices into lies.
func TestNoSingleWrongByteGetsPastTheDecoder(t *testing.T) {
	t.Parallel()
	for _, c := range columns() {
		t.Run(c.kind.String(), func(t *testing.T) {
			t.Parallel()
			batch := recordOf(t, checked(t), c.kind, c.values)
			defer batch.Release()
			schema, body := encoded(t, batch)
			for at := range body {
				for _, value := range []byte{0x7f, 0xff} {
					if changed := slices.Clone(body); changed[at] != value {
						changed[at] = value
						_ = touch(t, schema, changed)
					}
				}
			}
			for at := range schema {
				for _, value := range []byte{0xff} {
					changed := slices.Clone(schema)
					changed[at] = value
					_ = touch(t, changed, body)
				}
			}
		})
	}
}

func TestTruncatedMessagesAreRefused(t *testing.T) {
	t.Parallel()
	batch := everyType(t, checked(t))
	defer batch.Release()
	schema, body := encoded(t, batch)
	for n := 0; n < len(body); n += 5 {
		if touch(t, schema, body[:n]) == nil {
			t.Fatalf("the first %d of %d bytes are a batch", n, len(body))
		}
	}
	for n := 0; n < len(schema); n += 5 {
		if touch(t, schema[:n], body) == nil {
			t.Fatalf("the first %d of %d bytes are a schema", n, len(schema))
		}
	}
	if touch(t, schema, append(slices.Clone(body), body...)) == nil {
		t.Error("two batches in one body were accepted")
	}
	if touch(t, append(slices.Clone(schema), body...), body) == nil {
		t.Error("bytes behind the schema were accepted")
	}
}

func TestOffsetsAndIndicesOutOfRangeAreRefusedAtEveryDepth(t *testing.T) {
	t.Parallel()
	ints := func(n int32) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }
	text := func(at ...int32) arrow.Array { return offsets(arrow.BinaryTypes.String, at, nil) }
	list := func(at ...int32) arrow.Array {
		return offsets(arrow.ListOf(arrow.PrimitiveTypes.Int8), at, zeros(arrow.PrimitiveTypes.Int8))
	}
	for name, lie := range map[string]struct {
		column arrow.Array
		number int32 // takes the place of honest
	}{
		"a text's end":            {text(0, 7, honest), available + 1},
		"a text before the start": {text(0, honest, available), -1},
		"a text that goes back":   {text(0, honest, available-1), available},
		"text in a struct":        {inStruct(text(0, 7, honest)), 1 << 30},
		"text in a list":          {inList(text(0, honest, available)), 1 << 30},
		"a list's end":            {list(0, 7, honest), available + 1},
		"a list in a struct":      {inStruct(list(0, honest, available)), -8},
		"a list in a list":        {inList(list(0, honest, available)), available + 1},
		"a dictionary's index":    {indices(0, honest), available},
		"an index under zero":     {indices(0, honest), -1},
		"an index in a struct":    {inStruct(indices(0, honest)), 1 << 30},
		"an index in a list":      {inList(indices(0, honest)), 1 << 30},
		"the end of the last run": {runs(1, honest), honest - 1},
		"runs that go back":       {runs(honest, available), available + 1},
		"runs in a struct":        {inStruct(runs(1, honest)), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema := arrow.NewSchema([]arrow.Field{{Name: "c", Type: lie.column.DataType(), Nullable: true}}, nil)
			batch := array.NewRecordBatch(schema, []arrow.Array{lie.column}, int64(lie.column.Len()))
			message, body := unchecked(t, batch)
			if err := touch(t, message, body); err != nil {
				t.Fatal(err)
			}
			at := bytes.LastIndex(body, ints(honest)) // behind the metadata, where a run's end is a length as well
			if at < 0 {
				t.Fatal("the number is not in the body")
			}
			copy(body[at:], ints(lie.number))
			if err := touch(t, message, body); err == nil {
				t.Errorf("%d was accepted", lie.number)
			}
		})
	}
}

const (
	available = 5000 // values there are to refer to
	honest    = 4663 // a reference that becomes a lie
)

func zeros(kind arrow.DataType) arrow.ArrayData {
	return array.NewData(kind, available, []*memory.Buffer{nil, memory.NewBufferBytes(make([]byte, available))}, nil, 0, 0)
}

func numbers(of []int32) *memory.Buffer {
	return memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(of))
}

// offsets is an array of texts, or of lists of the child's values.
func offsets(kind arrow.DataType, at []int32, child arrow.ArrayData) arrow.Array {
	buffers, children := []*memory.Buffer{nil, numbers(at)}, []arrow.ArrayData{child}
	if child == nil {
		buffers, children = append(buffers, memory.NewBufferBytes(make([]byte, available))), nil
	}
	return array.MakeFromData(array.NewData(kind, len(at)-1, buffers, children, 0, 0))
}

func indices(at ...int32) arrow.Array {
	kind := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.PrimitiveTypes.Int8}
	values := zeros(arrow.PrimitiveTypes.Int8).(*array.Data)
	return array.MakeFromData(array.NewDataWithDictionary(kind, len(at), []*memory.Buffer{nil, numbers(at)}, 0, 0, values))
}

func runs(ends ...int32) arrow.Array {
	kind := arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int8)
	end := array.NewData(arrow.PrimitiveTypes.Int32, len(ends), []*memory.Buffer{nil, numbers(ends)}, nil, 0, 0)
	values := array.NewSliceData(zeros(arrow.PrimitiveTypes.Int8), 0, int64(len(ends)))
	length := int(ends[len(ends)-1])
	return array.MakeFromData(array.NewData(kind, length, []*memory.Buffer{nil}, []arrow.ArrayData{end, values}, 0, 0))
}

func inStruct(a arrow.Array) arrow.Array {
	kind := arrow.StructOf(arrow.Field{Name: "inner", Type: a.DataType(), Nullable: true})
	return array.MakeFromData(array.NewData(kind, a.Len(), []*memory.Buffer{nil}, []arrow.ArrayData{a.Data()}, 0, 0))
}

func inList(a arrow.Array) arrow.Array {
	at := []int32{0, int32(a.Len())}
	return array.MakeFromData(array.NewData(arrow.ListOf(a.DataType()), 1, []*memory.Buffer{nil, numbers(at)}, []arrow.ArrayData{a.Data()}, 0, 0))
}

// unchecked writes a batch with Arrow's own writer, which copies what it is given.
func unchecked(t *testing.T, batch arrow.RecordBatch, options ...ipc.Option) (schema, body []byte) {
	t.Helper()
	schema, err := wire.EncodeSchema(batch.Schema())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := ipc.NewWriter(&out, append(options, ipc.WithSchema(batch.Schema()))...)
	if err := w.Write(batch); err != nil {
		t.Fatal(err)
	}
	return schema, out.Bytes()[len(schema):]
}

func TestWhatNoEndOfTheProtocolSendsIsRefused(t *testing.T) {
	t.Parallel()
	batch := largeBatch(checked(t), 1000)
	defer batch.Release()
	schema, plain := unchecked(t, batch)
	if err := touch(t, schema, plain); err != nil {
		t.Errorf("a plain batch: %v", err)
	}
	if _, packed := unchecked(t, batch, ipc.WithZstd()); touch(t, schema, packed) == nil {
		t.Error("a compressed batch was accepted")
	}
	big := arrow.NewSchemaWithEndian(batch.Schema().Fields(), nil, 1)
	message, err := wire.EncodeSchema(big)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wire.NewDecoder(message, memory.DefaultAllocator); err == nil {
		t.Error("a big-endian schema was accepted")
	}
}

func TestDictionaryDeltasAreRefused(t *testing.T) {
	t.Parallel()
	kind := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}
	first := recordOf(t, checked(t), kind, `["a"]`)
	defer first.Release()
	second := recordOf(t, checked(t), kind, `["a", "b"]`)
	defer second.Release()
	schema, err := wire.EncodeSchema(first.Schema())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(first.Schema()), ipc.WithDictionaryDeltas(true))
	if err := w.Write(first); err != nil {
		t.Fatal(err)
	}
	one := out.Len()
	if err := w.Write(second); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	decoder, err := wire.NewDecoder(schema, checked(t))
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	got, err := decoder.Decode(out.Bytes()[len(schema):one])
	if err != nil {
		t.Fatal(err)
	}
	got.Release()
	if _, err := decoder.Decode(out.Bytes()[one:]); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("a delta: %v", err)
	}
}

func TestTypesWithSenselessParametersAreRefused(t *testing.T) {
	t.Parallel()
	for _, kind := range []arrow.DataType{
		&arrow.Decimal128Type{Precision: 38, Scale: 1 << 30}, &arrow.Decimal128Type{Precision: 39}, &arrow.Decimal128Type{},
		&arrow.Decimal32Type{Precision: 10}, &arrow.FixedSizeBinaryType{ByteWidth: 0}, &arrow.FixedSizeBinaryType{ByteWidth: 1 << 30},
		arrow.ListOf(&arrow.Decimal256Type{Precision: 10, Scale: -77}),
	} {
		message, err := wire.EncodeSchema(arrow.NewSchema([]arrow.Field{{Name: "c", Type: kind}}, nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wire.DecodeSchema(message); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%#v: %v", kind, err)
		}
	}
}

// TestSchemasThatGrowInMemoryAreRefused builds messages of a few hundred bytes whose schema would have billions of fields, or
// gigabytes of names, or would never end.
func TestSchemasThatGrowInMemoryAreRefused(t *testing.T) {
	t.Parallel()
	deep := arrow.PrimitiveTypes.Int8
	for range 100 {
		deep = arrow.ListOf(deep)
	}
	message, err := wire.EncodeSchema(arrow.NewSchema([]arrow.Field{{Name: "deep", Type: deep}}, nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, message := range map[string][]byte{
		"nested 100 times":                        message,
		"thirty structs that hold the next twice": bomb(30, 2, 1),
		"1000 fields of one long name":            bomb(1, 1000, 100_000),
	} {
		if _, err := wire.DecodeSchema(message); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// bomb is a schema whose fields share their children: levels of structs, each with the one field of the next level many times.
func bomb(levels, times, nameLength int) []byte {
	b := flatbuffers.NewBuilder(0)
	name := b.CreateString(string(bytes.Repeat([]byte("n"), nameLength)))
	var fields flatbuffers.UOffsetT
	for range levels {
		b.StartObject(0)
		kind := b.EndObject()
		b.StartObject(7)
		b.PrependUOffsetTSlot(0, name, 0)
		b.PrependByteSlot(2, 13, 0) // a struct
		b.PrependUOffsetTSlot(3, kind, 0)
		b.PrependUOffsetTSlot(5, fields, 0)
		field := b.EndObject()
		b.StartVector(4, times, 4)
		for range times {
			b.PrependUOffsetT(field)
		}
		fields = b.EndVector(times)
	}
	b.StartObject(4)
	b.PrependUOffsetTSlot(1, fields, 0)
	schema := b.EndObject()
	b.StartObject(5)
	b.PrependInt16Slot(0, 4, 0)
	b.PrependByteSlot(1, 1, 0)
	b.PrependUOffsetTSlot(2, schema, 0)
	b.Finish(b.EndObject())
	metadata := b.FinishedBytes()
	out := binary.LittleEndian.AppendUint32([]byte{0xff, 0xff, 0xff, 0xff}, uint32(len(metadata)))
	return append(out, metadata...)
}
