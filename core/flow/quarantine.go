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
	{Name: "id", Type: arrow.BinaryTypes.String, Nullable: true}, // see RowID
	{Name: "stream", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "stage", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "step", Type: arrow.BinaryTypes.String, Nullable: true}, // which one of the flow's stages
	{Name: "plugin", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "code", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "reason", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "column", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "origin", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "raw", Type: arrow.BinaryTypes.Binary, Nullable: true},
}, nil)

// quarantineBatch builds a batch of quarantineSchema, numbering the rows from first on; the caller releases it.
func quarantineBatch(rows []rejected, first RowID, alloc memory.Allocator) arrow.RecordBatch {
	builder := array.NewRecordBuilder(alloc, quarantineSchema)
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
		builder.Field(quarantineSchema.NumFields() - 1).(*array.BinaryBuilder).Append(r.Raw)
		first.N++
	}
	return builder.NewRecordBatch()
}

// rawRow is one row as a JSON object, for people to look at and for a later release from quarantine.
func rawRow(batch arrow.RecordBatch, row int) []byte {
	if row < 0 || row >= int(batch.NumRows()) {
		return nil
	}
	raw, err := rowJSON(batch, row)
	if err != nil {
		return fmt.Appendf(nil, "row %d can't be shown: %v", row, err)
	}
	return raw[:min(len(raw), wire.MaxRaw)]
}

// rejectRows emits the rows of a batch that a plugin rejected.
func rejectRows(b sdk.Batch, at stageID, rejections []sdk.Rejection, emit func(item) error) error {
	if len(rejections) == 0 {
		return nil
	}
	rejects := make([]rejected, len(rejections))
	for i, r := range rejections {
		rejects[i] = fromPlugin(at, r)
		rejects[i].Stream, rejects[i].Origin = b.Stream, b.Origin
		if r.Row != sdk.NoRow {
			rejects[i].Raw = rawRow(b.Record, r.Row)
		}
	}
	return emit(item{rejects: rejects})
}

// stageID says which of a flow's stages rejects a row: what kind of stage, which one, and its plugin if it is a plugin's.
type stageID struct{ stage, step, plugin string }

// Names of stages in quarantine. A step is a stage's own name: transforms have their own, the others are one of a kind.
const (
	transformStage = "transform"
	sinkStage      = "sink"
)

var checkID = stageID{stage: "check", step: checksStage}

// transformSteps name the transforms, numbering those that share a name.
func (s *Settings) transformSteps() []string {
	seen := map[string]int{}
	names := make([]string, len(s.Transforms))
	for i, step := range s.Transforms {
		seen[step.Name]++
		names[i] = step.Name
		if n := seen[step.Name]; n > 1 {
			names[i] = fmt.Sprintf("%s#%d", step.Name, n)
		}
	}
	return names
}

func fromPlugin(at stageID, r sdk.Rejection) rejected {
	return rejected{
		Stream: r.Stream, Stage: at.stage, Step: at.step, Plugin: at.plugin, Code: r.Code, Reason: r.Reason, Origin: r.Origin, Raw: r.Raw,
	}
}

// wholeBatch turns every row of a batch into a rejection.
func wholeBatch(b sdk.Batch, at stageID, code, reason string) []rejected {
	rejects := make([]rejected, b.Record.NumRows())
	for row := range rejects {
		rejects[row] = rejected{
			Stream: b.Stream, Stage: at.stage, Step: at.step, Code: code, Reason: reason, Origin: b.Origin, Raw: rawRow(b.Record, row),
		}
	}
	return rejects
}
