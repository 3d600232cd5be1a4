package flow

import (
	"fmt"

	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/sdk"
)

// rejectRows emits the rows of a batch that a plugin rejected.
func rejectRows(b sdk.Batch, at stageID, rejections []sdk.Rejection, emit func(item) error) error {
	if len(rejections) == 0 {
		return nil
	}
	rejects := make([]quarantine.Rejected, len(rejections))
	for i, r := range rejections {
		rejects[i] = fromPlugin(at, r)
		rejects[i].Stream, rejects[i].Origin = b.Stream, b.Origin
		if r.Row != sdk.NoRow {
			rejects[i].Raw = quarantine.Raw(b.Record, r.Row)
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

func fromPlugin(at stageID, r sdk.Rejection) quarantine.Rejected {
	return quarantine.Rejected{
		Stream: r.Stream, Stage: at.stage, Step: at.step, Plugin: at.plugin, Code: r.Code, Reason: r.Reason, Origin: r.Origin, Raw: r.Raw,
	}
}

// wholeBatch turns every row of a batch into a rejection.
func wholeBatch(b sdk.Batch, at stageID, code, reason string) []quarantine.Rejected {
	rejects := make([]quarantine.Rejected, b.Record.NumRows())
	for row := range rejects {
		rejects[row] = quarantine.Rejected{
			Stream: b.Stream, Stage: at.stage, Step: at.step, Code: code, Reason: reason, Origin: b.Origin, Raw: quarantine.Raw(b.Record, row),
		}
	}
	return rejects
}
