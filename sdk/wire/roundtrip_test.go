package wire_test

import (
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/wire"
)

// checked is an allocator that fails the test if anything is left.
func checked(t testing.TB) *memory.CheckedAllocator {
	t.Helper()
	alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
	t.Cleanup(func() { alloc.AssertSize(t, 0) })
	return alloc
}

// pipe is both ends of one stream.
type pipe struct {
	t       testing.TB
	encoder *wire.Encoder
	decoder *wire.Decoder
}

func newPipe(t testing.TB, schema *arrow.Schema) *pipe {
	t.Helper()
	message, err := wire.EncodeSchema(schema)
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := wire.NewDecoder(message, checked(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(decoder.Close)
	encoder := wire.NewEncoder(schema)
	t.Cleanup(encoder.Close)
	return &pipe{t: t, encoder: encoder, decoder: decoder}
}

// send passes a batch through and compares; it returns the number of bytes that travelled.
func (p *pipe) send(batch arrow.RecordBatch) int {
	p.t.Helper()
	body, err := p.encoder.Encode(batch)
	if err != nil {
		p.t.Fatal(err)
	}
	defer body.Release()
	// As over a socket, the other end has bytes of its own.
	got, err := p.decoder.Decode(append([]byte(nil), body.Join()...))
	if err != nil {
		p.t.Fatal(err)
	}
	defer got.Release()
	if !array.RecordEqual(batch, got) {
		p.t.Fatalf("sent %v, received %v", batch, got)
	}
	return body.Len()
}

func TestEveryTypeSurvivesTheWire(t *testing.T) {
	t.Parallel()
	for _, c := range columns() {
		t.Run(c.kind.String(), func(t *testing.T) {
			t.Parallel()
			batch := recordOf(t, checked(t), c.kind, c.values)
			defer batch.Release()
			newPipe(t, batch.Schema()).send(batch)
		})
	}
}

func TestSlicesOfEveryTypeSurviveTheWire(t *testing.T) {
	t.Parallel()
	for _, c := range columns() {
		t.Run(c.kind.String(), func(t *testing.T) {
			t.Parallel()
			batch := recordOf(t, checked(t), c.kind, c.values)
			defer batch.Release()
			p := newPipe(t, batch.Schema())
			for from := range batch.NumRows() + 1 {
				for to := from; to <= batch.NumRows(); to++ {
					part := batch.NewSlice(from, to)
					p.send(part)
					part.Release()
				}
			}
		})
	}
}

func TestAllTypesInOneBatchSurviveTogether(t *testing.T) {
	t.Parallel()
	batch := everyType(t, checked(t))
	defer batch.Release()
	p := newPipe(t, batch.Schema())
	if !p.decoder.Schema().Equal(batch.Schema()) || p.decoder.Schema().Metadata().Len() != 1 {
		t.Fatalf("schema became %v", p.decoder.Schema())
	}
	for range 3 {
		p.send(batch)
	}
}

func TestBatchesWithoutRowsOrColumnsKeepTheirShape(t *testing.T) {
	t.Parallel()
	empty := everyType(t, checked(t))
	defer empty.Release()
	none := empty.NewSlice(0, 0)
	defer none.Release()
	newPipe(t, none.Schema()).send(none)

	schema := arrow.NewSchema(nil, nil)
	rows := array.NewRecordBatch(schema, nil, 7)
	defer rows.Release()
	p := newPipe(t, schema)
	body, err := p.encoder.Encode(rows)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Release()
	got, err := p.decoder.Decode(body.Join())
	if err != nil {
		t.Fatal(err)
	}
	defer got.Release()
	if got.NumRows() != 7 || got.NumCols() != 0 {
		t.Errorf("7 rows of no columns became %d rows of %d", got.NumRows(), got.NumCols())
	}
}

func TestDictionariesTravelWhenTheyChangeAndOnlyThen(t *testing.T) {
	t.Parallel()
	kind := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	alloc := checked(t)
	sizes := []int{}
	var p *pipe
	for _, values := range []string{
		`["a", "b", null]`, `["a", "b", null]`, `["a", "b", "c"]`, `["x"]`, `["a", "b", null]`, `[null, null]`, `[]`, `["a", "b"]`,
	} {
		batch := recordOf(t, alloc, kind, values)
		if p == nil {
			p = newPipe(t, batch.Schema())
		}
		sizes = append(sizes, p.send(batch))
		batch.Release()
	}
	if sizes[1] >= sizes[0] {
		t.Errorf("the same dictionary again costs %d bytes, the first time it was %d", sizes[1], sizes[0])
	}
}

func TestBodiesMayBeReleasedAfterTheirBatchAndEncoder(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	batch := everyType(t, alloc)
	part := batch.NewSlice(1, 5)
	message, err := wire.EncodeSchema(batch.Schema())
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprint(part)
	encoder := wire.NewEncoder(batch.Schema())
	first, err := encoder.Encode(part)
	if err != nil {
		t.Fatal(err)
	}
	second, err := encoder.Encode(batch)
	if err != nil {
		t.Fatal(err)
	}
	encoder.Close()
	part.Release()
	batch.Release()

	decoder, err := wire.NewDecoder(message, checked(t))
	if err != nil {
		t.Fatal(err)
	}
	got, err := decoder.Decode(first.Join())
	if err != nil {
		t.Fatal(err)
	}
	first.Release()
	decoder.Close()
	second.Release()
	if fmt.Sprint(got) != want {
		t.Errorf("the first body became %v, want %v", got, want)
	}
	got.Release()
}

func TestEncodeRefusesABatchOfAnotherSchemaAndGoesOn(t *testing.T) {
	t.Parallel()
	alloc := checked(t)
	numbers := recordOf(t, alloc, arrow.PrimitiveTypes.Int64, `[1]`)
	defer numbers.Release()
	words := recordOf(t, alloc, arrow.BinaryTypes.String, `["a"]`)
	defer words.Release()
	p := newPipe(t, numbers.Schema())
	if _, err := p.encoder.Encode(words); err == nil {
		t.Error("a batch of another schema was encoded")
	}
	p.send(numbers)
}

func TestPrimitiveColumnsAreLentNotCopied(t *testing.T) {
	t.Parallel()
	b := array.NewInt64Builder(checked(t))
	defer b.Release()
	for i := range 10_000 {
		b.Append(int64(i))
	}
	column := b.NewInt64Array()
	defer column.Release()
	schema := arrow.NewSchema([]arrow.Field{{Name: "c", Type: arrow.PrimitiveTypes.Int64}}, nil)
	batch := array.NewRecordBatch(schema, []arrow.Array{column}, 10_000)
	defer batch.Release()
	encoder := wire.NewEncoder(schema)
	defer encoder.Close()
	body, err := encoder.Encode(batch)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Release()
	values := column.Data().Buffers()[1].Bytes()
	for _, piece := range body.Pieces {
		if &piece[0] == &values[0] {
			return
		}
	}
	t.Error("no piece of the body is the column's own buffer")
}
