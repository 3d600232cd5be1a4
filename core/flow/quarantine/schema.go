package quarantine

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/wire"
)

// Rejected is a row on its way to quarantine. Raw is the row as a JSON object as it came to the stage that rejected it; of rows that a
// source could not read, it is what the source got.
type Rejected struct {
	Stream string
	Stage  string
	Step   string // which one of the flow's stages; the row can come in there again
	Plugin string
	Code   string
	Reason string
	Column string
	Origin string
	Raw    []byte
}

// rawColumn is the last one.
const rawColumn = "raw"

// Schema is the schema of every quarantine dataset; core/zone adds seq, flow and time.
func Schema() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.BinaryTypes.String, Nullable: true}, // see RowID
		{Name: "stream", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "stage", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "step", Type: arrow.BinaryTypes.String, Nullable: true}, // which one of the flow's stages
		{Name: "plugin", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "code", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "reason", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "column", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "origin", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: rawColumn, Type: arrow.BinaryTypes.Binary, Nullable: true},
	}, nil)
}

// Batch builds a batch of Schema, numbering the rows from first on; the caller releases it.
func Batch(rows []Rejected, first RowID, alloc memory.Allocator) arrow.RecordBatch {
	schema := Schema()
	builder := array.NewRecordBuilder(alloc, schema)
	defer builder.Release()
	for _, r := range rows {
		for i, text := range []string{first.String(), r.Stream, r.Stage, r.Step, r.Plugin, r.Code, r.Reason, r.Column, r.Origin} {
			field := builder.Field(i).(*array.StringBuilder)
			if text == "" {
				field.AppendNull()
				continue
			}
			field.Append(text)
		}
		builder.Field(schema.NumFields() - 1).(*array.BinaryBuilder).Append(r.Raw)
		first.N++
	}
	return builder.NewRecordBatch()
}

// Raw is one row as a JSON object, for people to look at and for a later release; nil if the batch has no such row. It is cut to
// what a rejection may hold.
func Raw(batch arrow.RecordBatch, row int) []byte {
	if row < 0 || row >= int(batch.NumRows()) {
		return nil
	}
	raw, err := rowJSON(batch, row)
	if err != nil {
		return fmt.Appendf(nil, "row %d can't be shown: %v", row, err)
	}
	return raw[:min(len(raw), wire.MaxRaw)]
}
