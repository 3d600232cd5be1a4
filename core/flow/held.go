package flow

import (
	"fmt"
	"strings"

	"github.com/qanat-data/qanat/core/flow/ledger"
)

// HeldError says that a check holds a unit: the flow pauses until it is promoted or dropped.
type HeldError struct {
	Flow   string
	Seq    int64
	Checks []ledger.CheckResult
}

// Error names the checks that failed; flow.Run adds the flow.
func (e *HeldError) Error() string {
	text := []string{fmt.Sprintf("unit %d is held", e.Seq)}
	for _, check := range e.Checks {
		if check.Action == string(OnFailBlock) {
			text = append(text, fmt.Sprintf("check %q: %s", check.Check, check.Message))
		}
	}
	return strings.Join(text, "; ")
}
