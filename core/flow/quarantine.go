package flow

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
)

// quarantineSchema is the schema of every quarantine dataset; core/zone adds seq, flow and time.
var quarantineSchema = arrow.NewSchema([]arrow.Field{
	{Name: "stream", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "stage", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "plugin", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "code", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "reason", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "column", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "origin", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "raw", Type: arrow.BinaryTypes.Binary, Nullable: true},
}, nil)

// quarantineBatch builds a batch of quarantineSchema; the caller releases it.
func quarantineBatch(rows []rejected, alloc memory.Allocator) arrow.RecordBatch {
	builder := array.NewRecordBuilder(alloc, quarantineSchema)
	defer builder.Release()
	for _, r := range rows {
		for i, text := range []string{r.Stream, r.Stage, r.Plugin, r.Code, r.Reason, r.Column, r.Origin} {
			field := builder.Field(i).(*array.StringBuilder)
			if text == "" {
				field.AppendNull()
				continue
			}
			field.Append(text)
		}
		builder.Field(7).(*array.BinaryBuilder).Append(r.Raw)
	}
	return builder.NewRecordBatch()
}

// rawRow is one row as a JSON object, for people to look at and for a later release from quarantine.
func rawRow(batch arrow.RecordBatch, row int) []byte {
	if row < 0 || row >= int(batch.NumRows()) {
		return nil
	}
	one := batch.NewSlice(int64(row), int64(row+1))
	defer one.Release()
	raw, err := one.MarshalJSON()
	if err != nil || len(raw) < 2 {
		return fmt.Appendf(nil, "row %d can't be shown: %v", row, err)
	}
	raw = raw[1 : len(raw)-1] // MarshalJSON gives an array of one object
	return raw[:min(len(raw), wire.MaxRaw)]
}

// rejectRows emits the rows of a batch that a plugin rejected.
func rejectRows(b sdk.Batch, step Step, stage string, rejections []sdk.Rejection, emit func(item) error) error {
	if len(rejections) == 0 {
		return nil
	}
	rejects := make([]rejected, len(rejections))
	for i, r := range rejections {
		rejects[i] = fromPlugin(step, stage, r)
		rejects[i].Stream, rejects[i].Origin = b.Stream, b.Origin
		if r.Row != sdk.NoRow {
			rejects[i].Raw = rawRow(b.Record, r.Row)
		}
	}
	return emit(item{rejects: rejects})
}

func fromPlugin(step Step, stage string, r sdk.Rejection) rejected {
	return rejected{
		Stream: r.Stream, Stage: stage, Plugin: step.Instance.Plugin, Code: r.Code, Reason: r.Reason, Origin: r.Origin, Raw: r.Raw,
	}
}

// wholeBatch turns every row of a batch into a rejection.
func wholeBatch(b sdk.Batch, stage, code, reason string) []rejected {
	rejects := make([]rejected, b.Record.NumRows())
	for row := range rejects {
		rejects[row] = rejected{
			Stream: b.Stream, Stage: stage, Code: code, Reason: reason, Origin: b.Origin, Raw: rawRow(b.Record, row),
		}
	}
	return rejects
}
